package httpclient_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
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

// A wrong clock costs a crowd of different requests nothing but a repeat each.
func TestClockSkewInACrowd(t *testing.T) {
	t.Parallel()
	for _, latency := range []time.Duration{0, 300 * time.Millisecond} {
		t.Run(latency.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn, maskinportentest.WithLatency(latency))
				defer srv.Close()
				start := time.Now()
				var out logs
				source := sourceOf(t, srv, nil, httpclient.WithLogger(out.logger(0)), httpclient.WithClocks(
					func() time.Time { return time.Now().Add(-10 * time.Minute) }, func() time.Duration { return time.Since(start) }))
				defer source.Close()
				var callers sync.WaitGroup
				for i := range 50 {
					callers.Go(func() {
						if _, err := source.Token(customer(t, 100_000_000+i)); err != nil {
							t.Errorf("customer %d: got %v, want a token", i, err)
						}
					})
				}
				callers.Wait()
				if n := strings.Count(out.String(), "WARN"); n != 1 {
					t.Errorf("got %d warnings, want 1:\n%s", n, out.String())
				}
			})
		})
	}
}

// A crowd of customers has a bounded number of fetches under way. It asks a server
// that fails, or that does not know the client, as one.
func TestCrowds(t *testing.T) {
	t.Parallel()
	t.Run("slow", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var now, most atomic.Int64
			source, _ := instant(t, httpclient.WithCacheSize(10), httpclient.WithTokenTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
				n := now.Add(1)
				defer now.Add(-1)
				for {
					m := most.Load()
					if n <= m || most.CompareAndSwap(m, n) {
						break
					}
				}
				select {
				case <-time.After(5 * time.Second):
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
				return tokenAnswer("t", 60), nil
			})))
			defer source.Close()
			full := 0
			for i := range 1000 {
				ctx, cancel := context.WithTimeout(customer(t, i), time.Microsecond)
				if _, err := source.Token(ctx); errors.Is(err, httpclient.ErrTemporary) {
					full++
				}
				cancel()
			}
			if most.Load() > 64 || full == 0 {
				t.Errorf("got %d fetches at once and %d turned away, want at most 64 and some", most.Load(), full)
			}
		})
	})
	for name, c := range map[string]struct {
		changes map[string]any
		fault   *faulttest.Fault
		most    int
	}{
		"unknown client": {map[string]any{"ClientId": "nobody"}, nil, 1},
		"503":            {nil, &faulttest.Fault{Match: toToken, Status: 503, Times: -1}, 3 * 3}, // three fetches of three tries
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn)
				defer srv.Close()
				if c.fault != nil {
					srv.Faults.Add(*c.fault)
				}
				source := sourceOf(t, srv, c.changes)
				defer source.Close()
				for i := range 200 {
					_, err := source.Token(customer(t, 100_000_000+i))
					var failed *httpclient.TokenError
					if !errors.As(err, &failed) || failed.RetryAt.IsZero() {
						t.Fatal(err)
					}
				}
				if n := srv.Stats().TokenRequests; n > c.most {
					t.Errorf("got %d token requests, want at most %d", n, c.most)
				}
				if c.fault == nil {
					return
				}
				// What fails for one of them only concerns no other.
				srv.Faults.Clear()
				pass(2 * time.Second)
				if _, err := source.Token(httpclient.ContextWithScope(t.Context(), "not:registered")); err == nil {
					t.Error("got a token, want an error")
				}
				if _, err := source.Token(t.Context()); err != nil {
					t.Errorf("got %v, want a token: the scope of another request was refused", err)
				}
			})
		})
	}
}

// What is being fetched is not evicted, and so not fetched twice at once.
func TestFetchesAreNotEvicted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		source, _ := instant(t, httpclient.WithCacheSize(1), httpclient.WithTokenTransport(roundTripper(func(*http.Request) (*http.Response, error) {
			asked.Add(1)
			pass(time.Second)
			return tokenAnswer("t", 60), nil
		})))
		defer source.Close()
		var callers sync.WaitGroup
		for range 3 {
			for i := range 2 {
				callers.Go(func() {
					if _, err := source.Token(customer(t, i)); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
			}
		}
		callers.Wait()
		if asked.Load() != 2 || httpclient.Cached(source) > 2 {
			t.Errorf("got %d token requests and %d kept, want 2 and at most 2", asked.Load(), httpclient.Cached(source))
		}
	})
}

