package provider

import (
	"context"
	"errors"
	"fmt"
	gomaps "maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/internal/problems"
	"github.com/portnokkel/portnokkel/provider/internal/azure"
	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

// ResolveReferences replaces each setting of k that is a Key Vault reference by the
// secret that it names. Azure App Service and Functions write references so:
//
//	@Microsoft.KeyVault(VaultName=my-vault;SecretName=my-secret)
//	@Microsoft.KeyVault(VaultName=my-vault;SecretName=my-secret;SecretVersion=…)
//	@Microsoft.KeyVault(SecretUri=https://my-vault.vault.azure.net/secrets/my-secret)
//
// [Load] does so last, so that a reference that a later layer overrides is never
// followed. A secret that a reference leads to is taken as it is, whatever it looks
// like. Without a reference in k nothing happens, and no credential is needed.
//
// The identity is cfg's Credential, or else the client secret of the section
// kvSetting. It is shown only to Key Vault's own hosts and to the vault that
// kvSetting or cfg's VaultURL names. A settings file cannot send it elsewhere. Several
// references to one secret cost one request.
//
// The settings say which secrets to read: in cfg Secrets, Sections, Filter, Map
// and Require have to be empty.
//
// The error names each setting that cannot be resolved and never holds a value. On
// an error k is as it was. ctx and [Config.Timeout] bound the whole.
//
// https://learn.microsoft.com/azure/app-service/app-service-key-vault-references
func ResolveReferences(ctx context.Context, k *koanf.Koanf, cfg ConnectConfig) error {
	if k == nil {
		return errors.New("provider: give ResolveReferences the koanf with the settings - it is nil")
	}
	if len(cfg.Secrets)+len(cfg.Sections) > 0 || cfg.Filter != nil || cfg.Map != nil || cfg.Require {
		return errors.New("provider: leave Secrets, Sections, Filter, Map and Require empty for ResolveReferences - the references say which secrets to read")
	}
	s := settingsOf(k, cfg.Origins)
	defer s.close()
	if err := s.resolve(ctx, cfg, everything); err != nil {
		return err
	}
	return s.into(k)
}

// everything and notSecrets choose the values that may be references.
func everything(*tree.Node) bool   { return true }
func notSecrets(n *tree.Node) bool { return n.Origin.Secret == "" }

// resolve is ResolveReferences on settings.
func (s *settings) resolve(ctx context.Context, cfg ConnectConfig, in func(*tree.Node) bool) error {
	kv, bindErr := bindKVSetting(s.tree)
	refs, err := findReferences(s.tree, kv.vault(cfg), in)
	if err != nil || len(refs) == 0 {
		return err
	}
	checked, err := cfg.checked()
	if err := problems.Join(err, bindErr); err != nil {
		return err
	}
	if missing := kv.missing(cfg); len(missing) > 0 {
		near := s.nearKVSetting(kv, missing)
		return fmt.Errorf("provider: set %s, or Config.Credential - %s is a Key Vault reference%s; %s",
			kv.settings(missing, cfg), refs[0].setting(), kv.others(), strings.Join(kv.instead(missing, near), "; "))
	}
	credential, err := s.identity(kv, cfg)
	if err != nil {
		return err
	}
	checked.Credential = credential
	ctx, cancel := checked.bounded(ctx)
	defer cancel()
	values := map[secretID]*entry{}
	for _, vault := range vaultsOf(refs) {
		checked.VaultURL, checked.from = vault, vaultSetting{vault, "the reference"}
		got, err := checked.fetch(ctx, refs)
		if err != nil {
			return err
		}
		gomaps.Copy(values, got)
	}
	var paths []string
	for _, ref := range refs {
		source := secretPrefix + ref.id.name + " of " + ref.id.vault + byReference
		secret := values[ref.id.folded()]
		ref.node.Replace(secret.value, tree.Origin{
			Source: source, Layer: ref.id.vault, Order: ref.node.Origin.Order,
			Secret: ref.id.name, Version: ref.id.version, Created: secret.created, Expires: secret.expires,
		})
		paths = append(paths, ref.path)
	}
	s.origins.record(Layer{Name: referencesLayer, Status: StatusRead, Keys: paths}, s.tree)
	return nil
}

const (
	referencesLayer = "Key Vault references"
	byReference     = ", by reference" // ends the source of such a setting
)

// referenceError is an error of this package about settings that are references. It
// has the package's prefix once.
type referenceError struct {
	settings string
	err      error
}

func (e *referenceError) Error() string {
	return fmt.Sprintf("provider: %s: Key Vault reference: %s", e.settings, strings.TrimPrefix(e.err.Error(), "provider: "))
}

func (e *referenceError) Unwrap() error { return e.err }

// reference is a setting that names a secret.
type reference struct {
	path string
	node *tree.Node
	id   secretID
}

// setting is the setting's path and, if that is known, its source.
func (r reference) setting() string { return setting(r.path, r.node.Origin.Source) }

// findReferences lists the references among the given values, by path. own is the
// address of the vault that the settings name, "" without one.
func findReferences(t *tree.Tree, own string, in func(*tree.Node) bool) ([]reference, error) {
	var refs []reference
	var wrong []error
	t.Walk(func(at []string, n *tree.Node) {
		text, _ := n.Value.(string)
		if !isReference(text) || !in(n) {
			return
		}
		path := strings.Join(at, tree.Delimiter)
		id, err := parseReference(text, own)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("provider: %s: Key Vault reference: %w", setting(path, n.Origin.Source), err))
		}
		refs = append(refs, reference{path, n, id})
	})
	return refs, problems.Join(wrong...)
}

