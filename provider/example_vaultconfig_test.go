package provider_test

import (
	"context"
	"fmt"
	"time"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// A service reads its key again from the vault that its settings name. Package fxmodule
// does the same with ReloadKeys.
func ExampleVaultConfig() {
	srv := vaulttest.NewServer()
	defer srv.Close()
	porten := maskinportentest.NewServer()
	defer porten.Close()
	srv.Set("MaskinportenSettings--EncodedJwk", porten.EncodedJWK())
	k := koanf.New(":") // in a service: provider.Load
	if err := k.Load(confmap.Provider(map[string]any{"kvSetting": srv.KVSetting()}, ""), nil); err != nil {
		fmt.Println(err)
		return
	}

	connect := provider.ConnectConfig{
		Config:            provider.Config{ClientOptions: srv.ClientOptions()}, // for the test server
		CredentialOptions: srv.CredentialOptions(),
	}
	cfg, err := provider.VaultConfig(k, connect)
	if err != nil {
		fmt.Println(err)
		return
	}
	vault, err := provider.KeyVault(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	read := func(ctx context.Context) (keys []*httpclient.Key, err error) {
		// The newest one, and the previous one until Maskinporten knows the newest.
		versions, err := vault.Versions(ctx, "MaskinportenSettings--EncodedJwk", 2)
		for _, version := range versions {
			key, err := httpclient.ParseJWK(version.Value(), "")
			if err != nil {
				return nil, err
			}
			keys = append(keys, key)
		}
		return keys, err
	}

	settings := httpclient.MaskinportenSettings{Environment: porten.Issuer(), ClientID: porten.ClientID(), Scope: "altinn:serviceowner/instances.read"}
	source, err := httpclient.NewTokenSource(settings,
		httpclient.WithKeySource(httpclient.ReloadingKeys(read, 5*time.Minute)),
		httpclient.WithTokenTransport(porten.Transport())) // for the test server
	if err != nil {
		fmt.Println(err)
		return
	}
	defer source.Close()
	_, err = source.Token(context.Background())
	fmt.Println("token:", err == nil)
	// Output: token: true
}
