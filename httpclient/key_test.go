package httpclient_test

import (
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/internal/jose"
)

var publicOnly = map[string]any{"d": nil, "p": nil, "q": nil, "dp": nil, "dq": nil, "qi": nil}

// Every shape in which users have been seen to keep a key leads to a token.
func TestEncodedJWKShapes(t *testing.T) {
	t.Parallel()
	pretty := keyFile(t, "client.jwk.json")
	oneLine := compact(t, pretty)
	std := encoded(oneLine)
	cases := []struct {
		name    string
		changes map[string]any
	}{
		{"pretty-printed, as Digdir's guide makes it", map[string]any{"EncodedJwk": encoded(pretty)}},
		{"compact, which looks like a JWT", map[string]any{"EncodedJwk": std}},
		{"URL-safe without padding", map[string]any{"EncodedJwk": base64.RawURLEncoding.EncodeToString([]byte(oneLine))}},
		{"standard without padding", map[string]any{"EncodedJwk": strings.TrimRight(std, "=")}},
		{"broken into lines", map[string]any{"EncodedJwk": std[:76] + "\r\n" + std[76:152] + "\n" + std[152:] + "\n"}},
		{"a BOM before", map[string]any{"EncodedJwk": "\ufeff" + std}},
		{"a BOM inside", map[string]any{"EncodedJwk": encoded("\ufeff" + oneLine)}},
		{"no base64 at all", map[string]any{"EncodedJwk": pretty}},
		{"a set", map[string]any{"EncodedJwk": encoded(`{"keys":[` + jwkWith(t, publicOnly) + "," + oneLine + `]}`)}},
		{"an array", map[string]any{"EncodedJwk": encoded(`[` + oneLine + `]`)}},
		{"extra members", map[string]any{"EncodedJwk": encoded(jwkWith(t, map[string]any{"x-note": "n", "nbf": 1, "key_ops": []string{"sign"}}))}},
		{"wrong CRT exponents, which are computed anew", map[string]any{"EncodedJwk": encoded(jwkWith(t, map[string]any{"dp": "AQAB", "dq": "AQAB", "qi": "AQAB"}))}},
		{"an exponent with zeros before it", map[string]any{"EncodedJwk": encoded(jwkWith(t, map[string]any{"e": "AAAAAAAAAAEAAQ"}))}},
		{"without alg", map[string]any{"EncodedJwk": encoded(jwkWith(t, map[string]any{"alg": nil}))}},
		{"JwkBase64", map[string]any{"EncodedJwk": "", "JwkBase64": std}},
		{"Jwk as text", map[string]any{"EncodedJwk": "", "Jwk": oneLine}},
		{"EncodedJwk wins over Jwk", map[string]any{"Jwk": "{}"}},
		{"kid from the settings", map[string]any{"EncodedJwk": encoded(jwkWith(t, map[string]any{"kid": nil})), "Kid": "for-tests-only"}},
		{"kid overridden", map[string]any{"EncodedJwk": encoded(jwkWith(t, map[string]any{"kid": "other"})), "Kid": "for-tests-only"}},
	}
	srv := newDouble(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, err := sourceOf(t, srv, c.changes).Token(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// The algorithm is the key's own.
func TestKeyAlgorithms(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"RS256", "RS384", "RS512"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			key := clientKey(t)
			key.Algorithm = alg
			srv := newDouble(t, withKey(key))
			if _, err := sourceOf(t, srv, nil).Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			header := srv.Stats().LastAssertion.Header
			if header["alg"] != alg || header["kid"] != "for-tests-only" || len(header) != 2 {
				t.Errorf("got header %v, want only %s and the key id", header, alg)
			}
		})
	}
}

