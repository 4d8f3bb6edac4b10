package httpclient_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// Every built-in environment costs no discovery, and its assertions and
// exchanges go where the documentation says.
func TestEnvironments(t *testing.T) {
	t.Parallel()
	const tt02 = "https://platform.tt02.altinn.no"
	cases := []struct {
		name                       string
		environment, authority, at string // settings
		issuer, platform           string
		warns                      bool
	}{
		{name: "prod", environment: "prod", issuer: "https://maskinporten.no/", platform: "https://platform.altinn.no"},
		{name: "test", environment: "test", issuer: "https://test.maskinporten.no/", platform: tt02},
		{name: "any case", environment: "Test", issuer: "https://test.maskinporten.no/", platform: tt02},
		{name: "ver1 is retired", environment: "ver1", issuer: "https://ver1.maskinporten.no/", platform: tt02, warns: true},
		{name: "ver2 is retired", environment: "ver2", issuer: "https://ver2.maskinporten.no/", platform: tt02, warns: true},
		{name: "an issuer's URL", environment: "https://test.maskinporten.no", issuer: "https://test.maskinporten.no/", platform: tt02},
		{name: "an authority", authority: "https://maskinporten.no/", issuer: "https://maskinporten.no/", platform: "https://platform.altinn.no"},
		{name: "both, the same", environment: "prod", authority: "https://maskinporten.no", issuer: "https://maskinporten.no/", platform: "https://platform.altinn.no"},
		{name: "exchange in at22", environment: "test", at: "AT22", issuer: "https://test.maskinporten.no/", platform: "https://platform.at22.altinn.cloud"},
		{name: "exchange in at21", environment: "test", at: "at21", issuer: "https://test.maskinporten.no/", platform: "https://platform.at21.altinn.cloud"},
		{name: "exchange in at23", environment: "test", at: "at23", issuer: "https://test.maskinporten.no/", platform: "https://platform.at23.altinn.cloud"},
		{name: "exchange in at24", environment: "test", at: "at24", issuer: "https://test.maskinporten.no/", platform: "https://platform.at24.altinn.cloud"},
		{name: "exchange in yt01", environment: "test", at: "yt01", issuer: "https://test.maskinporten.no/", platform: "https://platform.yt01.altinn.cloud"},
		{name: "exchange in tt02", environment: "prod", at: "tt02", issuer: "https://maskinporten.no/", platform: tt02},
		{name: "exchange in test", environment: "prod", at: "test", issuer: "https://maskinporten.no/", platform: tt02},
		{name: "exchange in prod", environment: "test", at: "prod", issuer: "https://test.maskinporten.no/", platform: "https://platform.altinn.no"},
		{name: "exchange at a URL", environment: "test", at: "https://platform.local.example/", issuer: "https://test.maskinporten.no/", platform: "https://platform.local.example"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := newDouble(t, maskinportentest.WithIssuer(c.issuer), maskinportentest.WithPlatform(c.platform))
			var out logs
			source := sourceOf(t, srv, map[string]any{
				"Environment": c.environment, "Authority": c.authority, "TokenExchangeEnvironment": c.at, "ExhangeToAltinnToken": true,
			}, httpclient.WithLogger(out.logger(0)))
			if _, err := source.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := srv.Stats(); got.Metadata != 0 || got.TokenRequests != 1 || got.Exchanges != 1 || got.Refused != 0 {
				t.Errorf("got %+v with refusals %q, want one request of each kind", got, srv.Refusals())
			}
			const warning = `which was shut down on 2024-06-10: use \"test\" instead`
			if warned := strings.Contains(out.String(), warning); warned != c.warns {
				t.Errorf("got a warning: %v, want %v, in:\n%s", warned, c.warns, out.String())
			}
		})
	}
}

