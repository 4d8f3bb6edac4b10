package vaulttest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, _ := rsa.GenerateKey(rand.Reader, 2048) // never fails with 2048 bits
	return key
})

// keyAnswer is an answer about keys.
type keyAnswer struct {
	status int
	body   map[string]any
}

func (a keyAnswer) failure() (code, message string) {
	e, _ := a.body["error"].(map[string]any)
	code, _ = e["code"].(string)
	message, _ = e["message"].(string)
	if inner, ok := e["innererror"].(map[string]any); ok {
		code += "/" + inner["code"].(string)
	}
	return code, message
}

// ask asks about keys with a good token. A body is JSON.
func ask(t *testing.T, srv *vaulttest.Server, method, path, body string) keyAnswer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.VaultURL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+srv.IssueToken(vaultResource, time.Hour))
	if body != "" && !strings.HasPrefix(body, "as text: ") {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	a := keyAnswer{status: resp.StatusCode}
	raw, err := io.ReadAll(resp.Body)
	if err != nil || json.Unmarshal(raw, &a.body) != nil {
		t.Fatalf("got %s, %v, want JSON", raw, err)
	}
	return a
}

const version = "?api-version=7.6"

func toSign(alg string, size int) string {
	return `{"alg":"` + alg + `","value":"` + base64.RawURLEncoding.EncodeToString(make([]byte, size)) + `"}`
}

