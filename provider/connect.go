package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/internal/paste"
	"github.com/portnokkel/portnokkel/provider/internal/azure"
	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

// ConnectToKeyVault is the second stage of Altinn's guide. If the section kvSetting
// of k is complete, it loads the vault that the section names over k, by the rules
// of [Merge]. It reports whether it did.
//
// The section (kvSettings is accepted as well, both in any case) is complete
// when ClientId, TenantId, ClientSecret and SecretUri are all non-blank. With
// a Credential given, such as a managed identity's, SecretUri is enough, or
// VaultURL in its place. TenantId is a GUID in any case or one of the tenant's
// domains.
//
// When all of these are blank there is no vault to connect to: it returns false,
// which is logged at debug level. When some are set it returns false and warns,
// naming those that are missing. [ConnectConfig.Require] makes both an error.
//
// The load does network I/O, bounded by ctx and [Config.Timeout]. On an error,
// which never holds a value, k is as it was.
func ConnectToKeyVault(ctx context.Context, k *koanf.Koanf, cfg ConnectConfig) (bool, error) {
	if k == nil {
		return false, errors.New("provider: there is no koanf to connect to a key vault")
	}
	s := settingsOf(k, cfg.Origins)
	defer s.close()
	connected, err := s.connect(ctx, cfg)
	if err != nil || !connected {
		return false, err
	}
	return true, s.into(k)
}

// connect is ConnectToKeyVault on settings.
func (s *settings) connect(ctx context.Context, cfg ConnectConfig) (connected bool, err error) {
	checked, err := cfg.checked()
	if err != nil {
		return false, err
	}
	kv, err := bindKVSetting(s.tree)
	if err != nil {
		return false, err
	}
	address := cmp.Or(kv.text(secretURI), checked.VaultURL)
	missing := kv.missing(cfg)
	if address == "" {
		missing = append(missing, secretURI)
	}
	if len(missing) > 0 {
		s.origins.vault("", missing)
		return false, kv.incomplete(cfg, missing)
	}
	if checked.VaultURL, err = cleanVaultURL(address); err != nil {
		return false, fmt.Errorf("provider: %s %w", kv.setting(secretURI), err) // VaultURL is checked already
	}
	credential, err := s.identity(kv, cfg)
	if err != nil {
		return false, err
	}
	vault, err := openKeyVault(checked, credential, kv.names(cfg))
	if err != nil {
		return false, err
	}
	secrets, err := vault.load(ctx)
	if err != nil {
		return false, err
	}
	if err := s.apply(vault.url, secrets); err != nil {
		return false, err
	}
	s.origins.vault(vault.url, nil)
	return true, nil
}

// identity is cfg's Credential, or else the one that kv describes, which is made
// once.
func (s *settings) identity(kv kvSetting, cfg ConnectConfig) (azcore.TokenCredential, error) {
	if cfg.Credential != nil {
		return cfg.Credential, nil
	}
	if s.credential == nil {
		made, closeIdle, err := kv.credential(cfg.CredentialOptions)
		if err != nil {
			return nil, err
		}
		s.credential, s.closeIdle = made, closeIdle
	}
	return s.credential, nil
}

func (s *settings) close() {
	if s.closeIdle != nil {
		s.closeIdle()
	}
}

// The fields of kvSetting.
const (
	clientID     = "ClientId"
	tenantID     = "TenantId"
	clientSecret = "ClientSecret"
	secretURI    = "SecretUri"
)

// kvSetting is the section that says how to reach the vault. It is passed between
// functions and kept nowhere.
type kvSetting struct {
	name   string                // as the settings spell it
	fields map[string]*tree.Node // those that are there
}

// misplaced says why a text cannot be this field of kvSetting, such as a key in the
// place of a name, and what to do. It quotes nothing. A client secret may be any text
// that is not in quotation marks.
func misplaced(field, value string) string {
	if field == clientSecret {
		if paste.IsQuoted(value) {
			return "is in quotation marks: remove them"
		}
		return ""
	}
	return paste.Problem(value, maxField)
}

// maxField is longer than an address, a domain or an id, in characters.
const maxField = 300