func TestRefusedURLs(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		changes map[string]any
		want    string
	}{
		{"Altinn's name for it", map[string]any{"Environment": "TT02"}, `Environment is "TT02": use "test" or "prod", or the URL of an issuer; for Altinn's TT02 it is "test"`},
		{"a token endpoint", map[string]any{"Environment": "https://test.maskinporten.no/token"}, "Environment is a token endpoint: use the issuer, https://test.maskinporten.no/"},
		{"plain http", map[string]any{"Environment": "http://issuer.example/"}, `Environment is "http://issuer.example/": use https; plain http would show the token to the network`},
		{"a name that looks local", map[string]any{"Environment": "http://localhost.example/"}, `Environment is "http://localhost.example/": use https; plain http would show the token to the network`},
		{"another scheme", map[string]any{"Authority": "ftp://issuer.example/"}, `Authority is "ftp://issuer.example/": use https; plain http would show the token to the network`},
		{"user and password", map[string]any{"Environment": "https://u:CANARY@issuer.example/"}, "Environment holds a user name or password: remove it"},
		{"no host", map[string]any{"Environment": "https:///x"}, `Environment is a text of 10 characters: a URL starts with https:// and a host`},
		{"a query", map[string]any{"Environment": "https://issuer.example/?code=CANARY"}, `Environment is "https://issuer.example/": remove what follows the path`},
		{"not a URL", map[string]any{"Environment": "https://issuer.example/%zz"}, "Environment is not a URL"},
		{"two issuers", map[string]any{"Environment": "test", "Authority": "https://maskinporten.no/"}, "Environment and Authority name different issuers: keep one of them"},
		{"a host only", map[string]any{"Environment": "Test.Maskinporten.no"}, `Environment is a host without https://: use "test"`},
		{"a host of Altinn", map[string]any{"Environment": "https://platform.altinn.no"}, `Environment is not the URL of an issuer: use "prod"`},
		{"another page of Maskinporten's", map[string]any{"Environment": "https://test.maskinporten.no/jwk"}, `Environment is not the URL of an issuer: use "test"`},
		{"the exchange itself", map[string]any{"TokenExchangeEnvironment": "https://platform.tt02.altinn.no/authentication/api/v1/exchange/maskinporten"}, `TokenExchangeEnvironment is the exchange's own address: use the platform's base URL, https://platform.tt02.altinn.no/`},
		{"a platform's host only", map[string]any{"TokenExchangeEnvironment": "platform.tt02.altinn.no"}, `TokenExchangeEnvironment is a host without https://: use the platform's base URL`},
		{"an unknown platform", map[string]any{"TokenExchangeEnvironment": "tt2"}, `TokenExchangeEnvironment is "tt2": use "tt02", "prod", "at21" to "at24", "yt01", or the platform's base URL`},
		{"an insecure platform", map[string]any{"TokenExchangeEnvironment": "http://p.example"}, `TokenExchangeEnvironment is "http://p.example": use https; plain http would show the token to the network`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			section := map[string]any{
				"ClientId": "id", "Scope": "s", "EncodedJwk": encoded(keyFile(t, "client.jwk.json")), "ExhangeToAltinnToken": true,
			}
			if c.changes["Authority"] == nil {
				section["Environment"] = "test"
			}
			for k, v := range c.changes {
				section[k] = v
			}
			s, err := httpclient.ParseSettings(section)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := message(s.Validate()), "httpclient: "+c.want; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// Plain http is for this machine only, by a spelling that net/http connects to
// directly. It sends the others to a proxy.
func TestLoopback(t *testing.T) {
	t.Parallel()
	for host, loopback := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.255.255.254": true, "[::1]": true, "[0:0::1]": true, "[::ffff:127.0.0.1]": true,
		"LOCALHOST": false, "Localhost": false, "localhost.": false, "localhost.localdomain": false, "a.localhost": false,
		"[::1%25lo]": false, "[::2]": false, "127.1": false, "127.0.0.01": false, "0.0.0.0": false, "128.0.0.1": false, "[::]": false,
	} {
		s := httpclient.MaskinportenSettings{
			Environment: "http://" + host + ":8080/", ClientID: "id", Scope: "s",
			EncodedJWK: httpclient.NewSecret(encoded(keyFile(t, "client.jwk.json"))),
		}
		if err := s.Validate(); (err == nil) != loopback {
			t.Errorf("an issuer at %s: got %v, want loopback %v", host, err, loopback)
		}
		source, _ := instant(t)
		transport := source.Transport(roundTripper(func(*http.Request) (*http.Response, error) { return answer(http.StatusOK, nil), nil }))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+":8080/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := transport.RoundTrip(req); errors.Is(err, httpclient.ErrInsecureURL) == loopback {
			t.Errorf("a request to %s: got %v, want loopback %v", host, err, loopback)
		}
	}
}
