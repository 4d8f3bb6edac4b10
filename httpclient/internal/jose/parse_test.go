package jose_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portnokkel/portnokkel/httpclient/internal/jose"
)

// members are those of the key that was made for tests.
func members(t testing.TB) map[string]any {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "testdata", "keys", "client.jwk.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// changed is the key with members set, or left out if nil.
func changed(t testing.TB, changes map[string]any) string {
	t.Helper()
	all := members(t)
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestParsePrivateKey(t *testing.T) {
	t.Parallel()
	b64 := base64.RawURLEncoding.EncodeToString
	whole := changed(t, nil)
	other := changed(t, map[string]any{"d": nil, "p": nil, "q": nil, "dp": nil, "dq": nil, "qi": nil, "kid": "other"})
	for name, c := range map[string]struct {
		data string
		err  error
		alg  string
		kid  string
	}{
		"a key":                       {data: whole, alg: "RS256", kid: "for-tests-only"},
		"with white space":            {data: "\n " + whole + "\n", alg: "RS256", kid: "for-tests-only"},
		"without alg and kid":         {data: changed(t, map[string]any{"alg": nil, "kid": nil}), alg: "RS256"},
		"RS512":                       {data: changed(t, map[string]any{"alg": "RS512"}), alg: "RS512", kid: "for-tests-only"},
		"extra members":               {data: changed(t, map[string]any{"exp": 1, "note": "x"}), alg: "RS256", kid: "for-tests-only"},
		"wrong CRT numbers":           {data: changed(t, map[string]any{"dp": b64([]byte{3})}), alg: "RS256", kid: "for-tests-only"},
		"a set of one":                {data: `{"keys":[` + whole + `]}`, alg: "RS256", kid: "for-tests-only"},
		"a set with public ones":      {data: `{"keys":[` + other + "," + whole + `]}`, alg: "RS256", kid: "for-tests-only"},
		"an array":                    {data: "[" + whole + "]", alg: "RS256", kid: "for-tests-only"},
		"an empty set":                {data: `{"keys":[]}`, err: jose.ErrNoKey},
		"an empty array":              {data: "[]", err: jose.ErrNoKey},
		"a set of something else":     {data: `{"keys":[1]}`, err: jose.ErrNoKey},
		"keys, not a list":            {data: `{"keys":5}`, err: jose.ErrNoKey},
		"an object of something else": {data: `{"a":1}`, err: jose.ErrNoKey},
		"two private keys":            {data: `{"keys":[` + whole + "," + whole + `]}`, err: jose.ErrSeveralKeys},
		"only public":                 {data: other, err: jose.ErrPublicOnly},
		"cut":                         {data: whole[:len(whole)-1], err: jose.ErrNotJSON},
		"an elliptic curve":           {data: changed(t, map[string]any{"kty": "EC"}), err: jose.ErrNotRSA},
		"a number as kid":             {data: changed(t, map[string]any{"kid": 5}), err: jose.ErrMember},
		"without its primes":          {data: changed(t, map[string]any{"p": nil, "q": nil}), err: jose.ErrPrimes},
		"PS256":                       {data: changed(t, map[string]any{"alg": "PS256"}), err: jose.ErrAlgorithm},
		"not base64":                  {data: changed(t, map[string]any{"n": "%"}), err: jose.ErrNumbers},
		"an even exponent":            {data: changed(t, map[string]any{"e": b64([]byte{1, 0, 0})}), err: jose.ErrExponent},
		"an exponent of five bytes":   {data: changed(t, map[string]any{"e": b64([]byte{1, 0, 0, 0, 1})}), err: jose.ErrExponent},
		"another private exponent":    {data: changed(t, map[string]any{"d": b64([]byte{5})}), err: jose.ErrNumbers},
		"a short modulus":             {data: changed(t, map[string]any{"n": b64(bytes.Repeat([]byte{0xff}, 128))}), err: jose.ErrTooSmall},
		"a long modulus":              {data: changed(t, map[string]any{"n": b64(bytes.Repeat([]byte{0xff}, 2048))}), err: jose.ErrTooLarge},
	} {
		got, err := jose.ParsePrivateKey([]byte(c.data))
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: got error %v, want %v", name, err, c.err)
			continue
		}
		if err == nil && (got.Key == nil || got.Algorithm != c.alg || got.KeyID != c.kid) {
			t.Errorf("%s: got %s and %s, want %s and %s", name, got.Algorithm, got.KeyID, c.alg, c.kid)
		}
	}
}

func TestCheckAlgorithm(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]error{
		"RS256": nil, "RS384": nil, "RS512": nil,
		"": jose.ErrAlgorithm, "rs256": jose.ErrAlgorithm, "PS256": jose.ErrAlgorithm, "ES256": jose.ErrAlgorithm, "none": jose.ErrAlgorithm,
	} {
		if got := jose.CheckAlgorithm(name); !errors.Is(got, want) {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
}

// A chain stands in the header in its order, as standard base64.
func TestSignWithAChain(t *testing.T) {
	t.Parallel()
	key, err := jose.ParsePrivateKey([]byte(changed(t, nil)))
	if err != nil {
		t.Fatal(err)
	}
	chain := []string{base64.StdEncoding.EncodeToString([]byte("leaf?>")), base64.StdEncoding.EncodeToString([]byte("authority"))}
	token, err := jose.Sign([]byte(`{}`), key.Key, "RS256", jose.Header{Chain: chain})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	if err != nil {
		t.Fatal(err)
	}
	var header struct {
		Kid *string  `json:"kid"`
		X5c []string `json:"x5c"`
	}
	if err := json.Unmarshal(raw, &header); err != nil {
		t.Fatal(err)
	}
	if header.Kid != nil || strings.Join(header.X5c, " ") != strings.Join(chain, " ") {
		t.Errorf("got kid %v and x5c %q, want no kid and %q", header.Kid, header.X5c, chain)
	}
}