func TestKeysRefused(t *testing.T) {
	t.Parallel()
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	small, _ := rsa.GenerateKey(rand.Reader, 1024)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	now := time.Now()
	const get, post = http.MethodGet, http.MethodPost
	cases := []struct {
		name         string
		opts         []vaulttest.Option
		key          vaulttest.Key
		method, path string // V stands for the version
		body         string
		status       int
		code, text   string
	}{
		{name: "missing", method: get, path: "/keys/Nope", status: 404, code: "KeyNotFound", text: "A key with (name/id) Nope was not found in this key vault. If you recently deleted this key"},
		{name: "unknown version", method: get, path: "/keys/K/12", status: 404, code: "KeyNotFound", text: "A key with (name/id) K/12 was not found in this key vault."},
		{name: "sign with an unknown version", method: post, path: "/keys/K/12/sign", body: toSign("RS256", 32), status: 404, code: "KeyNotFound", text: "A key with (name/id) K/12 was not found"},
		{name: "malformed name", method: get, path: "/keys/a_b", status: 400, code: "BadParameter", text: "the key's name is malformed"},
		{name: "unknown route", method: get, path: "/keys/K/V/more", status: 404, code: "NotFound"},
		{name: "unknown longer route", method: get, path: "/keys/K/V/sign/more", status: 404, code: "NotFound"},
		{name: "sign a secret", method: post, path: "/secrets/K/V/sign", body: toSign("RS256", 32), status: 405, code: "MethodNotAllowed"},
		{name: "get sign", method: get, path: "/keys/K/V/sign", status: 405, code: "MethodNotAllowed"},
		{name: "create", method: post, path: "/keys/K/create", body: `{"kty":"RSA"}`, status: 405, code: "MethodNotAllowed"},
		{name: "no role to list", opts: []vaulttest.Option{vaulttest.WithoutKeys()}, method: get, path: "/keys", status: 403, code: "Forbidden/ForbiddenByRbac", text: "Action: 'Microsoft.KeyVault/vaults/keys/read'\r\nResource: '/subscriptions/"},
		{name: "no role to get", opts: []vaulttest.Option{vaulttest.WithoutKeys()}, method: get, path: "/keys/K", status: 403, code: "Forbidden/ForbiddenByRbac", text: "/vaults/vaulttest/keys/k'\r\n"},
		{name: "no role for keys", opts: []vaulttest.Option{vaulttest.WithoutKeys()}, method: post, path: "/keys/K/V/sign", body: toSign("RS256", 32), status: 403, code: "Forbidden/ForbiddenByRbac"},
		{name: "no role to sign", opts: []vaulttest.Option{vaulttest.WithoutSign()}, method: post, path: "/keys/K/V/sign", body: toSign("RS256", 32), status: 403, code: "Forbidden/ForbiddenByRbac", text: "Action: 'Microsoft.KeyVault/vaults/keys/sign/action'\r\n"},
		{name: "role comes later", opts: []vaulttest.Option{vaulttest.WithRoleDelay(time.Hour)}, method: get, path: "/keys/K", status: 403, code: "Forbidden/ForbiddenByRbac"},
		{name: "firewall", opts: []vaulttest.Option{vaulttest.WithFirewall()}, method: get, path: "/keys/K", status: 403, code: "Forbidden/ForbiddenByFirewall"},
		{name: "disabled", key: vaulttest.Key{Disabled: true}, method: post, path: "/keys/K/V/sign", body: toSign("RS256", 32), status: 403, code: "Forbidden/KeyDisabled", text: "Operation sign is not allowed on a disabled key."},
		{name: "expired", key: vaulttest.Key{Expires: now.Add(-time.Second)}, method: post, path: "/keys/K/V/sign", body: toSign("RS256", 32), status: 403, code: "Forbidden/KeyExpired"},
		{name: "coming", key: vaulttest.Key{NotBefore: now.Add(time.Hour)}, method: post, path: "/keys/K/V/sign", body: toSign("RS256", 32), status: 403, code: "Forbidden/KeyNotYetValid"},
		{name: "not for signing", key: vaulttest.Key{Operations: []string{"verify"}}, method: post, path: "/keys/K/V/sign", body: toSign("RS256", 32), status: 403, code: "Forbidden/KeyOperationForbidden", text: "Operation sign is not permitted on this key."},
		{name: "text", method: post, path: "/keys/K/V/sign", body: "as text: " + toSign("RS256", 32), status: 415, code: "UnsupportedMediaType"},
		{name: "no JSON", method: post, path: "/keys/K/V/sign", body: "{", status: 400, code: "BadParameter"},
		{name: "too much", method: post, path: "/keys/K/V/sign", body: toSign("RS256", 9<<10), status: 400, code: "BadParameter"},
		{name: "no algorithm", method: post, path: "/keys/K/V/sign", body: toSign("", 32), status: 400, code: "BadParameter", text: "Property alg is required"},
		{name: "made-up algorithm", method: post, path: "/keys/K/V/sign", body: toSign("RS1", 32), status: 400, code: "BadParameter", text: `"RS1" is not an algorithm that signs`},
		{name: "an EC key's algorithm", method: post, path: "/keys/K/V/sign", body: toSign("ES256", 32), status: 400, code: "BadParameter", text: "Key and signing algorithm are incompatible."},
		{name: "an RSA key's algorithm", key: vaulttest.Key{Private: ec}, method: post, path: "/keys/K/V/sign", body: toSign("RS256", 32), status: 400, code: "BadParameter", text: "is of type 'EC'."},
		{name: "EC", key: vaulttest.Key{Private: ec}, method: post, path: "/keys/K/V/sign", body: toSign("ES256", 32), status: 400, code: "BadParameter", text: "vaulttest does not sign with EC keys"},
		{name: "short digest", method: post, path: "/keys/K/V/sign", body: toSign("RS256", 31), status: 400, code: "BadParameter", text: "Invalid length of 'value': 31 bytes. RS256 requires 32 bytes, encoded with base64url."},
		{name: "long digest", method: post, path: "/keys/K/V/sign", body: toSign("RS384", 64), status: 400, code: "BadParameter", text: "Invalid length of 'value': 64 bytes. RS384 requires 48 bytes, encoded with base64url."},
		{name: "no digest", method: post, path: "/keys/K/V/sign", body: toSign("RS256", 0), status: 400, code: "BadParameter"},
		{name: "padded digest", method: post, path: "/keys/K/V/sign", body: `{"alg":"RS256","value":"` + strings.Repeat("A", 43) + `="}`, status: 400, code: "BadParameter"},
		{name: "test stores a bad name", key: vaulttest.Key{Name: "a:b"}, method: get, path: "/keys", status: 400, code: "BadParameter", text: `vaulttest: key name "a:b" is not 1 to 127 of`},
		{name: "test stores a small key", key: vaulttest.Key{Private: small}, method: get, path: "/keys", status: 400, code: "BadParameter", text: `vaulttest: key "K" has 1024 bits, and not 2048, 3072 or 4096`},
		{name: "test stores another key", key: vaulttest.Key{Private: ed}, method: get, path: "/keys", status: 400, code: "BadParameter", text: `vaulttest: key "K" is a ed25519.PrivateKey, and neither`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := vaulttest.NewServer(c.opts...)
			defer srv.Close()
			if c.key.Name == "" {
				c.key.Name = "K"
			}
			if c.key.Private == nil {
				c.key.Private = rsaKey()
			}
			path := strings.Replace(c.path, "/V", "/"+srv.CreateKey(c.key), 1)
			got := ask(t, srv, c.method, path+version, c.body)
			if code, text := got.failure(); got.status != c.status || code != c.code || !strings.Contains(text, c.text) {
				t.Errorf("got %d %s %q, want %d %s with %q", got.status, code, text, c.status, c.code, c.text)
			}
			if n := srv.Stats().Refused; n != 1 {
				t.Errorf("got %d refusals, want 1", n)
			}
		})
	}
}

