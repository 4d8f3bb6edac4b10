package httpclient_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/portnokkel/portnokkel/httpclient"
)

// newYear is where the years of these tests begin.
var newYear = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// onDay is some days after newYear.
func onDay(n int) time.Time { return newYear.AddDate(0, 0, n) }

// selfSigned is a certificate of the client's key as Altinn's platform makes it, in the
// form of the member x5c.
func selfSigned(t testing.TB, from, to time.Time) []string {
	t.Helper()
	key := clientKey(t).Signer()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return []string{base64.StdEncoding.EncodeToString(der)}
}

// year is a token source on a clock that only the test moves, and what it logs.
type year struct {
	t       *testing.T
	out     logs
	source  *httpclient.TokenSource
	passed  atomic.Int64
	fetches int
}

func (y *year) now() time.Time       { return newYear.Add(time.Duration(y.passed.Load())) }
func (y *year) set(now time.Time)    { y.passed.Store(int64(now.Sub(newYear))) }
func (y *year) pass(d time.Duration) { y.passed.Add(int64(d)) }

func newYearOf(t *testing.T, settings httpclient.MaskinportenSettings, opts ...httpclient.Option) *year {
	t.Helper()
	y := &year{t: t}
	settings.Environment, settings.ClientID, settings.Scope = "test", "id", "s"
	source, err := httpclient.NewTokenSource(settings, append([]httpclient.Option{
		httpclient.WithLogger(y.out.logger(0)),
		httpclient.WithClocks(y.now, func() time.Duration { return time.Duration(y.passed.Load()) }),
		httpclient.WithTokenTransport(roundTripper(func(*http.Request) (*http.Response, error) { return tokenAnswer("t", 3600), nil })),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	y.source = source
	t.Cleanup(source.Close)
	return y
}

// records is what was logged since the last call, each as its level and message.
func (y *year) records() (records []string) {
	httpclient.Flush(y.source)
	for _, line := range y.out.Lines() {
		_, line, _ = strings.Cut(line, "level=")
		level, line, _ := strings.Cut(line, " msg=")
		records = append(records, level+" "+line)
	}
	y.out.Reset()
	return records
}

// fetch gets a new token.
func (y *year) fetch() {
	y.t.Helper()
	y.fetches++
	if _, err := y.source.Token(customer(y.t, y.fetches)); err != nil {
		y.t.Fatalf("%v: %v", y.now(), err)
	}
}

// levels is the level of each record, by its day.
func (y *year) levels(days int, step time.Duration) []string {
	y.t.Helper()
	levels := []string{}
	for y.now().Before(onDay(days)) {
		y.fetch()
		for _, record := range y.records() {
			level, _, _ := strings.Cut(record, " ")
			levels = append(levels, fmt.Sprintf("day %d %s", int(y.now().Sub(newYear).Hours()/24), level))
		}
		y.pass(step)
	}
	return levels
}

// daily is a record on each of some days.
func daily(from, to int, level string) (days []string) {
	for day := from; day <= to; day++ {
		days = append(days, fmt.Sprintf("day %d %s", day, level))
	}
	return days
}

// A key's end is told from a fifth of its life before, 30 days at most, once a day. It is
// an error in the last day and from then on.
func TestYearOfAKey(t *testing.T) {
	t.Parallel()
	jwk := func(changes map[string]any) httpclient.MaskinportenSettings {
		return httpclient.MaskinportenSettings{JWK: httpclient.NewSecret(jwkWith(t, changes))}
	}
	secret := func(created, expires time.Time) httpclient.MaskinportenSettings {
		s := jwk(nil)
		s.Origin = func(string) httpclient.Origin { return httpclient.Origin{Created: created, Expires: expires} }
		return s
	}
	leaf, authorities := enterprise(t, onDay(-400), onDay(365))
	for name, c := range map[string]struct {
		settings httpclient.MaskinportenSettings
		days     int
		want     []string
	}{
		"a year, of which the beginning is not known": {
			jwk(map[string]any{"exp": onDay(365).Unix()}), 368,
			append(append(daily(335, 363, "WARN"), "day 364 ERROR"), daily(365, 367, "ERROR")...),
		},
		"a key of Altinn's platform, which nobody replaces": {
			jwk(map[string]any{"exp": onDay(30).Unix(), "x5c": selfSigned(t, newYear, onDay(30)), "alg": "RS512"}), 33,
			append(append(daily(24, 28, "WARN"), "day 29 ERROR"), daily(30, 32, "ERROR")...),
		},
		"a secret of 100 days": {
			secret(newYear, onDay(100)), 102,
			append(append(daily(80, 98, "WARN"), "day 99 ERROR"), daily(100, 101, "ERROR")...),
		},
		"a secret that was renewed late": {
			secret(onDay(395), onDay(40)), 12, daily(10, 11, "WARN"),
		},
		"no end is known": {jwk(nil), 366, []string{"day 0 INFO"}},
		"a certificate": {
			httpclient.MaskinportenSettings{EncodedX509: httpclient.NewSecret(certificateSetting(t, leaf, authorities))},
			365,
			append(daily(335, 363, "WARN"), "day 364 ERROR"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newYearOf(t, c.settings)
			// NewTokenSource has told of the first day already.
			first := []string{}
			for _, record := range y.records() {
				level, _, _ := strings.Cut(record, " ")
				first = append(first, "day 0 "+level)
			}
			if diff := cmp.Diff(c.want, append(first, y.levels(c.days, 8*time.Hour)...)); diff != "" {
				t.Errorf("got other records than the want (-want +got):\n%s", diff)
			}
		})
	}
}

// Each reading of a key makes a new Key, and its end is told once a day all the same. The
// end of a key that the source has renewed is not told.
func TestYearOfAKeySource(t *testing.T) {
	t.Parallel()
	var y *year
	y = newYearOf(t, httpclient.MaskinportenSettings{}, httpclient.WithKeySource(httpclient.KeySourceFunc(func(context.Context) ([]*httpclient.Key, error) {
		end := onDay(20)
		if !y.now().Before(onDay(10)) {
			end = onDay(60)
		}
		return []*httpclient.Key{signingKey(t).WithLife(time.Time{}, end)}, nil
	})))
	if got := y.records(); got != nil {
		t.Errorf("got %q before the first fetch, want nothing: the source was not asked", got)
	}
	if diff := cmp.Diff(append(daily(0, 9, "WARN"), daily(30, 34, "WARN")...), y.levels(35, 12*time.Hour)); diff != "" {
		t.Errorf("got other records than the want (-want +got):\n%s", diff)
	}
}

// What is more urgent is told at once, and not a day after the record before.
func TestUrgentEndIsToldAtOnce(t *testing.T) {
	t.Parallel()
	end := onDay(50)
	y := newYearOf(t, httpclient.MaskinportenSettings{JWK: httpclient.NewSecret(jwkWith(t, map[string]any{"exp": end.Unix()}))})
	const key = `"httpclient: make a new key for Jwk and register it - key for-tests-only (RSA 2048) `
	const attributes = ` client_id=id key_id=for-tests-only expires=2026-02-20T00:00:00.000Z`
	for _, step := range []struct {
		left time.Duration
		want string
	}{
		{30*24*time.Hour + time.Second, ""},
		{30 * 24 * time.Hour, `WARN ` + key + `expires on 2026-02-20, in 30 days, as its JWK says"` + attributes},
		{29*24*time.Hour + 2*time.Hour, ""},
		{47 * time.Hour, `WARN ` + key + `expires on 2026-02-20, in 1 day, as its JWK says"` + attributes},
		{25 * time.Hour, ""},
		{24*time.Hour - time.Second, `ERROR ` + key + `expires on 2026-02-20, in 23 hours, as its JWK says"` + attributes},
		{2 * time.Hour, ""},
		{0, `ERROR ` + key + `expired on 2026-02-20, as its JWK says"` + attributes},
		{-23 * time.Hour, ""},
		{-24 * time.Hour, `ERROR ` + key + `expired on 2026-02-20, as its JWK says"` + attributes},
		// The clock was set back by two weeks, and is no reason to be silent.
		{14 * 24 * time.Hour, `WARN ` + key + `expires on 2026-02-20, in 14 days, as its JWK says"` + attributes},
	} {
		y.set(end.Add(-step.left))
		y.fetch()
		if got := strings.Join(y.records(), "\n"); got != step.want {
			t.Errorf("%v before the end: got\n%s\nwant\n%s", step.left, got, step.want)
		}
	}
}

// The record says what to do, by what the key is and where it is from.
func TestEndIsToldInWords(t *testing.T) {
	t.Parallel()
	leaf, authorities := enterprise(t, onDay(-365), onDay(10))
	pfx := archive(t, pkcs12.Modern, leaf.key, leaf.cert, authorities, "pw")
	certificate := func() *httpclient.Key {
		key, err := httpclient.ParsePKCS12(pfx, "pw")
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	for name, c := range map[string]struct {
		section map[string]any
		source  *httpclient.Key
		expires time.Time
		want    string
	}{
		"a certificate in the settings": {
			section: map[string]any{"EncodedX509": certificateSetting(t, leaf, authorities)},
			want:    "order a new certificate for EncodedX509 (a file) - the certificate expires on 2026-01-11, in 10 days",
		},
		"a certificate whose secret ends first": {
			section: map[string]any{"EncodedX509": certificateSetting(t, leaf, authorities)}, expires: onDay(5),
			want: "order a new certificate for EncodedX509 (a file) - the certificate expires on 2026-01-06, in 5 days, as its secret in Key Vault says",
		},
		"a secret that ends before the JWK": {
			section: map[string]any{"jwks": jwkWith(t, map[string]any{"exp": onDay(8).Unix()})}, expires: onDay(3),
			want: "make a new key for jwks (a file) and register it - key for-tests-only (RSA 2048) expires on 2026-01-04, in 3 days, as its secret in Key Vault says",
		},
		"a JWK that ends before the secret": {
			section: map[string]any{"EncodedJwk": encoded(jwkWith(t, map[string]any{"exp": onDay(2).Unix()}))}, expires: onDay(3),
			want: "make a new key for EncodedJwk (a file) and register it - key for-tests-only (RSA 2048) expires on 2026-01-03, in 2 days, as its JWK says",
		},
		"within the hour": {
			source: signingKey(t).WithLife(time.Time{}, newYear.Add(90*time.Second)),
			want:   "make a new key for the key source and register it - key for-tests-only (RSA 2048) expires on 2026-01-01, in 1 minute, as the program says",
		},
		"at once": {
			source: signingKey(t).WithLife(time.Time{}, newYear.Add(59*time.Second)),
			want:   "make a new key for the key source and register it - key for-tests-only (RSA 2048) expires on 2026-01-01, in less than a minute, as the program says",
		},
		"a certificate from a source": {
			source: certificate(),
			want:   "order a new certificate for the key source - the certificate expires on 2026-01-11, in 10 days",
		},
		"no end, in the settings": {
			section: map[string]any{"EncodedJwk": encoded(jwkWith(t, nil))},
			want: `tell when the key in EncodedJwk (a file) ends, by the member \"exp\" of its JWK or by an expiry date of its secret in Key Vault - ` +
				"the end of key for-tests-only (RSA 2048) is not known; Maskinporten ends a key after a year at most",
		},
		"no end, of a signer's": {
			source: signersKey(t),
			want: "tell when the key in the key source ends, by an expiry date of the key, if a vault signs, or by Key.WithLife - " +
				"the end of key for-tests-only (RSA 2048) is not known; Maskinporten ends a key after a year at most",
		},
		"no end, from a source": {
			source: signingKey(t),
			want: `tell when the key in the key source ends, by the member \"exp\" of its JWK or by Key.WithLife - ` +
				"the end of key for-tests-only (RSA 2048) is not known; Maskinporten ends a key after a year at most",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := httpclient.MaskinportenSettings{Origin: func(string) httpclient.Origin {
				return httpclient.Origin{Source: "a file", Expires: c.expires}
			}}
			if err := settings.Parse(c.section); err != nil {
				t.Fatal(err)
			}
			var opts []httpclient.Option
			if c.source != nil {
				opts = append(opts, httpclient.WithKeySource(keys(c.source)))
			}
			y := newYearOf(t, settings, opts...)
			y.fetch()
			if got := y.records(); len(got) != 1 || !strings.Contains(got[0], `"httpclient: `+c.want+`"`) {
				t.Errorf("got  %q\nwant %s", got, c.want)
			}
		})
	}
}

// signersKey is the tests' key of a signer that is not this program's.
func signersKey(t *testing.T) *httpclient.Key {
	t.Helper()
	key, err := httpclient.NewKey(struct{ crypto.Signer }{clientKey(t).Signer()}, clientKey(t).KeyID, "")
	if err != nil {
		t.Fatal(err)
	}
	return key
}
