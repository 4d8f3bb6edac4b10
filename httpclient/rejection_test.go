package httpclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// A 401 is answered once with a newer token, whole bodies and all.
func TestRejectedToken(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		body   func() io.Reader
		status int
		calls  int
	}{
		{"no body", func() io.Reader { return nil }, 200, 2},
		{"http.NoBody", func() io.Reader { return http.NoBody }, 200, 2},
		{"a body that can be replayed", func() io.Reader { return strings.NewReader("whole") }, 200, 2},
		{"a body that cannot", func() io.Reader { return &closeCounter{Reader: strings.NewReader("whole")} }, 401, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn)
				defer srv.Close()
				source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true})
				defer source.Close()
				client := source.Client()
				defer client.CloseIdleConnections()
				get(t, client, srv.PlatformURL()+"/api")
				srv.RevokeAll()
				before := srv.Stats()
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.PlatformURL()+"/api", c.body())
				resp, err := client.Do(req)
				status, body := read(t, resp, err)
				if status != c.status || (c.name == "a body that can be replayed" && body != "hello whole") {
					t.Errorf("got %d %q, want %d and the whole body", status, body, c.status)
				}
				synctest.Wait() // for the fetch that a stream does not wait for
				after := srv.Stats()
				if calls := after.APIRequests - before.APIRequests; calls != c.calls {
					t.Errorf("got %d calls of the API, want %d", calls, c.calls)
				}
				if asked := after.TokenRequests - before.TokenRequests; asked != 1 {
					t.Errorf("got %d token requests, want 1", asked)
				}
				// In any case the next request has the newer token.
				if status, _ := get(t, client, srv.PlatformURL()+"/api"); status != http.StatusOK || srv.Stats().APIRequests != after.APIRequests+1 {
					t.Errorf("then got %d after %d calls, want 200 after 1", status, srv.Stats().APIRequests-after.APIRequests)
				}
			})
		})
	}
}

// Odd answers and requests around a 401.
func TestOddRejections(t *testing.T) {
	t.Parallel()
	endless, _ := io.Pipe()
	for name, first := range map[string]*http.Response{
		"no body":           {StatusCode: 401},
		"a body that hangs": {StatusCode: 401, Header: http.Header{}, Body: endless},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newDouble(t)
			calls := 0
			base := roundTripper(func(*http.Request) (*http.Response, error) {
				if calls++; calls == 1 {
					return first, nil
				}
				return answer(200, nil), nil
			})
			source := sourceOf(t, srv, nil, httpclient.WithBaseTransport(base))
			if status, _ := get(t, source.Client(), "https://a.example/"); status != 200 {
				t.Errorf("got %d, want 200", status)
			}
		})
	}
	t.Run("a base that returns nothing", func(t *testing.T) {
		t.Parallel()
		source := sourceOf(t, newDouble(t), nil, httpclient.WithBaseTransport(roundTripper(func(*http.Request) (*http.Response, error) { return nil, nil })))
		if _, err := source.Client().Get("https://a.example/"); !strings.Contains(message(err), "neither a response nor an error") {
			t.Errorf("got %v, want an error about a base without response and error", err)
		}
	})
	t.Run("GetBody without a body", func(t *testing.T) {
		t.Parallel()
		var bodies []string
		base := roundTripper(func(r *http.Request) (*http.Response, error) {
			body := "none"
			if r.Body != nil {
				data, _ := io.ReadAll(r.Body)
				body = string(data)
			}
			if bodies = append(bodies, body); len(bodies) == 1 {
				return answer(401, nil), nil
			}
			return answer(200, nil), nil
		})
		source := sourceOf(t, newDouble(t), nil, httpclient.WithBaseTransport(base))
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://a.example/", strings.NewReader("x"))
		req.Body, req.ContentLength = nil, 0
		if _, err := source.Transport(base).RoundTrip(req); err != nil || fmt.Sprint(bodies) != "[none none]" {
			t.Errorf("got bodies %q and error %v, want none twice", bodies, err)
		}
	})
}

// The replacement asks for a new Maskinporten token too, and one that failed may
// be tried again as soon as any other fetch.
func TestReplacement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, maskinportentest.WithTokenLifetime(time.Hour))
		defer srv.Close()
		source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true})
		defer source.Close()
		client := source.Client()
		defer client.CloseIdleConnections()
		token, err := source.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		srv.Revoke(token.AccessToken()) // only the Altinn token
		if status, _ := get(t, client, srv.PlatformURL()+"/api"); status != 200 || srv.Stats().TokenRequests != 2 {
			t.Errorf("got %d after %d token requests, want 200 after 2", status, srv.Stats().TokenRequests)
		}
		pass(time.Minute)
		srv.RevokeAll()
		srv.Faults.Add(faulttest.Fault{Match: toToken, Status: 503, Times: 3})
		start := time.Now()
		status := 0
		for status != 200 && time.Since(start) < 5*time.Second {
			if status, _ = get(t, client, srv.PlatformURL()+"/api"); status != 200 {
				pass(100 * time.Millisecond)
			}
		}
		if took := time.Since(start); status != 200 || took > 3*time.Second {
			t.Errorf("got %d after %v, want 200 within 3s of an outage of under a second", status, took)
		}
	})
}

