package httpclient_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/internal/logtest"
)

func TestSecret(t *testing.T) {
	t.Parallel()
	set, zero := httpclient.NewSecret("hush"), httpclient.Secret{}
	type pair struct{ set, zero any }
	for name, c := range map[string]struct{ got, want pair }{
		"Reveal":   {pair{set.Reveal(), zero.Reveal()}, pair{"hush", ""}},
		"IsZero":   {pair{set.IsZero(), zero.IsZero()}, pair{false, true}},
		"String":   {pair{set.String(), zero.String()}, pair{"[redacted]", ""}},
		"GoString": {pair{set.GoString(), zero.GoString()}, pair{"[redacted]", ""}},
		"LogValue": {pair{set.LogValue().String(), zero.LogValue().String()}, pair{"[redacted]", ""}},
		"format":   {pair{fmt.Sprintf("%x|%#v|%d", set, set, set), fmt.Sprintf("%s|%v", zero, zero)}, pair{"[redacted]|[redacted]|[redacted]", "|"}},
		"the same": {pair{set.Equal(httpclient.NewSecret("hush")), zero.Equal(httpclient.NewSecret(""))}, pair{true, true}},
		"another":  {pair{set.Equal(httpclient.NewSecret("hash")), zero.Equal(set)}, pair{false, false}},
		"longer":   {pair{set.Equal(httpclient.NewSecret("hush!")), set.Equal(zero)}, pair{false, false}},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %v, want %v", name, c.got, c.want)
		}
	}
}

// A secret is read from a text, and written as what stands in its place.
func TestSecretAsText(t *testing.T) {
	t.Parallel()
	type document struct{ Key, Empty httpclient.Secret }
	for name, c := range map[string]struct {
		marshal   func(any) ([]byte, error)
		unmarshal func([]byte, any) error
		in, out   string
	}{
		"JSON": {json.Marshal, json.Unmarshal, `{"Key":"hush","Empty":""}`, `{"Key":"[redacted]","Empty":""}`},
		"XML":  {xml.Marshal, xml.Unmarshal, `<document><Key>hush</Key></document>`, `<document><Key>[redacted]</Key><Empty></Empty></document>`},
	} {
		var d document
		if err := c.unmarshal([]byte(c.in), &d); err != nil || d.Key.Reveal() != "hush" || !d.Empty.IsZero() {
			t.Errorf("%s: got %q and %q, error %v, want hush and an empty one", name, d.Key.Reveal(), d.Empty.Reveal(), err)
		}
		if out, err := c.marshal(d); string(out) != c.out || err != nil {
			t.Errorf("%s: got %s, error %v, want %s", name, out, err, c.out)
		}
	}
	var none *httpclient.Secret
	if err := none.UnmarshalText([]byte("CANARY")); err == nil || strings.Contains(prints(err), "CANARY") {
		t.Errorf("got %v, want an error without the text", err)
	}
}

// Encoders take settings and leave out what is not a setting.
func TestSettingsAreEncoded(t *testing.T) {
	t.Parallel()
	s := httpclient.MaskinportenSettings{
		ClientID: "visible", EncodedJWK: httpclient.NewSecret("CANARY"), BaseDir: "/a/directory",
		Origin: func(string) httpclient.Origin { return httpclient.Origin{Source: "a file"} },
	}
	for name, marshal := range map[string]func(any) ([]byte, error){"JSON": json.Marshal, "XML": xml.Marshal} {
		out, err := marshal(s)
		for part, wanted := range map[string]bool{"visible": true, "[redacted]": true, "CANARY": false, "Origin": false, "BaseDir": false} {
			if strings.Contains(string(out), part) != wanted || err != nil {
				t.Errorf("%s: got %s, error %v, want %q in it: %v", name, out, err, part, wanted)
			}
		}
	}
}

