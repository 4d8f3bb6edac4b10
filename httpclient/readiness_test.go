package httpclient_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// probe asks a handler as Kubernetes does, and gives the status code and the state.
func probe(t *testing.T, h http.Handler) (int, httpclient.State) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
	var status httpclient.Status
	if err := json.Unmarshal(w.Body.Bytes(), &status); err != nil {
		t.Fatalf("got %q and error %v, want JSON", w.Body, err)
	}
	if got := w.Header(); got.Get("Content-Type") != "application/json" || got.Get("Cache-Control") != "no-store" {
		t.Errorf("got the header %v, want JSON that is not stored", got)
	}
	return w.Code, status.State
}

// handlers are both handlers of a source.
func handlers(s *httpclient.TokenSource) map[string]http.Handler {
	return map[string]http.Handler{"readiness": s.ReadinessHandler(), "status": s.StatusHandler()}
}

func TestHandlers(t *testing.T) {
	t.Parallel()
	type answer struct {
		code  int
		state httpclient.State
	}
	for name, tc := range map[string]struct {
		changes           map[string]any
		play              func(*testing.T, *maskinportentest.Server, *httpclient.TokenSource)
		readiness, status answer
	}{
		"before the first request": {
			nil, func(*testing.T, *maskinportentest.Server, *httpclient.TokenSource) {},
			answer{200, httpclient.StateReady},
			answer{200, httpclient.StateUnknown},
		},
		"with a token": {
			nil, func(t *testing.T, _ *maskinportentest.Server, s *httpclient.TokenSource) { ask(t.Context(), s) },
			answer{200, httpclient.StateReady},
			answer{200, httpclient.StateReady},
		},
		"after an idle time": {
			nil, func(t *testing.T, _ *maskinportentest.Server, s *httpclient.TokenSource) {
				ask(t.Context(), s)
				pass(time.Hour)
			},
			answer{200, httpclient.StateReady},
			answer{200, httpclient.StateUnknown},
		},
		"an outage with a good token": {
			nil, func(t *testing.T, srv *maskinportentest.Server, s *httpclient.TokenSource) {
				_, _ = s.Token(t.Context())
				outage(srv)
				pass(111*time.Second + 500*time.Millisecond)
				_, _ = s.Token(t.Context())
				pass(2 * time.Second)
				synctest.Wait()
			},
			answer{200, httpclient.StateDegraded},
			answer{200, httpclient.StateDegraded},
		},
		"an outage without a token": {
			nil, func(t *testing.T, srv *maskinportentest.Server, s *httpclient.TokenSource) {
				outage(srv)
				_, _ = s.Token(t.Context())
			},
			answer{503, httpclient.StateFailing},
			answer{503, httpclient.StateFailing},
		},
		"a wrong client": {
			map[string]any{"ClientId": "nobody"},
			func(*testing.T, *maskinportentest.Server, *httpclient.TokenSource) {},
			answer{503, httpclient.StateFailing},
			answer{200, httpclient.StateUnknown},
		},
		"no scope in the settings": {
			map[string]any{"Scope": ""},
			func(*testing.T, *maskinportentest.Server, *httpclient.TokenSource) {},
			answer{200, httpclient.StateUnknown},
			answer{200, httpclient.StateUnknown},
		},
		"no scope in the settings, and a wrong client": {
			map[string]any{"Scope": "", "ClientId": "nobody"},
			func(t *testing.T, _ *maskinportentest.Server, s *httpclient.TokenSource) {
				_, _ = s.Token(httpclient.ContextWithScope(t.Context(), scope))
			},
			answer{503, httpclient.StateFailing},
			answer{503, httpclient.StateFailing},
		},
		"closed": {
			nil, func(_ *testing.T, _ *maskinportentest.Server, s *httpclient.TokenSource) { s.Close() },
			answer{503, httpclient.StateClosed},
			answer{503, httpclient.StateClosed},
		},
	} {
		for which, want := range map[string]answer{"readiness": tc.readiness, "status": tc.status} {
			t.Run(name+"/"+which, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					srv := newPipe(t, builtIn)
					defer srv.Close()
					source := sourceOf(t, srv, tc.changes)
					defer source.Close()
					tc.play(t, srv, source)
					before := srv.Stats().TokenRequests
					code, state := probe(t, handlers(source)[which])
					if got := (answer{code, state}); got != want {
						t.Errorf("got %v, want %v", got, want)
					}
					isSilent := which == "status" || tc.changes["Scope"] == ""
					if asked := srv.Stats().TokenRequests - before; isSilent && asked != 0 {
						t.Errorf("got %d token requests, want 0", asked)
					}
				})
			})
		}
	}
}

