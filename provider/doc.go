// Package provider fills a koanf configuration as an Altinn app does: from
// settings files, variables and arguments, and then from the Azure Key Vault that
// those settings name.
//
// # Two stages
//
// [LoadAppConfig] reads what needs no vault: appsettings.json, the files and
// variables laid over it, and in Development the developer's own
// appsettings.Local.json. [ConnectToKeyVault] looks at the section kvSetting that
// came out of it and loads the vault, provided that all four fields are set.
// [Load] is both, with the developer's file on top again. [Section] hands out a
// section, in any case, and [Origins] remembers where each setting came from.
//
//	k, err := provider.Load(ctx, provider.AppConfig{}, provider.Config{})
//	if err != nil {
//		return err
//	}
//	section, err := provider.Section(k, "MaskinportenSettings")
//
// Layers of your own follow the same rules when they are loaded with [Merge].
//
// # The vault alone
//
// [KeyVault] makes a koanf provider. It lists the vault's enabled secrets, reads
// them many at a time, and nests them: the secret
// MaskinportenSettings--ClientId becomes ClientId in the section
// MaskinportenSettings.
//
//	vault, err := provider.KeyVault(provider.Config{VaultURL: url, Credential: cred})
//	if err != nil {
//		return err
//	}
//	err = k.Load(vault, nil, koanf.WithMergeFunc(provider.Merge))
//
// koanf gives a provider no context. [Vault.ReadContext] takes one, and
// [Config.Timeout] bounds a load either way: retries, throttling and a vault that
// never answers included. A vault is read when asked, and only then; a secret
// that changes later is seen by the next load.
//
// # From names to keys
//
// A name is split at each "--" from the left, and nothing else has a meaning:
//
//	a--b     a, b
//	a---b    a, -b
//	--a      "", a
//	a--      a, ""
//	a----b   a, "", b
//
// Names are compared without case, and the spelling that is listed first stays.
// Where the keys under one parent are exactly 0 to n-1 they become a list;
// otherwise numbers are ordinary keys, as organisation numbers are. When two
// secrets give the same key, the one that was updated later wins, then the one
// that is listed first, and a warning names both. A secret A beside a secret A--B
// is an error, because a key cannot hold both a value and a section.
//
// # References
//
// A setting such as @Microsoft.KeyVault(VaultName=my-vault;SecretName=my-secret),
// as App Service users write them, is replaced by the secret that it names:
// [ResolveReferences], which [Load] calls last. The credential is shown to Key
// Vault's own hosts and to the settings' own vault alone.
//
// # What is loaded
//
// Disabled secrets are skipped. A secret whose listing does not say whether it is
// enabled is loaded, as Key Vault's REST documentation has it; .NET's provider
// skips it. Expired secrets, those not valid yet, and those behind certificates
// are loaded; the first two with a warning.
//
// # Errors and secrets
//
// A failed load returns an [*Error] that says which vault, which step, how far it
// came and what to do. No secret's value, token or answer's body appears in an
// error, in a log or in a printed [Config] or [Vault].
//
// The token goes to the vault's own host and nowhere else: redirects are not
// followed, and a page link to another host is an error.
//
// A [Vault] is safe for concurrent use.
package provider
