// Package provider fills a koanf configuration as an Altinn app does: from
// settings files, variables and arguments, and then from the Azure Key Vault that
// those settings name.
//
// # Two stages
//
//   - [LoadAppConfig] reads what needs no vault: appsettings.json, the files and
//     variables laid over it, and in Development the developer's own
//     appsettings.Local.json.
//   - [ConnectToKeyVault] loads the vault that the section kvSetting names, if all
//     four of its fields are set.
//   - [Load] is both, with the developer's file on top again.
//
// Three ways lead into the result. [Section] hands out a section in any case.
// [Unmarshal] binds one to a struct of your own. [Origins] tells where each setting
// came from, and what is there in the place of one that is missing.
//
//	k, err := provider.Load(ctx, provider.AppConfig{}, provider.ConnectConfig{})
//	if err != nil {
//		return err
//	}
//	err = provider.Unmarshal(k, "MySection", &mine)
//
// Layers of your own follow the same rules when they are loaded with [Merge].
//
// # Only the vault
//
// [KeyVault] makes a koanf provider. It lists the vault's enabled secrets, reads
// them many at a time, and nests them: the secret
// MaskinportenSettings--ClientId becomes ClientId in the section
// MaskinportenSettings.
//
//	vault, err := provider.KeyVault(provider.Config{VaultURL: url, Credential: cred.GetToken})
//	if err != nil {
//		return err
//	}
//	err = k.Load(vault, nil, koanf.WithMergeFunc(provider.Merge))
//
// koanf gives a provider no context. [Vault.ReadContext] takes one. In both cases
// [Config.Timeout] bounds a load, with its retries and waits, and when the vault
// never answers. A vault is read when asked, and only then: the next load sees a
// secret that has changed. [Vault.Watch] tells when to load again, and [Vault.Versions]
// gives the newest versions of a key that is replaced while the service runs.
//
// # From names to keys
//
// A name is split at each "--" from the left. Nothing else in it has a meaning:
//
//	a--b     a, b
//	a---b    a, -b
//	--a      "", a
//	a--      a, ""
//	a----b   a, "", b
//
// Rules for the keys that come out of it:
//
//   - Upper and lower case are the same, and the spelling that is listed first
//     stays.
//   - Keys under one parent that are exactly 0 to n-1 become a list. Other numbers
//     are ordinary keys, as organisation numbers are.
//   - Of two secrets that give the same key, the one that was updated later wins,
//     then the one that is listed first. A warning names both.
//   - A secret A beside a secret A--B is an error, because a key cannot hold both a
//     value and a section.
//
// # References
//
// App Service users write @Microsoft.KeyVault(VaultName=my-vault;SecretName=my-secret).
// [ResolveReferences] replaces such a setting by the secret that it names, and [Load]
// does so last. The credential is shown only to Key Vault's own hosts and to the
// settings' own vault.
//
// # What is loaded
//
//   - Disabled secrets are skipped. If the listing does not say whether a secret is
//     enabled it is loaded, as Key Vault's REST documentation has it. (.NET's
//     provider skips it.)
//   - Secrets that have expired or are not valid yet are loaded with a warning.
//   - Secrets behind certificates are loaded.
//
// # After the load
//
// A service may read the vault again while it runs. [VaultConfig] gives the vault that
// kvSetting names. [Vault.Watch] tells which of its secrets have changed, and
// [Vault.Versions] reads the newest versions of one.
//
// # Errors and secrets
//
// A failed load returns an [*Error] that says which vault, which step, how far it
// came and what to do. No error and no log holds a secret's value, a token or the
// body of an answer. No verb of fmt and no encoder shows what a [Credential], the
// variables or the arguments hold, inside a struct of yours either.
//
// The token goes only to the vault's own host: redirects are not followed, and a
// page link to another host is an error.
//
// A [Vault] is safe for concurrent use.
package provider
