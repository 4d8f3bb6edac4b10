package maskinportentest_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

func TestKeyRoundTrip(t *testing.T) {
	t.Parallel()
	encoded := key().EncodedJWK()
	got, err := maskinportentest.ParseKey(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if got.KeyID != kid || got.Algorithm != "RS256" || got.EncodedJWK() != encoded {
		t.Errorf("got %v, want %v", got, key())
	}
	if !got.Signer().(*rsa.PrivateKey).Equal(key().Signer()) {
		t.Error("got another private key, want the same")
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	dec := json.NewDecoder(bytes.NewReader(raw))
	for i := 0; ; i++ {
		tok, err := dec.Token()
		if err != nil {
			break
		}
		if s, ok := tok.(string); ok && i%2 == 1 {
			names = append(names, s)
		}
	}
	if diff := cmp.Diff(strings.Split("p,kty,q,d,e,use,kid,qi,dp,alg,dq,n", ","), names); diff != "" {
		t.Errorf("members, -want +got:\n%s", diff)
	}
}

func TestZeroKey(t *testing.T) {
	t.Parallel()
	var k maskinportentest.Key
	if k.EncodedJWK() != "" || k.Signer() != nil {
		t.Errorf("got JWK %q and signer %v of the zero key, want neither", k.EncodedJWK(), k.Signer())
	}
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	number := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	for name, tc := range map[string]struct {
		edit func(map[string]any)
		raw  string
		want string
	}{
		"not base64":     {raw: "%", want: "maskinportentest: key: not standard base64"},
		"not JSON":       {raw: "bm8=", want: "maskinportentest: key: not a JSON object of strings"},
		"not RSA":        {edit: set("kty", "EC"), want: "maskinportentest: key: not an RSA key with a kid"},
		"no kid":         {edit: without("kid"), want: "maskinportentest: key: not an RSA key with a kid"},
		"other alg":      {edit: set("alg", "PS256"), want: "maskinportentest: key: alg is not RS256, RS384 or RS512"},
		"public only":    {edit: without("d"), want: "maskinportentest: key: member d is missing or not base64url"},
		"d of another":   {edit: set("d", number([]byte{3})), want: "maskinportentest: key: its numbers do not belong together"},
		"exponent large": {edit: set("e", number(bytes.Repeat([]byte{255}, 9))), want: "maskinportentest: key: its numbers do not belong together"},
		"two bad": {
			edit: func(m map[string]any) { m["p"], m["q"] = "", "=" },
			want: "maskinportentest: key: member p is missing or not base64url\nmember q is missing or not base64url",
		},
		"small": {
			edit: func(m map[string]any) {
				m["n"], m["d"] = number(small.N.Bytes()), number(small.D.Bytes())
				m["p"], m["q"] = number(small.Primes[0].Bytes()), number(small.Primes[1].Bytes())
			},
			want: "maskinportentest: key: fewer than 2048 bits",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			encoded := tc.raw
			if tc.edit != nil {
				raw, err := base64.StdEncoding.DecodeString(key().EncodedJWK())
				if err != nil {
					t.Fatal(err)
				}
				var members map[string]any
				if err := json.Unmarshal(raw, &members); err != nil {
					t.Fatal(err)
				}
				tc.edit(members)
				if raw, err = json.Marshal(members); err != nil {
					t.Fatal(err)
				}
				encoded = base64.StdEncoding.EncodeToString(raw)
			}
			if _, err := maskinportentest.ParseKey(encoded); err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestNothingSecretIsPrinted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.token()
	private := key().Signer().(*rsa.PrivateKey)
	secrets := []string{
		token, key().EncodedJWK(), private.D.String(), private.Primes[0].String(),
		fmt.Sprintf("%x", private.D), base64.RawURLEncoding.EncodeToString(private.D.Bytes()),
	}
	client := maskinportentest.Client{ID: "x", Keys: []maskinportentest.Key{key()}}
	var out strings.Builder
	for _, v := range []any{w.Server, key(), client, &client, struct{ c maskinportentest.Client }{client}} {
		fmt.Fprintf(&out, "%v %+v %#v %s\n", v, v, v, v)
		asJSON, err := json.Marshal(v)
		fmt.Fprintf(&out, "%s %v\n", asJSON, err)
		slog.New(slog.NewTextHandler(&out, nil)).Info("text", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "v", v)
	}
	for _, secret := range secrets {
		if strings.Contains(out.String(), secret) {
			t.Error("got a secret in the output, want it hidden")
		}
	}
	for _, want := range []string{
		"maskinportentest.Server(" + w.Issuer() + ")",
		`maskinportentest.Key{KeyID:"kid-for-tests", Algorithm:"RS256", private:REDACTED}`,
		"v.kid=kid-for-tests v.alg=RS256",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got output without %s, want it there", want)
		}
	}
}