// vault is the address of the vault that the settings name, if they name one.
func (kv kvSetting) vault(cfg ConnectConfig) string {
	for _, address := range []string{kv.text(secretURI), cfg.VaultURL} {
		if clean, err := cleanVaultURL(address); err == nil {
			return clean
		}
	}
	return ""
}

// vaultsOf lists the vaults that are referred to, sorted.
func vaultsOf(refs []reference) []string {
	vaults := map[string]bool{}
	for _, ref := range refs {
		vaults[ref.id.vault] = true
	}
	return slices.Sorted(gomaps.Keys(vaults))
}

// fetch reads from the vault at VaultURL what refs need of it, each secret once.
func (c Config) fetch(ctx context.Context, refs []reference) (map[secretID]*entry, error) {
	c.Secrets, c.Sections, c.Filter = nil, nil, nil
	address := c.VaultURL
	vault, err := openKeyVault(c)
	if err != nil {
		return nil, err
	}
	r, err := vault.begin()
	if err != nil {
		return nil, err
	}
	defer r.session.Close()
	values := map[secretID]*entry{}
	for _, ref := range refs {
		if _, again := values[ref.id.folded()]; !again && ref.id.vault == address {
			e := &entry{name: ref.id.name, version: ref.id.version}
			values[ref.id.folded()] = e
			r.entries = append(r.entries, e)
		}
	}
	if failed := r.run(ctx); failed != nil {
		explained := r.explain(ctx, *failed)
		return nil, &referenceError{strings.Join(users(refs, address, explained.Secret), ", "), explained}
	}
	r.warn(time.Now())
	return values, nil
}

// users lists the settings that refer to a secret of a vault, or to any of it if
// no secret is named.
func users(refs []reference, vault, secret string) []string {
	var names []string
	for _, ref := range refs {
		if ref.id.vault == vault && (secret == "" || strings.EqualFold(ref.id.name, secret)) {
			names = append(names, ref.setting())
		}
	}
	return names
}

// secretID is a secret's place. The name is spelt as the reference spells it.
type secretID struct{ vault, name, version string }

// folded is the same for two places of one secret: Key Vault's names have no case.
func (id secretID) folded() secretID {
	id.name = strings.ToLower(id.name)
	return id
}

const referencePrefix = "@Microsoft.KeyVault("

func isReference(text string) bool {
	text = strings.TrimSpace(text)
	return len(text) >= len(referencePrefix) && strings.EqualFold(text[:len(referencePrefix)], referencePrefix)
}

