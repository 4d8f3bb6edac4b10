package provider_test

import (
	"context"
	"fmt"
	"testing/fstest"

	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// Both stages of Altinn's guide with plain koanf, without fx: the settings files
// first, and then the vault that they name. A real service leaves FS, Environ,
// ClientOptions and CredentialOptions out.
func Example() {
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{
		"MaskinportenSettings--ClientId": "a-client-from-the-vault",
	}))
	defer srv.Close()
	var origins provider.Origins
	k, err := provider.Load(context.Background(), provider.AppConfig{
		FS: fstest.MapFS{"appsettings.json": {Data: []byte(fmt.Sprintf(`{
			"kvSetting": { "ClientId": %q, "TenantId": %q, "ClientSecret": %q, "SecretUri": %q },
			"MaskinportenSettings": { "ClientId": "", "Scope": "altinn:serviceowner/instances.read" }
		}`, srv.ClientID(), srv.TenantID(), srv.ClientSecret(), srv.VaultURL()))}},
		Environ: func() []string { return nil },
		Origins: &origins,
	}, provider.ConnectConfig{
		Config:            provider.Config{ClientOptions: srv.ClientOptions()},
		CredentialOptions: srv.CredentialOptions(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(k.String("MaskinportenSettings:ClientId"))
	source := origins.Of("MaskinportenSettings:Scope").Source
	fmt.Println("the scope is from", source)
	// Output:
	// a-client-from-the-vault
	// the scope is from appsettings.json
}

// The two stages apart, for a koanf of your own. Without a complete kvSetting
// there is no vault to connect to, and no network is used.
func ExampleConnectToKeyVault() {
	k, err := provider.LoadAppConfig(provider.AppConfig{FS: fstest.MapFS{}, Environ: func() []string { return nil }})
	if err != nil {
		fmt.Println(err)
		return
	}
	connected, err := provider.ConnectToKeyVault(context.Background(), k, provider.ConnectConfig{})
	fmt.Println(connected, err)
	_, err = provider.ConnectToKeyVault(context.Background(), k, provider.ConnectConfig{Require: true})
	fmt.Println(err)
	// Output:
	// false <nil>
	// provider: set kvSetting:ClientId, kvSetting:TenantId, kvSetting:ClientSecret, kvSetting:SecretUri - no key vault was connected; looked for variables such as kvSetting__ClientId and keys such as kvSetting:ClientId
}
