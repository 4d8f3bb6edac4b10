package provider

import (
	"context"
	"errors"
	"fmt"
	gomaps "maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

// ResolveReferences replaces each setting of k that is a Key Vault reference, as
// Azure App Service and Functions write them, by the secret that it names:
//
//	@Microsoft.KeyVault(VaultName=my-vault;SecretName=my-secret)
//	@Microsoft.KeyVault(VaultName=my-vault;SecretName=my-secret;SecretVersion=…)
//	@Microsoft.KeyVault(SecretUri=https://my-vault.vault.azure.net/secrets/my-secret)
//
// [Load] does so last, so that a reference that a later layer overrides is never
// followed. What a reference leads to is taken as it is, whatever it looks like.
// Without a reference in k, nothing happens and no credential is needed.
//
// The identity is [Config.Credential], or else the client secret of the section
// kvSetting. It is shown to Key Vault's own hosts, and to the vault that kvSetting
// or [Config.VaultURL] names, and to no other, so that a settings file cannot send
// it elsewhere. Several references to one secret cost one request.
//
// The error names each setting that cannot be resolved and never holds a value; k
// is as it was then. ctx and [Config.Timeout] bound the whole.
// https://learn.microsoft.com/azure/app-service/app-service-key-vault-references
func ResolveReferences(ctx context.Context, k *koanf.Koanf, cfg Config) error {
	if k == nil {
		return errors.New("provider: there is no koanf to resolve references in")
	}
	return resolveReferences(ctx, k, cfg, nil)
}

// resolveReferences leaves alone what is at the folded paths of asIs, if it is
// still the value named there.
func resolveReferences(ctx context.Context, k *koanf.Koanf, cfg Config, asIs map[string]string) error {
	settings := k.Raw()
	kv, bindErr := bindKVSetting(k)
	refs, err := findReferences(settings, kv.vault(cfg), asIs)
	if err != nil || len(refs) == 0 {
		return err
	}
	if bindErr != nil {
		return bindErr
	}
	credential, closeIdle, err := kv.identity(cfg)
	if err != nil {
		return fmt.Errorf("provider: %s: Key Vault reference: %w", refs[0].path, err)
	}
	defer closeIdle()
	cfg.Credential = credential
	checked, err := cfg.checked(false)
	if err != nil {
		return err
	}
	ctx, cancel := checked.bounded(ctx)
	defer cancel()
	values := map[secretID]string{}
	for _, vault := range vaultsOf(refs) {
		got, failed := cfg.fetch(ctx, vault, refs)
		if failed != nil {
			return failed
		}
		gomaps.Copy(values, got)
	}
	return putReferences(k, settings, refs, values, cfg.Origins)
}

// reference is a setting that names a secret.
type reference struct {
	path string
	text string
	id   secretID
}

// findReferences lists the references in a tree, by path. own is the address of
// the vault that the settings name, "" if they name none.
func findReferences(tree map[string]any, own string, asIs map[string]string) ([]reference, error) {
	var refs []reference
	var problems []error
	rewrite("", tree, func(path, text string) string {
		if given, fixed := asIs[foldKey(path)]; !isReference(text) || fixed && given == text {
			return text
		}
		id, err := parseReference(text, own)
		if err != nil {
			problems = append(problems, fmt.Errorf("provider: %s: Key Vault reference: %w", path, err))
		}
		refs = append(refs, reference{path, text, id})
		return text
	})
	return refs, errors.Join(problems...)
}

// rewrite passes each string in a tree, with its path, through change, and returns
// the tree, which it changes in place.
func rewrite(path string, value any, change func(path, text string) string) any {
	switch v := value.(type) {
	case string:
		return change(path, v)
	case map[string]any:
		for _, key := range slices.Sorted(gomaps.Keys(v)) {
			v[key] = rewrite(joinPath(path, key), v[key], change)
		}
	case []any:
		for i := range v {
			v[i] = rewrite(joinPath(path, strconv.Itoa(i)), v[i], change)
		}
	case []string:
		for i := range v {
			v[i] = change(joinPath(path, strconv.Itoa(i)), v[i])
		}
	}
	return value
}

// vault is the address of the vault that the settings name, if they name one.
func (kv kvSetting) vault(cfg Config) string {
	for _, address := range []string{kv.secretURI, cfg.VaultURL} {
		if clean, err := cleanVaultURL(address); err == nil {
			return clean
		}
	}
	return ""
}

// identity is the credential at hand, and a function to call after its use.
func (kv kvSetting) identity(cfg Config) (azcore.TokenCredential, func(), error) {
	if !isNil(cfg.Credential) {
		return cfg.Credential, func() {}, nil
	}
	kv.secretURI = "not needed"
	if missing := kv.missing(cfg); len(missing) > 0 {
		return nil, nil, fmt.Errorf("there is no credential to read it with: %s lacks %s, and Config.Credential is nil",
			kv.name, strings.Join(missing, ", "))
	}
	return kv.credential(cfg.CredentialOptions)
}

// vaultsOf lists the vaults that are referred to, sorted.
func vaultsOf(refs []reference) []string {
	vaults := map[string]bool{}
	for _, ref := range refs {
		vaults[ref.id.vault] = true
	}
	return slices.Sorted(gomaps.Keys(vaults))
}

// fetch reads from one vault what refs need of it, each secret once.
func (c Config) fetch(ctx context.Context, address string, refs []reference) (map[secretID]string, error) {
	c.VaultURL, c.Secrets, c.Sections, c.Filter = address, nil, nil, nil
	vault, err := KeyVault(c)
	if err != nil {
		return nil, err
	}
	r, err := vault.begin()
	if err != nil {
		return nil, err
	}
	defer r.session.Close()
	values := map[secretID]string{}
	for _, ref := range refs {
		if _, again := values[ref.id]; !again && ref.id.vault == address {
			values[ref.id] = ""
			r.entries = append(r.entries, &entry{name: ref.id.name, version: ref.id.version})
		}
	}
	if failed := r.run(ctx); failed != nil {
		explained := r.explain(ctx, *failed)
		return nil, fmt.Errorf("provider: %s: Key Vault reference: %w", strings.Join(users(refs, address, explained.Secret), ", "), explained)
	}
	r.warn(time.Now())
	for _, e := range r.entries {
		values[secretID{address, e.name, e.version}] = e.value
	}
	return values, nil
}

// users lists the settings that refer to a secret of a vault, or to any of it
// where no secret is named.
func users(refs []reference, vault, secret string) []string {
	var paths []string
	for _, ref := range refs {
		if ref.id.vault == vault && (secret == "" || ref.id.name == secret) {
			paths = append(paths, ref.path)
		}
	}
	return paths
}

// putReferences puts the secrets into k in place of the references to them.
func putReferences(k *koanf.Koanf, settings map[string]any, refs []reference, values map[secretID]string, origins *Origins) error {
	byPath := map[string]reference{}
	for _, ref := range refs {
		byPath[foldKey(ref.path)] = ref
	}
	resolved := map[string]any{}
	rewrite("", settings, func(path, text string) string {
		ref, ok := byPath[foldKey(path)]
		if !ok || ref.text != text {
			return text
		}
		place(resolved, strings.Split(path, pathDelimiter), values[ref.id])
		return values[ref.id]
	})
	replace := func(src, dest map[string]any) error {
		clear(dest)
		gomaps.Copy(dest, src)
		return nil
	}
	if err := k.Load(confmap.Provider(settings, ""), nil, koanf.WithMergeFunc(replace)); err != nil {
		return fmt.Errorf("provider: Key Vault references: %w", err)
	}
	origins.record(Layer{Name: referencesLayer, Status: StatusRead}, resolved, func(path string) string {
		id := byPath[foldKey(path)].id
		return "secret " + id.name + " of " + id.vault + ", by reference"
	})
	return nil
}

const referencesLayer = "Key Vault references"
