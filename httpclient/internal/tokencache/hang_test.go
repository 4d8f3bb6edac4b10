package tokencache

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// deaf is a fetch that ignores its context and returns when it is released.
func deaf(released <-chan struct{}) func(context.Context, request) reply {
	return func(context.Context, request) reply {
		<-released
		return reply{}
	}
}

// Callers return by their own deadline, or after 20 seconds, though Fetch ignores its
// context. Its late result is dropped.
func TestFetchThatIgnoresItsContext(t *testing.T) {
	t.Parallel()
	for _, k := range []string{pinned, "other"} {
		t.Run(k, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				u := newUpstream(func(ctx context.Context, r request) reply {
					if r.at == 0 {
						return reply{life: time.Minute}
					}
					return deaf(release)(ctx, r)
				})
				c := cacheOf(t, 10, u)
				first, _ := mustGet(t, c, k)
				pass(time.Minute)
				var callers sync.WaitGroup
				for _, deadline := range []time.Duration{time.Millisecond, 5 * time.Second, 19999 * time.Millisecond, time.Hour} {
					callers.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), deadline)
						defer cancel()
						start := time.Now()
						_, _, err := c.Get(ctx, k)
						if took, want := time.Since(start), min(deadline, FetchTimeout); took != want {
							t.Errorf("got an answer after %v, want %v", took, want)
						}
						var left *WaitError
						if deadline < FetchTimeout && !(errors.As(err, &left) && left.Timeout()) || deadline > FetchTimeout && !errors.Is(err, ErrAbandoned) {
							t.Errorf("got %v after %v, want the time-out that comes first", err, deadline)
						}
					})
				}
				callers.Wait()
				if _, abandoned := inside(c); len(c.slots) != 0 || abandoned != 1 {
					t.Errorf("got %d slots taken and %d fetches left behind, want 0 and 1", len(c.slots), abandoned)
				}
				close(release)
				synctest.Wait()
				if running, abandoned := inside(c); abandoned != 0 || running != 0 {
					t.Errorf("got %d calls and %d fetches left behind, want 0", running, abandoned)
				}
				_ = mustFail(t, c, k, ErrAbandoned) // the late value is dropped, the failure remembered
				pass(time.Second)
				mustGet(t, c, k)
				if last := u.newest().last; last != first {
					t.Errorf("got %q as the last value, want %q: the late one was dropped", last, first)
				}
			})
		})
	}
}

// When 64 fetches are left behind no more are started, of the pinned key either. When
// they return, all is well again.
func TestFetchesLeftBehindAreBounded(t *testing.T) {
	t.Parallel()
	refused := func(config *Config[string, string]) { // so that the circuit breaker stays closed
		config.Classify = func(error) Failure { return Failure{} }
	}
	t.Run("one after another", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			u := newUpstream(deaf(release))
			c := cacheOf(t, 1000, u, refused)
			for i := range 64 {
				_ = mustFail(t, c, key("k", i), ErrAbandoned)
			}
			for i := range 200 {
				start := time.Now()
				_ = mustFail(t, c, key("k", 100+i), ErrStuck)
				_ = mustFail(t, c, pinned, ErrStuck)
				if time.Since(start) > 0 {
					t.Fatalf("got the error after %v, want it at once", time.Since(start))
				}
			}
			if u.underway() != 64 || u.count() != 64 || c.Len() != 64 {
				t.Errorf("got %d fetches left behind of %d, and %d entries; want 64 of each", u.underway(), u.count(), c.Len())
			}
			close(release)
			synctest.Wait()
			pass(time.Minute)
			for i := range 200 {
				mustGet(t, c, key("k", i))
			}
			mustGet(t, c, pinned)
		})
	})
	t.Run("all at once", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			u := newUpstream(deaf(release))
			c := cacheOf(t, 1000, u, refused)
			var callers sync.WaitGroup
			for i := range 600 { // three a second: many wait for a slot when the first are left behind
				pass(300 * time.Millisecond)
				callers.Go(func() {
					start := time.Now()
					if _, _, err := c.Get(t.Context(), key("k", i)); err == nil {
						t.Error("got a value, want an error")
					}
					if took := time.Since(start); took > FetchTimeout {
						t.Errorf("got an answer after %v, want it within 20s", took)
					}
				})
			}
			callers.Wait()
			// Those under way when the 64th was left behind are so too.
			if n := u.underway(); n < 64 || n > 64+Slots {
				t.Errorf("got %d fetches left behind, want 64 to %d", n, 64+Slots)
			}
			close(release)
			synctest.Wait()
			mustGet(t, c, "new")
		})
	})
}

// The pinned key needs no slot. A call that gets no slot says so in time.
func TestSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUpstream(func(ctx context.Context, r request) reply {
			if r.key == pinned {
				return reply{}
			}
			return hang(ctx, r)
		})
		c := cacheOf(t, 1000, u)
		var callers sync.WaitGroup
		for i := range 200 {
			callers.Go(func() {
				start := time.Now()
				_, _, err := c.Get(t.Context(), key("k", i))
				switch took := time.Since(start); {
				case errors.Is(err, ErrNoSlot) && took == 12*time.Second:
				case errors.Is(err, errTemporary) && took == FetchTimeout-lastWord:
				default:
					t.Errorf("got %v after %v, want a value or ErrNoSlot", err, took)
				}
			})
		}
		synctest.Wait()
		start := time.Now()
		if mustGet(t, c, pinned); time.Since(start) > 0 {
			t.Errorf("got the pinned key's value after %v, want it at once", time.Since(start))
		}
		callers.Wait()
		if n := u.count() - u.count(pinned); n != Slots {
			t.Errorf("got %d requests that need a slot, want %d", n, Slots)
		}
	})
}

// A fetch that ends its goroutine has no result.
func TestFetchThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	for _, k := range []string{pinned, "other"} {
		t.Run(k, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				misbehaves := false
				u := newUpstream(func(context.Context, request) reply {
					if misbehaves {
						runtime.Goexit()
					}
					return reply{life: time.Minute}
				})
				c := cacheOf(t, 10, u)
				first, _ := mustGet(t, c, k)
				pass(time.Minute)
				misbehaves = true
				_ = mustFail(t, c, k, ErrNoResult)
				misbehaves = false
				_ = mustFail(t, c, k, ErrNoResult) // remembered
				pass(time.Second)
				mustGet(t, c, k)
				synctest.Wait()
				if running, _ := inside(c); u.count() != 3 || u.newest().last != first || running != 0 || len(c.slots) != 0 {
					t.Errorf("got %d requests, the newest %+v, %d calls and %d slots taken; want 3, the last value %q, 0 and 0",
						u.count(), u.newest(), running, len(c.slots), first)
				}
			})
		})
	}
}