// secretHolders are values of every exported type that a program can put a secret
// into. All secrets are the canary.
func secretHolders(t *testing.T, canary string) map[string]any {
	t.Helper()
	secret := httpclient.NewSecret(canary)
	settings := httpclient.MaskinportenSettings{
		ClientID: "visible", EncodedJWK: secret, JWK: secret, EncodedX509: secret, CertificatePKCS12Password: secret,
		EnterpriseUserName: secret, EnterpriseUserPassword: secret,
		Origin: func(string) httpclient.Origin { return httpclient.Origin{Source: "appsettings.json"} },
	}
	parsed, err := httpclient.ParseSettings(map[string]any{
		"EncodedJwk": canary, "Jwk": canary, "EncodedX509": canary, "CertificatePkcs12Password": canary,
		"EnterpriseUserName": canary, "EnterpriseUserPassword": canary,
	})
	if err != nil {
		t.Fatal(err)
	}
	nais, err := httpclient.FromNAIS(env(map[string]string{"MASKINPORTEN_CLIENT_JWK": canary}))
	if err != nil {
		t.Fatal(err)
	}
	consent := httpclient.Consent{ID: consentID, From: secret}
	ctx := httpclient.ContextWithPerson(t.Context(), secret)
	source, _ := instant(t, httpclient.WithTokenTransport(roundTripper(func(*http.Request) (*http.Response, error) { return tokenAnswer(canary, 60), nil })))
	token, err := source.Token(ctx)
	if err != nil || token.AccessToken() != canary {
		t.Fatalf("got %v and error %v, want a token", token, err)
	}
	refused, _ := instant(t, httpclient.WithTokenTransport(roundTripper(func(*http.Request) (*http.Response, error) {
		resp := answer(http.StatusBadRequest, nil)
		resp.Body = io.NopCloser(strings.NewReader(`{"error":"x","error_description":"no person ` + canary + `","error_uri":"https://e.example/` + canary + `"}`))
		return resp, nil
	})))
	_, refusal := refused.Token(ctx)
	return map[string]any{
		"TokenSource":                  source,
		"Token":                        token,
		"a client":                     source.Client(),
		"a transport":                  source.Transport(nil),
		"TokenError":                   refusal,
		"Secret":                       secret,
		"settings":                     settings,
		"parsed settings":              parsed,
		"settings of NAIS":             nais,
		"Consent":                      consent,
		"a context with a person":      httpclient.ContextWithPerson(t.Context(), secret),
		"a context with a consent":     httpclient.ContextWithConsent(t.Context(), consent),
		"a context with more after it": httpclient.ContextWithScope(httpclient.ContextWithPerson(t.Context(), secret), "s"),
		"an error about settings":      settings.Validate(),
	}
}

// encodings are the ways in which a printer may write a text.
func encodings(text string) []string {
	list := []string{text, hex.EncodeToString([]byte(text)), strings.ToUpper(hex.EncodeToString([]byte(text)))}
	for _, format := range []string{"%d", "%o", "%b", "%x", "%X", "%q", "%U"} {
		list = append(list, strings.Trim(fmt.Sprintf(format, []byte(text)), "[]"))
	}
	return append(list, strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(text)), "="))
}

// Nothing prints a secret: no verb, logger, encoder or printer by reflection. That
// holds in any place, and most of all in an unexported field of another type.
func TestNothingPrintsASecret(t *testing.T) {
	t.Parallel()
	const canary = "12345678901" // a national identity number by its form
	forbidden := encodings(canary)
	for name, v := range secretHolders(t, canary) {
		searchPrints(t, name, v, forbidden)
	}

	archive, err := os.ReadFile("../testdata/keys/enterprise.p12")
	if err != nil {
		t.Fatal(err)
	}
	certified, err := httpclient.ParsePKCS12(archive, "for-tests-only")
	if err != nil {
		t.Fatal(err)
	}
	private := clientKey(t).Signer()
	jwk := keyFile(t, "client.jwk.json")
	parsed, err := httpclient.ParseJWK(jwk, "")
	if err != nil {
		t.Fatal(err)
	}
	own, err := httpclient.NewKey(private, "k", "")
	if err != nil {
		t.Fatal(err)
	}
	whole, err := json.Marshal(private)
	if err != nil {
		t.Fatal(err)
	}
	numbers := []string{string(whole), member(t, jwk, "d").(string), member(t, jwk, "p").(string)}
	for _, number := range []string{"D", "Primes"} {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(whole, &members); err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, strings.Trim(string(members[number]), "[]")[:40])
	}
	for name, key := range map[string]*httpclient.Key{"a key of a JWK": parsed, "a key of a signer": own, "a key of an archive": certified} {
		searchPrints(t, name, key, numbers)
		searchPrints(t, name+", copied", *key, numbers)
	}
}

// searchPrints looks for the texts in all that can be printed of v and of types
// that hold it.
func searchPrints(t *testing.T, name string, v any, forbidden []string) {
	t.Helper()
	type hidden struct{ v any }
	type exported struct{ V any }
	places := map[string]any{
		"itself": v, "a pointer": &v, "an unexported field": hidden{v}, "a pointer to one": &hidden{v}, "an exported field": exported{v},
		"a slice": []any{v}, "a map": map[string]any{"k": v}, "a field deep inside": exported{[]hidden{{&hidden{v}}}},
	}
	switch v := v.(type) { // with their own types, which reflection treats otherwise
	case httpclient.Secret:
		places["a typed field"] = struct{ s httpclient.Secret }{v}
		places["a typed pointer"] = &v
	case httpclient.MaskinportenSettings:
		places["a typed field"] = struct {
			s httpclient.MaskinportenSettings
		}{v}
		places["a typed pointer"] = &v
	case httpclient.Consent:
		places["a typed field"] = struct{ c httpclient.Consent }{v}
		places["a typed pointer"] = &v
	case context.Context:
		places["a typed field"] = struct{ c context.Context }{v}
	}
	for place, value := range places {
		printed := prints(value) + cmp.Diff(value, time.Time{}) + logtest.Reachable(value)
		for _, text := range forbidden {
			if i := strings.Index(printed, text); i >= 0 {
				t.Errorf("%s in %s: got %q after %q, want it hidden", name, place, text, printed[max(0, i-200):i])
				break
			}
		}
	}
}
