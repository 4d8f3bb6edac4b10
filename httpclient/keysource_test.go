package httpclient_test

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

func TestKeyThatNeverEntersTheProcess(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"", "RS256", "RS384", "RS512"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			registered := clientKey(t)
			registered.Algorithm = ""
			srv := newDouble(t, withKey(registered))
			key, err := httpclient.NewKey(opaque{registered.Signer()}, "for-tests-only", alg)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := withoutKey(t, srv, keys(key)).Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := alg
			if want == "" {
				want = "RS256"
			}
			if got := srv.Stats().LastAssertion.Header["alg"]; got != want {
				t.Errorf("got alg %v, want %s", got, want)
			}
		})
	}
}

func TestParsedKeys(t *testing.T) {
	t.Parallel()
	jwk := encoded(keyFile(t, "client.jwk.json"))
	srv := newDouble(t)
	for name, parse := range map[string]func() (*httpclient.Key, error){
		"as it is": func() (*httpclient.Key, error) { return httpclient.ParseJWK(jwk, "") },
		"another kid": func() (*httpclient.Key, error) {
			return httpclient.ParseJWK(encoded(jwkWith(t, map[string]any{"kid": "x"})), "for-tests-only")
		},
		"without base64": func() (*httpclient.Key, error) { return httpclient.ParseJWK(keyFile(t, "client.jwk.json"), "") },
	} {
		key, err := parse()
		if err != nil {
			t.Fatalf("%s: got %v, want a key", name, err)
		}
		if _, err := withoutKey(t, srv, keys(key)).Token(t.Context()); err != nil {
			t.Errorf("%s: got %v, want a token", name, err)
		}
	}
	if _, err := httpclient.ParseJWK("%CANARY%", ""); message(err) != "httpclient: the JWK is not base64: set it to the base64 of the client's private JWK" {
		t.Errorf("got %v, want an error about base64 without the JWK", err)
	}

	leaf, authorities := enterprise(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	certified := newDouble(t, maskinportentest.WithClient(maskinportentest.Client{Roots: []*x509.Certificate{authorities[0]}, OrgNo: "991825827"}))
	fromArchive, err := httpclient.ParsePKCS12(archive(t, pkcs12.Modern, leaf.key, leaf.cert, authorities, "pw"), "pw")
	if err != nil {
		t.Fatal(err)
	}
	byHand, err := httpclient.NewCertificateKey(opaque{leaf.key.(*rsa.PrivateKey)}, []*x509.Certificate{leaf.cert, authorities[1]}, "RS512")
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]*httpclient.Key{"an archive": fromArchive, "a certificate": byHand} {
		// The double wants the organisation's number in the certificate, which this one lacks: it got that far.
		_, err := withoutKey(t, certified, keys(key)).Token(t.Context())
		if !strings.Contains(message(err), "organization number") {
			t.Errorf("%s: got %v, want the refusal of a foreign organisation", name, err)
		}
		header := certified.Stats().LastAssertion.Header
		if chain, _ := header["x5c"].([]any); len(chain) < 2 || chain[0] != base64.StdEncoding.EncodeToString(leaf.cert.Raw) || header["kid"] != nil {
			t.Errorf("%s: got header %v, want the chain and no key id", name, header)
		}
	}
	if _, err := httpclient.ParsePKCS12([]byte("x"), ""); message(err) != "httpclient: the archive is not a PKCS#12 archive (.p12, .pfx) of one certificate and its key" {
		t.Errorf("got %v, want an error about the archive", err)
	}
	if _, err := httpclient.ParsePKCS12(archive(t, pkcs12.Modern, leaf.key, leaf.cert, nil, "pw"), "CANARY"); message(err) != "httpclient: the archive does not open with the password" {
		t.Errorf("got %v, want an error about the password without it", err)
	}
}

