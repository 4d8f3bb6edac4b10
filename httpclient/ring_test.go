package httpclient_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

const (
	olderID = "for-tests-only"       // of client.jwk.json
	newerID = "other-for-tests-only" // of other.jwk.json
)

// newerKey is a second key, as the double knows it.
func newerKey(t testing.TB) maskinportentest.Key {
	t.Helper()
	key, err := maskinportentest.ParseKey(encoded(keyFile(t, "other.jwk.json")))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// parsedKey is a new Key of a JWK.
func parsedKey(t testing.TB, jwk string) *httpclient.Key {
	t.Helper()
	key, err := httpclient.ParseJWK(jwk, "")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// ring is a token source whose keys a test changes, and what was sent with which key.
type ring struct {
	t       *testing.T
	srv     *maskinportentest.Server
	source  *httpclient.TokenSource
	offered atomic.Pointer[[]*httpclient.Key]
	log     logs

	mu   sync.Mutex
	kids []string // of the token requests since they were taken
	next int      // consumer
}

// newRing makes one in a bubble, whose key source lists these JWKs.
func newRing(t *testing.T, jwks ...string) *ring {
	r := &ring{t: t, srv: newPipe(t, builtIn)}
	r.offer(jwks...)
	r.source = withoutKey(t, r.srv, httpclient.KeySourceFunc(func(context.Context) ([]*httpclient.Key, error) {
		return *r.offered.Load(), nil
	}), httpclient.WithTokenTransport(r), httpclient.WithLogger(r.log.logger(0)))
	return r
}

func (r *ring) close() {
	r.source.Close()
	r.srv.Close()
}

// offer changes what the key source lists. Each time the keys are new ones.
func (r *ring) offer(jwks ...string) {
	var keys []*httpclient.Key
	for _, jwk := range jwks {
		keys = append(keys, parsedKey(r.t, jwk))
	}
	r.offered.Store(&keys)
}

// RoundTrip notes which key signed the assertion.
func (r *ring) RoundTrip(req *http.Request) (*http.Response, error) {
	if toToken(req) {
		kid := kidOf(r.t, req)
		r.mu.Lock()
		r.kids = append(r.kids, kid)
		r.mu.Unlock()
	}
	return r.srv.Transport().RoundTrip(req)
}

// take gives the keys of the token requests since the last time.
func (r *ring) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.kids
	r.kids = nil
	return taken
}

// fetch fetches a token that nobody has fetched before.
func (r *ring) fetch() error {
	r.mu.Lock()
	r.next++
	ctx := customer(r.t, r.next)
	r.mu.Unlock()
	_, err := r.source.Token(ctx)
	return err
}

// fetches gets n such tokens, one after the other, and wants these keys.
func (r *ring) fetches(n int, want ...string) {
	r.t.Helper()
	for range n {
		if err := r.fetch(); err != nil {
			r.t.Errorf("got %v, want a token", err)
		}
	}
	if diff := cmp.Diff(want, r.take()); diff != "" {
		r.t.Errorf("keys of %d fetches (-want +got):\n%s", n, diff)
	}
}

// kidOf reads whose key signed a token request, and leaves the request as it was. A
// certificate's key is "x5c".
func kidOf(t testing.TB, r *http.Request) string {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	form, _ := url.ParseQuery(string(body))
	head, _, _ := strings.Cut(form.Get("assertion"), ".")
	data, _ := base64.RawURLEncoding.DecodeString(head)
	var header struct {
		KeyID string `json:"kid"`
	}
	if json.Unmarshal(data, &header) != nil || header.KeyID == "" {
		return "x5c"
	}
	return header.KeyID
}