func TestRefusedKeys(t *testing.T) {
	t.Parallel()
	one := compact(t, keyFile(t, "client.jwk.json"))
	two := compact(t, keyFile(t, "other.jwk.json"))
	integer := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	bits := func(n int) string { return integer(new(big.Int).Lsh(big.NewInt(1), uint(n-1))) }
	with := func(name string, value any) string { return encoded(jwkWith(t, map[string]any{name: value})) }
	const exponent = "has a wrong public exponent (e), which must be odd, over 1 and under 2^31: make a new key"
	cases := []struct{ name, value, want string }{
		{"8,193 bits", with("n", bits(8193)), "is over 8192 bits: make a new key of 2048 to 4096 bits"},
		{"a million bits", with("n", bits(1_000_000)), "is over 8192 bits: make a new key of 2048 to 4096 bits"},
		{"2,047 bits", with("n", bits(2047)), "is under 2048 bits: make a new key (it has 2047)"},
		{"a prime of a million bits", with("p", bits(1_000_000)), "has numbers that do not fit together: export it again"},
		{"a private exponent of a million bits", with("d", bits(1_000_000)), "has numbers that do not fit together: export it again"},
		{"an even exponent", with("e", integer(big.NewInt(65538))), exponent},
		{"an exponent of 1", with("e", "AQ"), exponent},
		{"an exponent of 0", with("e", "AA"), exponent},
		{"no exponent", with("e", nil), "has numbers that do not fit together: export it again"},
		{"an exponent of 2^31 and 1", with("e", integer(big.NewInt(1<<31+1))), exponent},
		{"an exponent of 2^32 and 65537", with("e", integer(big.NewInt(1<<32+65537))), exponent},
		{"an exponent of 2^64 and 65537", with("e", base64.RawURLEncoding.EncodeToString([]byte("\x01\x00\x00\x00\x00\x00\x01\x00\x01"))), exponent},
		{"not base64", "%%%CANARY%%%", "is not base64: set it to the base64 of the client's private JWK"},
		{"base64 of something else", encoded("CANARY"), "is base64, but not of JSON: set it to the base64 of the client's private JWK"},
		{"broken JSON", encoded(`{"kty":"RSA","d":"CANARY"`), "is not whole JSON: it may have been cut; set it again"},
		{"a token", "eyJhbGciOiJSUzI1NiJ9.e30.CANARY", "is a token (JWT), not a key: set it to the base64 of the client's private JWK"},
		{"a file's name", "private.jwk.json", "is not base64: set it to the base64 of the client's private JWK"},
		{"PEM", "-----BEGIN PRIVATE KEY-----\nCANARY", "is a key in PEM or DER form: convert it to a JWK"},
		{"base64 of PEM", encoded("-----BEGIN PRIVATE KEY-----\nCANARY"), "is a key in PEM or DER form: convert it to a JWK"},
		{"DER", encoded("\x30\x82CANARY"), "is a key in PEM or DER form: convert it to a JWK"},
		{"base64 twice", encoded(encoded(one)), "is base64 twice: encode the JWK once"},
		{"an empty object", encoded(`{}`), "holds no key"},
		{"an empty set", encoded(`{"keys":[]}`), "holds no key"},
		{"a set of nonsense", encoded(`{"keys":3}`), "holds no key"},
		{"an array of nonsense", encoded(`[1]`), "holds no key"},
		{"public only", encoded(jwkWith(t, publicOnly)), `is a public key (member "d" is missing): export the private key`},
		{"the same private key twice", encoded(`[` + one + `,` + two + `,` + one + `]`), `holds private keys, numbers 1 and 3, with the same key id (member "kid"): remove one of them`},
		{"six private keys", encoded(`[` + strings.Repeat(one+",", 5) + one + `]`), "holds more than 5 private keys: Maskinporten takes no more for a client, so remove the oldest"},
		{"two private keys, one without kid", encoded(`[` + two + `,` + jwkWith(t, map[string]any{"kid": nil}) + `]`), `holds a private key, number 2, that has no key id (member "kid"): add the id that it is registered under`},
		{"two private keys, one of an elliptic curve", encoded(`[` + keyFile(t, "ec.jwk.json") + `,` + two + `]`), "holds a private key, number 1, that is not an RSA key: Maskinporten takes RSA keys only"},
		{"two private keys, one broken", encoded(`[` + two + `,` + jwkWith(t, map[string]any{"d": "AQAB"}) + `]`), "holds a private key, number 2, that has numbers that do not fit together: export it again"},
		{"an elliptic curve", encoded(keyFile(t, "ec.jwk.json")), "is not an RSA key: Maskinporten takes RSA keys only"},
		{"too small", encoded(keyFile(t, "small.jwk.json")), "is under 2048 bits: make a new key (it has 1024)"},
		{"no primes", encoded(jwkWith(t, map[string]any{"p": nil, "q": nil})), `lacks its primes (members "p" and "q"): export the whole key`},
		{"numbers of two keys", encoded(jwkWith(t, map[string]any{"n": member(t, two, "n")})), "has numbers that do not fit together: export it again"},
		{"a number that is not base64", encoded(jwkWith(t, map[string]any{"d": "!CANARY!"})), "has numbers that do not fit together: export it again"},
		{"a kid that is no text", encoded(jwkWith(t, map[string]any{"kid": 3})), "has a member that is not a text"},
		{"no kid", encoded(jwkWith(t, map[string]any{"kid": nil})), `has no key id (member "kid"): set Kid to the id that the key is registered under`},
		{"another algorithm", encoded(jwkWith(t, map[string]any{"alg": "PS256"})), "asks for an algorithm that Maskinporten does not take: use RS256, RS384 or RS512 (it says PS256)"},
		{"an algorithm that nobody knows", encoded(jwkWith(t, map[string]any{"alg": "CANARY"})), "asks for an algorithm that Maskinporten does not take: use RS256, RS384 or RS512"},
		{"cut within a group of base64", encoded(one)[:1001], "is base64 that may have been cut: set it again, whole"},
		{"a PKCS#12 archive", encoded(keyFile(t, "enterprise.p12")), "is a PKCS#12 archive: set EncodedX509 to it instead"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := httpclient.MaskinportenSettings{Environment: "test", ClientID: "id", Scope: "s", EncodedJWK: httpclient.NewSecret(c.value)}
			_, err := httpclient.NewTokenSource(s)
			if want := "httpclient: EncodedJwk " + c.want; message(err) != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if quote := quotes(message(err), c.value, c.want); quote != "" {
				t.Errorf("got %q of the setting in the error, want no quotation: %v", quote, err)
			}
			if strings.Contains(prints(err), "CANARY") {
				t.Error("got an error that quotes the key, want no quotation")
			}
		})
	}
}