// A certificate that is not valid yet is not called expired, and one that soon
// expires is warned about once a day.
func TestCertificateTimes(t *testing.T) {
	t.Parallel()
	coming, _ := enterprise(t, time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour))
	key, err := httpclient.NewCertificateKey(coming.key.(*rsa.PrivateKey), []*x509.Certificate{coming.cert}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := withoutKey(t, newDouble(t), keys(key)).Token(t.Context()); errors.Is(err, httpclient.ErrExpiredKey) || !strings.Contains(message(err), "the certificate is not valid before "+coming.cert.NotBefore.Format("2006-01-02")) {
		t.Errorf("got %v, want an error about a certificate that is not valid yet", err)
	}
	synctest.Test(t, func(t *testing.T) {
		leaf, authorities := enterprise(t, time.Now().Add(-200*24*time.Hour), time.Now().Add(33*24*time.Hour))
		key, err := httpclient.NewCertificateKey(leaf.key.(*rsa.PrivateKey), []*x509.Certificate{leaf.cert, authorities[1]}, "")
		if err != nil {
			t.Fatal(err)
		}
		var out logs
		var r recorder
		source, _ := instant(t, httpclient.WithKeySource(keys(key)), httpclient.WithLogger(out.logger(0)), httpclient.WithMeterProvider(r.MeterProvider()))
		defer source.Close()
		for day := range 10 {
			for range 3 {
				if _, err := source.Token(t.Context()); err != nil {
					t.Fatal(err)
				}
				pass(2 * time.Hour)
			}
			synctest.Wait()
			// Once a day from day 3 on, of the 33.
			if got, want := strings.Count(out.String(), "the certificate expires on"), max(0, day-2); got != want {
				t.Errorf("day %d: got %d warnings, want %d:\n%s", day, got, want, out.String())
			}
			pass(18 * time.Hour)
		}
		if got := r.observe()["maskinporten.client.key.expiry"]; got != (23 * 24 * time.Hour).Seconds() {
			t.Errorf("got %v s until the certificate expires, want 23 days", got)
		}
	})
}

