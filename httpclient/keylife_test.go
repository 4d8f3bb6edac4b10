package httpclient_test

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/portnokkel/portnokkel/httpclient"
)

// ageing is a signer that knows its key's life.
type ageing struct {
	crypto.Signer
	created, expires time.Time
}

func (a ageing) Created() time.Time { return a.created }
func (a ageing) Expires() time.Time { return a.expires }

// endless panics when it is asked for its key's end.
type endless struct{ crypto.Signer }

func (endless) Expires() time.Time { panic("CANARY") }

// The earliest end counts, from whatever tells it.
func TestExpires(t *testing.T) {
	t.Parallel()
	signer := clientKey(t).Signer()
	made := func(key *httpclient.Key, err error) *httpclient.Key {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	leaf, authorities := enterprise(t, onDay(-10), onDay(100))
	chain := []*x509.Certificate{leaf.cert}
	jwk := jwkWith(t, map[string]any{"exp": onDay(50).Unix()})
	for name, c := range map[string]struct {
		key  *httpclient.Key
		want time.Time
	}{
		"nil":                          {nil, time.Time{}},
		"the zero Key":                 {&httpclient.Key{}, time.Time{}},
		"the zero Key with a life":     {(&httpclient.Key{}).WithLife(newYear, onDay(1)), onDay(1)},
		"nil with a life":              {(*httpclient.Key)(nil).WithLife(newYear, onDay(1)), time.Time{}},
		"a JWK":                        {made(httpclient.ParseJWK(jwk, "")), onDay(50)},
		"a JWK without an end":         {signingKey(t), time.Time{}},
		"a signer":                     {made(httpclient.NewKey(ageing{signer, newYear, onDay(7)}, "k", "")), onDay(7)},
		"a signer without an end":      {made(httpclient.NewKey(ageing{Signer: signer}, "k", "")), time.Time{}},
		"a signer that panics":         {made(httpclient.NewKey(endless{signer}, "k", "")), time.Time{}},
		"a certificate":                {made(httpclient.NewCertificateKey(signer, chain, "")), onDay(100)},
		"a certificate's signer first": {made(httpclient.NewCertificateKey(ageing{signer, newYear, onDay(99)}, chain, "")), onDay(99)},
		"a certificate's signer later": {made(httpclient.NewCertificateKey(ageing{signer, newYear, onDay(101)}, chain, "")), onDay(100)},
		"an archive":                   {made(httpclient.ParsePKCS12(archive(t, pkcs12.Modern, leaf.key, leaf.cert, authorities, "pw"), "pw")), onDay(100)},
		"an earlier end in code":       {made(httpclient.ParseJWK(jwk, "")).WithLife(time.Time{}, onDay(49)), onDay(49)},
		"a later end in code":          {made(httpclient.ParseJWK(jwk, "")).WithLife(time.Time{}, onDay(51)), onDay(50)},
		"no end in code":               {made(httpclient.ParseJWK(jwk, "")).WithLife(newYear, time.Time{}), onDay(50)},
	} {
		if got := c.key.Expires(); !got.Equal(c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	key := signingKey(t)
	if key.WithLife(newYear, onDay(1)); !key.Expires().IsZero() {
		t.Error("got a key that WithLife changed, want another one")
	}
}

// The beginning of a key says how long it lives, and so when its end is near.
func TestBeginningOfAKey(t *testing.T) {
	t.Parallel()
	signer := clientKey(t).Signer()
	key := func(s crypto.Signer) *httpclient.Key {
		t.Helper()
		key, err := httpclient.NewKey(s, "k", "")
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	leaf, _ := enterprise(t, newYear, onDay(50))
	certificate, err := httpclient.NewCertificateKey(ageing{signer, onDay(-365), time.Time{}}, []*x509.Certificate{leaf.cert}, "")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key  *httpclient.Key
		want []string
	}{
		"the signer's":                {key(ageing{signer, newYear, onDay(50)}), daily(40, 45, "WARN")},
		"the program's":               {key(ageing{signer, newYear, onDay(50)}).WithLife(onDay(-50), time.Time{}), daily(30, 45, "WARN")},
		"the program's, and its end":  {key(signer).WithLife(onDay(-50), onDay(50)), daily(30, 45, "WARN")},
		"the certificate's":           {certificate, daily(40, 45, "WARN")},
		"unknown":                     {key(ageing{signer, time.Time{}, onDay(50)}), daily(20, 45, "WARN")},
		"after the end, so not known": {key(ageing{signer, onDay(60), onDay(50)}), daily(20, 45, "WARN")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newYearOf(t, httpclient.MaskinportenSettings{}, httpclient.WithKeySource(keys(httpclient.Unverified(c.key))))
			if diff := cmp.Diff(c.want, y.levels(46, 24*time.Hour)); diff != "" {
				t.Errorf("got other records than the want (-want +got):\n%s", diff)
			}
		})
	}
}

// An error about a refused key says when the key ended, if that is known and over.
func TestRefusedKeyTellsItsEnd(t *testing.T) {
	t.Parallel()
	const ended = "httpclient: check Jwk: key for-tests-only (RSA 2048) expired on 2026-01-03; make a new key and register it - "
	for name, c := range map[string]struct {
		code, words string
		exp         time.Time
		want        string
	}{
		"unknown":            {"invalid_grant", "Unknown key identifier (kid) for client", onDay(2), ended},
		"for some reason":    {"invalid_grant", "no", onDay(2), ended},
		"an invalid client":  {"invalid_client", "no", onDay(2), ended},
		"expired":            {"invalid_grant", "Expired key", onDay(2), "httpclient: check Jwk: the registration of key for-tests-only (RSA 2048) ended on 2026-01-03; register it again or make a new key - "},
		"unknown, but valid": {"invalid_grant", "Unknown key identifier (kid) for client", onDay(4), "httpclient: check Jwk: key for-tests-only (RSA 2048) is not registered on the client; a new one takes up to 2 minutes to work - "},
		"another client":     {"invalid_client", "Client not found", onDay(2), "httpclient: check ClientId: it is misspelt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newYearOf(t, httpclient.MaskinportenSettings{JWK: httpclient.NewSecret(jwkWith(t, map[string]any{"exp": c.exp.Unix()}))},
				httpclient.WithTokenTransport(roundTripper(func(*http.Request) (*http.Response, error) {
					return body(http.StatusBadRequest, fmt.Sprintf(`{"error":%q,"error_description":%q}`, c.code, c.words), nil), nil
				})))
			y.set(onDay(3))
			if _, err := y.source.Token(t.Context()); !strings.HasPrefix(message(err), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// The gauge is about the key in use: the first that has not ended, and then the one that
// signed last.
func TestKeyExpiryIsMeasured(t *testing.T) {
	t.Parallel()
	one, two := jwkWith(t, map[string]any{"kid": "one", "exp": onDay(-1).Unix()}), jwkWith(t, map[string]any{"kid": "two", "exp": onDay(9).Unix()})
	const gauge = "maskinporten.client.key.expiry"
	for name, c := range map[string]struct {
		jwks string
		want float64 // days
	}{
		"one key":                  {two, 9},
		"an ended key and another": {"[" + one + "," + two + "]", 9},
		"a key and an ended one":   {"[" + two + "," + one + "]", 9},
		"an ended key":             {one, -1},
	} {
		var r recorder
		y := newYearOf(t, httpclient.MaskinportenSettings{JWKS: httpclient.NewSecret(c.jwks)}, httpclient.WithMeterProvider(r.MeterProvider()))
		if got, ok := r.observe()[gauge]; !ok || got != c.want*24*3600 {
			t.Errorf("%s: got %v s, want %v days", name, got, c.want)
		}
		y.set(onDay(1))
		if got := r.observe()[gauge]; got != (c.want-1)*24*3600 {
			t.Errorf("%s: got %v s a day later, want %v days", name, got, c.want-1)
		}
	}
	var r recorder
	newYearOf(t, httpclient.MaskinportenSettings{JWK: httpclient.NewSecret(jwkWith(t, nil))}, httpclient.WithMeterProvider(r.MeterProvider()))
	if got, ok := r.observe()[gauge]; ok {
		t.Errorf("got %v s of a key without a known end, want nothing", got)
	}
	source := newYearOf(t, httpclient.MaskinportenSettings{}, httpclient.WithKeySource(keys(signingKey(t).WithLife(newYear, onDay(3)))), httpclient.WithMeterProvider(r.MeterProvider()))
	if got, ok := r.observe()[gauge]; ok {
		t.Errorf("got %v s before a key was used, want nothing", got)
	}
	source.fetch()
	if got := r.observe()[gauge]; got != 3*24*3600 {
		t.Errorf("got %v s, want 3 days", got)
	}
}
