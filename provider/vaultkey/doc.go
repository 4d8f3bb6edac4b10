// Package vaultkey signs with keys that never leave Azure Key Vault. The private key is
// made in the vault and stays there: it cannot be copied, and the vault can log each
// signature.
//
//	vault, err := vaultkey.Open(vaultkey.Config{
//		Key:        "https://my-vault.vault.azure.net/keys/maskinporten",
//		Credential: cred.GetToken,
//	})
//	defer vault.Close()
//	keys, err := vault.Newest(ctx, 2)
//
// A [Key] is a [crypto.Signer] with a key id and an algorithm. This line makes keys of
// package httpclient of them:
//
//	keys, err := vaultkey.Keys(ctx, vault, 2, httpclient.NewKey)
//
// # Registration
//
// Maskinporten has to know a version's public key before it can be used:
// [Key.PublicJWK] is what to register. Its key id is the name and the version of the
// key, such as "maskinporten.0123456789abcdef0123456789abcdef", unless [Config] says
// otherwise. Versions are random, so that no other customer of Digdir has the same id.
//
// # Rotation
//
// A vault may make a new version at any time, by a rotation policy for example. It
// works only once it is registered. So use [Source.Newest] with 2: the newest version
// comes first, and the previous one is there until Maskinporten knows the newest.
// Disable the previous version when it is no longer used. Read again from time to time:
// that takes one request while the versions are the same.
//
// # Cost and bounds
//
// A signature takes one request to the vault. Fetching a token waits for it, and requests
// whose token is in the cache do not. It ends within [DefaultTimeout], with the tries
// after temporary failures. The identity needs the role "Key Vault Crypto User". Requests
// follow no redirect.
//
// A [Source] and its keys are safe for concurrent use. Nothing prints the identity, its
// tokens or a digest.
package vaultkey
