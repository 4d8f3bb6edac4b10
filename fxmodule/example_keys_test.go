package fxmodule_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing/fstest"

	"go.uber.org/fx"

	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaultkey"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// inExample is what an example adds to an application: its settings, and how the test
// servers are reached. A service needs nothing of it.
func inExample(vault *vaulttest.Server, porten *maskinportentest.Server, section map[string]any) fx.Option {
	settings, err := json.Marshal(map[string]any{"kvSetting": vault.KVSetting(), "MaskinportenSettings": section})
	if err != nil {
		panic(err)
	}
	return fx.Options(
		fx.Supply(provider.AppConfig{FS: fstest.MapFS{"appsettings.json": {Data: settings}}}),
		fx.Supply(provider.ConnectConfig{Config: provider.Config{ClientOptions: vault.ClientOptions()}, CredentialOptions: vault.CredentialOptions()}),
		fx.Supply(fx.Annotate(httpclient.WithTokenTransport(porten.Transport()), fx.ResultTags(`group:"portnokkel"`))),
	)
}

// run starts an application, does something, and stops it.
func run(do func(), opts ...fx.Option) {
	app := fx.New(append(opts, fxmodule.Quiet())...)
	if err := app.Start(context.Background()); err != nil {
		fmt.Println(err)
	}
	do()
	if err := app.Stop(context.Background()); err != nil {
		fmt.Println(err)
	}
}

// A service takes over a new key without a restart, and tells Kubernetes whether it has a
// token.
func ExampleReadinessCheck() {
	vault := vaulttest.NewServer()
	defer vault.Close()
	porten := maskinportentest.NewServer()
	defer porten.Close()

	mux := http.NewServeMux()
	check := func() {
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/ready", nil))
		var report fxmodule.ReadinessReport
		if err := json.Unmarshal(answer.Body.Bytes(), &report); err != nil {
			fmt.Println(err)
		}
		fmt.Println(answer.Code, report.Ready, report.Clients["altinn"].State)
	}
	run(check,
		inExample(vault, porten, porten.Section()),
		fxmodule.Config(),
		fxmodule.Module("altinn", fxmodule.ReloadKeys(), fxmodule.WarmUp()),
		fxmodule.ReadinessCheck(),
		fx.Invoke(func(p struct {
			fx.In

			Altinn    *http.Client `name:"altinn"`
			Readiness *fxmodule.Readiness
		},
		) {
			mux.Handle("GET /ready", p.Readiness)
		}),
	)
	// Output: 200 true ready
}

// The private key stays in the vault. The settings name it, and kvSetting says in which
// vault it is.
func ExampleKeyVaultKey() {
	vault := vaulttest.NewServer()
	defer vault.Close()
	porten := maskinportentest.NewServer()
	defer porten.Close()
	version := vault.CreateKey(vaulttest.Key{Name: "maskinporten", Private: porten.Key().Signer()})
	registered := porten.Key()
	registered.KeyID = "maskinporten." + version // as vaultkey.Key.PublicJWK tells it
	porten.AddKey(porten.ClientID(), registered)
	section := porten.Section()
	delete(section, "EncodedJwk")
	section["KeyVaultKey"] = "maskinporten"

	sign := func() { fmt.Println("signatures in the vault:", vault.Stats().Signs) }
	run(sign,
		inExample(vault, porten, section),
		fxmodule.Config(),
		fxmodule.Module("altinn", fxmodule.WarmUp(), fxmodule.KeyVaultKey(vaultkey.Config{})),
		fx.Invoke(fx.Annotate(func(*http.Client) {}, fx.ParamTags(`name:"altinn"`))),
	)
	// Output: signatures in the vault: 1
}
