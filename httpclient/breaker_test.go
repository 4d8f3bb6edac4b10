package httpclient_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// The first answers stop a crowd that asks at once. After that one probe a second finds
// out whether the failure is over.
func TestCrowdsAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		changes     map[string]any
		fault       faulttest.Fault
		first, each int // token requests
	}{
		"unknown client": {map[string]any{"ClientId": "nobody"}, faulttest.Fault{}, 64, 1},
		"audience":       {nil, faulttest.Fault{Status: 400, Body: `{"error":"invalid_grant","error_description":"MP-110"}`}, 64, 1},
		"moved":          {nil, faulttest.Fault{Status: 308}, 64, 1},
		"503":            {nil, faulttest.Fault{Status: 503}, 64 * 3, 3},
		"503 for long":   {nil, faulttest.Fault{Status: 503, Header: http.Header{"Retry-After": {"60"}}}, 64, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn, maskinportentest.WithLatency(100*time.Millisecond))
				defer srv.Close()
				if c.fault.Status != 0 {
					c.fault.Match, c.fault.Times = toToken, -1
					srv.Faults.Add(c.fault)
				}
				source := sourceOf(t, srv, c.changes)
				defer source.Close()
				asked := func() int { return srv.Stats().TokenRequests + srv.Faults.Hits() }
				if c.fault.Status != 0 {
					asked = srv.Faults.Hits
				}
				crowd := func(from int) {
					var callers sync.WaitGroup
					for i := range 200 {
						callers.Go(func() {
							if _, err := source.Token(customer(t, from+i)); err == nil {
								t.Error("got a token, want an error")
							}
						})
					}
					callers.Wait()
				}
				crowd(100_000_000)
				// A few more are under way when the third failure is known.
				if n := asked(); n > c.first+c.first/16 {
					t.Errorf("got %d token requests at first, want about %d", n, c.first)
				}
				for round := range 3 {
					pass(5100 * time.Millisecond)
					before := asked()
					crowd(200_000_000 + 1000*round)
					if n := asked() - before; n != c.each {
						t.Errorf("round %d: got %d token requests, want %d", round, n, c.each)
					}
				}
			})
		})
	}
}

// One token that always fails holds up no other.
func TestOneBadTokenHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	for _, retryAfter := range []string{"", "1"} {
		t.Run("Retry-After "+retryAfter, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn, maskinportentest.WithClient(maskinportentest.Client{OrgNo: "974760673", Scopes: []string{scope}}))
				defer srv.Close()
				bad := customer(t, 100_000_000)
				srv.Faults.Add(faulttest.Fault{Status: 503, Header: http.Header{"Retry-After": {retryAfter}}, Times: -1, Match: func(r *http.Request) bool {
					return toToken(r) && claimsOf(t, r)["consumer_org"] == "100000000"
				}})
				source := sourceOf(t, srv, nil)
				defer source.Close()
				for i := range 300 {
					if _, err := source.Token(bad); !errors.Is(err, httpclient.ErrTemporary) {
						t.Fatalf("the bad one: got %v, want ErrTemporary", err)
					}
					if i%20 == 10 {
						if _, err := source.Token(customer(t, 200_000_000+i)); err != nil {
							t.Errorf("after %v: got %v, want a token", time.Duration(i)*100*time.Millisecond, err)
						}
					}
					pass(100 * time.Millisecond)
				}
			})
		})
	}
}

// Nor do many: a token whose last fetch did not fail is asked for first.
func TestManyBadTokensHoldUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source, _ := instant(t, httpclient.WithLogger((&logs{}).logger(0)), httpclient.WithTokenTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
			if customer, _ := claimsOf(t, r)["consumer_org"].(string); strings.HasPrefix(customer, "1") {
				return answer(503, nil), nil
			}
			return tokenAnswer("t", 60), nil
		})))
		defer source.Close()
		stop := make(chan struct{})
		var bad sync.WaitGroup
		for i := range 50 {
			bad.Go(func() {
				for pause := time.Duration(i); ; pause = 100 * time.Millisecond {
					select {
					case <-time.After(pause):
						_, _ = source.Token(customer(t, 100_000_000+i))
					case <-stop:
						return
					}
				}
			})
		}
		for i := range 20 {
			pass(10 * time.Second)
			start := time.Now()
			var err error
			for time.Since(start) < 5*time.Second {
				if _, err = source.Token(customer(t, 200_000_000+i)); err == nil {
					break
				}
				pass(100 * time.Millisecond)
			}
			if took := time.Since(start); err != nil || took > 3*time.Second {
				t.Errorf("good token %d: got %v after %v, want it within 3s", i, err, took)
			}
		}
		close(stop)
		bad.Wait()
	})
}