// bindKVSetting finds the section: kvSetting, or if that is blank kvSettings.
func bindKVSetting(t *tree.Tree) (kvSetting, error) {
	first := kvSetting{name: "kvSetting"}
	for i, name := range []string{"kvSetting", "kvSettings"} {
		n := t.Child(t.Root(), name)
		if n != nil {
			name = n.Name
		}
		err := isSection(n, name)
		if errors.Is(err, ErrNoSection) {
			continue
		}
		if err != nil {
			return kvSetting{}, err
		}
		kv, err := bindFields(t, n)
		if err != nil || !kv.blank() {
			return kv, err
		}
		if i == 0 {
			first = kv
		}
	}
	return first, nil
}

func bindFields(t *tree.Tree, section *tree.Node) (kvSetting, error) {
	kv := kvSetting{section.Name, map[string]*tree.Node{}}
	var wrong []error
	for _, field := range []string{clientID, tenantID, clientSecret, secretURI} {
		n := t.Child(section, field)
		if n == nil {
			continue
		}
		kv.fields[field] = n
		if _, isText := n.Value.(string); !isText && (n.Kind != tree.Value || n.Value != nil) {
			wrong = append(wrong, fmt.Errorf("provider: %s is not a text", kv.setting(field)))
		}
		if what := misplaced(field, kv.text(field)); what != "" {
			wrong = append(wrong, fmt.Errorf("provider: %s %s", kv.setting(field), what))
		}
	}
	return kv, errors.Join(wrong...)
}

// text is a field's value, "" if it is blank.
func (kv kvSetting) text(field string) string {
	if n := kv.fields[field]; n != nil {
		text, _ := n.Value.(string)
		return strings.TrimSpace(text)
	}
	return ""
}

// setting is a field's path and, if that is known, its source.
func (kv kvSetting) setting(field string) string {
	path := tree.Join(kv.name, field)
	if n := kv.fields[field]; n != nil && n.Origin.Source != "" {
		path += " (" + n.Origin.Source + ")"
	}
	return path
}

// names are what errors call the settings that say which vault, and as whom.
func (kv kvSetting) names(cfg ConnectConfig) azure.Names {
	var names azure.Names
	if kv.text(secretURI) != "" {
		names.VaultURL = kv.setting(secretURI)
	}
	if cfg.Credential == nil {
		names.TenantID, names.ClientID, names.ClientSecret = kv.setting(tenantID), kv.setting(clientID), kv.setting(clientSecret)
	}
	return names
}

func (kv kvSetting) blank() bool {
	return strings.Join([]string{kv.text(clientID), kv.text(tenantID), kv.text(clientSecret), kv.text(secretURI)}, "") == ""
}

// missing lists the fields of an identity that are blank but needed.
func (kv kvSetting) missing(cfg ConnectConfig) []string {
	if cfg.Credential != nil {
		return nil
	}
	return slices.DeleteFunc([]string{clientID, tenantID, clientSecret}, func(field string) bool { return kv.text(field) != "" })
}

// incomplete tells that there is no vault to connect to, as loudly as it should.
func (kv kvSetting) incomplete(cfg ConnectConfig, missing []string) error {
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
	var references []string
	for _, field := range []string{clientID, tenantID, clientSecret, secretURI} {
		if isReference(kv.text(field)) {
			references = append(references, kv.setting(field))
		}
	}
	if len(references) > 0 {
		return nil, nil, fmt.Errorf("provider: %s: a Key Vault reference cannot be what reaches the vault: set it by other means",
			strings.Join(references, ", "))
	}
	if !azure.IsTenant(kv.text(tenantID)) {
		return nil, nil, fmt.Errorf("provider: %s is neither a GUID nor a domain name: set the directory (tenant) ID of the app registration", kv.setting(tenantID))
	}
	credential, closeAll, err := azure.ClientSecret(kv.text(tenantID), kv.text(clientID), kv.text(clientSecret), options)
	if err != nil {
		return nil, nil, errors.New("provider: CredentialOptions are wrong: azidentity makes no credential with them")
	}
	return credential, closeAll, nil
}