func TestQuotes(t *testing.T) {
	t.Parallel()
	const input = "0123456789abcdefghij"
	for name, c := range map[string]struct{ text, fixed, want string }{
		"the whole":          {"x " + input, "", "0123456789abcdef"},
		"16 at the end":      {"x 456789abcdefghij", "", "456789abcdefghij"},
		"16 in the middle":   {"x 23456789abcdefgh y", "", "23456789abcdefgh"},
		"15":                 {"x 3456789abcdefgh y", "", ""},
		"16 of a fixed text": {"x 23456789abcdefgh y", "a 23456789abcdefgh b", ""},
		"nothing":            {"x", "", ""},
	} {
		if got := quotes(c.text, input, c.fixed); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// keyTexts are all that an error may say about EncodedJwk.
var keyTexts = []string{
	"httpclient: EncodedJwk is missing: set it to the base64 of the client's private JWK (or set EncodedX509 or CertificatePkcs12Path)",
	"httpclient: EncodedJwk is not base64: set it to the base64 of the client's private JWK",
	"httpclient: EncodedJwk is base64, but not of JSON: set it to the base64 of the client's private JWK",
	"httpclient: EncodedJwk is a token (JWT), not a key: set it to the base64 of the client's private JWK",
	"httpclient: EncodedJwk is a key in PEM or DER form: convert it to a JWK",
	"httpclient: EncodedJwk is base64 twice: encode the JWK once",
	"httpclient: EncodedJwk is base64 that may have been cut: set it again, whole",
	"httpclient: EncodedJwk is a PKCS#12 archive: set EncodedX509 to it instead",
	"httpclient: EncodedJwk looks like a Key Vault reference, but it was not followed: write it as @Microsoft.KeyVault(VaultName=my-vault;SecretName=my-secret)",
	`httpclient: EncodedJwk has no key id (member "kid"): set Kid to the id that the key is registered under`,
	"httpclient: EncodedJwk " + jose.ErrNotJSON.Error(),
	"httpclient: EncodedJwk " + jose.ErrMember.Error(),
	"httpclient: EncodedJwk " + jose.ErrNoKey.Error(),
	"httpclient: EncodedJwk " + jose.ErrPublicOnly.Error(),
	"httpclient: EncodedJwk " + jose.ErrTooMany.Error(),
	"httpclient: EncodedJwk " + jose.ErrNotRSA.Error(),
	"httpclient: EncodedJwk " + jose.ErrTooSmall.Error(),
	"httpclient: EncodedJwk " + jose.ErrTooLarge.Error(),
	"httpclient: EncodedJwk " + jose.ErrExponent.Error(),
	"httpclient: EncodedJwk " + jose.ErrNumbers.Error(),
	"httpclient: EncodedJwk " + jose.ErrPrimes.Error(),
	"httpclient: EncodedJwk " + jose.ErrAlgorithm.Error(),
}

// Whatever stands in EncodedJwk, there is an error or there are sound settings, and
// no panic. An error quotes nothing of the setting, nor does anything printed.
func FuzzEncodedJWK(f *testing.F) {
	one := keyFile(f, "client.jwk.json")
	for _, seed := range []string{
		one, encoded(one), encoded(`{"keys":[` + one + `]}`), encoded(`[{}]`), "eyJ.a.b", "", "\ufeff{", "null",
		"%a long text that is not base64%", encoded("a long text that is not JSON"), encoded(encoded(one)),
		"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw", "eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJlLW9mLWEtdG9rZW4",
		one[:len(one)/2], encoded(jwkWith(f, publicOnly)), encoded(jwkWith(f, map[string]any{"n": "AQABAQABAQABAQABAQABAQAB"})),
		encoded(jwkWith(f, map[string]any{"kid": nil})), encoded(jwkWith(f, map[string]any{"alg": "a long name of an algorithm"})),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		s := httpclient.MaskinportenSettings{Environment: "test", ClientID: "id", Scope: "s", EncodedJWK: httpclient.NewSecret(value)}
		err := s.Validate()
		if again := s.Validate(); message(err) != message(again) {
			t.Errorf("got %v, then %v, want the same answer twice", err, again)
		}
		if quote := quotes(message(err), value, keyTexts...); quote != "" {
			t.Errorf("got %q of the setting in the error, want no quotation: %v", quote, err)
		}
		if decoded, e := base64.StdEncoding.DecodeString(value); e == nil {
			if quote := quotes(message(err), string(decoded), keyTexts...); quote != "" {
				t.Errorf("got %q of the decoded setting in the error, want no quotation: %v", quote, err)
			}
		}
		another := s
		another.EncodedJWK = httpclient.NewSecret("x")
		printed := func(s httpclient.MaskinportenSettings) string { return fmt.Sprintf("%v %+v %#v", s, s, &s) }
		if quote := quotes(printed(s), value, printed(another)); quote != "" {
			t.Errorf("got %q in printed settings, want no quotation", quote)
		}
	})
}
