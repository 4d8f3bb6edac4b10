package tokencache

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// storm starts 20 callers who bring ever new keys until stop is called.
func storm(c *Cache[string, string]) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var callers sync.WaitGroup
	var n atomic.Int64
	for range 20 {
		callers.Go(func() {
			for ctx.Err() == nil {
				_, _, _ = c.Get(ctx, key("bad", int(n.Add(1))))
				pass(10 * time.Millisecond)
			}
		})
	}
	return func() {
		cancel()
		callers.Wait()
	}
}

// healthy asks for 100 new good keys within a minute, and gives how many fail.
func healthy(c *Cache[string, string]) (failed int) {
	for i := range 100 {
		pass(600 * time.Millisecond)
		if _, _, err := c.Get(context.Background(), key("new", i)); err != nil {
			failed++
		}
	}
	return failed
}

// A stream of ever new keys that fail holds up no other key.
func TestStormOfFailingKeys(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		size   int
		life   time.Duration // of good values
		broken string        // good keys that fail during the storm
	}{
		"good keys are fetched meanwhile":         {10_000, 8 * time.Second, ""},
		"good keys are not fetched meanwhile":     {10_000, 10 * time.Hour, ""},
		"more new keys than the cache keeps":      {50, 10 * time.Hour, ""},
		"the cache keeps one":                     {1, 10 * time.Hour, ""},
		"the key that was good last fails":        {10_000, 10 * time.Hour, "good9"},
		"half of the good keys fail":              {10_000, 8 * time.Second, "good0 good1 good2 good3 good4"},
		"half of the good keys fail, some unused": {10_000, 10 * time.Hour, "good5 good6 good7 good8 good9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var raging atomic.Bool
				u := newUpstream(func(_ context.Context, r request) reply {
					pass(100 * time.Millisecond)
					if strings.HasPrefix(r.key, "bad") || raging.Load() && strings.Contains(tc.broken, r.key) && tc.broken != "" {
						return reply{err: errTemporary}
					}
					return reply{life: tc.life}
				})
				c := cacheOf(t, tc.size, u)
				for i := range 10 {
					mustGet(t, c, key("good", i))
				}
				ctx, cancel := context.WithCancel(t.Context())
				var users sync.WaitGroup
				for i := range 10 {
					users.Go(func() {
						for ctx.Err() == nil {
							pass(time.Second)
							_, _, _ = c.Get(ctx, key("good", i))
						}
					})
				}
				raging.Store(true)
				stop := storm(c)
				failed, most := healthy(c), 1
				if tc.broken != "" {
					most = 10 // until a good key is found that does not fail
				}
				if failed > most {
					t.Errorf("got %d of 100 healthy keys that failed at the first try, want at most %d", failed, most)
				}
				stop()
				cancel()
				users.Wait()
				if stormed := u.count(); stormed < 5_000 {
					t.Errorf("got %d requests, want a storm of some thousands", stormed)
				}
			})
		})
	}
}

// A real outage, in which good keys fail too, opens the circuit breaker soon.
func TestOutageInAStorm(t *testing.T) {
	t.Parallel()
	for name, retryAfter := range map[string]time.Duration{"": 0, "Retry-After 30 s": 30 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var down atomic.Bool
				u := newUpstream(func(_ context.Context, r request) reply {
					pass(100 * time.Millisecond)
					if down.Load() {
						return reply{err: &failure{Failure{Temporary: true, RetryAfter: retryAfter}, "down"}}
					}
					if strings.HasPrefix(r.key, "bad") {
						return reply{err: errTemporary}
					}
					return reply{life: 10 * time.Hour}
				})
				c := cacheOf(t, 10_000, u)
				for i := range 100 {
					mustGet(t, c, key("good", i))
				}
				stop := storm(c)
				pass(10 * time.Second)
				down.Store(true)
				before := u.count()
				for !opened(c) {
					pass(10 * time.Millisecond)
				}
				// A check of a good key comes once a second. Till then each of the
				// 20 callers asks ten times a second.
				if n := u.count() - before; n > 250 {
					t.Errorf("got %d requests until the circuit breaker opened, want at most 250", n)
				}
				pass(time.Second) // for those that are under way
				before = u.count()
				pass(30 * time.Second)
				most := 30
				if retryAfter > 0 {
					most = 6
				}
				if n := u.count() - before; n == 0 || n > most {
					t.Errorf("got %d requests in 30 s of outage, want 1 to %d", n, most)
				}
				stop()
				down.Store(false)
				pass(time.Minute)
				for range 2 {
					_, _, _ = c.Get(t.Context(), "new") // it may have to wait for a good key's probe
					pass(time.Second)
				}
				mustGet(t, c, "new")
			})
		})
	}
}

// opened reports whether the circuit breaker is not closed.
func opened(c *Cache[string, string]) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.breaker.state != closed
}