// Without a token a request for a signature is challenged, whatever else it is.
func TestSignIsChallenged(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	got := do(t, srv, http.MethodPost, "/keys/K/12/sign", "", nil)
	if got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") == "" || srv.Stats().Challenges != 1 || srv.Stats().Signs != 0 {
		t.Errorf("got %d and %+v, want a challenge", got.status, srv.Stats())
	}
}

// Azure's own client makes signatures that verify.
func TestAzureClientSigns(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	id := srv.CreateKey(vaulttest.Key{Name: "Key"})
	cred, err := srv.Credential()
	if err != nil {
		t.Fatal(err)
	}
	options := azkeys.ClientOptions(srv.ClientOptions())
	client, err := azkeys.NewClient(srv.VaultURL(), cred, &options)
	if err != nil {
		t.Fatal(err)
	}
	read, err := client.GetKey(t.Context(), "kEY", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(read.Key.N), E: int(new(big.Int).SetBytes(read.Key.E).Int64())}
	if read.Key.KID.Version() != id || read.Key.KID.Name() != "Key" || public.N.BitLen() != 2048 {
		t.Errorf("got %s of %d bits, want version %s of 2048", *read.Key.KID, public.N.BitLen(), id)
	}
	for alg, hash := range map[azkeys.SignatureAlgorithm]crypto.Hash{
		azkeys.SignatureAlgorithmRS256: crypto.SHA256, azkeys.SignatureAlgorithmRS384: crypto.SHA384, azkeys.SignatureAlgorithmRS512: crypto.SHA512,
		azkeys.SignatureAlgorithmPS256: crypto.SHA256, azkeys.SignatureAlgorithmPS384: crypto.SHA384, azkeys.SignatureAlgorithmPS512: crypto.SHA512,
	} {
		digest := hash.New().Sum(nil)
		got, err := client.Sign(t.Context(), "Key", id, azkeys.SignParameters{Algorithm: &alg, Value: digest}, nil)
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if strings.HasPrefix(string(alg), "PS") {
			err = rsa.VerifyPSS(public, hash, digest, got.Result, &rsa.PSSOptions{SaltLength: hash.Size()})
		} else {
			err = rsa.VerifyPKCS1v15(public, hash, digest, got.Result)
		}
		if err != nil || got.KID.Version() != id {
			t.Errorf("%s: got %v from %s, want a signature of %s", alg, err, *got.KID, id)
		}
	}
	if s := srv.Stats(); s.KeyGets != 1 || s.Signs != 6 || s.Gets != 0 || s.Challenges != 1 || s.Refused != 0 {
		t.Errorf("got %+v, want 1 key read and 6 signatures", s)
	}
}

