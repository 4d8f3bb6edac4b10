package maskinportentest_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	kid   = "kid-for-tests"
	scope = "altinn:serviceowner/instances.read"
	grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

var (
	key   = sync.OnceValue(func() maskinportentest.Key { return maskinportentest.NewKey(kid) })
	other = sync.OnceValue(func() maskinportentest.Key { return maskinportentest.NewKey("other-kid-for-tests") })
)

// epoch is what a server's clock shows at first. The fraction is there because
// real clocks have one.
var epoch = time.Date(2030, 1, 2, 3, 4, 5, 600_000_000, time.UTC)

// world is a server with a clock that the test moves.
type world struct {
	*maskinportentest.Server
	t      *testing.T
	offset atomic.Int64
	jtis   atomic.Int64
	client *http.Client
}

func newWorld(t *testing.T, opts ...maskinportentest.Option) *world {
	t.Helper()
	w := &world{t: t}
	opts = append([]maskinportentest.Option{
		maskinportentest.WithKey(key()),
		maskinportentest.WithClock(w.now),
	}, opts...)
	w.Server = maskinportentest.NewServer(opts...)
	t.Cleanup(w.Close)
	w.client = &http.Client{
		Transport:     w.Transport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return w
}

func (w *world) now() time.Time          { return epoch.Add(time.Duration(w.offset.Load())) }
func (w *world) advance(d time.Duration) { w.offset.Add(int64(d)) }

// claims are those of an assertion that is accepted.
func (w *world) claims(edits ...func(map[string]any)) map[string]any {
	c := map[string]any{
		"aud":   w.Issuer(),
		"iss":   w.ClientID(),
		"iat":   w.now().Unix(),
		"exp":   w.now().Unix() + 100,
		"jti":   "jti-" + time.Duration(w.jtis.Add(1)).String(),
		"scope": scope,
	}
	for _, edit := range edits {
		edit(c)
	}
	return c
}

func header() map[string]any { return map[string]any{"alg": "RS256", "kid": kid, "typ": "JWT"} }

func set(name string, v any) func(map[string]any) {
	return func(m map[string]any) { m[name] = v }
}

func without(name string) func(map[string]any) {
	return func(m map[string]any) { delete(m, name) }
}

// sign makes an assertion of a header and claims, each a map or raw JSON.
func sign(t *testing.T, k maskinportentest.Key, header, claims any) string {
	t.Helper()
	part := func(v any) string {
		raw, ok := v.(string)
		if !ok {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			raw = string(b)
		}
		return base64.RawURLEncoding.EncodeToString([]byte(raw))
	}
	signed := part(header) + "." + part(claims)
	hash := crypto.SHA256
	if h, ok := header.(map[string]any); ok {
		switch h["alg"] {
		case "RS384":
			hash = crypto.SHA384
		case "RS512":
			hash = crypto.SHA512
		}
	}
	digest := hash.New()
	digest.Write([]byte(signed))
	sig, err := rsa.SignPKCS1v15(rand.Reader, k.Signer().(*rsa.PrivateKey), hash, digest.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	raw    string
	json   map[string]any // nil where the body is no object
}

func (w *world) do(req *http.Request, err error) answer {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	_ = json.NewDecoder(bytes.NewReader(raw)).Decode(&a.json)
	return a
}

// post sends an assertion as it should be sent.
func (w *world) post(assertion string) answer {
	w.t.Helper()
	form := url.Values{"grant_type": {grant}, "assertion": {assertion}}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.Issuer()+"token", strings.NewReader(form.Encode()))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return w.do(req, err)
}

// token gets a token with claims that differ from the usual by edits.
func (w *world) token(edits ...func(map[string]any)) string {
	w.t.Helper()
	a := w.post(sign(w.t, key(), header(), w.claims(edits...)))
	if a.status != http.StatusOK {
		w.t.Fatalf("token: %d %s", a.status, a.raw)
	}
	return a.json["access_token"].(string)
}

// get sends a GET with a bearer (unless empty) and header pairs.
func (w *world) get(url, bearer string, pairs ...string) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, url, nil)
	if err == nil {
		if bearer != "" {
			req.Header.Set("Authorization", "Bearer "+bearer)
		}
		for i := 0; i < len(pairs); i += 2 {
			req.Header.Add(pairs[i], pairs[i+1])
		}
	}
	return w.do(req, err)
}

func (w *world) exchangeURL() string {
	return w.PlatformURL() + "/authentication/api/v1/exchange/maskinporten"
}