// While others fail, a good token is used to its end. It is refreshed at once when the
// server is back, so that its callers see no error.
func TestFailuresOfOthersCostAGoodTokenNothing(t *testing.T) {
	t.Parallel()
	for _, retryAfter := range []string{"", "60"} {
		t.Run("Retry-After "+retryAfter, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				source, _ := instant(t, httpclient.WithLogger((&logs{}).logger(0)), httpclient.WithTokenTransport(roundTripper(func(*http.Request) (*http.Response, error) {
					if at := time.Since(start); at > 90*time.Second && at < 112*time.Second {
						return answer(503, http.Header{"Retry-After": {retryAfter}}), nil
					}
					return tokenAnswer("t", 120), nil // used until second 114
				})))
				defer source.Close()
				for i := 0; time.Since(start) < 240*time.Second; i++ {
					if time.Since(start) > 90*time.Second && i%20 == 0 {
						for j := range 4 {
							_, _ = source.Token(customer(t, 100_000_000+4*i+j))
						}
					}
					if _, err := source.Token(t.Context()); err != nil {
						t.Errorf("after %v: got %v, want a token", time.Since(start), err)
					}
					pass(50 * time.Millisecond)
				}
			})
		})
	}
}

// A failure is forgotten once a token came: the next one begins anew.
func TestFailureThatIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		source := sourceOf(t, srv, nil)
		defer source.Close()
		for range 2 {
			srv.Faults.Add(faulttest.Fault{Match: toToken, Status: 400, Body: `{"error":"invalid_scope"}`, Times: 2})
			for _, pause := range []time.Duration{time.Second, 2 * time.Second} {
				start := time.Now()
				_, err := source.Token(t.Context())
				var failed *httpclient.TokenError
				if !errors.As(err, &failed) || failed.RetryAt.Sub(start) != pause {
					t.Fatalf("got %v, want the next try after %v", err, pause)
				}
				pass(pause)
			}
			if _, err := source.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			pass(10 * time.Minute)
		}
	})
}

// A name that does not resolve for a while, of the token endpoint or the exchange.
func TestNameThatComesBack(t *testing.T) {
	t.Parallel()
	for part, match := range map[string]func(*http.Request) bool{"token": toToken, "exchange": toExchange} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn)
				defer srv.Close()
				defer srv.Transport().CloseIdleConnections()
				source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true}, httpclient.WithTokenTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
					if match(r) && time.Since(epoch) < 5*time.Second {
						return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: r.URL.Host, IsNotFound: true}}
					}
					return srv.Transport().RoundTrip(r)
				})))
				defer source.Close()
				var err error
				for time.Since(epoch) < 11*time.Second { // it is down for 5, and pauses are of 5 at most
					before := time.Since(epoch)
					if _, err = source.Token(t.Context()); err == nil && before < 4*time.Second {
						t.Errorf("got a token after %v, want an error until 4s", before)
					}
					pass(100 * time.Millisecond)
				}
				if err != nil {
					t.Errorf("got %v afterwards, want a token", err)
				}
			})
		})
	}
}

// A refresh that fails is not tried again for each request.
func TestFailedRefreshesPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn, maskinportentest.WithTokenLifetime(2*time.Hour))
		defer srv.Close()
		source := sourceOf(t, srv, nil)
		defer source.Close()
		if _, err := source.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		srv.Faults.Add(faulttest.Fault{Match: toToken, Status: 400, Body: `{"error":"invalid_scope"}`, Times: -1})
		pass(7050 * time.Second)
		for range 1000 {
			if _, err := source.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			pass(100 * time.Millisecond)
		}
		// Pauses of 1, 2, 4, and then 5 s, in 100 s.
		if n := srv.Faults.Hits(); n < 20 || n > 23 {
			t.Errorf("got %d token requests in 100 s, want 20 to 23", n)
		}
	})
}

