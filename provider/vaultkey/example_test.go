package vaultkey_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/provider/vaultkey"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// A service gets its Maskinporten token with a key that stays in Key Vault. The test
// servers play both. In a service the Config has a credential of azidentity's, and no
// ClientOptions.
func Example() {
	ctx := context.Background()
	registered := maskinportentest.NewKey("")
	vault := vaulttest.NewServer()
	defer vault.Close()
	registered.KeyID = "maskinporten." + vault.CreateKey(vaulttest.Key{Name: "maskinporten", Private: registered.Signer()})
	maskinporten := maskinportentest.NewServer(maskinportentest.WithKey(registered))
	defer maskinporten.Close()
	cred, err := vault.Credential()
	if err != nil {
		fmt.Println(err)
		return
	}

	source, err := vaultkey.Open(vaultkey.Config{
		Key:           vault.VaultURL() + "/keys/maskinporten",
		Credential:    cred.GetToken,
		ClientOptions: azkeys.ClientOptions(vault.ClientOptions()),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer source.Close()
	keys, err := vaultkey.Keys(ctx, source, 2, httpclient.NewKey) // the newest version and the previous one
	if err != nil {
		fmt.Println(err)
		return
	}

	section := maskinporten.Section()
	section["EncodedJwk"] = ""
	settings, err := httpclient.ParseSettings(section)
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens, err := httpclient.NewTokenSource(settings,
		httpclient.WithKeySource(httpclient.KeySourceFunc(func(context.Context) ([]*httpclient.Key, error) { return keys, nil })),
		httpclient.WithTokenTransport(maskinporten.Transport()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tokens.Close()
	if _, err := tokens.Token(ctx); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("a token,", vault.Stats().Signs, "signature by the vault")
	// Output: a token, 1 signature by the vault
}

// What to register at Digdir before a version is used.
func ExampleKey_PublicJWK() {
	vault := vaulttest.NewServer()
	defer vault.Close()
	vault.CreateKey(vaulttest.Key{Name: "maskinporten"})
	cred, err := vault.Credential()
	if err != nil {
		fmt.Println(err)
		return
	}
	source, err := vaultkey.Open(vaultkey.Config{
		Key: "maskinporten", VaultURL: vault.VaultURL(), Credential: cred.GetToken,
		KeyID:         "my-service-{version}",
		ClientOptions: azkeys.ClientOptions(vault.ClientOptions()),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer source.Close()
	keys, err := source.Newest(context.Background(), 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	var jwk map[string]string
	if err := json.Unmarshal([]byte(keys[0].PublicJWK()), &jwk); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(jwk["kty"], jwk["use"], jwk["alg"], jwk["kid"] == "my-service-"+keys[0].Version())
	// Output: RSA sig RS256 true
}