// The hint about a key from a source says so.
func TestHintAboutAKeyFromASource(t *testing.T) {
	t.Parallel()
	key, err := httpclient.ParseJWK(keyFile(t, "other.jwk.json"), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := withoutKey(t, newDouble(t), keys(key)).Token(t.Context()); !strings.Contains(message(err), "httpclient: check the key source: key other-for-tests-only (RSA 2048) is not registered on the client") {
		t.Errorf("got %v, want a hint to the key source", err)
	}
	s := httpclient.MaskinportenSettings{Environment: "test", ClientID: "id", Scope: "s", CertificateStoreThumbprint: "t"}
	if _, err := httpclient.NewTokenSource(s, httpclient.WithKeySource(keys(key))); !strings.Contains(message(err), "CertificateStoreThumbprint works on Windows") {
		t.Errorf("got %v, want an error about the thumbprint", err)
	}
	s.CertificateStoreThumbprint, s.KeyID = "", "k"
	var out logs
	if _, err := httpclient.NewTokenSource(s, httpclient.WithKeySource(keys(key)), httpclient.WithLogger(out.logger(0))); err != nil || !strings.Contains(out.String(), "Kid has no effect beside a key source") {
		t.Errorf("got error %v and log %s, want a warning about Kid", err, out.String())
	}
	var typed *rsa.PrivateKey
	if _, err := httpclient.NewKey(typed, "k", ""); message(err) != "httpclient: key: the signer is nil" {
		t.Errorf("got %v, want an error about a nil signer", err)
	}
}

// A source that has nothing, or fails, is a failure like any other.
func TestKeySourcesThatFail(t *testing.T) {
	t.Parallel()
	old, _ := enterprise(t, time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour))
	expired, err := httpclient.NewCertificateKey(old.key.(*rsa.PrivateKey), []*x509.Certificate{old.cert}, "")
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the device is locked")
	locked, err := httpclient.NewKey(lockedSigner{clientKey(t).Signer(), broken}, "for-tests-only", "")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		source httpclient.KeySource
		is     error
		want   string
	}{
		"none":     {keys(), httpclient.ErrTemporary, "httpclient: check what WithKeySource was given - signing key of client maskinportentest-client: it gave no key"},
		"nil":      {keys(nil), nil, "httpclient: check what WithKeySource was given - signing key of client maskinportentest-client: it gave a key that is nil or zero"},
		"zero":     {keys(new(httpclient.Key)), nil, "it gave a key that is nil or zero"},
		"failing":  {httpclient.KeySourceFunc(func(context.Context) ([]*httpclient.Key, error) { return nil, broken }), broken, "the device is locked"},
		"in lines": {httpclient.KeySourceFunc(func(context.Context) ([]*httpclient.Key, error) { return nil, errors.New("one\n\ttwo\x00") }), nil, "httpclient: check what WithKeySource was given - signing key of client maskinportentest-client: one; two "},
		"expired":  {keys(expired), httpclient.ErrExpiredKey, "httpclient: check the key source: order a new certificate - signing key of client maskinportentest-client: the certificate expired on " + old.cert.NotAfter.Format("2006-01-02")},
		"locked":   {keys(locked), broken, "key for-tests-only (RS256) does not sign: failed "},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newDouble(t)
			_, err := withoutKey(t, srv, c.source).Token(t.Context())
			if !strings.Contains(message(err), c.want) || c.is != nil && !errors.Is(err, c.is) || srv.Stats().TokenRequests != 0 {
				t.Errorf("got %v, want %s and no token request", err, c.want)
			}
		})
	}
	srv := newDouble(t)
	if _, err := httpclient.NewTokenSource(settingsOf(t, srv, nil), httpclient.WithKeySource(keys())); !strings.Contains(message(err), "httpclient: EncodedJwk: a key source is given beside this key: keep one of them") {
		t.Errorf("got %v, want an error about two keys", err)
	}
	if _, err := httpclient.NewTokenSource(settingsOf(t, srv, nil), httpclient.WithKeySource(nil)); !strings.Contains(message(err), "WithKeySource: the source is nil") {
		t.Errorf("got %v, want an error about a nil source", err)
	}
}

// A key is rotated under load: the new one is offered before Maskinporten knows
// it, the old one is removed afterwards, and no request fails.
func TestRotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn, maskinportentest.WithTokenLifetime(10*time.Second))
		defer srv.Close()
		registered, err := maskinportentest.ParseKey(encoded(keyFile(t, "other.jwk.json")))
		if err != nil {
			t.Fatal(err)
		}
		older, err := httpclient.ParseJWK(encoded(keyFile(t, "client.jwk.json")), "")
		if err != nil {
			t.Fatal(err)
		}
		newer, err := httpclient.ParseJWK(encoded(keyFile(t, "other.jwk.json")), "")
		if err != nil {
			t.Fatal(err)
		}
		var offered atomic.Pointer[[]*httpclient.Key]
		offered.Store(&[]*httpclient.Key{older})
		source := withoutKey(t, srv, httpclient.KeySourceFunc(func(context.Context) ([]*httpclient.Key, error) { return *offered.Load(), nil }))
		defer source.Close()

		start := time.Now()
		steps := []func(){
			func() { offered.Store(&[]*httpclient.Key{newer, older}) },
			func() { srv.AddKey(srv.ClientID(), registered) },
			func() { offered.Store(&[]*httpclient.Key{newer}) },
			func() { srv.RemoveKey(srv.ClientID(), "for-tests-only") },
		}
		var kids []string
		for time.Since(start) < 5*time.Minute {
			if n := int(time.Since(start) / time.Minute); n > 0 && n <= len(steps) && steps[n-1] != nil {
				steps[n-1]()
				steps[n-1] = nil
			}
			var callers sync.WaitGroup
			for range 10 {
				callers.Go(func() {
					if _, err := source.Token(t.Context()); err != nil {
						t.Errorf("after %v: got %v, want a token", time.Since(start), err)
					}
				})
			}
			callers.Wait()
			synctest.Wait()
			if kid, _ := srv.Stats().LastAssertion.Header["kid"].(string); !slices.Contains(kids, kid) {
				kids = append(kids, kid)
			}
			pass(500 * time.Millisecond)
		}
		if !slices.Equal(kids, []string{"for-tests-only", "other-for-tests-only"}) {
			t.Errorf("got signatures of %v, want of both keys in turn", kids)
		}
		if s := srv.Stats(); s.Refused == 0 {
			t.Error("got no refusal of the new key, want one: else the test plays no rotation")
		}
	})
}