// A storm of rejections causes one refresh, and no request fails.
func TestStormOfRejections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t)
		defer srv.Close()
		source := sourceOf(t, srv, nil)
		defer source.Close()
		client := source.Client()
		get(t, client, srv.PlatformURL()+"/api")
		srv.RevokeAll()
		pass(time.Minute)
		var callers sync.WaitGroup
		for range 1000 {
			callers.Go(func() {
				if status, _ := get(t, client, srv.PlatformURL()+"/api"); status != 200 {
					t.Errorf("got %d, want 200", status)
				}
			})
		}
		callers.Wait()
		if n := srv.Stats().TokenRequests; n != 2 {
			t.Errorf("got %d token requests, want 2", n)
		}
		client.CloseIdleConnections()
	})
}

// An API that says 401 to everything gets two calls at most, and few tokens.
func TestAPIThatAlwaysRejects(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t)
		defer srv.Close()
		calls := 0
		base := roundTripper(func(*http.Request) (*http.Response, error) {
			calls++
			return answer(401, http.Header{"Www-Authenticate": {`Bearer error="x"`}}), nil
		})
		source := sourceOf(t, srv, nil, httpclient.WithBaseTransport(base))
		defer source.Close()
		for range 100 {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example/", nil)
			resp, err := source.Client().Do(req)
			if err != nil || resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") == "" || resp.Request != req {
				t.Fatalf("got %v and error %v, want the API's own 401", resp, err)
			}
			pass(100 * time.Millisecond)
		}
		if n := srv.Stats().TokenRequests; calls > 102 || n != 2 {
			t.Errorf("got %d calls and %d token requests in 10 s, want at most 102 and 2", calls, n)
		}
	})
}

// Without a newer token the API's own answer comes back.
func TestRejectedWhileMaskinportenIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t)
		defer srv.Close()
		source := sourceOf(t, srv, nil)
		defer source.Close()
		client := source.Client()
		defer client.CloseIdleConnections()
		get(t, client, srv.PlatformURL()+"/api")
		srv.RevokeAll()
		srv.Faults.Add(faulttest.Fault{Match: toToken, Status: 503, Times: -1})
		for range 5 {
			if status, body := get(t, client, srv.PlatformURL()+"/api"); status != 401 || !strings.Contains(body, "Unauthorized") {
				t.Errorf("got %d %q, want the API's own 401", status, body)
			}
		}
		if n := srv.Stats().TokenRequests; n > 1+3 {
			t.Errorf("got %d token requests, want at most 4", n)
		}
	})
}

// A caller whose token was rejected waits for a newer one no longer than its own
// context allows. One whose request cannot be sent again does not wait at all.
func TestRejectedWhileMaskinportenHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		source := sourceOf(t, srv, nil)
		defer source.Close()
		client := source.Client()
		defer client.CloseIdleConnections()
		get(t, client, srv.PlatformURL()+"/api")
		srv.RevokeAll()
		srv.Faults.Add(faulttest.Fault{Match: toToken, Hang: true, Times: -1})
		for body, wait := range map[io.Reader]time.Duration{
			strings.NewReader("x"):                        50 * time.Millisecond,
			&closeCounter{Reader: strings.NewReader("x")}: 0,
		} {
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, srv.PlatformURL()+"/api", body)
			resp, err := client.Do(req)
			if err != nil || resp.StatusCode != 401 || time.Since(start) != wait {
				t.Errorf("got %v, %v after %v, want 401 after %v", resp, err, time.Since(start), wait)
			}
			_ = resp.Body.Close()
			cancel()
		}
	})
}

// A token that is rejected when it is due anyhow has not been replaced out of turn.
// The next one may be replaced, and that one again after half of its life.
func TestRejectedTokenThatWasDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn, maskinportentest.WithTokenLifetime(4*time.Second)) // due from 3.4 s on, used until 3.8
		defer srv.Close()
		slow := time.Duration(0)
		source := sourceOf(t, srv, nil, httpclient.WithBaseTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
			pass(slow)
			return srv.Transport().RoundTrip(r)
		})))
		defer source.Close()
		client := source.Client()
		defer srv.Transport().CloseIdleConnections()
		call := func(want int) {
			t.Helper()
			if status, _ := get(t, client, srv.PlatformURL()+"/api"); status != want {
				t.Errorf("after %v: got %d, want %d", time.Since(epoch), status, want)
			}
		}
		call(200)
		pass(3300 * time.Millisecond)
		slow = 800 * time.Millisecond // it expires on its way
		call(200)
		slow = 0
		srv.RevokeAll()
		call(200) // replaced out of turn
		srv.RevokeAll()
		call(401) // a moment later
		pass(2100 * time.Millisecond)
		call(200)
	})
}

// A failure of the retried request is the caller's to see.
func TestRetryThatFails(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	calls := 0
	first := &closeCounter{Reader: strings.NewReader("the first answer")}
	base := roundTripper(func(*http.Request) (*http.Response, error) {
		if calls++; calls == 1 {
			return &http.Response{StatusCode: 401, Header: http.Header{}, Body: first}, nil
		}
		return nil, io.ErrUnexpectedEOF
	})
	source := sourceOf(t, srv, nil, httpclient.WithBaseTransport(base))
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example/", strings.NewReader("x"))
	if _, err := source.Client().Do(req); !errors.Is(err, io.ErrUnexpectedEOF) || first.closed.Load() != 1 {
		t.Errorf("got %v and a body closed %d times, want the lost answer and 1", err, first.closed.Load())
	}
	calls = 0
	req, _ = http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example/", strings.NewReader("x"))
	req.GetBody = func() (io.ReadCloser, error) { return nil, io.ErrNoProgress }
	if resp, err := source.Client().Do(req); err != nil || resp.StatusCode != 401 {
		t.Errorf("got %v and error %v, want the API's own 401", resp, err)
	}
}