// A check waits half a second for the first token, or as long as its own context
// allows. The fetch goes on, and the next check finds the token.
func TestReadinessWaitsForTheFirstToken(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		limit, want time.Duration
	}{
		"half a second":     {time.Minute, 500 * time.Millisecond},
		"the check's limit": {200 * time.Millisecond, 200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn)
				defer srv.Close()
				srv.Faults.Add(faulttest.Fault{Match: toToken, Delay: 3 * time.Second})
				source := sourceOf(t, srv, nil)
				defer source.Close()
				handler := source.ReadinessHandler()
				ctx, cancel := context.WithTimeout(t.Context(), tc.limit)
				defer cancel()
				w := httptest.NewRecorder()
				start := time.Now()
				handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/readyz", nil))
				if took := time.Since(start); w.Code != 503 || took != tc.want {
					t.Errorf("got %d after %v, want 503 after %v", w.Code, took, tc.want)
				}
				pass(3 * time.Second)
				synctest.Wait()
				if code, state := probe(t, handler); code != 200 || state != httpclient.StateReady {
					t.Errorf("got %d and %q, want 200 and ready: the fetch went on", code, state)
				}
				if got := srv.Stats().TokenRequests; got != 1 {
					t.Errorf("got %d token requests, want 1", got)
				}
			})
		})
	}
}

// A service that gets no traffic while it is not ready becomes ready again.
func TestReadinessAfterAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		outage(srv)
		source := sourceOf(t, srv, nil)
		defer source.Close()
		handler := source.ReadinessHandler()
		for range 30 { // half an hour of checks, a minute apart
			if code, _ := probe(t, handler); code != 503 {
				t.Fatalf("got %d in the outage, want 503", code)
			}
			pass(time.Minute)
		}
		srv.Faults.Clear()
		_, _ = probe(t, handler)
		pass(time.Second)
		if code, _ := probe(t, handler); code != 200 {
			t.Errorf("got %d after the outage, want 200", code)
		}
	})
}

// Many checks make no more requests than callers do.
func TestReadinessDoesNotHammer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		source := sourceOf(t, srv, map[string]any{"ClientId": "nobody"})
		defer source.Close()
		handler := source.ReadinessHandler()
		for range 200 { // 10 seconds
			_, _ = probe(t, handler)
			pass(50 * time.Millisecond)
		}
		if got := srv.Stats().TokenRequests; got > 5 {
			t.Errorf("got %d token requests in 10 s, want 5 at most", got)
		}
	})
}

// A status handler that fails keeps the traffic away that would ask for a token. It
// therefore does not fail for ever.
func TestStatusHandlerForgetsAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		source := sourceOf(t, srv, map[string]any{"ClientId": "nobody"})
		defer source.Close()
		_, _ = source.Token(customer(t, 1))
		handler := source.StatusHandler()
		start := time.Now()
		for code, _ := probe(t, handler); code != 200; code, _ = probe(t, handler) {
			pass(time.Second)
			if time.Since(start) > 2*time.Minute {
				t.Fatal("got 503 for 2 minutes, want traffic allowed again")
			}
		}
		if took := time.Since(start); took < time.Minute {
			t.Errorf("got 200 after %v, want a minute's pause", took)
		}
	})
}

func TestHandlersOfOtherMethods(t *testing.T) {
	t.Parallel()
	source, asked := instant(t)
	for which, handler := range handlers(source) {
		for method, want := range map[string]int{http.MethodHead: 200, http.MethodPost: 405, http.MethodDelete: 405} {
			before := asked.Load()
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/readyz", nil))
			if w.Code != want || want == 405 && (w.Header().Get("Allow") != "GET, HEAD" || asked.Load() != before) {
				t.Errorf("%s %s: got %d, Allow %q and %d requests, want %d", method, which, w.Code, w.Header().Get("Allow"), asked.Load()-before, want)
			}
		}
	}
}

func TestHandlersOfNilAndZero(t *testing.T) {
	t.Parallel()
	var none *httpclient.TokenSource
	for name, source := range map[string]*httpclient.TokenSource{"nil": none, "zero": {}} {
		for which, handler := range handlers(source) {
			if code, state := probe(t, handler); code != 503 || state != httpclient.StateClosed {
				t.Errorf("%s, %s: got %d and %q, want 503 and closed", which, name, code, state)
			}
		}
	}
}

// A check is not a request of a caller's: it counts in no metric.
func TestReadinessCountsNoRequest(t *testing.T) {
	t.Parallel()
	var recorded recorder
	source, _ := instant(t, httpclient.WithMeterProvider(recorded.MeterProvider()))
	_ = source.Readiness(t.Context())
	for _, line := range recorded.lines {
		if strings.Contains(line, "result=cached") || strings.Contains(line, "result=new") {
			t.Errorf("got the measurement %s, want none", line)
		}
	}
}
