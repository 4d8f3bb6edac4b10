package httpclient_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// Each form of the variables names the same endpoint, and Texas comes before the key.
func TestTexasVariables(t *testing.T) {
	t.Parallel()
	jwk := compact(t, keyFile(t, "client.jwk.json"))
	for name, c := range map[string]struct {
		changes map[string]string
		texas   int // requests
	}{
		"NAIS":                {nil, 1},
		"SKIP":                {map[string]string{"NAIS_TOKEN_ENDPOINT": "", "TEXAS_URL": "URL"}, 1},
		"with a slash":        {map[string]string{"NAIS_TOKEN_ENDPOINT": "", "TEXAS_URL": "URL/\n"}, 1},
		"the whole address":   {map[string]string{"NAIS_TOKEN_ENDPOINT": " ", "TEXAS_URL": "URL/api/v1/token"}, 1},
		"NAIS's before":       {map[string]string{"TEXAS_URL": "http://127.0.0.1:1"}, 1},
		"only Texas":          {map[string]string{"MASKINPORTEN_CLIENT_ID": "", "MASKINPORTEN_ISSUER": ""}, 1},
		"Texas before a key":  {map[string]string{"MASKINPORTEN_CLIENT_JWK": jwk, "MASKINPORTEN_TOKEN_ENDPOINT": "https://elsewhere.example/token"}, 1},
		"a key without Texas": {map[string]string{"MASKINPORTEN_CLIENT_JWK": jwk, "NAIS_TOKEN_ENDPOINT": ""}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			texas := newTexas(t, newDouble(t))
			for key, value := range c.changes {
				c.changes[key] = strings.ReplaceAll(value, "URL", texas.URL())
			}
			settings := texasSettings(t, variables(texas, c.changes), nil)
			if err := settings.Validate(); err != nil {
				t.Error(err)
			}
			source, err := httpclient.NewTokenSource(settings, httpclient.WithTokenTransport(texas.Transport()))
			if err != nil {
				t.Fatal(err)
			}
			defer source.Close()
			if _, err := source.Token(t.Context()); err != nil {
				t.Error(err)
			}
			if got := texas.Stats().Requests; got != c.texas {
				t.Errorf("got %d requests to Texas, want %d", got, c.texas)
			}
		})
	}
}

// The issuer that NAIS names tells which platform exchanges the tokens.
func TestTexasPlatformByIssuer(t *testing.T) {
	t.Parallel()
	srv := newDouble(t, builtIn, maskinportentest.WithPlatform("https://platform.tt02.altinn.no"))
	source := texasSource(t, newTexas(t, srv), map[string]any{"ExhangeToAltinnToken": true})
	if token, err := source.Token(t.Context()); err != nil || !token.IsAltinn() {
		t.Errorf("got %v and error %v, want an Altinn token", token, err)
	}
}

func TestTexasSettings(t *testing.T) {
	t.Parallel()
	const prefix = "httpclient: "
	const holds = ", or hide NAIS_TOKEN_ENDPOINT from FromNAIS: Texas signs with a key that it holds itself"
	jwk := keyFile(t, "client.jwk.json")
	for name, c := range map[string]struct {
		variables map[string]string
		changes   map[string]any
		opts      []httpclient.Option
		want      string
	}{
		"a key":         {changes: map[string]any{"EncodedJwk": encoded(jwk)}, want: prefix + "remove EncodedJwk" + holds},
		"two keys":      {changes: map[string]any{"Jwk": jwk, "EncodedX509": "AAAA"}, want: prefix + "remove Jwk and EncodedX509" + holds},
		"a file":        {changes: map[string]any{"CertificatePkcs12Path": "client.p12"}, want: prefix + "remove CertificatePkcs12Path" + holds},
		"a key source":  {opts: []httpclient.Option{httpclient.WithKeySource(keys())}, want: prefix + "remove WithKeySource" + holds},
		"another's":     {changes: map[string]any{"ConsumerOrgNo": "889640782"}, want: prefix + "remove ConsumerOrgNo, or sign with a key of your own: Texas cannot pass it on"},
		"plain http":    {variables: map[string]string{"NAIS_TOKEN_ENDPOINT": "http://texas:3000/api/v1/token"}, opts: []httpclient.Option{httpclient.InsecureAllowHTTP()}, want: prefix + `NAIS_TOKEN_ENDPOINT is "http://texas:3000/api/v1/token": use https; plain http would show the token to the network`},
		"by another":    {variables: map[string]string{"NAIS_TOKEN_ENDPOINT": "", "TEXAS_URL": "http://texas:3000"}, want: prefix + `TEXAS_URL is "http://texas:3000/api/v1/token": use https; plain http would show the token to the network`},
		"not a URL":     {variables: map[string]string{"NAIS_TOKEN_ENDPOINT": "127.0.0.1:7164"}, want: prefix + "NAIS_TOKEN_ENDPOINT is not a URL"},
		"no platform":   {variables: map[string]string{"MASKINPORTEN_ISSUER": ""}, changes: map[string]any{"ExhangeToAltinnToken": true}, want: prefix + `TokenExchangeEnvironment is missing: set it to "tt02", "prod" or the platform's base URL, or turn off ExhangeToAltinnToken: the issuer is not named`},
		"a wrong id":    {variables: map[string]string{"MASKINPORTEN_CLIENT_ID": "a b"}, want: prefix + "MASKINPORTEN_CLIENT_ID has a character that no client id has: letters, digits and . _ : @ ~ = + / # - are possible"},
		"a wrong value": {changes: map[string]any{"Scope": `"`}, want: prefix + "Scope has a character that no scope can have"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			texas := newTexas(t, newDouble(t))
			settings := texasSettings(t, variables(texas, c.variables), c.changes)
			source, err := httpclient.NewTokenSource(settings, c.opts...)
			if err == nil {
				source.Close()
			}
			if message(err) != c.want {
				t.Errorf("got\n%v\nwant\n%s", err, c.want)
			}
		})
	}
}

// A scope is required, in the settings or by request.
func TestTexasWithoutScope(t *testing.T) {
	t.Parallel()
	texas := newTexas(t, newDouble(t))
	source, err := httpclient.NewTokenSource(texasSettings(t, variables(texas, map[string]string{"MASKINPORTEN_SCOPES": "", "MASKINPORTEN_CLIENT_ID": ""}), nil),
		httpclient.WithTokenTransport(texas.Transport()))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if _, err := source.Token(t.Context()); !errors.Is(err, httpclient.ErrMissing) || !strings.Contains(message(err), "MASKINPORTEN_SCOPES is missing") || texas.Stats().Requests != 0 {
		t.Errorf("got %v after %d requests, want an error about MASKINPORTEN_SCOPES after 0", err, texas.Stats().Requests)
	}
	if _, err := source.Token(httpclient.ContextWithScope(t.Context(), scope)); err != nil {
		t.Error(err)
	}
	if got, want := fmt.Sprint(source), "httpclient.TokenSource(Texas)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTexasWarnings(t *testing.T) {
	t.Parallel()
	var out logs
	source := texasSource(t, newTexas(t, newDouble(t)), map[string]any{"Kid": "a"}, httpclient.WithLogger(out.logger(0)))
	httpclient.Flush(source)
	if want := "Kid has no effect beside Texas"; !strings.Contains(out.String(), want) {
		t.Errorf("got this, want %q:\n%s", want, out.String())
	}
}
