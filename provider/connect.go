package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/provider/internal/azure"
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
	c, err := connect(ctx, k, &cfg)
	c.close()
	return c.connected, err
}

// connection is what the second stage leaves behind.
type connection struct {
	connected bool
	got       loaded
	close     func() // what the credential keeps open
}

// connect is ConnectToKeyVault. It puts the credential that it makes into cfg.
func connect(ctx context.Context, k *koanf.Koanf, cfg *Config) (connection, error) {
	c := connection{close: func() {}}
	if k == nil {
		return c, errors.New("provider: there is no koanf to connect to a key vault")
	}
	if _, err := cfg.checked(false); err != nil {
		return c, err
	}
	kv, err := bindKVSetting(k)
	if err != nil {
		return c, err
	}
	setting := kv.name + ":SecretUri"
	if kv.secretURI == "" {
		setting, kv.secretURI = "Config.VaultURL", cfg.VaultURL
	}
	if missing := kv.missing(*cfg); len(missing) > 0 {
		cfg.Origins.vault("", missing)
		return c, kv.incomplete(*cfg, missing)
	}
	url, err := cleanVaultURL(kv.secretURI)
	if err != nil {
		return c, fmt.Errorf("provider: %s %w", setting, err)
	}
	cfg.VaultURL = url
	if isNil(cfg.Credential) {
		if cfg.Credential, c.close, err = kv.credential(cfg.CredentialOptions); err != nil {
			return connection{close: func() {}}, err
		}
	}
	vault, err := KeyVault(*cfg)
	if err != nil {
		return c, err
	}
	if c.got, err = vault.load(ctx); err != nil {
		return c, err
	}
	source := c.got.sources(url)
	if err := c.got.apply(k, source); err != nil {
		return c, err
	}
	cfg.Origins.vault(url, nil)
	cfg.Origins.record(Layer{Name: url, Status: StatusRead}, c.got.tree, source)
	c.connected = true
	return c, nil
}

// apply lays what was loaded over k.
func (l loaded) apply(k *koanf.Koanf, source func(path string) string) error {
	merge := func(src, dest map[string]any) error {
		return overlay(func(path string) string { return "provider: " + source(path) }, src, dest)
	}
	return k.Load(confmap.Provider(l.tree, ""), nil, koanf.WithMergeFunc(merge))
}

// values is the text that each setting was given, by folded path.
func (l loaded) values() map[string]string {
	values := map[string]string{}
	rewrite("", l.tree, func(path, text string) string {
		values[foldKey(path)] = text
		return text
	})
	return values
}

// sources names the secret that the setting at a path came from.
func (l loaded) sources(vault string) func(path string) string {
	names := make(map[string]string, len(l.secrets))
	for _, secret := range l.secrets {
		names[foldKey(strings.Join(secret.path, pathDelimiter))] = secret.name
	}
	return func(path string) string {
		if name, ok := names[foldKey(path)]; ok {
			return "secret " + name + " of " + vault
		}
		return vault
	}
}

// kvSetting is the section that says how to reach the vault. It is passed by
// value between the functions of this file and kept nowhere.
type kvSetting struct {
	name                                        string // as the settings spell it
	clientID, tenantID, clientSecret, secretURI string
	byReference                                 []string // fields that only the vault itself could tell
}

// bindKVSetting finds the section: kvSetting, or where that is blank kvSettings.
func bindKVSetting(k *koanf.Koanf) (kvSetting, error) {
	first := kvSetting{name: "kvSetting"}
	for i, name := range []string{"kvSetting", "kvSettings"} {
		spelt, _ := spelling(k.Raw(), name)
		section, err := Section(k, spelt)
		if errors.Is(err, ErrNoSection) {
			continue
		}
		if err != nil {
			return kvSetting{}, err
		}
		kv, err := bindFields(spelt, section)
		if err != nil || !kv.blank() {
			return kv, err
		}
		if i == 0 {
			first = kv
		}
	}
	return first, nil
}

func bindFields(name string, section map[string]any) (kvSetting, error) {
	kv := kvSetting{name: name}
	var problems []error
	for _, field := range []struct {
		name string
		into *string
	}{{"ClientId", &kv.clientID}, {"TenantId", &kv.tenantID}, {"ClientSecret", &kv.clientSecret}, {"SecretUri", &kv.secretURI}} {
		key, _ := spelling(section, field.name)
		text, isText := section[key].(string)
		if section[key] != nil && !isText {
			problems = append(problems, fmt.Errorf("provider: %s:%s is not a text", name, key))
		}
		if isReference(text) {
			kv.byReference = append(kv.byReference, name+":"+key)
		}
		*field.into = strings.TrimSpace(text)
	}
	return kv, errors.Join(problems...)
}

func (kv kvSetting) blank() bool {
	return kv.clientID == "" && kv.tenantID == "" && kv.clientSecret == "" && kv.secretURI == ""
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
	switch {
	case cfg.Require:
		return fmt.Errorf("provider: no key vault was connected: %s", lacks)
	case kv.blank():
		cfg.logger().Debug("provider: no key vault is configured", "missing", missing)
	default:
		cfg.logger().Warn("provider: no key vault was connected: "+lacks, slog.Any("missing", missing))
	}
	return nil
}

// credential makes the client secret credential that the section describes, and
// a function that closes its connections.
func (kv kvSetting) credential(options azidentity.ClientSecretCredentialOptions) (azcore.TokenCredential, func(), error) {
	if len(kv.byReference) > 0 {
		return nil, nil, fmt.Errorf("provider: %s: a Key Vault reference cannot be what reaches the vault: set it by other means",
			strings.Join(kv.byReference, ", "))
	}
	credential, closeAll, err := azure.ClientSecret(kv.tenantID, kv.clientID, kv.clientSecret, options)
	if err != nil {
		return nil, nil, fmt.Errorf("provider: %s:TenantId is not a tenant's GUID or domain (or CredentialOptions are wrong): set the directory (tenant) ID of the app registration", kv.name)
	}
	return credential, closeAll, nil
}
