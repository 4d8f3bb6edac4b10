package tokencache

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A failure is remembered, with its dates, and forgotten after a success.
func TestFailureIsRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fails := true
		u := newUpstream(func(context.Context, request) reply {
			if fails {
				return reply{err: errRefused}
			}
			return reply{life: time.Minute}
		})
		c := cacheOf(t, 10, u, func(config *Config[string, string]) {
			config.Dated = date
		})
		for range 2 {
			fails = true
			start := time.Now()
			for failure, pause := range []int{1, 2, 4, 5, 5} {
				for range 10 {
					var d dated
					if err := mustFail(t, c, "key", errRefused); !errors.As(err, &d) || d.failures != failure+1 || !d.since.Equal(start) || !d.retryAt.Equal(time.Now().Add(time.Duration(pause)*time.Second)) {
						t.Fatalf("got %+v, want failure %d since %v and a pause of %d s", d, failure+1, start, pause)
					}
				}
				pass(time.Duration(pause) * time.Second)
			}
			fails = false
			mustGet(t, c, "key")
			pass(time.Minute)
		}
		if u.count() != 12 {
			t.Errorf("got %d requests, want 12", u.count())
		}
	})
}

// A remembered client-wide error shows the caller of another key what Shared gives.
func TestSharedError(t *testing.T) {
	t.Parallel()
	secret := &failure{Failure{ClientWide: true}, "key of organisation 974760673"}
	for name, shared := range map[string]func(error) error{
		"Shared":         func(error) error { return errClient },
		"without Shared": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				u := newUpstream(func(context.Context, request) reply {
					pass(time.Second)
					return reply{err: secret}
				})
				c := cacheOf(t, 1000, u, func(config *Config[string, string]) {
					config.Shared = shared
					config.Dated = date
				})
				want := errClient
				if shared == nil {
					want = secret
				}
				var callers sync.WaitGroup
				for i := range 200 { // 136 of them wait for a slot, and are overtaken
					callers.Go(func() {
						_, _, err := c.Get(t.Context(), key("k", i))
						if !errors.Is(err, secret) && !errors.Is(err, want) {
							t.Errorf("got %v, want the key's own error or %v", err, want)
						}
					})
				}
				callers.Wait()
				if u.count() != Slots {
					t.Errorf("got %d requests, want %d", u.count(), Slots)
				}
				for _, k := range []string{"new", pinned} {
					var d dated
					if err := mustFail(t, c, k, want); !errors.As(err, &d) || d.failures != Slots || d.retryAt.Sub(d.since) != time.Second {
						t.Errorf("got %+v, want the dates and the failures of the outage", d)
					}
				}
				seen := 0
				for i := range 200 {
					if _, _, err := c.Get(t.Context(), key("k", i)); errors.Is(err, secret) {
						seen++
					}
				}
				if shared != nil && seen != Slots {
					t.Errorf("got the first keys' own error %d times, want %d", seen, Slots)
				}
			})
		})
	}
}

