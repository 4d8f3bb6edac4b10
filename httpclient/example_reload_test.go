package httpclient_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaultkey"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// An app on Altinn's platform. The platform mounts a file with the app's Maskinporten
// client, and replaces the keys in it once a month. The service reads the file again, and
// needs no restart.
func ExampleKeysFromSettings() {
	first, second := maskinportentest.NewKey("first"), maskinportentest.NewKey("second")
	srv := maskinportentest.NewServer(maskinportentest.WithKey(first))
	defer srv.Close()
	dir, err := os.MkdirTemp("", "app-secrets")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "maskinporten-settings.json") // /mnt/app-secrets/maskinporten-settings.json
	platform := func(key maskinportentest.Key) {             // renames a file: half of it is never read
		text := fmt.Sprintf(`{"MaskinportenSettings": {"Authority": %q, "ClientId": %q, "JwkBase64": %q}}`,
			srv.Issuer(), srv.ClientID(), key.EncodedJWK())
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			fmt.Println(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			fmt.Println(err)
		}
	}
	platform(first)

	read := func(context.Context) (httpclient.MaskinportenSettings, error) {
		return httpclient.ReadSettings(path, "MaskinportenSettings")
	}
	ctx := context.Background()
	settings, err := read(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	settings.Scope = "altinn:serviceowner/instances.read"
	tokens, err := httpclient.NewTokenSource(settings.WithoutKeys(),
		httpclient.WithKeySource(httpclient.ReloadingKeys(httpclient.KeysFromSettings(read), time.Minute)),
		httpclient.WithTokenTransport(srv.Transport()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tokens.Close()

	_, err = tokens.Token(ctx)
	fmt.Println("signed by", srv.Stats().LastAssertion.Header["kid"], err)

	platform(second)
	srv.AddKey(srv.ClientID(), second)
	srv.RemoveKey(srv.ClientID(), "first")
	_, err = tokens.Token(httpclient.ContextWithConsumerOrg(ctx, "889640782"))
	fmt.Println("signed by", srv.Stats().LastAssertion.Header["kid"], err)
	// Output:
	// signed by first <nil>
	// signed by second <nil>
}

// The key is a secret in Key Vault. The newest version is used as soon as Maskinporten
// knows it, and the previous one until then.
func ExampleReloadingKeys_secret() {
	registered := maskinportentest.NewKey("first")
	srv := maskinportentest.NewServer(maskinportentest.WithKey(registered))
	defer srv.Close()
	azure := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"MaskinportenSettings--EncodedJwk": registered.EncodedJWK()}))
	defer azure.Close()
	azure.Set("MaskinportenSettings--EncodedJwk", maskinportentest.NewKey("second").EncodedJWK()) // not registered yet
	cred, err := azure.Credential()
	if err != nil {
		fmt.Println(err)
		return
	}

	vault, err := provider.KeyVault(provider.Config{
		VaultURL:      azure.VaultURL(),
		Credential:    cred.GetToken,
		ClientOptions: azure.ClientOptions(), // not in a service
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	read := func(ctx context.Context) (keys []*httpclient.Key, err error) {
		versions, err := vault.Versions(ctx, "MaskinportenSettings--EncodedJwk", 2)
		for _, version := range versions {
			key, err := httpclient.ParseJWK(version.Value(), "")
			if err != nil {
				return nil, err
			}
			keys = append(keys, key.WithLife(version.Created, version.Expires))
		}
		return keys, err
	}
	tokens, err := newExampleSource(srv, map[string]any{"EncodedJwk": ""},
		httpclient.WithKeySource(httpclient.ReloadingKeys(read, 5*time.Minute)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tokens.Close()

	_, err = tokens.Token(context.Background())
	fmt.Println("signed by", srv.Stats().LastAssertion.Header["kid"], err)
	// Output: signed by first <nil>
}

// The key is made in Key Vault and never leaves it. The vault makes a new version from
// time to time, which is used once it is registered.
func ExampleReloadingKeys_vaultKey() {
	registered := maskinportentest.NewKey("")
	azure := vaulttest.NewServer()
	defer azure.Close()
	registered.KeyID = "maskinporten." + azure.CreateKey(vaulttest.Key{Name: "maskinporten", Private: registered.Signer()})
	srv := maskinportentest.NewServer(maskinportentest.WithKey(registered))
	defer srv.Close()
	cred, err := azure.Credential()
	if err != nil {
		fmt.Println(err)
		return
	}

	vault, err := vaultkey.Open(vaultkey.Config{
		Key:           azure.VaultURL() + "/keys/maskinporten",
		Credential:    cred.GetToken,
		ClientOptions: azkeys.ClientOptions(azure.ClientOptions()), // not in a service
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer vault.Close()
	read := func(ctx context.Context) ([]*httpclient.Key, error) {
		return vaultkey.Keys(ctx, vault, 2, httpclient.NewKey)
	}
	tokens, err := newExampleSource(srv, map[string]any{"EncodedJwk": ""},
		httpclient.WithKeySource(httpclient.ReloadingKeys(read, 5*time.Minute)))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tokens.Close()

	_, err = tokens.Token(context.Background())
	fmt.Println("signed by the newest:", srv.Stats().LastAssertion.Header["kid"] == registered.KeyID, err)
	// Output: signed by the newest: true <nil>
}