// What is told of a key: no private member, and the attributes in whole seconds.
func TestKeyAttributes(t *testing.T) {
	t.Parallel()
	ec, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	at := time.Date(2031, 1, 1, 0, 0, 0, 5e8, time.UTC)
	srv := vaulttest.NewServer(vaulttest.WithClock(func() time.Time { return at }))
	defer srv.Close()
	full := srv.CreateKey(vaulttest.Key{
		Name: "Full", Private: rsaKey(), HSM: true, Operations: []string{"sign"}, NotBefore: at, Expires: at.Add(time.Minute),
		Created: at.Add(2 * time.Minute), Updated: at.Add(3 * time.Minute), Tags: map[string]string{"a": "b"}, Managed: true,
	})
	plain := srv.CreateKey(vaulttest.Key{Name: "Plain", Private: ec, Disabled: true})
	encode := base64.RawURLEncoding.EncodeToString
	attributes := func(enabled bool, created, updated time.Time) map[string]any {
		return map[string]any{
			"enabled": enabled, "created": float64(created.Unix()), "updated": float64(updated.Unix()), "exportable": false,
			"recoveryLevel": "Recoverable+Purgeable", "recoverableDays": float64(90),
		}
	}
	ofFull := attributes(true, at.Add(2*time.Minute), at.Add(3*time.Minute))
	ofFull["nbf"], ofFull["exp"] = float64(at.Unix()), float64(at.Unix()+60)
	kid := srv.VaultURL() + "/keys/Full"
	point, _ := ec.PublicKey.Bytes()
	for path, want := range map[string]map[string]any{
		"/keys/full": {
			"key":        map[string]any{"kid": kid + "/" + full, "kty": "RSA-HSM", "key_ops": []any{"sign"}, "n": encode(rsaKey().N.Bytes()), "e": "AQAB"},
			"attributes": ofFull, "tags": map[string]any{"a": "b"}, "managed": true,
		},
		"/keys/Plain/" + plain: {
			"key": map[string]any{
				"kid": srv.VaultURL() + "/keys/Plain/" + plain, "kty": "EC", "key_ops": []any{"sign", "verify"},
				"crv": "P-384", "x": encode(point[1:49]), "y": encode(point[49:]),
			},
			"attributes": attributes(false, at, at), "tags": map[string]any{},
		},
		"/keys": {"nextLink": nil, "value": []any{
			map[string]any{"kid": kid, "attributes": ofFull, "tags": map[string]any{"a": "b"}, "managed": true},
			map[string]any{"kid": srv.VaultURL() + "/keys/Plain", "attributes": attributes(false, at, at), "tags": map[string]any{}},
		}},
		"/keys/full/versions": {"nextLink": nil, "value": []any{
			map[string]any{"kid": kid + "/" + full, "attributes": ofFull, "tags": map[string]any{"a": "b"}, "managed": true},
		}},
		"/keys/never-there/versions": {"nextLink": nil, "value": []any{}},
	} {
		got := ask(t, srv, http.MethodGet, path+version, "")
		if diff := cmp.Diff(want, got.body); diff != "" || got.status != http.StatusOK {
			t.Errorf("%s: got %d\n%s", path, got.status, diff)
		}
	}
	if s := srv.Stats(); s.KeyLists != 1 || s.KeyVersionLists != 2 || s.KeyGets != 2 || s.Lists+s.VersionLists+s.Gets != 0 {
		t.Errorf("got %+v, want the requests counted as those of keys", s)
	}
}

