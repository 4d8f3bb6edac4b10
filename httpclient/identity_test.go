package httpclient_test

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
)

const (
	file  = "appsettings.json"
	local = "appsettings.Local.json"
	vault = "https://v.vault.azure.net"
)

// A client id and a key of two layers, one of which has another id or key, may be of two
// clients. A warning says so before the first request, and a refusal repeats it.
func TestMixedIdentities(t *testing.T) {
	t.Parallel()
	jwk, other := keyFile(t, "client.jwk.json"), keyFile(t, "other.jwk.json")
	layer := func(name string, overrode ...string) httpclient.Origin {
		return httpclient.Origin{Source: "from " + name, Layer: name, Overrode: overrode}
	}
	ordered := func(order int, name string, overrode ...string) httpclient.Origin {
		origin := layer(name, overrode...)
		origin.Order = order
		return origin
	}
	const both = "check ClientId (from appsettings.json) and EncodedJwk (from https://v.vault.azure.net), which may be of two clients: "
	for name, c := range map[string]struct {
		origins map[string]httpclient.Origin
		changes map[string]any
		want    string
	}{
		// False alarms.
		"an id in a file, a key in the vault":          {map[string]httpclient.Origin{"ClientId": layer(file), "EncodedJwk": layer(vault)}, nil, ""},
		"both of one layer, over another's":            {map[string]httpclient.Origin{"ClientId": layer(vault, file), "EncodedJwk": layer(vault, file)}, nil, ""},
		"another file's id gave way, the key is alone": {map[string]httpclient.Origin{"ClientId": layer(local, file), "EncodedJwk": layer(vault)}, nil, ""},
		"another file's key gave way, the id is alone": {map[string]httpclient.Origin{"ClientId": layer(local), "EncodedJwk": layer(vault, file)}, nil, ""},
		"the same key, as Jwk too":                     {map[string]httpclient.Origin{"ClientId": layer(file), "EncodedJwk": layer(vault), "Jwk": layer(file)}, map[string]any{"Jwk": jwk}, ""},
		"a Jwk that is not a key":                      {map[string]httpclient.Origin{"ClientId": layer(file), "EncodedJwk": layer(vault), "Jwk": layer(file)}, map[string]any{"Jwk": "{}"}, ""},
		"another Jwk, of the key's layer":              {map[string]httpclient.Origin{"ClientId": layer(file), "EncodedJwk": layer(vault), "Jwk": layer(vault)}, map[string]any{"Jwk": other}, ""},
		"nothing is known":                             {nil, nil, ""},
		"an object of several layers, one the id's":    {map[string]httpclient.Origin{"ClientId": layer(file), "Jwk": layer(file+", "+vault, file)}, map[string]any{"EncodedJwk": "", "Jwk": jwk}, ""},
		// Mixed up.
		"the key's layer has another id":      {map[string]httpclient.Origin{"ClientId": layer(file, vault), "EncodedJwk": layer(vault)}, nil, both + "https://v.vault.azure.net has another ClientId"},
		"the key's layer has one of two ids":  {map[string]httpclient.Origin{"ClientId": layer(file, local, vault), "EncodedJwk": layer(vault)}, nil, both + "https://v.vault.azure.net has another ClientId"},
		"the id's layer has another key":      {map[string]httpclient.Origin{"ClientId": layer(file), "EncodedJwk": layer(vault, file)}, nil, both + "appsettings.json has another key"},
		"the id's layer has another Jwk":      {map[string]httpclient.Origin{"ClientId": layer(file), "EncodedJwk": layer(vault), "Jwk": layer(file)}, map[string]any{"Jwk": other}, both + "appsettings.json has another key, in Jwk"},
		"the id's layer had another Jwk":      {map[string]httpclient.Origin{"ClientId": layer(file), "EncodedJwk": layer(vault), "Jwk": layer(vault, file)}, map[string]any{"Jwk": other}, both + "appsettings.json has another key, in Jwk"},
		"an object of several, and other ids": {map[string]httpclient.Origin{"ClientId": layer(file, vault), "Jwk": layer(local + ", " + vault)}, map[string]any{"EncodedJwk": "", "Jwk": jwk}, "check ClientId (from appsettings.json) and Jwk (from appsettings.Local.json, https://v.vault.azure.net), which may be of two clients: https://v.vault.azure.net has another ClientId"},
		// Keys of earlier sources, in another form.
		"the id's layer has a Jwks that gave way": {
			map[string]httpclient.Origin{"ClientId": ordered(1, file), "Jwks": ordered(1, file), "EncodedJwk": ordered(2, vault)},
			map[string]any{"Jwks": "[" + other + "]"},
			both + "appsettings.json has another key, in Jwks",
		},
		"the id's layer has a Jwks with one more key": {
			map[string]httpclient.Origin{"ClientId": ordered(1, file), "Jwks": ordered(1, file), "EncodedJwk": ordered(2, vault)},
			map[string]any{"Jwks": "[" + jwk + "," + other + "]"},
			both + "appsettings.json has another key, in Jwks",
		},
		"the id's layer has a key by another spelling": {
			map[string]httpclient.Origin{"ClientId": ordered(1, file), "JwkBase64": ordered(1, file), "EncodedJwk": ordered(2, vault)},
			map[string]any{"JwkBase64": encoded(other)},
			both + "appsettings.json has another key",
		},
		"the id's layer had a key by another spelling": {
			map[string]httpclient.Origin{"ClientId": ordered(1, local), "JwkBase64": ordered(2, vault, local), "EncodedJwk": ordered(4, file)},
			map[string]any{"JwkBase64": encoded(other)},
			"check ClientId (from appsettings.Local.json) and EncodedJwk (from appsettings.json), which may be of two clients: appsettings.Local.json has another key",
		},
		"the id's layer has the same key in Jwks": {
			map[string]httpclient.Origin{"ClientId": ordered(1, file), "Jwks": ordered(1, file), "EncodedJwk": ordered(2, vault)},
			map[string]any{"Jwks": "[" + jwk + "]"},
			"",
		},
		"another layer has a Jwks that gave way": {
			map[string]httpclient.Origin{"ClientId": ordered(1, file), "Jwks": ordered(2, local), "EncodedJwk": ordered(3, vault)},
			map[string]any{"Jwks": "[" + other + "]"},
			"",
		},
		"the id's layer has a certificate that gave way": {
			map[string]httpclient.Origin{"ClientId": ordered(1, file), "CertificatePkcs12Path": ordered(1, file), "EncodedJwk": ordered(2, vault)},
			map[string]any{"CertificatePkcs12Path": "no.p12"},
			both + "appsettings.json has another key, in CertificatePkcs12Path",
		},
		"Jwks of a later layer, whose id gave way": {
			map[string]httpclient.Origin{"ClientId": ordered(3, file, vault), "EncodedJwk": ordered(1, local), "Jwks": ordered(2, vault)},
			map[string]any{"EncodedJwk": "%", "Jwks": "[" + jwk + "]"},
			"check ClientId (from appsettings.json) and Jwks (from https://v.vault.azure.net), which may be of two clients: https://v.vault.azure.net has another ClientId",
		},
		"by another spelling": {
			map[string]httpclient.Origin{"clientid": layer(file, vault), "JwkBase64": layer(vault)},
			map[string]any{"ClientId": "", "clientid": "maskinportentest-client", "EncodedJwk": "", "JwkBase64": encoded(jwk)},
			"check clientid (from appsettings.json) and JwkBase64 (from https://v.vault.azure.net), which may be of two clients: https://v.vault.azure.net has another ClientId",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newDouble(t, builtIn)
			var out logs
			s := httpclient.MaskinportenSettings{Origin: func(key string) httpclient.Origin { return c.origins[key] }}
			section := srv.Section()
			maps.Copy(section, c.changes)
			if err := s.Parse(section); err != nil {
				t.Fatal(err)
			}
			source, err := httpclient.NewTokenSource(s, httpclient.WithLogger(out.logger(slog.LevelWarn)), httpclient.WithTokenTransport(srv.Transport()))
			if err != nil {
				t.Fatal(err)
			}
			defer source.Close()
			if n := strings.Count(out.String(), "two clients"); (n == 1) != (c.want != "") || n > 1 || !strings.Contains(out.String(), c.want) {
				t.Errorf("got log %s, want one warning %q", out.String(), c.want)
			}
			for _, refusal := range []struct {
				code, words string
				about       bool // the client or the key
			}{
				{"invalid_client", "Client not found", true},
				{"invalid_grant", "Unknown key identifier (kid) for client", true},
				{"invalid_grant", "Invalid signature", true},
				{"invalid_client", "no", true},
				{"invalid_grant", "no", true},
				{"invalid_grant", "Invalid JWT claim aud", false},
				{"invalid_scope", "Invalid scope", false},
			} {
				srv.Faults.Add(faulttest.Fault{Match: toToken, Status: 400, Body: fmt.Sprintf(`{"error":%q,"error_description":%q}`, refusal.code, refusal.words)})
				source, err := httpclient.NewTokenSource(s, httpclient.WithLogger(out.logger(slog.LevelError)), httpclient.WithTokenTransport(srv.Transport()))
				if err != nil {
					t.Fatal(err)
				}
				_, err = source.Token(t.Context())
				source.Close()
				var failed *httpclient.TokenError
				if !errors.As(err, &failed) || (failed.Hint == c.want) != (c.want != "" && refusal.about) || strings.Contains(failed.Hint, "two clients") != (c.want != "" && refusal.about) {
					t.Errorf("%s: got %v, want the hint %q: %t", refusal.words, err, c.want, refusal.about)
				}
			}
		})
	}
}
