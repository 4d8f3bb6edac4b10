package httpclient_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log"
	"net/http"
	"os"

	"go.opentelemetry.io/otel"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// newExampleSource makes a source that reaches a test server: in a service, settings
// and NewTokenSource are all there is to it.
func newExampleSource(srv *maskinportentest.Server, changes map[string]any, opts ...httpclient.Option) (*httpclient.TokenSource, error) {
	section := srv.Section()
	for key, value := range changes {
		section[key] = value
	}
	settings, err := httpclient.ParseSettings(section)
	if err != nil {
		return nil, err
	}
	return httpclient.NewTokenSource(settings, append(opts, httpclient.WithTokenTransport(srv.Transport()), httpclient.WithBaseTransport(srv.Transport()))...)
}

// showToken answers with what the token of a request is for.
func showToken(w http.ResponseWriter, r *http.Request) {
	token, _ := maskinportentest.TokenFrom(r.Context())
	fmt.Println("consumer:", token.Assertion["consumer_org"], "details:", token.Assertion["authorization_details"] != nil)
	w.WriteHeader(http.StatusNoContent)
}

// A request on behalf of a system user: its context says so, and the client
// fetches and keeps a token for it.
func ExampleContextWithSystemUser() {
	srv := maskinportentest.NewServer()
	defer srv.Close()
	srv.Handle("/api", http.HandlerFunc(showToken))
	source, err := newExampleSource(srv, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer source.Close()

	ctx := httpclient.ContextWithSystemUser(context.Background(), httpclient.SystemUser{OrgNo: "889640782"})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.PlatformURL()+"/api", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := source.Client().Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = resp.Body.Close()
	fmt.Println(resp.Status)
	// Output:
	// consumer: <nil> details: true
	// 204 No Content
}

// A supplier that acts for its customers, each of whom has delegated access in
// Altinn: the consumer is told request by request.
func ExampleContextWithConsumerOrg() {
	srv := maskinportentest.NewServer()
	defer srv.Close()
	srv.Handle("/api", http.HandlerFunc(showToken))
	source, err := newExampleSource(srv, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer source.Close()

	for _, customer := range []string{"889640782", "974760673"} {
		ctx := httpclient.ContextWithConsumerOrg(context.Background(), customer)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.PlatformURL()+"/api", nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp, err := source.Client().Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = resp.Body.Close()
	}
	// Output:
	// consumer: 889640782 details: false
	// consumer: 974760673 details: false
}

// Keys of the program's own. A key in an HSM or in Key Vault is a crypto.Signer whose
// private half never enters the process. While Maskinporten does not know a newer key
// yet, the next in the list is used.
func ExampleWithKeySource() {
	registered := maskinportentest.NewKey("a-key-for-tests")
	srv := maskinportentest.NewServer(maskinportentest.WithKey(registered))
	defer srv.Close()

	device := registered.Signer() // such as an HSM's
	key, err := httpclient.NewKey(device, "a-key-for-tests", "RS256")
	if err != nil {
		fmt.Println(err)
		return
	}
	source, err := newExampleSource(srv, map[string]any{"EncodedJwk": ""}, httpclient.WithKeySource(httpclient.KeySourceFunc(
		func(context.Context) ([]*httpclient.Key, error) { return []*httpclient.Key{key}, nil })))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer source.Close()
	token, err := source.Token(context.Background())
	fmt.Println(token.Scopes(), err)
	// Output: [altinn:serviceowner/instances.read] <nil>
}

// An enterprise certificate in a PKCS#12 file that is renewed while the program runs: a
// key source reads it anew. Settings may name a file that stays, with
// CertificatePkcs12Path and CertificatePkcs12Password.
func ExampleParsePKCS12() {
	srv := newEnterpriseServer("../testdata/keys/enterprise-root.pem")
	defer srv.Close()
	certificate := httpclient.KeySourceFunc(func(context.Context) ([]*httpclient.Key, error) {
		archive, err := os.ReadFile("../testdata/keys/enterprise.p12")
		if err != nil {
			return nil, err
		}
		key, err := httpclient.ParsePKCS12(archive, "for-tests-only") // such as os.Getenv("P12_PASSWORD")
		if err != nil {
			return nil, err
		}
		return []*httpclient.Key{key}, nil
	})
	source, err := newExampleSource(srv, map[string]any{"EncodedJwk": ""}, httpclient.WithKeySource(certificate))
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
	fmt.Println(token.Scopes(), "signed by a chain of", len(srv.Stats().LastAssertion.Header["x5c"].([]any)))
	// Output: [altinn:serviceowner/instances.read] signed by a chain of 3
}

// The same certificate by its file's name, as the settings hold it.
func ExampleMaskinportenSettings_certificate() {
	srv := newEnterpriseServer("../testdata/keys/enterprise-root.pem")
	defer srv.Close()
	settings := httpclient.MaskinportenSettings{
		Environment:               srv.Issuer(), // "test" or "prod" in real life
		ClientID:                  srv.ClientID(),
		Scope:                     "altinn:serviceowner/instances.read",
		CertificatePKCS12Path:     "../testdata/keys/enterprise.p12",
		CertificatePKCS12Password: httpclient.NewSecret("for-tests-only"),
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
	fmt.Println(token.Scopes())
	// Output: [altinn:serviceowner/instances.read]
}

// newEnterpriseServer is a test server that takes certificates of the authority.
func newEnterpriseServer(root string) *maskinportentest.Server {
	data, err := os.ReadFile(root)
	if err != nil {
		log.Fatal(err)
	}
	block, _ := pem.Decode(data)
	authority, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		log.Fatal(err)
	}
	return maskinportentest.NewServer(maskinportentest.WithClient(maskinportentest.Client{Roots: []*x509.Certificate{authority}}))
}

// An issuer that is not Maskinporten's own: its endpoints come from its metadata.
func ExampleMaskinportenSettings_authority() {
	srv := maskinportentest.NewServer()
	defer srv.Close()
	settings := httpclient.MaskinportenSettings{
		Authority:  srv.Issuer(), // such as https://issuer.example/
		ClientID:   srv.ClientID(),
		Scope:      "altinn:serviceowner/instances.read",
		EncodedJWK: httpclient.NewSecret(srv.EncodedJWK()),
	}
	source, err := httpclient.NewTokenSource(settings, httpclient.WithTokenTransport(srv.Transport()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer source.Close()
	_, err = source.Token(context.Background())
	fmt.Println(err, srv.Stats().Metadata)
	// Output: <nil> 1
}

// Metrics and spans go to the program's own OpenTelemetry providers, or to the global
// ones. Those do nothing until otel.SetMeterProvider and otel.SetTracerProvider name
// others. The repository's folder integration has an example with OpenTelemetry's own
// SDK, and what it records.
func ExampleWithMeterProvider() {
	srv := maskinportentest.NewServer()
	defer srv.Close()
	source, err := newExampleSource(srv, nil,
		httpclient.WithMeterProvider(otel.GetMeterProvider()),
		httpclient.WithTracerProvider(otel.GetTracerProvider()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer source.Close()
	_, err = source.Token(context.Background())
	fmt.Println(err)
	// Output: <nil>
}

// On NAIS, Texas holds the client's key: the platform's variables are all it takes. The
// exchange at Altinn is a setting of the application's own.
func ExampleFromNAIS() {
	srv := maskinportentest.NewServer()
	defer srv.Close()
	srv.Handle("/api", http.HandlerFunc(showToken))
	texas := maskinportentest.NewTexas(srv)
	defer texas.Close()

	settings, err := httpclient.FromNAIS(texas.Getenv) // os.Getenv in real life
	if err != nil {
		fmt.Println(err)
		return
	}
	settings.ExchangeToAltinnToken = true
	settings.TokenExchangeEnvironment = srv.PlatformURL() // "tt02" or "prod" in real life

	client, err := httpclient.New(settings,
		httpclient.WithTokenTransport(texas.Transport()), // these two only because
		httpclient.WithBaseTransport(texas.Transport()),  // the servers are for tests
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Get(srv.PlatformURL() + "/api")
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = resp.Body.Close()
	fmt.Println(resp.Status)
	// Output:
	// consumer: <nil> details: false
	// 204 No Content
}

// A service on NAIS that signs with its own key hides Texas's variables. It may then ask
// on behalf of another organisation, which Texas cannot.
func ExampleFromNAIS_withAKey() {
	getenv := func(name string) string {
		if name == "NAIS_TOKEN_ENDPOINT" || name == "TEXAS_URL" {
			return ""
		}
		return os.Getenv(name)
	}
	settings, err := httpclient.FromNAIS(getenv)
	if err != nil {
		log.Fatal(err)
	}
	source, err := httpclient.NewTokenSource(settings)
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
}
