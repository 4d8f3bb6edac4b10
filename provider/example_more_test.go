package provider_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing/fstest"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// In a vault that others share, Sections keeps to what is yours: nothing else is
// read.
func ExampleKeyVault_sections() {
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{
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
		Sections:      []string{"MaskinportenSettings"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	settings, err := vault.Read()
	fmt.Println(settings, err)
	fmt.Println("read:", srv.Stats().Gets)
	// Output:
	// map[MaskinportenSettings:map[ClientId:client-for-tests]] <nil>
	// read: 1
}

// A secret that holds JSON becomes a section: Map turns its text into a tree.
func ExampleConfig_map() {
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{
		"database": `{"host": "db.example", "user": "app"}`,
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
		Map: func(name, value string) (string, any) {
			var section map[string]any
			if json.Unmarshal([]byte(value), &section) == nil {
				return name, section
			}
			return name, value
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	k := koanf.New(":")
	if err := k.Load(vault, nil, koanf.WithMergeFunc(provider.Merge)); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(k.String("database:host"))
	// Output: db.example
}

// With an identity of the machine's own, SecretUri is enough to say which vault. In a
// service the credential is azidentity.NewDefaultAzureCredential's, and
// ClientOptions stay empty.
func ExampleConnectToKeyVault_managedIdentity() {
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{
		"MaskinportenSettings--ClientId": "client-for-tests",
	}))
	defer srv.Close()
	cred, err := srv.Credential() // in a service: azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		fmt.Println(err)
		return
	}

	k, err := provider.LoadAppConfig(provider.AppConfig{
		FS:      fstest.MapFS{"appsettings.json": {Data: []byte(fmt.Sprintf(`{"kvSetting": {"SecretUri": %q}}`, srv.VaultURL()))}},
		Environ: func() []string { return nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	connected, err := provider.ConnectToKeyVault(context.Background(), k, provider.ConnectConfig{Config: provider.Config{
		Credential:    cred.GetToken,
		ClientOptions: srv.ClientOptions(),
	}})
	fmt.Println(connected, err, k.String("MaskinportenSettings:ClientId"))
	// Output: true <nil> client-for-tests
}

// Settings that refer to secrets, as App Service's do.
func ExampleResolveReferences() {
	srv := vaulttest.NewServer(
		vaulttest.WithVaultHost("my-vault.vault.azure.net"),
		vaulttest.WithSecrets(map[string]string{"client-id": "client-for-tests"}))
	defer srv.Close()
	cred, err := srv.Credential()
	if err != nil {
		fmt.Println(err)
		return
	}

	k := koanf.New(":")
	_ = k.Load(confmap.Provider(map[string]any{"MaskinportenSettings": map[string]any{
		"ClientId": "@Microsoft.KeyVault(VaultName=my-vault;SecretName=client-id)",
	}}, ""), nil)
	err = provider.ResolveReferences(context.Background(), k, provider.ConnectConfig{Config: provider.Config{
		Credential:    cred.GetToken,
		ClientOptions: srv.ClientOptions(),
	}})
	fmt.Println(k.String("MaskinportenSettings:ClientId"), err)
	// Output: client-for-tests <nil>
}
