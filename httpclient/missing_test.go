package httpclient_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/portnokkel/portnokkel/httpclient"
)

// lacking tells of each setting what is there in its place.
func lacking(instead map[string]string) func(string) httpclient.Origin {
	return func(key string) httpclient.Origin {
		o := httpclient.Origin{Instead: instead[key]}
		if strings.ContainsAny(key, "-_") {
			o.Source = "appsettings.json"
		}
		return o
	}
}

// An error about a missing setting tells what is there in its place: a key that is
// spelt otherwise, and what the provider knows.
func TestMissingSettings(t *testing.T) {
	t.Parallel()
	const key = "EncodedJwk is missing: set it to the base64 of the client's private JWK (or set EncodedX509 or CertificatePkcs12Path)"
	for name, c := range map[string]struct {
		changes map[string]any // nil: the setting is not there
		origin  func(string) httpclient.Origin
		want    string
	}{
		"nothing in its place":       {map[string]any{"ClientId": nil}, nil, "ClientId is missing: set it to the client's id in Maskinporten"},
		"other separators":           {map[string]any{"ClientId": nil, "Client-Id": "id"}, lacking(nil), "ClientId is missing: rename Client-Id (appsettings.json) to ClientId"},
		"other separators and case":  {map[string]any{"ClientId": nil, "client_id": "id"}, nil, "ClientId is missing: rename client_id to ClientId"},
		"misspelt":                   {map[string]any{"ClientId": nil, "ClietId": "id"}, nil, "ClientId is missing: set it to the client's id in Maskinporten - ClietId is not a setting"},
		"what the provider knows":    {map[string]any{"ClientId": nil}, lacking(map[string]string{"ClientId": "the secret X is disabled"}), "ClientId is missing: set it to the client's id in Maskinporten - the secret X is disabled"},
		"both":                       {map[string]any{"ClientId": nil, "Clientd": 1}, lacking(map[string]string{"ClientId": "the secret X is disabled"}), "ClientId is missing: set it to the client's id in Maskinporten - Clientd is not a setting; the secret X is disabled"},
		"renamed, and more is known": {map[string]any{"ClientId": nil, "Client-Id": 1}, lacking(map[string]string{"ClientId": "the secret X is disabled"}), "ClientId is missing: rename Client-Id (appsettings.json) to ClientId - the secret X is disabled"},
		"found by both":              {map[string]any{"ClientId": nil, "Client-Id": 1}, lacking(map[string]string{"ClientId": "the secret A--Client-Id is there; looked for a"}), "ClientId is missing: rename Client-Id (appsettings.json) to ClientId - looked for a"},
		"a key of another kind":      {map[string]any{"EncodedJwk": nil, "Encoded-X509": "x"}, lacking(nil), "EncodedJwk is missing: rename Encoded-X509 (appsettings.json) to EncodedX509"},
		"a key by its other name":    {map[string]any{"EncodedJwk": nil, "jwk_base64": "x"}, lacking(nil), "EncodedJwk is missing: rename jwk_base64 (appsettings.json) to JwkBase64"},
		"keys of all kinds": {
			map[string]any{"EncodedJwk": nil},
			lacking(map[string]string{"EncodedJwk": "a", "Jwk": "b", "EncodedX509": "a", "CertificatePkcs12Path": "c"}), key + " - a; b; c",
		},
		"the names of one of the keys": {
			map[string]any{"EncodedJwk": nil},
			lacking(map[string]string{"EncodedJwk": "looked for a", "Jwk": "looked for b", "EncodedX509": "looked for c"}), key + " - looked for a",
		},
		"the names of the one that is near": {
			map[string]any{"EncodedJwk": nil},
			lacking(map[string]string{"EncodedJwk": "looked for a", "Jwk": "the secret B is disabled; looked for b", "EncodedX509": "the secret B is disabled; and C; looked for c"}),
			key + " - the secret B is disabled; and C; looked for b",
		},
		"a disabled secret of the key's other name": {
			map[string]any{"EncodedJwk": nil},
			lacking(map[string]string{"EncodedJwk": "looked for a", "JwkBase64": "the secret B is disabled: enable it; looked for b"}), key + " - the secret B is disabled: enable it; looked for b",
		},
		"the environment": {
			map[string]any{"Environment": nil, "Env-ironment": "test"},
			lacking(map[string]string{"Authority": "b"}), "Environment is missing: rename Env-ironment (appsettings.json) to Environment - b",
		},
		"half an enterprise user": {
			map[string]any{"ExhangeToAltinnToken": true, "EnterpriseUserName": "u", "Enterprise_User_Password": "p"},
			nil,
			"EnterpriseUserPassword is missing: rename Enterprise_User_Password to EnterpriseUserPassword",
		},
		"the platform": {
			map[string]any{"Environment": "https://i.example", "ExhangeToAltinnToken": true},
			lacking(map[string]string{"TokenExchangeEnvironment": "x"}),
			`TokenExchangeEnvironment is missing: set it to "tt02", "prod" or the platform's base URL, or turn off ExhangeToAltinnToken: the issuer is not Maskinporten's own - x`,
		},
		"a key that is a key": {map[string]any{"ClientId": nil, keyFile(t, "client.jwk.json"): "id"}, nil, "ClientId is missing: set it to the client's id in Maskinporten"},
		"nothing like it":     {map[string]any{"ClientId": nil, "Logging": "x", "Kidd": "k"}, nil, "ClientId is missing: set it to the client's id in Maskinporten"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			section := map[string]any{"Environment": "test", "ClientId": "id", "EncodedJwk": encoded(keyFile(t, "client.jwk.json"))}
			for key, value := range c.changes {
				section[key] = value
			}
			s := httpclient.MaskinportenSettings{Origin: c.origin}
			if err := s.Parse(section); err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(); message(err) != "httpclient: "+c.want || !errors.Is(err, httpclient.ErrMissing) {
				t.Errorf("got  %v\nwant httpclient: %s", err, c.want)
			}
		})
	}
}

