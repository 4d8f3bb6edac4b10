package httpclient_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// A token's life counts from the start of the request for it. An Altinn token's counts
// from a second before, since its claims are in whole seconds.
func TestLifeCountsFromTheRequest(t *testing.T) {
	t.Parallel()
	for name, exchange := range map[string]bool{"Maskinporten's token": false, "Altinn's token": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn)
				defer srv.Close()
				const latency = 3 * time.Second
				slow := roundTripper(func(r *http.Request) (*http.Response, error) {
					resp, err := srv.Transport().RoundTrip(r)
					pass(latency) // the answer takes its time
					return resp, err
				})
				source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": exchange}, httpclient.WithTokenTransport(slow))
				defer source.Close()
				defer srv.Transport().CloseIdleConnections()
				want := time.Now().Add(2 * time.Minute)
				if exchange {
					want = time.Now().Add(latency - time.Second + 30*time.Minute)
				}
				token, err := source.Token(t.Context())
				if err != nil || !token.Expires().Equal(want) {
					t.Errorf("got an end at %v, want %v (error %v)", token.Expires(), want, err)
				}
			})
		})
	}
}

// An Altinn token says in whole seconds when it was issued, so that its life began
// up to a second before the request for it. It is not used after its end either.
func TestAltinnTokenIssuedWithinASecond(t *testing.T) {
	t.Parallel()
	for _, into := range []time.Duration{0, 500 * time.Millisecond, 990 * time.Millisecond} {
		t.Run(into.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn, maskinportentest.WithAltinnTokenLifetime(5*time.Second))
				defer srv.Close()
				source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true})
				defer source.Close()
				pass(into) // the bubble's clock began at a whole second
				for range 200 {
					if status, _ := get(t, source.Client(), srv.PlatformURL()+"/api"); status != http.StatusOK {
						t.Fatalf("got %d, want 200", status)
					}
					pass(90 * time.Millisecond)
				}
				if refusals := srv.Refusals(); len(refusals) > 0 {
					t.Errorf("got refusals %q, want no refusal", refusals)
				}
			})
		})
	}
}

// A token that has ended when it arrives is a temporary error, not a token.
func TestTokenThatEndsBeforeItArrives(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]maskinportentest.Option{
		"token":    maskinportentest.WithTokenLifetime(2 * time.Second),
		"exchange": maskinportentest.WithAltinnTokenLifetime(2 * time.Second),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn, opt)
				defer srv.Close()
				slow := roundTripper(func(r *http.Request) (*http.Response, error) {
					resp, err := srv.Transport().RoundTrip(r)
					pass(3 * time.Second)
					return resp, err
				})
				source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": name == "exchange"}, httpclient.WithTokenTransport(slow))
				defer source.Close()
				defer srv.Transport().CloseIdleConnections()
				_, err := source.Token(t.Context())
				if !errors.Is(err, httpclient.ErrTemporary) || !strings.Contains(message(err), "the token lives no longer than the request for it took") {
					t.Errorf("got %v, want ErrTemporary about the token's life", err)
				}
			})
		})
	}
}

// An outage that ends before the token does costs no request, and no caller waits.
func TestOutageThatEndsBeforeTheToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn, maskinportentest.WithLatency(200*time.Millisecond)) // tokens of 120 s, used until 114
		defer srv.Close()
		start := time.Now()
		transport := roundTripper(func(r *http.Request) (*http.Response, error) {
			if at := time.Since(start); at > 101*time.Second && at < 113*time.Second {
				return answer(503, nil), nil
			}
			return srv.Transport().RoundTrip(r)
		})
		source := sourceOf(t, srv, nil, httpclient.WithTokenTransport(transport))
		defer source.Close()
		defer srv.Transport().CloseIdleConnections()
		if _, err := source.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		for time.Since(start) < 130*time.Second {
			before := time.Now()
			if _, err := source.Token(t.Context()); err != nil || time.Since(before) > 0 {
				t.Fatalf("at %v: got %v after %v, want a token at once", time.Since(start), err, time.Since(before))
			}
			pass(50 * time.Millisecond)
		}
	})
}

