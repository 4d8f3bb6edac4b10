package provider_test

import (
	"fmt"

	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// A vault is a provider for any koanf. In a service, VaultURL is your vault's and
// cred is azidentity's, such as NewDefaultAzureCredential makes. ClientOptions stay
// empty. Credential takes the method GetToken of cred, not what it returns.
func ExampleKeyVault() {
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{
		"MaskinportenSettings--ClientId": "client-for-tests",
		"Endpoints--0--Name":             "first",
		"Endpoints--1--Name":             "second",
	}))
	defer srv.Close()
	cred, err := srv.Credential()
	if err != nil {
		fmt.Println(err)
		return
	}

	vault, err := provider.KeyVault(provider.Config{
		VaultURL:      srv.VaultURL(),
		Credential:    cred.GetToken,
		ClientOptions: srv.ClientOptions(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	k := koanf.New(":")
	if err := k.Load(vault, nil); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(k.String("MaskinportenSettings:ClientId"))
	for _, endpoint := range k.Slices("Endpoints") {
		fmt.Println(endpoint.String("Name"))
	}
	// Output:
	// client-for-tests
	// first
	// second
}

// With exact names nothing is listed, so the identity needs only the permission
// to get secrets, and what is missing is an error.
func ExampleKeyVault_exactNames() {
	srv := vaulttest.NewServer(vaulttest.WithoutList(), vaulttest.WithSecrets(map[string]string{
		"MaskinportenSettings--ClientId": "client-for-tests",
		"SomeoneElses--Secret":           "stays in the vault",
	}))
	defer srv.Close()
	cred, err := srv.Credential()
	if err != nil {
		fmt.Println(err)
		return
	}

	vault, err := provider.KeyVault(provider.Config{
		VaultURL:      srv.VaultURL(),
		Credential:    cred.GetToken,
		ClientOptions: srv.ClientOptions(),
		Secrets:       []string{"MaskinportenSettings--ClientId"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	settings, err := vault.Read()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(settings)
	// Output:
	// map[MaskinportenSettings:map[ClientId:client-for-tests]]
}