var (
	vaultName     = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z-]{1,22}[0-9A-Za-z]$`)
	secretVersion = regexp.MustCompile(`^[0-9A-Za-z]{1,64}$`)
)

// vaultSuffixes are the hosts of Key Vault in Azure's clouds.
// https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#vault-name-and-object-name
var vaultSuffixes = []string{".vault.azure.net", ".vault.azure.cn", ".vault.usgovcloudapi.net", ".vault.microsoftazure.de"}

// parseReference reads a reference. Its errors do not quote it.
func parseReference(text, own string) (secretID, error) {
	text = strings.TrimSpace(text)
	inner, closed := strings.CutSuffix(text[len(referencePrefix):], ")")
	if !closed {
		return secretID{}, errors.New(`end it with ")"`)
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(inner, ";") {
		name, value, _ := strings.Cut(part, "=")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch _, twice := parts[name]; {
		case name == "" && value == "":
			continue // a semicolon at the end
		case twice:
			return secretID{}, errors.New("name each part once")
		case name != "secreturi" && name != "vaultname" && name != "secretname" && name != "secretversion":
			return secretID{}, errors.New("leave out the part that is not SecretUri, VaultName, SecretName or SecretVersion")
		}
		parts[name] = value
	}
	var id secretID
	if uri, ok := parts["secreturi"]; ok {
		if len(parts) > 1 {
			return secretID{}, errors.New("leave out the parts beside SecretUri")
		}
		var err error
		if id, err = parseSecretURI(uri); err != nil {
			return secretID{}, err
		}
	} else {
		if strings.Contains(parts["vaultname"], ",") {
			return secretID{}, errors.New(`divide the parts by ";", not by ","`)
		}
		if !vaultName.MatchString(parts["vaultname"]) || strings.Contains(parts["vaultname"], "--") {
			return secretID{}, errors.New("set VaultName to 3 to 24 letters, digits and dashes, which begin and end with a letter or digit")
		}
		id = secretID{"https://" + strings.ToLower(parts["vaultname"]) + suffixLike(own), parts["secretname"], parts["secretversion"]}
	}
	switch {
	case !azure.IsSecretName(id.name):
		return secretID{}, errors.New("set the secret's name to 1 to 127 letters, digits and dashes")
	case id.version != "" && !secretVersion.MatchString(id.version):
		return secretID{}, errors.New("set a version that a secret can have, up to 64 letters and digits, or none")
	case id.vault != own && !isVaultHost(id.vault):
		return secretID{}, errors.New("name a host of Key Vault, or kvSetting's own vault - the credential is shown to no other")
	}
	return id, nil
}

// parseSecretURI reads https://VAULT/secrets/NAME, with a version or without.
func parseSecretURI(uri string) (secretID, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return secretID{}, errors.New("set SecretUri to https://VAULT/secrets/NAME - it is not a URL")
	}
	segments := strings.Split(strings.Trim(u.EscapedPath(), "/"), "/")
	if segments[0] != "secrets" || len(segments) < 2 || len(segments) > 3 || u.RawQuery != "" || u.Fragment != "" {
		return secretID{}, errors.New("set SecretUri to https://VAULT/secrets/NAME - it has another form")
	}
	u.Path, u.RawPath = "", ""
	vault, err := cleanVaultURL(u.String())
	if err != nil {
		return secretID{}, fmt.Errorf("SecretUri %w", err)
	}
	return secretID{vault, segments[1], strings.Join(segments[2:], "")}, nil
}

func isVaultHost(vault string) bool { return suffixOf(vault) != "" }

func suffixOf(vault string) string {
	for _, suffix := range vaultSuffixes {
		name := strings.TrimSuffix(strings.TrimPrefix(vault, "https://"), suffix)
		if strings.HasSuffix(vault, suffix) && vaultName.MatchString(name) {
			return suffix
		}
	}
	return ""
}

// suffixLike is the cloud of the settings' own vault, or else the public one.
func suffixLike(own string) string {
	if suffix := suffixOf(own); suffix != "" {
		return suffix
	}
	return vaultSuffixes[0]
}