// Issuers without metadata, or with another's, keep a crowd waiting once at most.
func TestMetadataInACrowd(t *testing.T) {
	t.Parallel()
	toMetadata := func(r *http.Request) bool { return strings.Contains(r.URL.Path, ".well-known") }
	t.Run("hangs", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			srv := newPipe(t)
			defer srv.Close()
			srv.Faults.Add(faulttest.Fault{Match: toMetadata, Hang: true, Times: -1})
			source := sourceOf(t, srv, nil)
			defer source.Close()
			for i := range 4 {
				start := time.Now()
				_, err := source.Token(customer(t, 100_000_000+i))
				if took := time.Since(start); err != nil || i > 0 && took > 0 || took > 4*time.Second {
					t.Errorf("customer %d: got %v after %v, want a token at once", i, err, took)
				}
				pass(2 * time.Minute)
			}
		})
	})
	t.Run("of another issuer", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			srv := newPipe(t)
			defer srv.Close()
			srv.Faults.Add(faulttest.Fault{Match: toMetadata, Delay: time.Second, Status: 200, Body: `{"issuer":"https://evil.example/","token_endpoint":"https://evil.example/t"}`, Times: -1})
			source := sourceOf(t, srv, nil)
			defer source.Close()
			var callers sync.WaitGroup
			for i := range 40 {
				callers.Go(func() {
					if _, err := source.Token(customer(t, 100_000_000+i)); !strings.Contains(message(err), "the metadata is of another issuer") {
						t.Errorf("got %v, want an error about another issuer", err)
					}
				})
			}
			callers.Wait()
			if n := srv.Faults.Hits(); n != 1 {
				t.Errorf("got %d look-ups, want 1", n)
			}
			// Once it is mended, it is noticed.
			srv.Faults.Clear()
			pass(2 * time.Minute)
			_, _ = source.Token(t.Context())
			synctest.Wait()
			pass(10 * time.Second)
			if _, err := source.Token(t.Context()); err != nil {
				t.Errorf("got %v, want a token", err)
			}
		})
	})
	t.Run("of another issuer, later", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			srv := newPipe(t)
			defer srv.Close()
			var out logs
			source := sourceOf(t, srv, nil, httpclient.WithLogger(out.logger(0)))
			defer source.Close()
			for range 3 {
				if _, err := source.Token(t.Context()); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				srv.Faults.Add(faulttest.Fault{Match: toMetadata, Status: 200, Body: `{"issuer":"https://evil.example/","token_endpoint":"https://evil.example/t"}`})
				pass(25 * time.Hour)
			}
			if n := strings.Count(out.String(), "the issuer's metadata must not be used"); n != 2 {
				t.Errorf("got %d warnings, want 2:\n%s", n, out.String())
			}
		})
	})
}

// An issuer with a path has its metadata in either of two places.
func TestMetadataOfAnIssuerWithAPath(t *testing.T) {
	t.Parallel()
	var asked []string
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.Path)
		switch r.URL.Path {
		case "/.well-known/oauth-authorization-server/tenant":
			resp := answer(200, nil)
			resp.Body = io.NopCloser(strings.NewReader(`{"issuer":"https://i.example/tenant","token_endpoint":"https://i.example/here"}`))
			return resp, nil
		case "/here":
			return tokenAnswer("t", 60), nil
		}
		return answer(404, nil), nil
	})
	s := httpclient.MaskinportenSettings{Authority: "https://i.example/tenant", ClientID: "id", Scope: "s", JWK: httpclient.NewSecret(keyFile(t, "client.jwk.json"))}
	source, err := httpclient.NewTokenSource(s, httpclient.WithTokenTransport(transport))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if _, err := source.Token(t.Context()); err != nil || fmt.Sprint(asked) != "[/tenant/.well-known/oauth-authorization-server /.well-known/oauth-authorization-server/tenant /here]" {
		t.Errorf("got %v and requests of %v, want the three addresses in order", err, asked)
	}
}

// Keys that hang, panic or fail are no end of the world: the next is tried, and
// no caller waits longer than a fetch may take.
func TestKeysThatMisbehave(t *testing.T) {
	t.Parallel()
	good := clientKey(t).Signer()
	newKey := func(t *testing.T, signer crypto.Signer) *httpclient.Key {
		t.Helper()
		key, err := httpclient.NewKey(signer, "for-tests-only", "")
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	t.Run("the next is tried", func(t *testing.T) {
		t.Parallel()
		for name, bad := range map[string]*httpclient.Key{
			"fails":  newKey(t, lockedSigner{good, errors.New("busy")}),
			"panics": newKey(t, panicking{good}),
			"ends":   newKey(t, ending{good}),
			"is nil": nil,
		} {
			srv := newDouble(t)
			_, err := withoutKey(t, srv, keys(bad, newKey(t, opaque{good}))).Token(t.Context())
			if n := srv.Stats().TokenRequests; err != nil || n != 1 {
				t.Errorf("%s: got %v after %d token requests, want a token after 1", name, err, n)
			}
		}
	})
	t.Run("a panic does not crash", func(t *testing.T) {
		t.Parallel()
		_, err := withoutKey(t, newDouble(t), httpclient.KeySourceFunc(func(context.Context) ([]*httpclient.Key, error) { panic("CANARY") })).Token(t.Context())
		if !strings.Contains(message(err), "check what WithKeySource was given - signing key of client maskinportentest-client: the key source panicked: the log has its stack") || strings.Contains(message(err), "CANARY") {
			t.Errorf("got %v, want an error without the panic's value", err)
		}
	})
	t.Run("a hang ends", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			srv := newPipe(t, builtIn)
			defer srv.Close()
			source := withoutKey(t, srv, httpclient.KeySourceFunc(func(context.Context) ([]*httpclient.Key, error) {
				<-release
				return nil, nil
			}))
			start := time.Now()
			if _, err := source.Token(t.Context()); err == nil || time.Since(start) < 19*time.Second || time.Since(start) > 20*time.Second {
				t.Errorf("got %v after %v, want an error after 19s to 20s", err, time.Since(start))
			}
			source.Close()
			close(release)
			synctest.Wait()
		})
	})
}

type panicking struct{ crypto.Signer }

func (panicking) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { panic("CANARY") }

// ending ends its goroutine, as a test's Fatal does.
type ending struct{ crypto.Signer }

func (ending) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	runtime.Goexit()
	return nil, nil
}
