package jose_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// first is the first private key of a JWK, a set or an array.
func first(data string) (jose.PrivateKey, error) {
	members, err := jose.PrivateMembers([]byte(data))
	if err != nil {
		return jose.PrivateKey{}, err
	}
	return jose.ParsePrivateKey(members[0])
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
		"six private keys":            {data: `{"keys":[` + strings.Repeat(whole+",", 5) + whole + `]}`, err: jose.ErrTooMany},
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
		got, err := first(c.data)
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

// Private keys keep their order, and public ones are left out.
func TestPrivateMembers(t *testing.T) {
	t.Parallel()
	one, two := changed(t, map[string]any{"kid": "one"}), changed(t, map[string]any{"kid": "two"})
	public := changed(t, map[string]any{"d": nil})
	five := strings.Repeat(public+",", 10) + two + "," + one + strings.Repeat(","+two, 3)
	for name, data := range map[string]string{"an array": "[" + five + "]", "a set": ` {"keys":[` + five + `],"note":1}`} {
		members, err := jose.PrivateMembers([]byte(data))
		if err != nil || len(members) != 5 {
			t.Fatalf("%s: got %d keys and error %v, want 5 keys", name, len(members), err)
		}
		var kids []string
		for _, member := range members {
			key, err := jose.ParsePrivateKey(member)
			if err != nil {
				t.Fatal(err)
			}
			kids = append(kids, key.KeyID)
		}
		if got := strings.Join(kids, ","); got != "two,one,two,two,two" {
			t.Errorf("%s: got %s, want two,one,two,two,two", name, got)
		}
	}
}

// What a JWK says of its life is read if it makes sense, and is no reason to refuse the
// key.
func TestLife(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	whole, err := jose.ParsePrivateKey([]byte(changed(t, nil)))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: begin, NotAfter: begin.AddDate(0, 1, 0)}
	own, err := x509.CreateCertificate(rand.Reader, template, template, whole.Key.Public(), whole.Key)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := x509.CreateCertificate(rand.Reader, template, template, key().Public(), key())
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	for name, c := range map[string]struct {
		exp, x5c     any
		end, created time.Time
	}{
		"nothing":                   {},
		"as Altinn writes it":       {exp: begin.Unix(), x5c: []string{b64(own)}, end: begin, created: begin},
		"an end only":               {exp: begin.Unix(), end: begin},
		"a text":                    {exp: "1772359200", end: begin},
		"the year 9999":             {exp: int64(253402300799), end: time.Unix(253402300799, 0)},
		"the year 10000":            {exp: int64(253402300800)},
		"no second":                 {exp: 0},
		"before 1970":               {exp: -5},
		"an end that is no number":  {exp: "soon"},
		"an end that is a list":     {exp: []int{1}},
		"another key's certificate": {x5c: []string{b64(foreign)}},
		"the second certificate":    {x5c: []string{b64(foreign), b64(own)}},
		"no list":                   {x5c: b64(own)},
		"an empty list":             {x5c: []string{}},
		"not base64":                {x5c: []string{"%"}},
		"not a certificate":         {x5c: []string{b64([]byte("no"))}},
		"numbers":                   {x5c: []int{1}},
	} {
		got, err := jose.ParsePrivateKey([]byte(changed(t, map[string]any{"exp": c.exp, "x5c": c.x5c})))
		if err != nil || !got.Expires.Equal(c.end) || !got.Created.Equal(c.created) {
			t.Errorf("%s: got %v to %v and error %v, want %v to %v", name, got.Created, got.Expires, err, c.created, c.end)
		}
	}
}

func TestModulus(t *testing.T) {
	t.Parallel()
	whole, err := jose.ParsePrivateKey([]byte(changed(t, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data string
		ok   bool
	}{
		"a key":         {changed(t, nil), true},
		"with padding":  {changed(t, map[string]any{"n": members(t)["n"].(string) + "=="}), true},
		"no modulus":    {changed(t, map[string]any{"n": nil}), false},
		"not base64":    {changed(t, map[string]any{"n": "%"}), false},
		"not an object": {"[]", false},
	} {
		if n, ok := jose.Modulus([]byte(c.data)); ok != c.ok || ok && n.Cmp(whole.Key.N) != 0 {
			t.Errorf("%s: got %v, want the key's modulus: %t", name, ok, c.ok)
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
