package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

// ConnectToKeyVault is the second stage of Altinn's guide: it binds the section
// kvSetting of k and, only when that is complete, loads the vault that it names
// over k by the rules of [Merge]. It reports whether it did.
//
// The section (kvSettings is accepted as well; both in any case) is complete
// when ClientId, TenantId, ClientSecret and SecretUri are all non-blank. With
// [Config.Credential] given, such as a managed identity's, SecretUri alone is
// enough, or [Config.VaultURL] in its place. TenantId is a GUID in any case or
// one of the tenant's domains.
//
// Where none of these is set there is no vault to connect to: it returns false,
// which is logged at debug level. Where some are set it returns false and warns,
// naming those that are missing. [Config.Require] makes both an error.
//
// The load does network I/O, bounded by ctx and [Config.Timeout]. On an error,
// which never holds a value, k is as it was.
func ConnectToKeyVault(ctx context.Context, k *koanf.Koanf, cfg Config) (bool, error) {
	if k == nil {
		return false, errors.New("provider: there is no koanf to connect to a key vault")
	}
	kv, err := bindKVSetting(k)
	if err != nil {
		return false, err
	}
	setting := kv.name + ":SecretUri"
	if kv.secretURI == "" {
		setting, kv.secretURI = "Config.VaultURL", cfg.VaultURL
	}
	if missing := kv.missing(cfg); len(missing) > 0 {
		cfg.Origins.vault("", missing)
		return false, kv.incomplete(cfg, missing)
	}
	if cfg.VaultURL, err = cleanVaultURL(kv.secretURI); err != nil {
		return false, fmt.Errorf("provider: %s %w", setting, err)
	}
	if isNil(cfg.Credential) {
		credential, closeIdle, err := kv.credential(cfg.CredentialOptions)
		if err != nil {
			return false, err
		}
		defer closeIdle()
		cfg.Credential = credential
	}
	vault, err := KeyVault(cfg)
	if err != nil {
		return false, err
	}
	got, err := vault.load(ctx)
	if err != nil {
		return false, err
	}
	if err := got.apply(k, cfg.VaultURL); err != nil {
		return false, err
	}
	cfg.Origins.vault(cfg.VaultURL, nil)
	cfg.Origins.record(Layer{Name: cfg.VaultURL, Status: StatusRead}, got.tree, func(path string) string {
		return got.source(path, cfg.VaultURL)
	})
	return true, nil
}

// apply lays what was loaded over k.
func (l loaded) apply(k *koanf.Koanf, vault string) error {
	source := func(path string) string { return "provider: " + l.source(path, vault) }
	merge := func(src, dest map[string]any) error { return overlay(source, src, dest) }
	return k.Load(confmap.Provider(l.tree, ""), nil, koanf.WithMergeFunc(merge))
}

// source names the secret that the setting at a path came from.
func (l loaded) source(path, vault string) string {
	folded := foldKey(path)
	for _, secret := range l.secrets {
		if foldKey(strings.Join(secret.path, pathDelimiter)) == folded {
			return "secret " + secret.name + " of " + vault
		}
	}
	return vault
}

// kvSetting is the section that says how to reach the vault. It is passed by
// value between the functions of this file and kept nowhere.
type kvSetting struct {
	name                                        string // as the settings spell it
	clientID, tenantID, clientSecret, secretURI string
	byReference                                 []string // fields that only the vault itself could tell
}

// bindKVSetting finds the section under either of its names. What kvSetting
// leaves blank is taken from kvSettings.
func bindKVSetting(k *koanf.Koanf) (kvSetting, error) {
	kv := kvSetting{name: "kvSetting"}
	fields := []struct {
		name string
		into *string
	}{{"ClientId", &kv.clientID}, {"TenantId", &kv.tenantID}, {"ClientSecret", &kv.clientSecret}, {"SecretUri", &kv.secretURI}}
	var problems []error
	for _, name := range []string{"kvSettings", "kvSetting"} {
		spelt, _ := spelling(k.Raw(), name)
		section, err := Section(k, spelt)
		if errors.Is(err, ErrNoSection) {
			continue
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		kv.name = spelt
		for _, field := range fields {
			key, _ := spelling(section, field.name)
			text, isText := section[key].(string)
			if section[key] != nil && !isText {
				problems = append(problems, fmt.Errorf("provider: %s:%s is not a text", spelt, key))
			}
			if isReference(text) {
				kv.byReference = append(kv.byReference, spelt+":"+key)
			}
			if text = strings.TrimSpace(text); text != "" {
				*field.into = text
			}
		}
	}
	return kv, errors.Join(problems...)
}

// missing lists the fields that are blank but needed.
func (kv kvSetting) missing(cfg Config) []string {
	var missing []string
	need := func(name, value string) {
		if value == "" {
			missing = append(missing, name)
		}
	}
	if isNil(cfg.Credential) {
		need("ClientId", kv.clientID)
		need("TenantId", kv.tenantID)
		need("ClientSecret", kv.clientSecret)
	}
	need("SecretUri", kv.secretURI)
	return missing
}

// incomplete tells that there is no vault to connect to, as loudly as it should.
func (kv kvSetting) incomplete(cfg Config, missing []string) error {
	lacks := fmt.Sprintf("%s lacks %s", kv.name, strings.Join(missing, ", "))
	nothing := kv.clientID == "" && kv.tenantID == "" && kv.clientSecret == "" && kv.secretURI == ""
	switch {
	case cfg.Require:
		return fmt.Errorf("provider: no key vault was connected: %s", lacks)
	case nothing:
		cfg.logger().Debug("provider: no key vault is configured", "missing", missing)
	default:
		cfg.logger().Warn("provider: no key vault was connected: "+lacks, slog.Any("missing", missing))
	}
	return nil
}

var guid = regexp.MustCompile(`(?i)^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// credential makes the client secret credential that the section describes, and
// a function that closes its idle connections.
func (kv kvSetting) credential(options azidentity.ClientSecretCredentialOptions) (azcore.TokenCredential, func(), error) {
	if len(kv.byReference) > 0 {
		return nil, nil, fmt.Errorf("provider: %s: a Key Vault reference cannot be what reaches the vault: set it by other means",
			strings.Join(kv.byReference, ", "))
	}
	tenant := kv.tenantID
	if guid.MatchString(tenant) {
		// The SDK compares it, as text, with the GUID in the vault's challenge.
		tenant = strings.ToLower(tenant)
	} else {
		// A domain's GUID is not known beforehand, so any that the vault names
		// is accepted: the token request goes to the same authority in any case.
		options.AdditionallyAllowedTenants = append([]string{"*"}, options.AdditionallyAllowedTenants...)
	}
	transport, closeIdle := transporter(options.Transport, 1)
	options.Transport = &wire{next: transport, busy: map[string]int{}}
	credential, err := azidentity.NewClientSecretCredential(tenant, kv.clientID, kv.clientSecret, &options)
	if err != nil {
		return nil, nil, fmt.Errorf("provider: %s:TenantId is not a tenant's GUID or domain, or the credential's options are wrong", kv.name)
	}
	return credential, closeIdle, nil
}
