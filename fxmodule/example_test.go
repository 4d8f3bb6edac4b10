package fxmodule_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing/fstest"

	"go.uber.org/fx"

	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// report is an application's own code: it asks for the client by name.
func report(p struct {
	fx.In

	Altinn *http.Client `name:"altinn"`
},
) error {
	resp, err := p.Altinn.Get("https://platform.tt02.altinn.no/storage/api/v1/instances")
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, string(body))
	return err
}

// An application with one named client. In a service, the settings come from
// appsettings.json and a Key Vault, and neither AppConfig nor ClientOptions is
// needed.
func Example() {
	srv := maskinportentest.NewServer(
		maskinportentest.WithIssuer("https://test.maskinporten.no/"),
		maskinportentest.WithPlatform("https://platform.tt02.altinn.no"))
	defer srv.Close()
	srv.Handle("/storage/api/v1/instances", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "3 instances")
	}))

	app := fx.New(
		fx.NopLogger,
		fxmodule.Config(fxmodule.AppConfig(provider.AppConfig{FS: fstest.MapFS{
			"appsettings.json": {Data: []byte(fmt.Sprintf(`{"MaskinportenSettings": {
				"Environment": "test",
				"ClientId": %q,
				"Scope": "altinn:serviceowner/instances.read",
				"EncodedJwk": %q,
				"ExhangeToAltinnToken": true
			}}`, srv.ClientID(), srv.EncodedJWK()))},
		}})),
		fxmodule.Module("altinn", fxmodule.ClientOptions(
			httpclient.WithTokenTransport(srv.Transport()),
			httpclient.WithBaseTransport(srv.Transport()))),
		fx.Invoke(report),
	)
	if err := app.Start(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	if err := app.Stop(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output: 200 3 instances
}

// newApp is a whole application, as main runs it. Its options say nothing of tests.
func newApp(more ...fx.Option) *fx.App {
	return fx.New(
		fxmodule.Quiet(),
		fxmodule.Config(),
		fxmodule.Module("altinn", fxmodule.WarmUp()),
		fx.Invoke(report),
		fx.Options(more...), // what a test adds
	)
}

// A test runs the whole application against both test servers: it only adds to the graph
// where its settings are, and how the servers are reached.
func Example_test() {
	vault := vaulttest.NewServer()
	defer vault.Close()
	porten := maskinportentest.NewServer(
		maskinportentest.WithIssuer("https://test.maskinporten.no/"),
		maskinportentest.WithPlatform("https://platform.tt02.altinn.no"))
	defer porten.Close()
	porten.Handle("/storage/api/v1/instances", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "3 instances")
	}))
	vault.Set("MaskinportenSettings--ClientId", porten.ClientID())
	vault.Set("MaskinportenSettings--EncodedJwk", porten.EncodedJWK())
	settings, err := json.Marshal(map[string]any{
		"kvSetting":            vault.KVSetting(),
		"MaskinportenSettings": map[string]any{"Environment": "test", "Scope": "altinn:serviceowner/instances.read"},
	})
	if err != nil {
		panic(err)
	}

	app := newApp(
		fx.Supply(provider.AppConfig{FS: fstest.MapFS{"appsettings.json": {Data: settings}}}),
		fx.Supply(provider.ConnectConfig{
			Config:            provider.Config{ClientOptions: vault.ClientOptions()},
			CredentialOptions: vault.CredentialOptions(),
		}),
		fx.Supply(
			fx.Annotate(httpclient.WithTokenTransport(porten.Transport()), fx.ResultTags(`group:"portnokkel"`)),
			fx.Annotate(httpclient.WithBaseTransport(porten.Transport()), fx.ResultTags(`group:"portnokkel"`)),
		),
	)
	if err := app.Start(context.Background()); err != nil {
		fmt.Println(err)
	}
	if err := app.Stop(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output: 200 3 instances
}

// In a test of your own code, the client is replaced: nothing is configured and
// nothing is asked of Maskinporten.
func ExampleModule_replace() {
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "no instances")
	}))
	defer fake.Close()
	client := &http.Client{Transport: toServer(fake.URL)}

	app := fx.New(
		fx.NopLogger,
		fxmodule.Config(),
		fxmodule.Module("altinn"),
		fx.Replace(fx.Annotate(client, fx.ResultTags(`name:"altinn"`))),
		fx.Invoke(report),
	)
	if err := app.Err(); err != nil {
		fmt.Println(err)
	}
	// Output: 200 no instances
}

// toServer sends every request to one plain test server.
type toServer string

func (url toServer) RoundTrip(r *http.Request) (*http.Response, error) {
	redirected, err := http.NewRequestWithContext(r.Context(), r.Method, string(url)+r.URL.Path, r.Body)
	if err != nil {
		return nil, err
	}
	return http.DefaultTransport.RoundTrip(redirected)
}