// Keys and secrets of one name are apart, and so are their listings.
func TestKeysAndSecretsAreApart(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	for range 26 {
		srv.CreateKey(vaulttest.Key{Name: "Same", Private: rsaKey()})
		srv.Set("Same", "a secret")
	}
	first := ask(t, srv, http.MethodGet, "/keys/same/versions"+version, "")
	link, _ := first.body["nextLink"].(string)
	entries, _ := first.body["value"].([]any)
	_, token, found := strings.Cut(link, "$skiptoken=")
	if len(entries) != 25 || !found {
		t.Fatalf("got %d versions and %q, want 25 and a link", len(entries), link)
	}
	rest := ask(t, srv, http.MethodGet, strings.TrimPrefix(link, srv.VaultURL()), "")
	if entries, _ := rest.body["value"].([]any); len(entries) != 1 || rest.body["nextLink"] != nil {
		t.Errorf("got %d versions on the second page, want 1", len(entries))
	}
	if got := get(t, srv, "/secrets/same/versions"+version+"&$skiptoken="+token); got.status != http.StatusBadRequest {
		t.Errorf("got %d for a listing of keys that goes on with secrets, want 400", got.status)
	}
	srv.DeleteKey("SAME")
	srv.DeleteKey("never there")
	if got := ask(t, srv, http.MethodGet, "/keys"+version, ""); len(got.body["value"].([]any)) != 0 {
		t.Errorf("got %v after the deletion, want nothing", got.body)
	}
	if got := get(t, srv, "/secrets/Same"+version); got.status != http.StatusOK {
		t.Errorf("got %d for the secret, want 200", got.status)
	}
}

// A new version is the latest one, and one version is disabled by its id.
func TestKeyVersions(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	old := srv.CreateKey(vaulttest.Key{Name: "Key", Private: rsaKey()})
	latest := srv.CreateKey(vaulttest.Key{Name: "KEY", Private: rsaKey()})
	enabled := func(path string) (string, any) {
		t.Helper()
		got := ask(t, srv, http.MethodGet, path+version, "").body
		return got["key"].(map[string]any)["kid"].(string), got["attributes"].(map[string]any)["enabled"]
	}
	check := func(path, wantID string, want bool) {
		t.Helper()
		if kid, got := enabled(path); kid != srv.VaultURL()+"/keys/Key/"+wantID || got != want {
			t.Errorf("%s: got %s, enabled %v, want %s, enabled %v", path, kid, got, wantID, want)
		}
	}
	check("/keys/key", latest, true)
	srv.DisableKey("key", old)
	srv.DisableKey("key", "of no version")
	srv.DisableKey("no key", "")
	check("/keys/key/"+old, old, false)
	check("/keys/key", latest, true)
	srv.DisableKey("key", "")
	check("/keys/key/"+strings.ToUpper(latest), latest, false)
}

// Who may not sign may still read keys, and who may not use keys may read secrets.
func TestRolesForKeys(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opt                vaulttest.Option
		read, sign, secret int
	}{
		"no role to sign":  {vaulttest.WithoutSign(), 200, 403, 200},
		"no role for keys": {vaulttest.WithoutKeys(), 403, 403, 200},
		"no role to list":  {vaulttest.WithoutList(), 200, 200, 200},
		"no role to get":   {vaulttest.WithoutGet(), 200, 200, 403},
	} {
		srv := vaulttest.NewServer(c.opt, vaulttest.WithSecrets(map[string]string{"K": "v"}))
		defer srv.Close()
		id := srv.CreateKey(vaulttest.Key{Name: "K", Private: rsaKey()})
		read := ask(t, srv, http.MethodGet, "/keys/K/versions"+version, "").status
		sign := ask(t, srv, http.MethodPost, "/keys/K/"+id+"/sign"+version, toSign("RS256", 32)).status
		secret := ask(t, srv, http.MethodGet, "/secrets/K"+version, "").status
		if read != c.read || sign != c.sign || secret != c.secret {
			t.Errorf("%s: got %d, %d and %d, want %d to read a key, %d to sign and %d to read a secret", name, read, sign, secret, c.read, c.sign, c.secret)
		}
	}
}

func TestKeysOfNoServer(t *testing.T) {
	t.Parallel()
	var none *vaulttest.Server
	if got := none.CreateKey(vaulttest.Key{Name: "K"}); got != "" {
		t.Errorf("got version %q of a nil server, want none", got)
	}
	none.DisableKey("K", "")
	none.DeleteKey("K")
	var zero vaulttest.Server
	if got := zero.CreateKey(vaulttest.Key{Name: "K", Private: rsaKey()}); len(got) != 32 {
		t.Errorf("got version %q, want 32 digits", got)
	}
	zero.DeleteKey("K")
}