// A grant that has expired is not offered to the exchange, and one that expires
// on the way is replaced.
func TestMaskinportenTokenThatExpires(t *testing.T) {
	t.Parallel()
	t.Run("before", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			srv := newPipe(t)
			defer srv.Close()
			source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true})
			defer source.Close()
			for range 2 {
				if _, err := source.Token(t.Context()); err != nil {
					t.Fatal(err)
				}
				pass(31 * time.Minute)
			}
			if s := srv.Stats(); s.TokenRequests != 2 || s.Exchanges != 2 || s.Refused != 0 {
				t.Errorf("got %+v, want 2 token requests, 2 exchanges and no refusal", s)
			}
		})
	})
	t.Run("on the way", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			srv := newPipe(t, maskinportentest.WithTokenLifetime(5*time.Second))
			defer srv.Close()
			source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true})
			defer source.Close()
			srv.Faults.Add(faulttest.Fault{Match: toExchange, Status: 503, Header: http.Header{"Retry-After": {"6"}}})
			if _, err := source.Token(t.Context()); err != nil || srv.Stats().TokenRequests != 2 {
				t.Errorf("got %v after %d token requests, want a token after 2", err, srv.Stats().TokenRequests)
			}
		})
	})
	t.Run("refused for good", func(t *testing.T) {
		t.Parallel()
		srv := newDouble(t)
		source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true})
		srv.Faults.Add(faulttest.Fault{Match: toExchange, Status: 401, Times: -1})
		if _, err := source.Token(t.Context()); err == nil || srv.Stats().TokenRequests != 1 || srv.Stats().Exchanges != 1 {
			t.Errorf("got %v after %+v, want an error after one of each", err, srv.Stats())
		}
	})
}

// After failures the pauses grow to 5 s, and the error says since when.
func TestPausesAfterFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		source := sourceOf(t, srv, map[string]any{"ClientId": "nobody"})
		defer source.Close()
		start := time.Now()
		var asked []time.Duration
		for before := 0; time.Since(start) < 20*time.Second; pass(100 * time.Millisecond) {
			_, err := source.Token(t.Context())
			var failed *httpclient.TokenError
			if !errors.As(err, &failed) || !failed.RetryAt.After(time.Now()) {
				t.Fatalf("at %v: got %v, want an error with a time to come", time.Since(start), err)
			}
			since := start
			if srv.Stats().TokenRequests == 1 {
				since = time.Time{}
			}
			if !failed.Since.Equal(since) || strings.Contains(message(err), "failing since 00:00:00, next try at ") == since.IsZero() {
				t.Fatalf("at %v: got since %v in %v, want the start from the second failure on", time.Since(start), failed.Since, err)
			}
			if n := srv.Stats().TokenRequests; n > before {
				before = n
				asked = append(asked, time.Since(start))
			}
		}
		want := []time.Duration{0, 1 * time.Second, 3 * time.Second, 7 * time.Second, 12 * time.Second, 17 * time.Second}
		if len(asked) != len(want) {
			t.Fatalf("got requests at %v, want %v", asked, want)
		}
		for i := range want {
			if asked[i] != want[i] {
				t.Errorf("got requests at %v, want %v", asked, want)
			}
		}
	})
}

// A server that asks for patience gets it, up to a minute.
func TestRetryAfterIsRemembered(t *testing.T) {
	t.Parallel()
	for retryAfter, pause := range map[string]time.Duration{"50": 50 * time.Second, "9223372037": time.Minute} {
		t.Run(retryAfter, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn)
				defer srv.Close()
				source := sourceOf(t, srv, nil)
				defer source.Close()
				srv.Faults.Add(faulttest.Fault{Match: toToken, Times: -1, Status: 429, Header: http.Header{"Retry-After": {retryAfter}}})
				start := time.Now()
				for time.Since(start) < pause {
					if _, err := source.Token(t.Context()); err == nil {
						t.Fatal("got a token, want an error")
					}
					pass(time.Second)
				}
				if n := srv.Faults.Hits(); n != 1 {
					t.Errorf("got %d requests, want 1", n)
				}
				srv.Faults.Clear()
				if _, err := source.Token(t.Context()); err != nil {
					t.Errorf("got %v afterwards, want a token", err)
				}
			})
		})
	}
}

