package httpclient_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// watch accounts for each 401 that a caller of the soak sees. There are two
// reasons, and both begin with a revocation: no newer token was to be had, which
// the source logs, or the newer one had been asked for before the revocation too.
type watch struct {
	asked   sync.Map     // token -> when it was asked for
	revoked atomic.Int64 // when, in nanoseconds since 1970; 0 for never

	mu     sync.Mutex
	causes map[string]int // why there was no newer token
	twice  int            // requests whose newer token was revoked as well
}

func newWatch() *watch { return &watch{causes: map[string]int{}} }

// tries is what a request's sends were.
type tries struct {
	count int
	token string // of the last one
}

type triesKey struct{}

// api notes which token a request was sent with.
func (w *watch) api(base http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if t, ok := r.Context().Value(triesKey{}).(*tries); ok {
			t.count++
			t.token = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		}
		return base.RoundTrip(r)
	})
}

// tokens notes when each token was asked for.
func (w *watch) tokens(base http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		start := time.Now()
		resp, err := base.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return nil, err
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
		var grant struct {
			Token string `json:"access_token"`
		}
		if json.Unmarshal(body, &grant) != nil {
			grant.Token = string(body) // the exchange's
		}
		w.asked.Store(grant.Token, start)
		return resp, nil
	})
}

// revocation notes that all tokens were revoked, and forgets those long dead.
func (w *watch) revocation(now time.Time) {
	w.revoked.Store(now.UnixNano())
	w.asked.Range(func(token, asked any) bool {
		if now.Sub(asked.(time.Time)) > 30*time.Second { // tokens of 3 s, fetches of 20
			w.asked.Delete(token)
		}
		return true
	})
}

// rejected judges a request that was answered 401.
func (w *watch) rejected(t *testing.T, last tries) {
	asked, ok := w.asked.Load(last.token)
	if !ok {
		t.Error("rejected with a token that no server gave")
		return
	}
	if asked.(time.Time).UnixNano() > w.revoked.Load() {
		t.Error("rejected with a token that was asked for after the last revocation")
	}
	if last.count == 2 {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.twice++
	}
}

// check compares how many requests were answered 401 with the reasons there were.
func (w *watch) check(t *testing.T, rejected int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t.Logf("why rejected tokens were not replaced: %v; %d requests had two revoked ones", w.causes, w.twice)
	explained := w.twice
	for cause, n := range w.causes {
		explained += n
		if cause == "other" {
			t.Errorf("%d rejected tokens were not replaced for no good reason", n)
		}
	}
	if int64(explained) != rejected {
		t.Errorf("%d requests were answered 401, and %d are accounted for", rejected, explained)
	}
}

// A watch is the log's handler, to learn why a rejected token is not replaced.
var _ slog.Handler = (*watch)(nil)

func (w *watch) Enabled(context.Context, slog.Level) bool { return true }
func (w *watch) WithAttrs([]slog.Attr) slog.Handler       { return w }
func (w *watch) WithGroup(string) slog.Handler            { return w }
func (w *watch) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "httpclient: the API rejected the token, and there is no newer one" {
		return nil
	}
	cause := "other"
	r.Attrs(func(a slog.Attr) bool {
		for _, known := range []string{"waiting for a token", "token request", "token exchange"} {
			if a.Key == "error" && strings.HasPrefix(a.Value.String(), "httpclient: "+known) {
				cause = known
			}
		}
		return true
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.causes[cause]++
	return nil
}
