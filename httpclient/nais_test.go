package httpclient_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/portnokkel/portnokkel/httpclient"
)

func TestFromNAIS(t *testing.T) {
	t.Parallel()
	jwk := compact(t, keyFile(t, "client.jwk.json"))
	for name, extra := range map[string]map[string]string{
		"issuer":                  {"MASKINPORTEN_ISSUER": "ISSUER"},
		"issuer and endpoint":     {"MASKINPORTEN_ISSUER": "ISSUER", "MASKINPORTEN_TOKEN_ENDPOINT": "ISSUERtoken", "MASKINPORTEN_WELL_KNOWN_URL": "ISSUER.well-known/oauth-authorization-server"},
		"OpenID Connect's URL":    {"MASKINPORTEN_WELL_KNOWN_URL": "ISSUER.well-known/openid-configuration"},
		"only the well-known URL": {"MASKINPORTEN_WELL_KNOWN_URL": "ISSUER.well-known/oauth-authorization-server"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newDouble(t)
			vars := map[string]string{"MASKINPORTEN_CLIENT_ID": srv.ClientID(), "MASKINPORTEN_CLIENT_JWK": jwk, "MASKINPORTEN_SCOPES": scope + "\n"}
			for key, value := range extra {
				vars[key] = strings.ReplaceAll(value, "ISSUER", srv.Issuer())
			}
			settings, err := httpclient.FromNAIS(env(vars))
			if err != nil {
				t.Fatal(err)
			}
			source, err := httpclient.NewTokenSource(settings, httpclient.WithTokenTransport(srv.Transport()))
			if err != nil {
				t.Fatal(err)
			}
			defer source.Close()
			if _, err := source.Token(t.Context()); err != nil {
				t.Error(err)
			}
			want := 1
			if extra["MASKINPORTEN_TOKEN_ENDPOINT"] != "" {
				want = 0
			}
			if n := srv.Stats().Metadata; n != want {
				t.Errorf("got %d requests for metadata, want %d", n, want)
			}
		})
	}
}

// The result may be changed: another issuer has another endpoint.
func TestFromNAISForAnotherIssuer(t *testing.T) {
	t.Parallel()
	settings, err := httpclient.FromNAIS(env(map[string]string{
		"MASKINPORTEN_CLIENT_ID": "id", "MASKINPORTEN_CLIENT_JWK": keyFile(t, "client.jwk.json"), "MASKINPORTEN_SCOPES": "s",
		"MASKINPORTEN_ISSUER": "https://maskinporten.no/", "MASKINPORTEN_TOKEN_ENDPOINT": "https://maskinporten.no/token",
	}))
	if err != nil {
		t.Fatal(err)
	}
	settings.Authority, settings.Environment = "", "test"
	if asked := askedFor(t, settings); asked != "https://test.maskinporten.no/token" {
		t.Errorf("got a request of %s, want https://test.maskinporten.no/token", asked)
	}
}

// askedFor is the endpoint that is asked for a token with the settings.
func askedFor(t *testing.T, settings httpclient.MaskinportenSettings) (address string) {
	t.Helper()
	source, err := httpclient.NewTokenSource(settings, httpclient.WithTokenTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
		address = r.URL.String()
		return tokenAnswer("t", 60), nil
	})))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if _, err := source.Token(t.Context()); err != nil {
		t.Error(err)
	}
	return address
}

func TestFromNAISErrors(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		vars map[string]string
		want string
	}{
		"nothing": {nil, `httpclient: MASKINPORTEN_ISSUER is missing: set it to "test" or "prod", or to the URL of an issuer` + "\n" +
			"httpclient: MASKINPORTEN_CLIENT_ID is missing: set it to the client's id in Maskinporten\n" +
			"httpclient: MASKINPORTEN_CLIENT_JWK is missing: set it to the base64 of the client's private JWK (or set EncodedX509 or CertificatePkcs12Path)"},
		"a broken key": {
			map[string]string{"MASKINPORTEN_ISSUER": "https://test.maskinporten.no/", "MASKINPORTEN_CLIENT_ID": "a", "MASKINPORTEN_SCOPES": "s", "MASKINPORTEN_CLIENT_JWK": "{CANARY"},
			"httpclient: MASKINPORTEN_CLIENT_JWK is not whole JSON: it may have been cut; set it again",
		},
		"an insecure endpoint": {map[string]string{
			"MASKINPORTEN_ISSUER": "https://i.example/", "MASKINPORTEN_CLIENT_ID": "a", "MASKINPORTEN_SCOPES": "s", "MASKINPORTEN_CLIENT_JWK": keyFile(t, "client.jwk.json"),
			"MASKINPORTEN_TOKEN_ENDPOINT": "http://i.example/token",
		}, `httpclient: MASKINPORTEN_TOKEN_ENDPOINT is "http://i.example/token": use https; plain http would show the token to the network`},
		"a well-known URL of something else": {map[string]string{"MASKINPORTEN_WELL_KNOWN_URL": "https://i.example/"}, "httpclient: MASKINPORTEN_WELL_KNOWN_URL must end with .well-known/oauth-authorization-server or .well-known/openid-configuration"},
		"two issuers": {
			map[string]string{"MASKINPORTEN_ISSUER": "https://a.example/", "MASKINPORTEN_WELL_KNOWN_URL": "https://b.example/.well-known/oauth-authorization-server"},
			"httpclient: MASKINPORTEN_ISSUER and MASKINPORTEN_WELL_KNOWN_URL name different issuers: keep one of them",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings, err := httpclient.FromNAIS(env(c.vars))
			if err == nil {
				err = settings.Validate()
			}
			if message(err) != c.want || strings.Contains(message(err), "CANARY") {
				t.Errorf("got\n%v\nwant\n%s", err, c.want)
			}
		})
	}
}

// An endpoint that belongs to no issuer is not used for another's.
func TestEndpointWithoutAnIssuer(t *testing.T) {
	t.Parallel()
	settings, err := httpclient.FromNAIS(env(map[string]string{
		"MASKINPORTEN_CLIENT_ID": "id", "MASKINPORTEN_SCOPES": "s", "MASKINPORTEN_CLIENT_JWK": keyFile(t, "client.jwk.json"),
		"MASKINPORTEN_TOKEN_ENDPOINT": "https://test.maskinporten.no/token",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := settings.Validate(); !strings.Contains(message(err), "MASKINPORTEN_ISSUER is missing") {
		t.Errorf("got %v, want an error about MASKINPORTEN_ISSUER", err)
	}
	settings.Environment = "prod"
	if asked := askedFor(t, settings); asked != "https://maskinporten.no/token" {
		t.Errorf("got a request of %s, want https://maskinporten.no/token", asked)
	}
}
