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

// watch accounts for each 401 that a caller of the soak sees. There are four reasons:
//
//   - After a revocation there was no newer token, which the source logs.
//   - The newer token had been asked for before the revocation, too.
//   - The rejected token had replaced a rejected one a moment before the revocation.
//   - The machine was so busy that a good token ended on its way. There was no newer
//     one, or that ended on its way too.
type watch struct {
	asked   sync.Map     // token -> when it was asked for
	revoked atomic.Int64 // when, in nanoseconds since 1970; 0 for never

	mu     sync.Mutex
	kinds  map[string]*kind
	causes map[string]int // why there was no newer token
	twice  int            // requests whose newer token was revoked as well
	young  int            // requests whose token was a replacement, and young
	onWay  int            // requests whose tokens ended on their way, twice
}

// kind is what is known of one token key.
type kind struct {
	newest      string    // of those that were sent
	asked       time.Time // when that was asked for
	rejected    time.Time // when one of them was last
	replacement bool      // the newest is the first one asked for after a rejection
}

// replaced is the cause if a replacement is rejected within half of its life. That is
// at most 1.5 s here, and a fetch takes a while besides.
const (
	replaced = "the token was replaced a moment ago"
	youth    = 1500*time.Millisecond + time.Second
)

func newWatch() *watch { return &watch{causes: map[string]int{}, kinds: map[string]*kind{}} }

// tries is what a request's sends were.
type tries struct {
	kind        string
	count       int
	token       string // of the last one
	replacement bool   // that was one
	at          time.Time
}

type triesKey struct{}

// api notes which token a request was sent with.
func (w *watch) api(base http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		t := r.Context().Value(triesKey{}).(*tries)
		t.count++
		t.token = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		t.replacement = w.sent(t.kind, t.token)
		t.at = time.Now()
		resp, err := base.RoundTrip(r)
		if err == nil && resp.StatusCode == http.StatusUnauthorized {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.kinds[t.kind].rejected = time.Now()
		}
		return resp, err
	})
}

// sent notes that a token is used, and reports whether it is a replacement.
func (w *watch) sent(name, token string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := w.kinds[name]
	if k == nil {
		k = &kind{}
		w.kinds[name] = k
	}
	asked, ok := w.asked.Load(token)
	if at, _ := asked.(time.Time); ok && at.After(k.asked) {
		k.replacement = k.asked.Before(k.rejected) && k.rejected.Before(at)
		k.newest, k.asked = token, at
	}
	return k.newest == token && k.replacement
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
		var answer struct {
			Token string `json:"access_token"`
		}
		if json.Unmarshal(body, &answer) != nil {
			answer.Token = string(body) // the exchange's
		}
		w.asked.Store(answer.Token, start)
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
func (w *watch) rejected(t *testing.T, last tries, why string) {
	asked, ok := w.asked.Load(last.token)
	if !ok {
		t.Error("got a rejected token that no server gave, want one of a server")
		return
	}
	if !strings.Contains(why, "token revoked") {
		// Maskinporten and Altinn tokens are used for less than 2 s after they were asked for.
		if used := last.at.Sub(asked.(time.Time)); used > 2*time.Second {
			t.Errorf("got a token rejected when sent %v after it was asked for, want at most 2s: %s", used, why)
		}
		if last.count == 2 {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.onWay++
		}
		return
	}
	age := time.Unix(0, w.revoked.Load()).Sub(asked.(time.Time))
	if age < 0 {
		t.Error("got a rejected token that was asked for after the last revocation, want an older one")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case last.count == 2:
		w.twice++
	case last.replacement && age < youth:
		w.young++
	}
}

// check compares how many requests were answered 401 with the reasons there were.
func (w *watch) check(t *testing.T, rejected int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t.Logf("why rejected tokens were not replaced: %v; %d requests had two revoked ones, %d two that ended on their way", w.causes, w.twice, w.onWay)
	if n := w.causes[replaced]; n > w.young {
		t.Errorf("got %d tokens that were not replaced for being young, want at most the %d that were", n, w.young)
	}
	explained := w.twice + w.onWay
	for cause, n := range w.causes {
		explained += n
		if strings.HasPrefix(cause, "other: ") {
			t.Errorf("got %d rejected tokens that were not replaced, want a good reason: %s", n, cause)
		}
	}
	if int64(explained) != rejected {
		t.Errorf("got %d requests answered 401, want the %d that are accounted for", rejected, explained)
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
	var cause string
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" {
			cause = "other: " + a.Value.String()
			for _, known := range []string{"waiting for a token of client", "token request of client", "token exchange of client", replaced} {
				if strings.Contains(a.Value.String(), known) {
					cause = known
				}
			}
		}
		return true
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.causes[cause]++
	return nil
}