// Fetches that hang do not hold up the settings' own token. Those that get no slot in
// time say so.
func TestFetchesThatHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen sync.Map
		var asked atomic.Int64
		source, _ := instant(t, httpclient.WithTokenTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
			if customer, ok := claimsOf(t, r)["consumer_org"].(string); ok {
				if _, before := seen.LoadOrStore(customer, true); !before {
					asked.Add(1)
				}
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return tokenAnswer("t", 60), nil
		})))
		defer source.Close()
		var callers sync.WaitGroup
		var noSlot atomic.Int64
		for i := range 200 {
			callers.Go(func() {
				_, err := source.Token(customer(t, 100_000_000+i))
				if !errors.Is(err, httpclient.ErrTemporary) || strings.Contains(message(err), "WithKeySource") {
					t.Errorf("got %v, want ErrTemporary that blames no key source", err)
				}
				if strings.Contains(message(err), "64 other fetches are under way, and not one ended in 12s") {
					noSlot.Add(1)
				}
			})
		}
		synctest.Wait()
		start := time.Now()
		if _, err := source.Token(t.Context()); err != nil || time.Since(start) > 0 {
			t.Errorf("the settings' own token: got %v after %v, want it at once", err, time.Since(start))
		}
		callers.Wait()
		if noSlot.Load() != 136 || asked.Load() != 64 {
			t.Errorf("got %d of 200 without a slot and %d with one, want 136 and 64", noSlot.Load(), asked.Load())
		}
	})
}

// A transport of the program's may panic, or end its goroutine as a test's Fatal does.
// That fails the fetch and nothing else.
func TestTransportThatMisbehaves(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func()
		want string
	}{
		"panics":             {func() { panic("CANARY") }, "check what WithTokenTransport was given - token request of client id at https://test.maskinporten.no/token: the transport for token requests panicked: the log has its stack"},
		"ends its goroutine": {runtime.Goexit, "check what WithTokenTransport was given - token request of client id at https://test.maskinporten.no/token: the transport for token requests ended its goroutine"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var out logs
				source, _ := instant(t, httpclient.WithLogger(out.logger(0)), httpclient.WithTokenTransport(roundTripper(func(*http.Request) (*http.Response, error) {
					c.do()
					return nil, errors.New("unreachable")
				})))
				defer source.Close()
				for range 3 {
					_, err := source.Token(t.Context())
					if !errors.Is(err, httpclient.ErrTemporary) || !strings.Contains(message(err), c.want) || strings.Contains(prints(err)+out.String(), "CANARY") {
						t.Errorf("got %v, want ErrTemporary with %q and no secret", err, c.want)
					}
					pass(10 * time.Second)
				}
				if has := strings.Contains(out.String(), "breaker_test.go"); has != (name == "panics") {
					t.Errorf("got the stack in the log: %v, want it after a panic only:\n%s", has, out.String())
				}
			})
		})
	}
}

// An exchange that refuses for good costs one token request and one exchange a try.
func TestExchangeThatRefusesForGood(t *testing.T) {
	t.Parallel()
	for name, live := range map[string]int{"from the start": 0, "with a Maskinporten token that lives": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn, maskinportentest.WithTokenLifetime(2*time.Hour), maskinportentest.WithAltinnTokenLifetime(time.Minute))
				defer srv.Close()
				source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true})
				defer source.Close()
				for range live {
					if _, err := source.Token(t.Context()); err != nil {
						t.Fatal(err)
					}
					pass(2 * time.Minute) // the Altinn token ends, and the Maskinporten token lives on
				}
				srv.Faults.Add(faulttest.Fault{Match: toExchange, Status: 401, Times: -1})
				for _, pause := range []int{0, 1, 2, 4, 5, 5} {
					pass(time.Duration(pause) * time.Second)
					_, err := source.Token(t.Context())
					_, again := source.Token(t.Context()) // the remembered error
					if err == nil || again == nil {
						t.Fatal("got a token, want an error")
					}
				}
				// The Maskinporten token that lives is offered once.
				if s := srv.Stats(); s.TokenRequests-live != 6 || srv.Faults.Hits() != 6+live {
					t.Errorf("got %d token requests and %d exchanges in 6 tries, want a new token for each", s.TokenRequests-live, srv.Faults.Hits())
				}
			})
		})
	}
}

// A Retry-After that is a date is by the server's clock.
func TestRetryAfterByTheServersClock(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{-10 * time.Minute, 0, 10 * time.Minute} {
		t.Run(fmt.Sprint(off), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn)
				defer srv.Close()
				srv.Faults.Add(faulttest.Fault{Match: toToken, Status: 503, Times: -1, Header: http.Header{
					"Date":        {time.Now().UTC().Format(http.TimeFormat)},
					"Retry-After": {time.Now().Add(30 * time.Second).UTC().Format(http.TimeFormat)},
				}})
				start := time.Now()
				source := sourceOf(t, srv, nil, httpclient.WithClocks(
					func() time.Time { return time.Now().Add(off) }, func() time.Duration { return time.Since(start) }))
				defer source.Close()
				_, err := source.Token(t.Context())
				var failed *httpclient.TokenError
				if !errors.As(err, &failed) || failed.RetryAfter != 30*time.Second {
					t.Errorf("got %v with %v to wait, want 30s", err, failed.RetryAfter)
				}
			})
		})
	}
}
