package httpclient_test

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/portnokkel/portnokkel/httpclient"
)

func TestAllowedHosts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		listed, url string
		allowed     bool
	}{
		"a name":                           {"api.example", "https://api.example/", true},
		"a name in another case":           {"API.example", "https://api.EXAMPLE/", true},
		"a name with a dot at its end":     {"api.example", "https://api.example./", false},
		"an IPv4 address":                  {"10.0.0.1", "https://10.0.0.1:8443/", true},
		"another IPv4 address":             {"10.0.0.1", "https://10.0.0.2/", false},
		"an IPv4 address with a zero":      {"10.0.0.1", "https://10.0.0.01/", false},
		"an IPv6 address":                  {"2001:db8::1", "https://[2001:db8::1]/", true},
		"an IPv6 address in brackets":      {"[2001:db8::1]", "https://[2001:db8::1]:8443/", true},
		"an IPv6 address written in full":  {"2001:DB8:0:0:0:0:0:1", "https://[2001:db8::1]/", true},
		"in full and in brackets":          {"[2001:0db8::0001]", "https://[2001:db8::1]/", true},
		"in full in the request":           {"2001:db8::1", "https://[2001:0DB8:0::1]/", true},
		"another IPv6 address":             {"2001:db8::1", "https://[2001:db8::2]/", false},
		"an IPv4 address in IPv6":          {"10.0.0.1", "https://[::ffff:10.0.0.1]/", true},
		"the same the other way round":     {"::ffff:10.0.0.1", "https://10.0.0.1/", true},
		"an address with a zone":           {"fe80::1%eth0", "https://[fe80::1%25eth0]/", true},
		"a zone as a URL has it":           {"[fe80::1%25eth0]", "https://[fe80::1%25eth0]/", true},
		"an address with another zone":     {"fe80::1%eth0", "https://[fe80::1%25eth1]/", false},
		"an address without its zone":      {"fe80::1%eth0", "https://[fe80::1]/", false},
		"a name with an underscore":        {"my_api.example", "https://my_api.example/", true},
		"a name of one label":              {"api", "https://api:8443/", true},
		"a name with other letters":        {"blåbær.example", "https://blåbær.example/", true},
		"a name that begins as an address": {"10.0.0.1.example", "https://10.0.0.1/", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reached := false
			source, _ := instant(t, httpclient.WithAllowedHosts("other.example", c.listed))
			transport := source.Transport(roundTripper(func(*http.Request) (*http.Response, error) {
				reached = true
				return answer(http.StatusOK, nil), nil
			}))
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = transport.RoundTrip(req)
			if reached != c.allowed || errors.Is(err, httpclient.ErrHostNotAllowed) == c.allowed {
				t.Errorf("got error %v, reached %v, want allowed %v", err, reached, c.allowed)
			}
			// A server of many names goes by the Host header.
			req.URL.Host, req.Host, reached = "other.example", req.URL.Host, false
			if _, err = transport.RoundTrip(req); reached != c.allowed {
				t.Errorf("by the Host header: got error %v, reached %v, want allowed %v", err, reached, c.allowed)
			}
		})
	}
}

