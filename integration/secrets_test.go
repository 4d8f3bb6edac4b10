package integration

import (
	"context"
	"crypto/rsa"
	"fmt"
	"strings"
	"testing"

	"github.com/davecgh/go-spew/spew"
	"github.com/kr/pretty"
	"go.yaml.in/yaml/v3"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// Printers by reflection find no secret. Spew is the strictest test of all: it
// reads unexported fields by unsafe means and, on request, calls no methods.
func TestPrintersFindNoSecret(t *testing.T) {
	t.Parallel()
	const canary = "12345678901"
	secret := httpclient.NewSecret(canary)
	settings := httpclient.MaskinportenSettings{
		ClientID: "visible", EncodedJWK: secret, JWK: secret, EncodedX509: secret, CertificatePKCS12Password: secret,
		EnterpriseUserName: secret, EnterpriseUserPassword: secret,
		Origin: func(string) httpclient.Origin { return httpclient.Origin{Source: canary} },
	}
	consent := httpclient.Consent{ID: "77ed8698-e619-4066-9eb4-5c1eb3f165a1", From: secret}
	person := httpclient.ContextWithPerson(context.Background(), secret)
	key := maskinportentest.NewKey("a-key")
	own, err := httpclient.ParseJWK(key.EncodedJWK(), "")
	if err != nil {
		t.Fatal(err)
	}
	exponent := key.Signer().(*rsa.PrivateKey).D
	forbidden := []string{canary, "31323334", exponent.String()[:40], fmt.Sprint(exponent.Bits()[0])}

	srv := maskinportentest.NewServer()
	defer srv.Close()
	clientSettings, err := httpclient.ParseSettings(srv.Section())
	if err != nil {
		t.Fatal(err)
	}
	source, err := httpclient.NewTokenSource(clientSettings, httpclient.WithTokenTransport(srv.Transport()))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	token, err := source.Token(person)
	if err != nil {
		t.Fatal(err)
	}
	forbidden = append(forbidden, token.AccessToken(), srv.EncodedJWK())

	type holder struct {
		secret   httpclient.Secret
		settings httpclient.MaskinportenSettings
		pointer  *httpclient.MaskinportenSettings
		consent  httpclient.Consent
		ctx      context.Context
		key      *httpclient.Key
		source   *httpclient.TokenSource
		token    *httpclient.Token
	}
	values := map[string]any{
		"Secret": secret, "settings": settings, "a pointer to settings": &settings, "Consent": consent, "Key": own,
		"a context with a person":  person,
		"a context with a consent": httpclient.ContextWithConsent(context.Background(), consent),
		"unexported fields":        holder{secret, settings, &settings, consent, person, own, source, token},
		"settings in use":          clientSettings,
		"TokenSource":              source,
		"Token":                    token,
		"a client":                 source.Client(),
	}
	printers := map[string]func(any) string{
		"spew":                  func(v any) string { return spew.Sdump(v) },
		"spew without methods":  func(v any) string { return (&spew.ConfigState{DisableMethods: true, Indent: " "}).Sdump(v) },
		"spew, pointer methods": func(v any) string { return (&spew.ConfigState{DisablePointerMethods: true, Indent: " "}).Sdump(v) },
		"kr/pretty":             func(v any) string { return pretty.Sprint(v) },
		"kr/pretty verb":        func(v any) string { return fmt.Sprintf("%# v", pretty.Formatter(v)) },
	}
	for name, v := range values {
		for printer, show := range printers {
			printed := show(v)
			for _, text := range forbidden {
				if i := strings.Index(printed, text); i >= 0 {
					t.Errorf("%s by %s: got %q after %q, want it hidden", name, printer, text, printed[max(0, i-200):i])
				}
			}
			if name == "settings" && !strings.Contains(printed, "visible") {
				t.Errorf("%s by %s: got %s, want what is not a secret", name, printer, printed)
			}
		}
	}
}

// YAML takes settings, shows no secret, and reads one.
func TestYAML(t *testing.T) {
	t.Parallel()
	s := httpclient.MaskinportenSettings{
		ClientID: "visible", EncodedJWK: httpclient.NewSecret("CANARY"), BaseDir: "/a/directory",
		Origin: func(string) httpclient.Origin { return httpclient.Origin{Source: "a file"} },
	}
	out, err := yaml.Marshal(s)
	for part, wanted := range map[string]bool{"clientid: visible": true, "encodedjwk: '[redacted]'": true, "CANARY": false, "origin": false, "basedir": false} {
		if strings.Contains(string(out), part) != wanted || err != nil {
			t.Errorf("got %s, error %v, want %q in it: %v", out, err, part, wanted)
		}
	}
	var read struct{ Key httpclient.Secret }
	if err := yaml.Unmarshal([]byte("key: hush"), &read); err != nil || read.Key.Reveal() != "hush" {
		t.Errorf("got %q, error %v, want hush", read.Key.Reveal(), err)
	}
}