// A server that hangs is given 8 s an attempt, and 20 s in all.
func TestHangIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		source := sourceOf(t, srv, nil)
		defer source.Close()
		srv.Faults.Add(faulttest.Fault{Match: toToken, Hang: true})
		start := time.Now()
		if _, err := source.Token(t.Context()); err != nil || time.Since(start) < 8*time.Second || time.Since(start) > 9*time.Second {
			t.Errorf("got %v after %v, want a token after 8s", err, time.Since(start))
		}
		srv.Faults.Add(faulttest.Fault{Match: toToken, Hang: true, Times: -1})
		pass(2 * time.Minute)
		start = time.Now()
		_, err := source.Token(t.Context())
		const want = "httpclient: check the egress rules, the firewall and the proxy - " + tokenRequest + "no answer in time while waiting for the answer"
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) < 19*time.Second || time.Since(start) > 20*time.Second || message(err) != want {
			t.Errorf("got %v after %v, want %s after 19s to 20s", err, time.Since(start), want)
		}
	})
}

// A clock that is set right in the meantime is noticed, and not called wrong.
func TestClockThatIsRepaired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		var offset atomic.Int64
		offset.Store(int64(-10 * time.Minute))
		start := time.Now()
		var out logs
		source := sourceOf(t, srv, nil, httpclient.WithLogger(out.logger(0)), httpclient.WithClocks(
			func() time.Time { return time.Now().Add(time.Duration(offset.Load())) },
			func() time.Duration { return time.Since(start) }))
		defer source.Close()
		for range 2 {
			if _, err := source.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			offset.Store(0)
			pass(3 * time.Minute)
		}
		if s := out.String(); strings.Count(s, "WARN") != 2 || !strings.Contains(s, "this machine's clock is 10m0s behind Maskinporten's") ||
			!strings.Contains(s, "this machine's clock agrees with Maskinporten's again") {
			t.Errorf("got another log, want both warnings:\n%s", s)
		}
		if n := srv.Stats().TokenRequests; n != 4 {
			t.Errorf("got %d token requests, want 4", n)
		}
	})
}

// What ends a wait is what the caller's context says it is.
func TestWaitErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn, maskinportentest.WithLatency(5*time.Second))
		defer srv.Close()
		source := sourceOf(t, srv, nil)
		defer source.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.PlatformURL()+"/api", nil)
		_, err := source.Client().Do(req)
		var failed *url.Error
		if !errors.As(err, &failed) || !failed.Timeout() || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a deadline: got %v, want a time-out", err)
		}
		want := "httpclient: give the context more time, or check the network to " + srv.TokenURL() + " - waiting for a token of client " + srv.ClientID() + ": context deadline exceeded"
		if message(failed.Err) != want {
			t.Errorf("a deadline: got %v, want %s", failed.Err, want)
		}
		if _, err := source.Token(canceled(t)); !errors.Is(err, context.Canceled) || message(err) != "httpclient: waiting for a token of client "+srv.ClientID()+": gone home" {
			t.Errorf("a cancellation: got %v, want the context's cause", err)
		}
	})
}

