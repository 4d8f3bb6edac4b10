package tokencache

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A context that is over starts nothing and keeps nothing, whatever hangs.
func TestCancelledCallersCreateNothing(t *testing.T) {
	t.Parallel()
	const size = 100
	for name, before := range map[string]int{"nothing hangs": 0, "all slots hang": Slots, "no place is left": size + Slots} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				u := newUpstream(hang)
				c := cacheOf(t, size, u)
				var callers sync.WaitGroup
				for i := range before {
					callers.Go(func() { _, _, _ = c.Get(t.Context(), key("hangs", i)) })
				}
				synctest.Wait()
				over, cancel := context.WithCancelCause(t.Context())
				cancel(errors.New("the client left"))
				for i := range 400_000 { // quick, because nothing is kept
					if _, _, err := c.Get(over, key("new", i)); err == nil || err.Error() != "the client left" {
						t.Fatalf("got %v, want the context's cause", err)
					}
				}
				if running, _ := inside(c); c.Len() != before || u.count() != min(before, Slots) || running != before {
					t.Errorf("got %d entries, %d requests and %d calls, want %d, %d and %d",
						c.Len(), u.count(), running, before, min(before, Slots), before)
				}
				c.Close()
				callers.Wait()
			})
		})
	}
}

// A context that is over does not start a refresh either.
func TestCancelledCallersRefreshNothing(t *testing.T) {
	t.Parallel()
	for _, key := range []string{pinned, "other"} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				u := newUpstream(nil)
				c := cacheOf(t, 10, u)
				mustGet(t, c, key)
				pass(50 * time.Minute)
				over, cancel := context.WithCancel(t.Context())
				cancel()
				value, cached, err := c.Get(over, key)
				synctest.Wait()
				if value != key+"#1" || !cached || err != nil || u.count() != 1 {
					t.Errorf("got %q, %v, %v and %d requests, want the value in use and 1", value, cached, err, u.count())
				}
			})
		})
	}
}

// While every fetch hangs there are no more entries than Size and one for each slot.
func TestEntriesAreBoundedWhileFetchesHang(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 10, 1000} {
		t.Run(key("size ", size), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				u := newUpstream(hang)
				c := cacheOf(t, size, u)
				ctx, cancel := context.WithCancel(t.Context())
				var callers sync.WaitGroup
				var busy atomic.Int64
				for i := range 64 + size + 50 {
					callers.Go(func() {
						if _, _, err := c.Get(ctx, key("k", i)); errors.Is(err, ErrBusy) {
							busy.Add(1)
						}
					})
				}
				synctest.Wait()
				if c.Len() != size+64 || busy.Load() != 50 || u.count() != 64 {
					t.Errorf("got %d entries, %d callers turned away and %d requests, want %d, 50 and 64", c.Len(), busy.Load(), u.count(), size+64)
				}
				if _, err := c.Replace("new", "value"); !errors.Is(err, ErrBusy) {
					t.Errorf("Replace: got %v, want %v", err, ErrBusy)
				}
				cancel()
				callers.Wait()
				pass(FetchTimeout)
				for i := range 3 * size {
					_, _, _ = c.Get(t.Context(), key("later", i))
				}
				if c.Len() > size+64 {
					t.Errorf("got %d entries, want at most %d", c.Len(), size+64)
				}
			})
		})
	}
}

// Turning a caller away takes no probe from those that could be asked.
func TestBusyTakesNoProbe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cacheOf(t, 0, newUpstream(hang))
		var callers sync.WaitGroup
		for i := range Slots {
			callers.Go(func() { _, _, _ = c.Get(t.Context(), key("k", i)) })
		}
		synctest.Wait()
		c.mu.Lock()
		c.breaker = breaker{state: open, opened: 1, err: errClient}
		c.mu.Unlock()
		_ = mustFail(t, c, "new", ErrBusy)
		c.mu.Lock()
		if c.breaker.state != open {
			t.Error("got half-open, want open: there is no probe")
		}
		c.mu.Unlock()
		c.Close()
		callers.Wait()
	})
}

// Keys in use stay, the least recently used leave, and the pinned key always stays.
func TestEviction(t *testing.T) {
	t.Parallel()
	type read struct {
		key    string
		cached bool
	}
	for name, reads := range map[string][]read{
		"used again": {{pinned, false}, {"1", false}, {"2", false}, {"3", false}, {"1", true}, {"4", false}, {"1", true}, {"3", true}, {"4", true}, {"2", false}, {"1", false}, {pinned, true}},
		"used once":  {{"1", false}, {"2", false}, {"3", false}, {"4", false}, {"2", true}, {"3", true}, {"4", true}, {"1", false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cacheOf(t, 3, newUpstream(nil))
			for i, r := range reads {
				if _, cached := mustGet(t, c, r.key); cached != r.cached {
					t.Errorf("read %d, key %s: got cached %v, want %v", i, r.key, cached, r.cached)
				}
			}
			for i := range 1000 {
				mustGet(t, c, key("many", i))
			}
			if c.Len() != 3 {
				t.Errorf("got %d keys, want 3", c.Len())
			}
		})
	}
}

// Keys that fail do not evict the key that was good last.
func TestKeyThatWasGoodLastStays(t *testing.T) {
	t.Parallel()
	c := cacheOf(t, 3, newUpstream(func(_ context.Context, r request) reply {
		if r.key == "good" {
			return reply{}
		}
		return reply{err: errRefused}
	}))
	mustGet(t, c, "good")
	for i := range 100 {
		_ = mustFail(t, c, key("bad", i), errRefused)
		if c.Len() > 3 {
			t.Fatalf("got %d keys, want at most 3", c.Len())
		}
	}
	if _, cached := mustGet(t, c, "good"); !cached {
		t.Error("got the good key's value from a fetch, want it from the cache")
	}
}

// One call per key is under way at a time, also while keys are evicted.
func TestOneCallPerKey(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ size, keys int }{
		"one key":                     {1, 1},
		"as many as are kept":         {64, 64},
		"more keys than are kept":     {1, 200},
		"some more keys than kept":    {64, 80},
		"the pinned key among others": {1, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				u := newUpstream(func(_ context.Context, r request) reply {
					pass(time.Duration(len(r.last)+1) * 10 * time.Millisecond)
					return reply{life: 200 * time.Millisecond}
				})
				c := cacheOf(t, tc.size, u)
				var callers sync.WaitGroup
				for range 64 {
					callers.Go(func() {
						for range 30 {
							k := key("k", rand.IntN(tc.keys))
							if k == "k0" {
								k = pinned
							}
							value, _, err := c.Get(t.Context(), k)
							if err != nil {
								t.Errorf("got %v, want a value", err)
							}
							if rand.IntN(3) == 0 {
								if call, _ := c.Replace(k, value); call != nil {
									_, _ = call.Wait(t.Context())
								}
							}
							pass(time.Duration(rand.IntN(50)) * time.Millisecond)
						}
					})
				}
				callers.Wait()
				synctest.Wait() // a refresh ahead may go on
				if u.most != 1 || u.mostAll > 65 || c.Len() > tc.size+64 {
					t.Errorf("got %d calls of one key and %d of all at once, and %d entries; want 1, at most 65 and %d", u.most, u.mostAll, c.Len(), tc.size+64)
				}
			})
		})
	}
}
