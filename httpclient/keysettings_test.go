package httpclient_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/portnokkel/portnokkel/httpclient"
)

// object is a JSON text as a settings file's reader gives it.
func object(t testing.TB, text string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// Every shape in which several keys may be written leads to a token: by the second key if
// the first one is not registered.
func TestJwksShapes(t *testing.T) {
	t.Parallel()
	newest, previous := keyFile(t, "other.jwk.json"), jwkWith(t, map[string]any{"alg": "RS512"})
	array := "[" + newest + "," + previous + "]"
	set := `{"keys":` + array + `}`
	public := `{"keys":[` + jwkWith(t, publicOnly) + "," + newest + "," + previous + `]}`
	elliptic := `{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},` + newest + "," + previous + `]}`
	registered := clientKey(t)
	registered.Algorithm = "RS512"
	for name, changes := range map[string]map[string]any{
		"an object":            {"Jwks": object(t, set)},
		"a list":               {"Jwks": object(t, array)},
		"a list of maps":       {"jwks": []map[string]any{object(t, newest).(map[string]any), object(t, previous).(map[string]any)}},
		"a set as text":        {"Jwks": set},
		"an array as text":     {"JWKS": array},
		"base64":               {"Jwks": encoded(set)},
		"in EncodedJwk":        {"EncodedJwk": encoded(set)},
		"in Jwk":               {"Jwk": object(t, set)},
		"public keys among it": {"Jwks": public},
		"a public EC key":      {"Jwks": elliptic},
		"one key":              {"Jwks": object(t, previous)},
		"beside the same Jwk":  {"Jwks": object(t, set), "Jwk": object(t, newest)},
		"beside all the same":  {"Jwks": object(t, set), "Jwk": object(t, newest), "EncodedJwk": encoded(previous)},
		"beside no key":        {"Jwks": object(t, set), "Jwk": "{}"},
		"beside an EC key":     {"Jwks": object(t, set), "Jwk": keyFile(t, "ec.jwk.json")},
		"beside an empty Jwk":  {"Jwks": object(t, set), "Jwk": map[string]any{}},
		"empty, beside a key":  {"Jwks": map[string]any{}, "EncodedJwk": encoded(previous)},
		"an empty list":        {"Jwks": []any{}, "EncodedJwk": encoded(previous)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := map[string]any{"EncodedJwk": ""}
			maps.Copy(whole, changes)
			srv := newDouble(t, withKey(registered))
			if _, err := sourceOf(t, srv, whole).Token(t.Context()); err != nil {
				t.Errorf("got %v, want a token", err)
			}
			if header := srv.Stats().LastAssertion.Header; header["kid"] != "for-tests-only" || header["alg"] != "RS512" || len(header) != 2 {
				t.Errorf("got header %v, want only the previous key's id and algorithm", header)
			}
		})
	}
}

// The file that Altinn's platform mounts holds the newest key twice, and a certificate
// of each, which is not sent.
func TestAltinnsMountedKeys(t *testing.T) {
	t.Parallel()
	from := time.Now().Add(-24 * time.Hour).Truncate(time.Second)
	altinn := func(kid, jwk string) map[string]any {
		key := object(t, jwk).(map[string]any)
		key["kid"], key["alg"], key["x5c"], key["exp"], key["use"] = kid, "RS512", selfSigned(t, from, from.Add(720*time.Hour)), float64(from.Add(720*time.Hour).Unix()), "sig"
		return key
	}
	newest, previous := altinn("uuid.2", jwkWith(t, nil)), altinn("uuid.1", keyFile(t, "other.jwk.json"))
	registered := clientKey(t)
	registered.KeyID, registered.Algorithm = "uuid.2", "RS512"
	srv := newDouble(t, withKey(registered))
	var out logs
	source := sourceOf(t, srv, map[string]any{"EncodedJwk": nil, "Jwk": newest, "Jwks": map[string]any{"keys": []any{newest, previous}}}, httpclient.WithLogger(out.logger(0)))
	if _, err := source.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	if header := srv.Stats().LastAssertion.Header; header["kid"] != "uuid.2" || header["alg"] != "RS512" || len(header) != 2 {
		t.Errorf("got header %v, want the newest key's id and algorithm, and no certificate", header)
	}
	httpclient.Flush(source)
	if out.String() != "" {
		t.Errorf("got log %s, want nothing: the key ends in 29 days, which is most of its life", out.String())
	}
}