func TestKeysPrintNothing(t *testing.T) {
	t.Parallel()
	key, err := httpclient.ParseJWK(keyFile(t, "client.jwk.json"), "")
	if err != nil {
		t.Fatal(err)
	}
	private := clientKey(t).Signer().(*rsa.PrivateKey)
	type holder struct {
		key  *httpclient.Key
		copy httpclient.Key
	}
	printed := prints(key) + prints(*key) + prints(holder{key, *key}) + prints(&holder{key, *key})
	for _, secret := range []string{private.D.String(), private.Primes[0].String(), member(t, keyFile(t, "client.jwk.json"), "d").(string)} {
		if strings.Contains(printed, secret) || strings.Contains(printed, secret[:40]) {
			t.Error("got the private key in print, want it hidden")
		}
	}
	if key.String() != "key for-tests-only (RS256)" || (&httpclient.Key{}).String() != "no key" {
		t.Errorf("got %s, want the key id and algorithm, and no key for the zero Key", key)
	}
}

// A key whose registration has expired is followed by the next.
func TestExpiredKeyAndTheNext(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	other, err := maskinportentest.ParseKey(encoded(keyFile(t, "other.jwk.json")))
	if err != nil {
		t.Fatal(err)
	}
	srv.AddKey(srv.ClientID(), other)
	if !srv.ExpireKey(srv.ClientID(), other.KeyID) {
		t.Fatal("got no such key, want one to expire")
	}
	var list []*httpclient.Key
	for _, name := range []string{"other.jwk.json", "client.jwk.json"} {
		key, err := httpclient.ParseJWK(keyFile(t, name), "")
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, key)
	}
	if _, err := withoutKey(t, srv, keys(list...)).Token(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := withoutKey(t, srv, keys(list[0])).Token(t.Context()); !errors.Is(err, httpclient.ErrExpiredKey) {
		t.Errorf("got %v, want ErrExpiredKey", err)
	}
}

// A failure that another key would not mend is not tried with the next.
func TestNextKeyIsNotTriedForNothing(t *testing.T) {
	t.Parallel()
	other, err := httpclient.ParseJWK(keyFile(t, "other.jwk.json"), "")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		fault faulttest.Fault
		want  int // token requests
	}{
		"a scope is refused":   {faulttest.Fault{Status: http.StatusBadRequest, Body: `{"error":"invalid_scope"}`}, 1},
		"the server fails":     {faulttest.Fault{Status: http.StatusServiceUnavailable}, 3},
		"the key is not known": {faulttest.Fault{Status: http.StatusBadRequest, Body: `{"error":"invalid_grant","error_description":"Unknown key identifier (kid) for client"}`}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn)
				defer srv.Close()
				c.fault.Match, c.fault.Times = toToken, -1
				srv.Faults.Add(c.fault)
				source := withoutKey(t, srv, keys(signingKey(t), other))
				defer source.Close()
				if _, err := source.Token(t.Context()); err == nil {
					t.Fatal("got a token, want an error")
				}
				if got := srv.Stats().TokenRequests; got != c.want {
					t.Errorf("got %d token requests, want %d", got, c.want)
				}
			})
		})
	}
}
