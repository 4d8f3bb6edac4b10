package maskinportentest_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	kid   = "kid-for-tests"
	scope = "altinn:serviceowner/instances.read"
	org   = "991825827" // the default client's
	grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

var (
	key   = sync.OnceValue(func() maskinportentest.Key { return maskinportentest.NewKey(kid) })
	other = sync.OnceValue(func() maskinportentest.Key { return maskinportentest.NewKey("other-kid-for-tests") })
)

// epoch is what a server's clock shows at first. It has a fraction, as real clocks
// have.
var epoch = time.Date(2030, 1, 2, 3, 4, 5, 600_000_000, time.UTC)

// world is a server with a clock that the test moves.
type world struct {
	*maskinportentest.Server
	t      *testing.T
	offset atomic.Int64
	jtis   atomic.Int64
	client *http.Client
	clock  func() time.Time // nil: epoch and offset
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
	w.client = w.Client()
	w.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return w
}

func (w *world) now() time.Time {
	if w.clock != nil {
		return w.clock()
	}
	return epoch.Add(time.Duration(w.offset.Load()))
}

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
	json   map[string]any // nil if the body is not an object
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
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.TokenURL(), strings.NewReader(form.Encode()))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return w.do(req, err)
}

// token gets a token for the usual claims with edits.
func (w *world) token(edits ...func(map[string]any)) string {
	w.t.Helper()
	a := w.post(sign(w.t, key(), header(), w.claims(edits...)))
	if a.status != http.StatusOK {
		w.t.Fatalf("token: got %d %s, want 200", a.status, a.raw)
	}
	return a.json["access_token"].(string)
}

// get sends a GET with a bearer token, unless it is empty, and header pairs.
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

// tell answers with the description of the request's token.
func tell(w http.ResponseWriter, r *http.Request) {
	t, ok := maskinportentest.TokenFrom(r.Context())
	if !ok {
		w.WriteHeader(http.StatusTeapot)
	}
	_ = json.NewEncoder(w).Encode(t)
}

// checkRefusal compares a whole error answer, and checks that it was counted and
// listed.
func checkRefusal(t *testing.T, w *world, got answer, status int, code, mp, text string) {
	t.Helper()
	description, _ := got.json["error_description"].(string)
	rest, trace, _ := strings.Cut(strings.TrimSuffix(description, ")"), " (trace_id: ")
	if mp != "MP-200" {
		rest = strings.TrimSuffix(rest, ".")
	}
	if len(trace) != 32 {
		t.Errorf("got description %q, want a trace id of 32 digits at its end", description)
	}
	got.json["error_description"] = rest
	want := map[string]any{"error": code, "error_description": text}
	if mp != "" {
		want["error_uri"] = strings.TrimSuffix(w.TokenURL(), "token") + "errors/" + mp
	}
	if diff := cmp.Diff(want, got.json); got.status != status || diff != "" {
		t.Errorf("got status %d, want %d; -want +got:\n%s", got.status, status, diff)
	}
	listed := fmt.Sprintf("token: %d %s: %s", status, strings.TrimSpace(code+" "+mp), text)
	if diff := cmp.Diff([]string{listed}, w.Refusals()); diff != "" {
		t.Errorf("refusals, -want +got:\n%s", diff)
	}
	if st := w.Stats(); st.TokenRequests != 1 || st.Refused != 1 || st.TokensIssued != 0 {
		t.Errorf("got counts %+v, want 1 request, 1 refused, 0 issued", st)
	}
}

// payload is the claims of a JWT without what varies: it checks and removes jti, and
// puts the id of answeredSystemUser in place of a system user's.
func payload(t *testing.T, jwt string) map[string]any {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("got a token of %d parts, want a JWT of 3", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	if id, _ := claims["jti"].(string); len(id) < 26 {
		t.Errorf("got jti %q, want a random text", id)
	}
	delete(claims, "jti")
	details, _ := claims["authorization_details"].([]any)
	for _, detail := range details {
		if ids, _ := detail.(map[string]any)["systemuser_id"].([]any); len(ids) == 1 && uuid4.MatchString(ids[0].(string)) {
			ids[0] = systemUserID
		}
	}
	return claims
}

func systemUser(edits ...func(map[string]any)) []any {
	d := map[string]any{
		"type":           "urn:altinn:systemuser",
		"systemuser_org": map[string]any{"authority": "iso6523-actorid-upis", "ID": "0192:123456789"},
		"externalRef":    "ref_1-æØÅ",
	}
	for _, edit := range edits {
		edit(d)
	}
	return []any{d}
}

func consent(edits ...func(map[string]any)) []any {
	d := map[string]any{
		"type": "urn:altinn:consent",
		"id":   "0b5e0b4f-21d5-4a5b-93f6-5cf5dc0e6b4a",
		"from": "urn:altinn:person:identifier-no:12345678901",
	}
	for _, edit := range edits {
		edit(d)
	}
	return []any{d}
}

// at sets iat and exp relative to the server's clock, in whole seconds.
func at(iat, exp int64) func(map[string]any) {
	return func(m map[string]any) {
		m["iat"], m["exp"] = epoch.Unix()+iat, epoch.Unix()+exp
	}
}

const systemUserID = "00000000-0000-4000-8000-000000000000"

var uuid4 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// answeredSystemUser is systemUser as tokens have it.
func answeredSystemUser() []any {
	return systemUser(
		set("systemuser_id", []any{systemUserID}),
		set("system_id", org+"_maskinportentest"),
	)
}

// organisation is how tokens name an organisation.
func organisation(orgNo string) map[string]any {
	return map[string]any{"authority": "iso6523-actorid-upis", "ID": "0192:" + orgNo}
}