func TestRefusedSets(t *testing.T) {
	t.Parallel()
	one, two := keyFile(t, "client.jwk.json"), keyFile(t, "other.jwk.json")
	set := object(t, `{"keys":[`+one+","+two+`]}`)
	for name, c := range map[string]struct {
		section map[string]any
		want    string
	}{
		"an empty set":        {map[string]any{"Jwks": map[string]any{"keys": []any{}}}, "Jwks holds no key"},
		"a list of texts":     {map[string]any{"Jwks": []any{"a"}}, "Jwks holds no key"},
		"only public keys":    {map[string]any{"Jwks": "[" + jwkWith(t, publicOnly) + "]"}, `Jwks is a public key (member "d" is missing): export the private key`},
		"another Jwk":         {map[string]any{"Jwks": "[" + two + "]", "Jwk": one}, "Jwks and Jwk each hold a key: keep one of them"},
		"another EncodedJwk":  {map[string]any{"Jwks": "[" + two + "]", "EncodedJwk": encoded(one)}, "Jwks and EncodedJwk each hold a key: keep one of them"},
		"a larger EncodedJwk": {map[string]any{"Jwks": "[" + two + "]", "EncodedJwk": encoded("[" + two + "," + one + "]")}, "Jwks and EncodedJwk each hold a key: keep one of them"},
		"wrong, beside a Jwk": {map[string]any{"Jwks": "[" + two, "Jwk": one}, "Jwks is not whole JSON: it may have been cut; set it again"},
		"beside a certificate": {map[string]any{"Jwks": "[" + two + "]", "EncodedX509": "%"}, "Jwks and EncodedX509 each hold a key: keep one of them\n" +
			"httpclient: EncodedX509 is not base64: set it to the base64 of a PKCS#12 archive (.p12, .pfx)"},
		"Kid of two keys":      {map[string]any{"Jwks": set, "kid": "k"}, `kid names one key, but Jwks holds 2: remove kid, and give each key its id (member "kid")`},
		"two keys without ids": {map[string]any{"Jwks": "[" + jwkWith(t, map[string]any{"kid": nil}) + "," + two + "]"}, `Jwks holds a private key, number 1, that has no key id (member "kid"): add the id that it is registered under`},
		"a token as key id": {
			map[string]any{"Jwks": "[" + two + "," + jwkWith(t, map[string]any{"kid": strings.Repeat("x", 300)}) + "]"},
			"Jwks holds a private key, number 2, that has a key id that is a text of 300 characters: at most 200 are possible, so that it may be a secret in the wrong place",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := map[string]any{"Environment": "test", "ClientId": "id", "Scope": "s"}
			maps.Copy(whole, c.section)
			s, err := httpclient.ParseSettings(whole)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(); message(err) != "httpclient: "+c.want {
				t.Errorf("got  %v\nwant httpclient: %s", err, c.want)
			}
		})
	}
	for value, want := range map[any]string{1.5: "httpclient: Jwks is a number: write it as a text", true: "httpclient: Jwks is a boolean, not a text"} {
		if _, err := httpclient.ParseSettings(map[string]any{"Jwks": value}); message(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := httpclient.ParseSettings(map[string]any{"EncodedJwk": set}); message(err) != "httpclient: EncodedJwk is a section, not a text" {
		t.Errorf("got %v, want an error about a section", err)
	}
}

func TestParseJWKS(t *testing.T) {
	t.Parallel()
	one, two := keyFile(t, "client.jwk.json"), keyFile(t, "other.jwk.json")
	got, err := httpclient.ParseJWKS(encoded(`{"keys":[` + two + "," + one + `]}`))
	if err != nil || fmt.Sprint(got) != "[key other-for-tests-only (RS256) key for-tests-only (RS256)]" {
		t.Errorf("got %v and error %v, want both keys in their order", got, err)
	}
	if got, err := httpclient.ParseJWKS(one); err != nil || len(got) != 1 {
		t.Errorf("got %v and error %v, want one key", got, err)
	}
	if got, err := httpclient.ParseJWKS("%CANARY%"); got != nil || message(err) != "httpclient: the JWK Set is not base64: set it to the base64 of the client's private JWK" {
		t.Errorf("got %v and error %v, want an error about base64", got, err)
	}
	if _, err := httpclient.ParseJWK("["+one+","+two+"]", ""); message(err) != "httpclient: the JWK is a set with more than one private key: use ParseJWKS" {
		t.Errorf("got %v, want an error about several keys", err)
	}
}

// The latest source that brings a key wins, in whichever form, and what earlier ones have
// is not used.
func TestLatestSourceOfAKeyWins(t *testing.T) {
	t.Parallel()
	one, two := keyFile(t, "client.jwk.json"), keyFile(t, "other.jwk.json")
	leaf, authorities := enterprise(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	certificate := certificateSetting(t, leaf, authorities)
	path := filepath.Join(t.TempDir(), "x.p12")
	if err := os.WriteFile(path, archive(t, pkcs12.Modern, leaf.key, leaf.cert, authorities, "pw"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		section map[string]any
		orders  map[string]int
		want    string // the key ids that signed, or the error
	}{
		"Jwks over EncodedJwk":       {map[string]any{"Jwks": two, "EncodedJwk": encoded(one)}, map[string]int{"Jwks": 2, "EncodedJwk": 1}, "other-for-tests-only"},
		"EncodedJwk over Jwks":       {map[string]any{"Jwks": two, "EncodedJwk": encoded(one)}, map[string]int{"Jwks": 1, "EncodedJwk": 2}, "for-tests-only"},
		"Jwk over EncodedJwk":        {map[string]any{"Jwk": two, "EncodedJwk": encoded(one)}, map[string]int{"Jwk": 2, "EncodedJwk": 1}, "other-for-tests-only"},
		"Jwk over all":               {map[string]any{"Jwk": two, "EncodedJwk": "%", "Jwks": "%", "EncodedX509": "%", "CertificatePkcs12Path": "no.p12"}, map[string]int{"Jwk": 9, "EncodedJwk": 1, "Jwks": 2, "EncodedX509": 3, "CertificatePkcs12Path": 4}, "other-for-tests-only"},
		"JwkBase64, by its spelling": {map[string]any{"JwkBase64": encoded(one), "Jwks": two}, map[string]int{"JwkBase64": 5, "Jwks": 3}, "for-tests-only"},
		"a certificate over a JWK":   {map[string]any{"EncodedX509": certificate, "EncodedJwk": encoded(one)}, map[string]int{"EncodedX509": 2, "EncodedJwk": 1}, "<nil>"},
		"a file over a certificate":  {map[string]any{"EncodedX509": "%", "CertificatePkcs12Path": path, "CertificatePkcs12Password": "pw"}, map[string]int{"EncodedX509": 1, "CertificatePkcs12Path": 2}, "<nil>"},
		"a JWK over a certificate":   {map[string]any{"EncodedX509": certificate, "EncodedJwk": encoded(one)}, map[string]int{"EncodedX509": 1, "EncodedJwk": 2}, "for-tests-only"},
		"in one source, the same":    {map[string]any{"Jwk": two, "Jwks": "[" + two + "," + one + "]", "EncodedJwk": "%"}, map[string]int{"Jwk": 3, "Jwks": 3, "EncodedJwk": 2}, "other-for-tests-only for-tests-only"},
		"in one source, others":      {map[string]any{"Jwk": two, "Jwks": one}, map[string]int{"Jwk": 3, "Jwks": 3}, "httpclient: Jwks and Jwk each hold a key: keep one of them"},
		"one order is unknown":       {map[string]any{"Jwk": two, "Jwks": one}, map[string]int{"Jwks": 3}, "httpclient: Jwks and Jwk each hold a key: keep one of them"},
		"an unknown one stays":       {map[string]any{"Jwk": two, "Jwks": one, "EncodedX509": "%"}, map[string]int{"Jwks": 3, "EncodedX509": 2}, "httpclient: Jwks and Jwk each hold a key: keep one of them"},
		"a later spelling":           {map[string]any{"EncodedJwk": encoded(one), "JwkBase64": encoded(two)}, map[string]int{"EncodedJwk": 1, "JwkBase64": 2}, "other-for-tests-only"},
		"an earlier spelling":        {map[string]any{"EncodedJwk": encoded(one), "JwkBase64": encoded(two)}, map[string]int{"EncodedJwk": 2, "JwkBase64": 1}, "for-tests-only"},
		"a later, blank spelling":    {map[string]any{"EncodedJwk": encoded(one), "JwkBase64": " "}, map[string]int{"EncodedJwk": 1, "JwkBase64": 2}, "for-tests-only"},
		"a spelling of one source":   {map[string]any{"EncodedJwk": "%", "JwkBase64": encoded(two)}, map[string]int{"EncodedJwk": 2, "JwkBase64": 2}, "httpclient: EncodedJwk and JwkBase64 contradict one another: keep one of themother-for-tests-only"},
		"a spelling of no order":     {map[string]any{"EncodedJwk": "%", "JwkBase64": encoded(two)}, map[string]int{"JwkBase64": 2}, "httpclient: EncodedJwk and JwkBase64 contradict one another: keep one of themother-for-tests-only"},
		"spellings of another kind":  {map[string]any{"EncodedJwk": encoded(one), "ExhangeToAltinnToken": false, "ExchangeToAltinnToken": true}, map[string]int{"ExhangeToAltinnToken": 2, "ExchangeToAltinnToken": 1}, "httpclient: ExchangeToAltinnToken and ExhangeToAltinnToken contradict one another: keep one of themfor-tests-only"},
		"no order is known":          {map[string]any{"Jwk": two, "EncodedJwk": encoded(one)}, nil, "for-tests-only"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newDouble(t, builtIn)
			whole := map[string]any{"Environment": "test", "ClientId": srv.ClientID(), "Scope": scope}
			maps.Copy(whole, c.section)
			s := httpclient.MaskinportenSettings{Origin: func(key string) httpclient.Origin { return httpclient.Origin{Order: c.orders[key]} }}
			wrong := s.Parse(whole)
			var kids []string
			transport := roundTripper(func(r *http.Request) (*http.Response, error) {
				kids = append(kids, fmt.Sprint(assertionPart(t, r, 0)["kid"]))
				return body(http.StatusBadRequest, `{"error":"invalid_grant","error_description":"Unknown key identifier (kid) for client"}`, nil), nil
			})
			source, err := httpclient.NewTokenSource(s, httpclient.WithTokenTransport(transport), httpclient.WithLogger(slog.New(slog.DiscardHandler)))
			if err == nil {
				defer source.Close()
				_, _ = source.Token(t.Context())
			}
			if got := message(errors.Join(wrong, err)) + strings.Join(kids, " "); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// Kid belongs to the key beside it. It does not rename the key of a later source that has
// an id of its own.
func TestKidOfAnEarlierSource(t *testing.T) {
	t.Parallel()
	one, two := keyFile(t, "client.jwk.json"), keyFile(t, "other.jwk.json")
	nameless := jwkWith(t, map[string]any{"kid": nil})
	const file, mount, vault = "appsettings.json", "maskinporten-settings.json", "https://v.vault.azure.net"
	layers := map[string]int{file: 1, mount: 2, vault: 3}
	at := func(layer string, overrode ...string) httpclient.Origin {
		return httpclient.Origin{Source: layer, Layer: layer, Order: layers[layer], Overrode: overrode}
	}
	const unused = "httpclient: Kid (appsettings.json) is not used: it belongs to the key of its own source, and "
	for name, c := range map[string]struct {
		section map[string]any
		origins map[string]httpclient.Origin
		kid     string
		warning string
	}{
		"beside the key":                     {map[string]any{"EncodedJwk": one}, map[string]httpclient.Origin{"Kid": at(vault), "EncodedJwk": at(vault)}, "k", ""},
		"without another key":                {map[string]any{"EncodedJwk": one}, map[string]httpclient.Origin{"Kid": at(file), "EncodedJwk": at(vault)}, "k", ""},
		"of a later source":                  {map[string]any{"EncodedJwk": one}, map[string]httpclient.Origin{"Kid": at(vault), "EncodedJwk": at(mount, vault)}, "k", ""},
		"of a key of another form":           {map[string]any{"Jwks": one, "EncodedJwk": two}, map[string]httpclient.Origin{"Kid": at(file), "Jwks": at(mount), "EncodedJwk": at(file)}, "for-tests-only", unused + "Jwks (maskinporten-settings.json) is of a later one"},
		"of a key of another form before it": {map[string]any{"Jwks": one, "EncodedJwk": two}, map[string]httpclient.Origin{"Kid": at(file), "Jwks": at(vault), "EncodedJwk": at(mount, file)}, "for-tests-only", unused + "Jwks (https://v.vault.azure.net) is of a later one"},
		"of a key of the same form":          {map[string]any{"EncodedJwk": one}, map[string]httpclient.Origin{"Kid": at(file), "EncodedJwk": at(vault, file)}, "for-tests-only", unused + "EncodedJwk (https://v.vault.azure.net) is of a later one"},
		"of a key of another spelling":       {map[string]any{"EncodedJwk": one, "JwkBase64": two}, map[string]httpclient.Origin{"Kid": at(file), "EncodedJwk": at(vault), "JwkBase64": at(file)}, "for-tests-only", unused + "EncodedJwk (https://v.vault.azure.net) is of a later one"},
		"of another source's key":            {map[string]any{"EncodedJwk": one}, map[string]httpclient.Origin{"Kid": at(file), "EncodedJwk": at(vault, mount)}, "k", ""},
		"for a key without an id":            {map[string]any{"EncodedJwk": nameless}, map[string]httpclient.Origin{"Kid": at(file), "EncodedJwk": at(vault, file)}, "k", ""},
		"of an unknown order":                {map[string]any{"EncodedJwk": one}, map[string]httpclient.Origin{"Kid": {Layer: file}, "EncodedJwk": at(vault, file)}, "k", ""},
		"of two keys' source":                {map[string]any{"Jwks": "[" + one + "," + two + "]"}, map[string]httpclient.Origin{"Kid": at(file), "Jwks": at(mount, file)}, "for-tests-only", unused + "Jwks (maskinporten-settings.json) is of a later one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := map[string]any{"Environment": "test", "ClientId": "id", "Scope": "s", "Kid": "k"}
			maps.Copy(whole, c.section)
			s := httpclient.MaskinportenSettings{Origin: func(key string) httpclient.Origin { return c.origins[key] }}
			if err := s.Parse(whole); err != nil {
				t.Fatal(err)
			}
			var out logs
			var kid any
			source, err := httpclient.NewTokenSource(s, httpclient.WithLogger(out.logger(slog.LevelWarn)), httpclient.WithTokenTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
				kid = assertionPart(t, r, 0)["kid"]
				return tokenAnswer("t", 3600), nil
			})))
			if err != nil {
				t.Fatal(err)
			}
			defer source.Close()
			if _, err := source.Token(t.Context()); err != nil || kid != c.kid {
				t.Errorf("got key id %v and error %v, want %s", kid, err, c.kid)
			}
			if !strings.Contains(out.String(), c.warning) || (c.warning == "") != (out.String() == "") {
				t.Errorf("got log %s, want %q", out.String(), c.warning)
			}
		})
	}
}

// A key of parts of several sources is told, and a set of keys of several sources is
// refused.
func TestKeysOfSeveralSources(t *testing.T) {
	t.Parallel()
	one, two := keyFile(t, "client.jwk.json"), keyFile(t, "other.jwk.json")
	mixed := func(string) httpclient.Origin { return httpclient.Origin{Source: "a, b", Mixed: true} }
	s := httpclient.MaskinportenSettings{Environment: "test", ClientID: "id", Scope: "s", JWK: httpclient.NewSecret(one), Origin: mixed}
	var out logs
	source, err := httpclient.NewTokenSource(s, httpclient.WithLogger(out.logger(slog.LevelWarn)))
	if err != nil {
		t.Fatal(err)
	}
	source.Close()
	if want := "httpclient: Jwk (a, b) is made of parts of several sources: keep the key whole in one of them"; strings.Count(out.String(), want) != 1 {
		t.Errorf("got log %s, want %s", out.String(), want)
	}
	s.JWK, s.JWKS = httpclient.Secret{}, httpclient.NewSecret("["+one+","+two+"]")
	if err := s.Validate(); message(err) != "httpclient: Jwks (a, b) holds parts of several sources: keep the keys whole in one of them" {
		t.Errorf("got %v, want a refusal of keys of several sources", err)
	}
}

// A key that has ended is tried last, though the settings have it first.
func TestEndedKeyOfTheSettingsIsTriedLast(t *testing.T) {
	t.Parallel()
	ended := jwkWith(t, map[string]any{"kid": "ended", "exp": time.Now().Add(-time.Minute).Unix()})
	last := jwkWith(t, map[string]any{"kid": "last", "exp": time.Now().Add(time.Minute).Unix()})
	var kids []any
	s := httpclient.MaskinportenSettings{Environment: "test", ClientID: "id", Scope: "s", JWKS: httpclient.NewSecret("[" + ended + "," + keyFile(t, "other.jwk.json") + "," + last + "]")}
	source, err := httpclient.NewTokenSource(s, httpclient.WithLogger(slog.New(slog.DiscardHandler)), httpclient.WithTokenTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
		kids = append(kids, assertionPart(t, r, 0)["kid"])
		return body(http.StatusBadRequest, `{"error":"invalid_grant","error_description":"Unknown key identifier (kid) for client"}`, nil), nil
	})))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if _, err := source.Token(t.Context()); err == nil {
		t.Error("got a token, want a refusal")
	}
	if got := fmt.Sprint(kids); got != "[other-for-tests-only last ended]" {
		t.Errorf("got assertions by %s, want by the ended key last", got)
	}
}

// While Maskinporten does not know the newest key, the end of the one that signs is told.
func TestEndOfThePreviousKey(t *testing.T) {
	t.Parallel()
	soon, later := time.Now().Add(10*24*time.Hour+time.Minute), time.Now().Add(90*24*time.Hour)
	newest := object(t, keyFile(t, "other.jwk.json")).(map[string]any)
	newest["exp"] = later.Unix()
	previous := object(t, jwkWith(t, map[string]any{"exp": soon.Unix()}))
	srv := newDouble(t)
	var out logs
	source := sourceOf(t, srv, map[string]any{"EncodedJwk": "", "Jwks": []any{newest, previous}}, httpclient.WithLogger(out.logger(slog.LevelWarn)))
	if out.String() != "" {
		t.Errorf("got log %s before the first fetch, want nothing: the newest key is good", out.String())
	}
	if _, err := source.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	httpclient.Flush(source)
	if want := "make a new key for Jwks and register it - key for-tests-only (RSA 2048) expires on " + soon.UTC().Format("2006-01-02") + ", in 10 days"; strings.Count(out.String(), want) != 1 {
		t.Errorf("got log %s, want %s", out.String(), want)
	}
}