func TestRefusedAllowedHosts(t *testing.T) {
	t.Parallel()
	for _, host := range []string{
		"", " ", "a.example:443", "https://a.example", "a.example/", "a.example?", "a.example#", "user@a.example", "*.a.example", "a b",
		"[]", "[::1", "::1]", "[::1]:443", "[::1]/", "[10.0.0.1]", "[a.example]", "10.0.0.1:443", "10.0.0.0/8", "::1:::", "%41.example",
		".", "a..example", ".a.example", `"a.example"`, "Sommer-2026!", "abc8Q~CANARY0123456789abcdefghijklmnop", strings.Repeat("a", 64) + ".example",
		strings.Repeat("a.", 127) + "a", "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJtZSJ9.c2lnbmF0dXJl",
	} {
		_, err := httpclient.NewTokenSource(httpclient.MaskinportenSettings{}, httpclient.WithAllowedHosts("b.example", host))
		const want = "httpclient: WithAllowedHosts: host 2 is neither a host name nor an IP address: leave out scheme, port, path and wildcard"
		if !strings.Contains(message(err), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	long := strings.Repeat("CANARY/", 100)
	if _, err := httpclient.NewTokenSource(httpclient.MaskinportenSettings{}, httpclient.WithAllowedHosts(long)); strings.Contains(message(err), "CANARY") {
		t.Errorf("got %v, want an error that does not quote a long text", err)
	}
}

// nilMeters and nilTracers are providers that panic as nil pointers do.
type (
	nilMeters  struct{ metric.MeterProvider }
	nilTracers struct{ trace.TracerProvider }
)

// Nil and a typed nil mean the default, and neither panics.
func TestNilOptions(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	defer srv.Close()
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":"%s/","token_endpoint":"%s/token"}`, srv.URL, srv.URL)
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"access_token":"t","expires_in":60}`) })
	mux.HandleFunc("/api", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("Authorization")) })
	settings := httpclient.MaskinportenSettings{
		Environment: srv.URL, ClientID: "id", Scope: "s", EncodedJWK: httpclient.NewSecret(encoded(keyFile(t, "client.jwk.json"))),
	}
	for name, opts := range map[string][]httpclient.Option{
		"nil options": {nil, nil},
		"nil": {
			httpclient.WithLogger(nil), httpclient.WithBaseTransport(nil), httpclient.WithTokenTransport(nil),
			httpclient.WithMeterProvider(nil), httpclient.WithTracerProvider(nil),
		},
		"typed nil pointers": {
			httpclient.WithLogger((*slog.Logger)(nil)), httpclient.WithBaseTransport((*http.Transport)(nil)), httpclient.WithTokenTransport((*http.Transport)(nil)),
			httpclient.WithMeterProvider((*nilMeters)(nil)), httpclient.WithTracerProvider((*nilTracers)(nil)),
		},
		"typed nil functions": {httpclient.WithBaseTransport(roundTripper(nil)), httpclient.WithTokenTransport(roundTripper(nil))},
		"zero values":         {httpclient.WithLogger(&slog.Logger{})},
		"a nil log handler":   {httpclient.WithLogger(slog.New((*slog.TextHandler)(nil)))},
	} {
		t.Run(name, func(t *testing.T) {
			source, err := httpclient.NewTokenSource(settings, opts...)
			if err != nil {
				t.Fatal(err)
			}
			defer source.Close()
			if status, body := get(t, source.Client(), srv.URL+"/api"); status != http.StatusOK || body != "Bearer t" {
				t.Errorf("got %d %q, want 200 and the token", status, body)
			}
		})
	}
	for name, keys := range map[string]httpclient.KeySource{"nil": nil, "a nil function": httpclient.KeySourceFunc(nil), "a nil pointer": (*noKeys)(nil)} {
		const want = "httpclient: WithKeySource: the source is nil"
		if _, err := httpclient.NewTokenSource(settings, httpclient.WithKeySource(keys)); message(err) != want {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}

type noKeys struct{ list []*httpclient.Key }

func (n *noKeys) Keys(context.Context) ([]*httpclient.Key, error) { return n.list, nil }

// No exported method panics on nil or on the zero value.
func TestNilAndZeroValues(t *testing.T) {
	t.Parallel()
	var settings *httpclient.MaskinportenSettings
	const want = "httpclient: the pointer to the settings is nil"
	if err := settings.Validate(); message(err) != want {
		t.Errorf("Validate: got %v, want %s", err, want)
	}
	if err := settings.Parse(map[string]any{"ClientId": "id"}); message(err) != want {
		t.Errorf("Parse: got %v, want %s", err, want)
	}
	for name, key := range map[string]*httpclient.Key{"nil": nil, "zero": {}} {
		if key.KeyID() != "" || key.String() != "no key" || key.LogValue().String() != "no key" || fmt.Sprint(key) != "no key" {
			t.Errorf("%s key: got %q, %q, %q and %q, want nothing and no key", name, key.KeyID(), key.String(), key.LogValue(), fmt.Sprint(key))
		}
	}
	for name, token := range map[string]*httpclient.Token{"nil": nil, "zero": {}} {
		if token.AccessToken() != "" || !token.Expires().IsZero() || token.Lifetime() != 0 || len(token.Scopes()) > 0 || token.IsAltinn() ||
			fmt.Sprint(token) != "no token" || token.LogValue().String() != "no token" {
			t.Errorf("%s token: got %v, want zero values and no token", name, token)
		}
	}
	if err := (*httpclient.TokenError)(nil); err.Error() != "httpclient: no error" || err.Unwrap() != nil {
		t.Errorf("nil TokenError: got %v and %v, want no error", err, err.Unwrap())
	}
	if err := (&httpclient.TokenError{}); err.Error() != "httpclient: : " || len(err.Unwrap()) > 0 {
		t.Errorf("zero TokenError: got %v and %v, want an empty one", err, err.Unwrap())
	}
	if keys, err := httpclient.KeySourceFunc(nil).Keys(t.Context()); err == nil || keys != nil {
		t.Errorf("nil KeySourceFunc: got %v and error %v, want an error", keys, err)
	}
	if key, err := httpclient.NewKey((*rsa.PrivateKey)(nil), "k", ""); err == nil || key != nil {
		t.Errorf("nil signer: got %v and error %v, want an error", key, err)
	}
	source, _ := instant(t)
	for name, ctx := range map[string]context.Context{
		"SystemUser": httpclient.ContextWithSystemUser(t.Context(), httpclient.SystemUser{}),
		"Consent":    httpclient.ContextWithConsent(t.Context(), httpclient.Consent{}),
		"Secret":     httpclient.ContextWithPerson(t.Context(), httpclient.Secret{}),
	} {
		if token, err := source.Token(ctx); err == nil || token != nil {
			t.Errorf("zero %s: got %v and error %v, want an error", name, token, err)
		}
	}
	if key, err := httpclient.ParseJWK("", ""); message(err) != "httpclient: the JWK holds no key" || key != nil {
		t.Errorf("empty JWK: got %v and error %v, want an error", key, err)
	}
	if key, err := httpclient.ParsePKCS12(nil, ""); err == nil || key != nil {
		t.Errorf("nil archive: got %v and error %v, want an error", key, err)
	}
}