// 1,000 values that end during an outage cost no request before the server's time,
// except one every 5 seconds, as a probe.
func TestWarmKeysThatEndInAnOutage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		concurrent  bool
		first, most int // requests until the circuit breaker opens
	}{
		// Three keys, the one that was good last, those that start until it fails, and
		// the first exception.
		"one after another": {false, 4, 7},
		"all at once":       {true, Slots, 3*Slots + 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var back atomic.Pointer[time.Time] // the server's time
				u := newUpstream(func(context.Context, request) reply {
					if at := back.Load(); at != nil {
						pass(10 * time.Millisecond)
						if left := time.Until(*at); left > 0 {
							return reply{err: &failure{Failure{Temporary: true, RetryAfter: left}, "down"}}
						}
					}
					return reply{life: time.Minute}
				})
				c := cacheOf(t, 2000, u)
				for i := range 1000 {
					mustGet(t, c, key("warm", i))
				}
				pass(time.Minute)
				at := time.Now().Add(30 * time.Second)
				back.Store(&at)
				start, before := time.Since(u.start), u.count()
				for time.Until(at) > 0 {
					var callers sync.WaitGroup
					for i := range 1000 {
						ask := func() { _, _, _ = c.Get(t.Context(), key("warm", i)) }
						if tc.concurrent {
							callers.Go(ask)
						} else {
							ask()
						}
					}
					callers.Wait()
					pass(100 * time.Millisecond)
				}
				perSecond := map[time.Duration]int{}
				for _, r := range u.all()[before:] {
					perSecond[(r.at-start).Truncate(time.Second)]++
				}
				if first := perSecond[0]; first < tc.first || first > tc.most {
					t.Errorf("got %d requests at first, want %d to %d", first, tc.first, tc.most)
				}
				delete(perSecond, 0)
				want := map[time.Duration]int{} // the probes
				for s := 5 * time.Second; s < 30*time.Second; s += 5 * time.Second {
					want[s] = 1
				}
				if !maps.Equal(perSecond, want) {
					t.Errorf("got requests per second %v, want %v", perSecond, want)
				}
				failed := 0
				pass(longestPause)
				for i := range 1000 { // the server is back: the first is a probe
					if _, _, err := c.Get(t.Context(), key("warm", i)); err != nil {
						failed++
					}
				}
				if failed > 0 {
					t.Errorf("got %d of 1000 keys that fail when the server is back, want 0", failed)
				}
			})
		})
	}
}

// Calls that wait for a slot when the circuit breaker opens do not ask.
func TestOvertakenCalls(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{"client-wide": errClient, "temporary": errTemporary} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				u := newUpstream(func(context.Context, request) reply {
					pass(5 * time.Second)
					return reply{err: failure}
				})
				c := cacheOf(t, 1000, u)
				var callers sync.WaitGroup
				var late atomic.Int64
				for i := range 500 {
					callers.Go(func() {
						start := time.Now()
						if _, _, err := c.Get(t.Context(), key("k", i)); !errors.Is(err, failure) {
							t.Errorf("got %v, want %v", err, failure)
						}
						if time.Since(start) > 5*time.Second {
							late.Add(1)
						}
					})
				}
				callers.Wait()
				// With temporary failures, two slots are free before the third one is known.
				if n := u.count(); n < Slots || n > Slots+2 || int(late.Load()) != n-Slots {
					t.Errorf("got %d requests, and %d callers that waited on, want %d to %d and as many over %d", n, late.Load(), Slots, Slots+2, Slots)
				}
				if c.Len() > 1000 || len(c.slots) != 0 {
					t.Errorf("got %d entries and %d slots taken, want at most 1000 and 0", c.Len(), len(c.slots))
				}
			})
		})
	}
}

// A refusal of one key says that the server answers, and stands in no other key's way.
func TestRefusalOfOneKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUpstream(func(_ context.Context, r request) reply {
			if strings.HasPrefix(r.key, "bad") {
				return reply{err: errRefused}
			}
			return reply{}
		})
		c := cacheOf(t, 1000, u)
		for i := range 100 {
			_ = mustFail(t, c, key("bad", i), errRefused)
		}
		mustGet(t, c, "good")
	})
}

// In an outage, keys that have failed let others go first for a second. Their error
// says when they may be fetched.
func TestKeysThatFailedLetOthersGoFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUpstream(func(context.Context, request) reply {
			pass(100 * time.Millisecond)
			return reply{err: errClient}
		})
		c := cacheOf(t, 1000, u, func(config *Config[string, string]) {
			config.Dated = date
		})
		var callers sync.WaitGroup
		callers.Go(func() { _ = mustFail(t, c, "first", errClient) })
		pass(time.Millisecond)
		callers.Go(func() { _ = mustFail(t, c, "second", errClient) })
		callers.Wait()
		pass(time.Second) // a probe is due now
		var d dated
		if err := mustFail(t, c, "second", errClient); !errors.As(err, &d) || time.Until(d.retryAt) != time.Second {
			t.Errorf("got %+v, want a key that may be fetched in a second", d)
		}
		if u.count() != 2 {
			t.Errorf("got %d requests, want 2", u.count())
		}
		_ = mustFail(t, c, "third", errClient)
		if u.count("third") != 1 {
			t.Error("got no request of a key that has not failed, want it to be the probe")
		}
	})
}
