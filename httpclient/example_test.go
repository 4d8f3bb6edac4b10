package httpclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// A client without fx and without koanf: a section becomes settings, settings
// become a client, and every request of the client carries a token. The test server
// plays Maskinporten, Altinn's exchange and the API.
func Example() {
	srv := maskinportentest.NewServer()
	defer srv.Close()
	srv.Handle("/storage/api/v1/instances", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "3 instances")
	}), "altinn:serviceowner/instances.read")

	section := map[string]any{
		"Environment":              srv.Issuer(), // "test" or "prod" in real life
		"TokenExchangeEnvironment": srv.PlatformURL(),
		"ClientId":                 srv.ClientID(),
		"EncodedJwk":               srv.EncodedJWK(),
		"Scope":                    "altinn:serviceowner/instances.read",
		"ExhangeToAltinnToken":     "true",
	}
	settings, err := httpclient.ParseSettings(section)
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := httpclient.New(settings,
		httpclient.WithTokenTransport(srv.Transport()), // these two only because
		httpclient.WithBaseTransport(srv.Transport()),  // the servers are for tests
	)
	if err != nil {
		fmt.Println(err)
		return
	}

	resp, err := client.Get(srv.PlatformURL() + "/storage/api/v1/instances")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, string(body))
	// Output: 200 3 instances
}

// The token itself, for a credential that is not an HTTP header.
func ExampleTokenSource_Token() {
	srv := maskinportentest.NewServer()
	defer srv.Close()
	settings, err := httpclient.ParseSettings(srv.Section())
	if err != nil {
		fmt.Println(err)
		return
	}
	source, err := httpclient.NewTokenSource(settings, httpclient.WithTokenTransport(srv.Transport()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer source.Close()

	token, err := source.Token(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	metadata := map[string]string{"authorization": "Bearer " + token.AccessToken()}
	fmt.Println(len(metadata), "credential for", token.Scopes(), "living", token.Lifetime())
	// Output: 1 credential for [altinn:serviceowner/instances.read] living 2m0s
}

// What is wrong with the settings is told all at once.
func ExampleMaskinportenSettings_Validate() {
	settings := httpclient.MaskinportenSettings{Environment: "tset", ClientID: "a-client", EncodedJWK: httpclient.NewSecret("eyJhbGciOiJSUzI1NiJ9.e30.c2ln")}
	fmt.Println(settings.Validate())
	// Output:
	// httpclient: Environment is "tset": use "test" or "prod", or the URL of an issuer
	// httpclient: EncodedJwk is a token (JWT), not a key: set it to the base64 of the client's private JWK
}

// Keys are found in any case and in every spelling.
func ExampleParseSettings() {
	settings, err := httpclient.ParseSettings(map[string]any{
		"clientId":             "a-client",
		"ExhangeToAltinnToken": true,
	})
	fmt.Println(settings.ClientID, settings.ExchangeToAltinnToken, err)
	// Output: a-client true <nil>
}

// A program may branch on why there is no token.
func ExampleTokenError() {
	srv := maskinportentest.NewServer()
	defer srv.Close()
	section := srv.Section()
	section["Scope"] = "altinn:serviceowner/instances.write"
	settings, _ := httpclient.ParseSettings(section)
	client, err := httpclient.New(settings, httpclient.WithTokenTransport(srv.Transport()))
	if err != nil {
		fmt.Println(err)
		return
	}

	_, err = client.Get("https://platform.tt02.altinn.no/storage/api/v1/instances")
	var failed *httpclient.TokenError
	switch {
	case errors.Is(err, httpclient.ErrTemporary):
		fmt.Println("try again later")
	case errors.As(err, &failed):
		fmt.Println(failed.StatusCode, failed.Code)
		fmt.Println(failed.Hint)
	}
	// Output:
	// 400 invalid_scope
	// check Scope: altinn:serviceowner/instances.write is misspelt, or not registered on the client
}

// A chain of RoundTrippers, and what each of them sees.
//
// What is passed to Transport lies under the token. It sees each request as it is sent,
// and the repeated one after a 401 too. It is the place for otelhttp.NewTransport, for a
// proxy, or for retries of what the network lost.
//
// What wraps the result lies above the token. It sees a request once and without its
// token. It must pass on the request or a clone of it, so that redirects can be told.
// Retries of an API's 503 may stand in either place.
func ExampleTokenSource_Transport() {
	srv := maskinportentest.NewServer()
	defer srv.Close()
	srv.Handle("/api", http.NotFoundHandler())
	settings, _ := httpclient.ParseSettings(srv.Section())
	source, err := httpclient.NewTokenSource(settings, httpclient.WithTokenTransport(srv.Transport()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer source.Close()

	retrying := roundTripper(func(r *http.Request) (*http.Response, error) {
		fmt.Println("below: sends it, with a token:", r.Header.Get("Authorization") != "")
		resp, err := srv.Transport().RoundTrip(r)
		if err != nil && r.Method == http.MethodGet {
			fmt.Println("below: lost, sends it again")
			resp, err = srv.Transport().RoundTrip(r)
		}
		return resp, err
	})
	authorized := source.Transport(retrying)
	logging := roundTripper(func(r *http.Request) (*http.Response, error) {
		fmt.Println("above: asks for", r.URL.Path, "with a token:", r.Header.Get("Authorization") != "")
		return authorized.RoundTrip(r)
	})
	client := &http.Client{Transport: logging}

	// The API loses the first request and rejects the token of the second.
	_, _ = source.Token(context.Background())
	srv.Faults.Add(faulttest.Fault{Drop: true})
	srv.RevokeAll()
	resp, err := client.Get(srv.PlatformURL() + "/api")
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = resp.Body.Close()
	fmt.Println(resp.Status)
	// Output:
	// above: asks for /api with a token: false
	// below: sends it, with a token: true
	// below: lost, sends it again
	// below: sends it, with a token: true
	// 404 Not Found
}

// Settings that know where they came from: so do the errors about them.
func ExampleMaskinportenSettings_Parse() {
	settings := httpclient.MaskinportenSettings{
		Origin: func(string) httpclient.Origin { return httpclient.Origin{Source: "appsettings.json"} }, // such as provider.Origins gives
	}
	err := settings.Parse(map[string]any{"ClientId": "a-client", "UseAltinnTestOrg": "perhaps"})
	fmt.Println(err)
	// Output:
	// httpclient: UseAltinnTestOrg (appsettings.json) is neither "true" nor "false"
}
