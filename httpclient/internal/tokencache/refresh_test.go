package tokencache

import (
	"cmp"
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A value in regular use is refreshed ahead of its end, once, and no caller waits.
func TestRefreshAhead(t *testing.T) {
	t.Parallel()
	for _, key := range []string{pinned, "other"} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				u := newUpstream(func(context.Context, request) reply {
					pass(3 * time.Second)
					return reply{life: 2 * time.Minute}
				})
				c := cacheOf(t, 10, u)
				start := time.Now()
				mustGet(t, c, key)
				if took := time.Since(start); took != 3*time.Second {
					t.Errorf("got the first value after %v, want 3s", took)
				}
				for range 3000 {
					start := time.Now()
					if _, cached := mustGet(t, c, key); !cached || time.Since(start) > 0 {
						t.Fatalf("got a value after %v, want it from the cache", time.Since(start))
					}
					pass(time.Second)
				}
				if n := u.count(); n < 30 || n > 35 { // one in 93 seconds
					t.Errorf("got %d requests, want about 32", n)
				}
			})
		})
	}
}

// A value with less life than is left of the one in use does not replace it. The
// refresh is not made again for every caller.
func TestShorterValueDoesNotReplaceALongerOne(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		life     time.Duration
		requests int // in a minute, with that of the first value
	}{
		"about to end": {time.Millisecond, 15}, // pauses of 1, 2, 4 and then 5 s
		"some seconds": {8 * time.Second, 11},  // due again after 6 s
		"same end":     {0, 2},                 // due again after some minutes
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				u := newUpstream(func(_ context.Context, r request) reply {
					if r.at == 0 {
						return reply{life: 100 * time.Minute}
					}
					return reply{life: cmp.Or(tc.life, 100*time.Minute-r.at)}
				})
				c := cacheOf(t, 10, u)
				first, _ := mustGet(t, c, "key")
				pass(75 * time.Minute)
				for i := range 600 {
					if value, cached := mustGet(t, c, "key"); value != first || !cached {
						t.Fatalf("after %d requests: got %q, cached %v, want %q", i, value, cached, first)
					}
					pass(100 * time.Millisecond)
				}
				if n := u.count(); n < 2 || n > tc.requests {
					t.Errorf("got %d requests in a minute, want 2 to %d", n, tc.requests)
				}
				if last := u.newest(); tc.life == time.Millisecond && last.last == first {
					t.Errorf("got %+v, want the last fetch's value beside it", last)
				}
				call, err := c.Replace("key", first)
				if err != nil {
					return // a refresh was tried a moment ago
				}
				if value, err := call.Wait(t.Context()); value == first || err != nil {
					t.Errorf("after a rejection: got %q, %v, want another value than %q", value, err, first)
				}
			})
		})
	}
}

// A fetch whose value has ended already, or that has none, is a failure.
func TestValuesThatAreNotGood(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		value string
		life  time.Duration
		want  error
	}{
		"ended":   {"v", -1, ErrSpent},
		"missing": {"", time.Hour, ErrNoResult},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				u := newUpstream(nil)
				c := cacheOf(t, 10, u, func(config *Config[string, string]) {
					config.Fetch = func(ctx context.Context, key, last string, renew bool) (string, Life, error) {
						_, _, _ = u.fetch(ctx, key, last, renew)
						return tc.value, lives(u.clock(), tc.life), nil
					}
				})
				for range 100 {
					_ = mustFail(t, c, pinned, tc.want)
					_ = mustFail(t, c, "other", tc.want)
				}
				if u.count() != 2 {
					t.Errorf("got %d requests, want 2: a failure is remembered", u.count())
				}
			})
		})
	}
}

// A refresh time after the end does not make a value fresh for longer, by either clock.
func TestRefreshTimeAfterTheEnd(t *testing.T) {
	t.Parallel()
	for name, refresh := range map[string]Instant{
		"both":      {1e18 + 1e12, 1e12},
		"wall":      {1e18 + 1e12, 1e9},
		"monotonic": {1e18, 1e12},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := Instant{Wall: 1e18}
			for _, later := range []Instant{{1e18 + 60e9, 1e6}, {1e18 - 1e12, 60e9}} { // either clock
				c := New(pinned, Config[string, string]{Clock: func() Instant { return now }})
				now = Instant{Wall: 1e18}
				c.pinned.take(&Call[string, string]{}, "v", Life{Refresh: refresh, End: now.Add(time.Minute)}, now)
				now = later
				if c.pinned.held.Load().fresh(now) {
					t.Errorf("got fresh at %v, want ended at %v", later, fmt.Sprint(Instant{Wall: 1e18}.Add(time.Minute)))
				}
			}
		})
	}
}

// While a key is refreshed, and when that fails, its value is used to its end. Kept is
// told of the failure.
func TestRefreshThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUpstream(func(_ context.Context, r request) reply {
			if r.at == 0 {
				return reply{life: 40 * time.Minute}
			}
			return reply{err: errRefused, value: "half"}
		})
		var kept []string
		c := cacheOf(t, 10, u, func(config *Config[string, string]) {
			config.Kept = func(key, value string, err error) { kept = append(kept, fmt.Sprint(key, " ", value, " ", err)) }
		})
		first, _ := mustGet(t, c, "key")
		pass(39 * time.Minute)
		for range 599 {
			if value, _ := mustGet(t, c, "key"); value != first {
				t.Fatalf("got %q, want %q", value, first)
			}
			pass(100 * time.Millisecond)
		}
		// Pauses of 1, 2, 4, 5 s, then half of what is left, at least half a second.
		if n := u.count() - 1; n < 14 || n > 20 || len(kept) != n || kept[0] != "key "+first+" refused" {
			t.Errorf("got %d requests and %d notes, the first %q; want 14 to 20 of both", n, len(kept), kept[0])
		}
		pass(100 * time.Millisecond)
		_ = mustFail(t, c, "key", errRefused)
		if last := u.newest(); last.at != 40*time.Minute || last.last != "half" {
			t.Errorf("got %+v, want a try at the end, with what the last fetch returned", last)
		}
	})
}
