package fxmodule_test

import (
	"context"
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