// An issuer's metadata is looked up once a day, and once a minute if it is
// not to be had.
func TestMetadataIsKept(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name     string
		status   int
		after    time.Duration
		requests int
	}{
		{"within the day", 0, 23 * time.Hour, 1},
		{"after a day", 0, 25 * time.Hour, 2},
		{"missing, within the minute", 404, 50 * time.Second, 1},
		{"missing, after the minute", 404, 70 * time.Second, 2},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, maskinportentest.WithTokenLifetime(10*time.Second), maskinportentest.WithoutOpenIDMetadata())
				defer srv.Close()
				if c.status != 0 {
					srv.Faults.Add(faulttest.Fault{Status: c.status, Times: -1, Match: func(r *http.Request) bool { return strings.Contains(r.URL.Path, ".well-known") }})
				}
				source := sourceOf(t, srv, nil)
				defer source.Close()
				for range 2 {
					if _, err := source.Token(t.Context()); err != nil {
						t.Fatal(err)
					}
					pass(c.after)
				}
				synctest.Wait()
				if n := srv.Stats().Metadata; n != c.requests {
					t.Errorf("got %d requests for metadata, want %d", n, c.requests)
				}
			})
		})
	}
}

// A later look-up keeps no caller waiting.
func TestMetadataIsRefreshedInTheBackground(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t)
		defer srv.Close()
		source := sourceOf(t, srv, nil)
		defer source.Close()
		if _, err := source.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		srv.Faults.Add(faulttest.Fault{Hang: true, Times: -1, Match: func(r *http.Request) bool { return strings.Contains(r.URL.Path, ".well-known") }})
		pass(25 * time.Hour)
		start := time.Now()
		if _, err := source.Token(t.Context()); err != nil || time.Since(start) != 0 {
			t.Errorf("got %v after %v, want a token at once", err, time.Since(start))
		}
	})
}

// A look-up that fails later keeps what an earlier one found.
func TestMetadataThatGetsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t)
		defer srv.Close()
		source := sourceOf(t, srv, nil)
		defer source.Close()
		if _, err := source.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(25 * time.Hour)
		srv.Faults.Add(faulttest.Fault{
			Status: 200, Body: `{"issuer":"https://evil.example/","token_endpoint":"https://evil.example/token"}`,
			Match: func(r *http.Request) bool { return strings.Contains(r.URL.Path, ".well-known") },
		})
		_, err := source.Token(t.Context())
		synctest.Wait()
		if err != nil || srv.Faults.Pending() != 0 {
			t.Errorf("got %v and %d pending faults, want a token and 0", err, srv.Faults.Pending())
		}
		pass(2 * time.Minute)
		if _, err := source.Token(t.Context()); err != nil {
			t.Errorf("later: got %v, want a token", err)
		}
	})
}

// Close waits for the fetch that it ends, closes idle connections, and is what
// later errors say, whatever failed before.
func TestCloseIsThorough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		var over, idleClosed atomic.Bool
		hanging := roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			pass(time.Second)
			over.Store(true)
			return nil, r.Context().Err()
		})
		source := sourceOf(t, srv, nil, httpclient.WithTokenTransport(closing{hanging, &idleClosed}))
		waiting := make(chan error, 1)
		go func() {
			_, err := source.Token(t.Context())
			waiting <- err
		}()
		synctest.Wait()
		source.Close()
		if !over.Load() || !idleClosed.Load() {
			t.Errorf("got the fetch over: %v, idle connections closed: %v; want both before Close returns", over.Load(), idleClosed.Load())
		}
		if err := <-waiting; !errors.Is(err, httpclient.ErrClosed) {
			t.Errorf("the waiter: got %v, want ErrClosed", err)
		}

		source = sourceOf(t, srv, map[string]any{"ClientId": "nobody"})
		if _, err := source.Token(t.Context()); !errors.Is(err, httpclient.ErrUnknownClient) {
			t.Errorf("got %v, want ErrUnknownClient", err)
		}
		source.Close()
		if _, err := source.Token(t.Context()); !errors.Is(err, httpclient.ErrClosed) {
			t.Errorf("after Close: got %v, want ErrClosed", err)
		}
	})
}

type closing struct {
	http.RoundTripper
	closed *atomic.Bool
}

func (c closing) CloseIdleConnections() { c.closed.Store(true) }