// A request without a scope is told what stands in the place of Scope.
func TestMissingScope(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	s := httpclient.MaskinportenSettings{Origin: lacking(map[string]string{"Scope": "the secret X is disabled"})}
	section := srv.Section()
	delete(section, "Scope")
	section["Sco-pe"] = scope
	if err := s.Parse(section); err != nil {
		t.Fatal(err)
	}
	var out logs
	source, err := httpclient.NewTokenSource(s, httpclient.WithLogger(out.logger(slog.LevelWarn)))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	const want = "httpclient: Scope is missing: rename Sco-pe (appsettings.json) to Scope - the secret X is disabled"
	if _, err := source.Token(t.Context()); message(err) != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if want := "Sco-pe (appsettings.json): unknown setting, ignored; did you mean Scope?"; strings.Count(out.String(), want) != 1 {
		t.Errorf("got no warning, want %q once, since the settings are valid:\n%s", want, out.String())
	}
}

// A key of a section that is a secret itself is not shown.
func TestUnknownKeyThatIsASecret(t *testing.T) {
	t.Parallel()
	var out logs
	s := settingsOf(t, newDouble(t), nil)
	s.Origin = func(key string) httpclient.Origin { return httpclient.Origin{Source: "argument --" + key} }
	if err := s.Parse(map[string]any{keyFile(t, "client.jwk.json"): "x", strings.Repeat("k", 101): "y"}); err != nil {
		t.Fatal(err)
	}
	source, err := httpclient.NewTokenSource(s, httpclient.WithLogger(out.logger(slog.LevelWarn)))
	if err != nil {
		t.Fatal(err)
	}
	source.Close()
	for _, want := range []string{"a key of 101 characters: unknown setting, ignored", " characters: unknown setting, ignored"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got no warning, want %q:\n%s", want, out.String())
		}
	}
	if shows(out.String(), keyFile(t, "client.jwk.json")) {
		t.Errorf("got the key shown, want it hidden:\n%s", out.String())
	}
}
