package tokencache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Callers wait for one call, each with a context of its own. The call belongs to no caller.
func TestCallersLeaveWithTheirOwnContext(t *testing.T) {
	t.Parallel()
	for _, k := range []string{pinned, "other"} {
		t.Run(k, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				u := newUpstream(func(context.Context, request) reply {
					pass(10 * time.Second)
					return reply{}
				})
				c := cacheOf(t, 10, u)
				var callers sync.WaitGroup
				callers.Go(func() { // the first of them starts the call
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					_, _, err := c.Get(ctx, k)
					var left *WaitError
					if !errors.As(err, &left) || !left.Timeout() || !errors.Is(err, context.DeadlineExceeded) || err.Error() != context.DeadlineExceeded.Error() {
						t.Errorf("got %v, want a time-out", err)
					}
				})
				synctest.Wait()
				cause := errors.New("the client left")
				cancelled, cancel := context.WithCancelCause(t.Context())
				callers.Go(func() {
					value, cached, err := c.Get(cancelled, k)
					var left *WaitError
					if value != "" || cached || !errors.As(err, &left) || left.Timeout() || !errors.Is(err, cause) || !errors.Is(err, context.Canceled) || err.Error() != cause.Error() {
						t.Errorf("got %q, %v, %v, want the context's error and its cause", value, cached, err)
					}
				})
				for range 50 {
					callers.Go(func() {
						start := time.Now()
						if _, cached := mustGet(t, c, k); cached || time.Since(start) != 10*time.Second {
							t.Errorf("got a value after %v, cached: %v; want a new one after 10s", time.Since(start), cached)
						}
					})
				}
				pass(2 * time.Second)
				cancel(cause)
				callers.Wait()
				if u.count() != 1 {
					t.Errorf("got %d requests, want 1", u.count())
				}
			})
		})
	}
}

// A fetch's context ends with the call, so that nothing of it stays.
func TestContextOfAFetchEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var used context.Context
		c := cacheOf(t, 10, newUpstream(func(ctx context.Context, _ request) reply {
			used = ctx
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != FetchTimeout-lastWord || ctx.Err() != nil {
				t.Errorf("got a context that ends in %v, want %v", time.Until(deadline), FetchTimeout-lastWord)
			}
			return reply{}
		}))
		mustGet(t, c, "key")
		synctest.Wait()
		if used.Err() == nil {
			t.Error("got a context that goes on, want it over")
		}
	})
}

// No caller waits for the cache's lock to read the pinned key's value.
func TestPinnedValueNeedsNoLock(t *testing.T) {
	t.Parallel()
	var now atomic.Int64
	u := newUpstream(nil)
	u.clock = func() Instant { return Instant{}.Add(time.Duration(now.Load())) }
	c := cacheOf(t, 10, u)
	mustGet(t, c, pinned)
	for _, at := range []time.Duration{time.Minute, 50 * time.Minute} { // fresh, due
		now.Store(int64(at))
		c.mu.Lock()
		got := make(chan string, 1)
		go func() {
			value, _, _ := c.Pinned().Get(t.Context())
			got <- value
		}()
		select {
		case value := <-got:
			if value != "pinned#1" {
				t.Errorf("after %v: got %q, want %q", at, value, "pinned#1")
			}
		case <-time.After(10 * time.Second):
			t.Errorf("after %v: got nothing while another caller holds the lock, want the value", at)
		}
		c.mu.Unlock()
	}
}

// Last gives what callers got last, also after its end, and never waits.
func TestLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUpstream(nil)
		c := cacheOf(t, 10, u)
		want := func(when, value string) {
			t.Helper()
			if got := c.Pinned().Last(); got != value {
				t.Errorf("%s: got %q, want %q", when, got, value)
			}
		}
		want("at first", "")
		mustGet(t, c, pinned)
		want("fresh", "pinned#1")
		pass(59 * time.Minute)
		want("due", "pinned#1")
		pass(time.Minute)
		want("expired", "pinned#1")
		mustGet(t, c, pinned)
		want("fetched again", "pinned#2")
		start := time.Now()
		if c.Close(); time.Since(start) > 0 {
			t.Errorf("got closed after %v, want at once", time.Since(start))
		}
		want("closed", "")
	})
}

// Close ends waiters at once, and waits for fetches that obey their context.
func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		left := 0
		var mu sync.Mutex
		u := newUpstream(func(ctx context.Context, _ request) reply {
			<-ctx.Done()
			pass(time.Second) // it tidies up
			mu.Lock()
			defer mu.Unlock()
			left++
			return reply{}
		})
		c := cacheOf(t, 200, u)
		c.lastGood = c.pinned
		start := time.Now()
		var callers sync.WaitGroup
		for i := range 100 { // 36 of them wait for a slot
			callers.Go(func() {
				if _, _, err := c.Get(t.Context(), key("k", i)); !errors.Is(err, ErrClosed) || time.Since(start) != time.Minute/6 {
					t.Errorf("got %v after %v, want %v after 10s", err, time.Since(start), ErrClosed)
				}
			})
		}
		pass(10 * time.Second)
		c.Close()
		if took := time.Since(start) - 10*time.Second; took != time.Second || left != Slots {
			t.Errorf("got closed after %v with %d fetches done, want 1s and %d", took, left, Slots)
		}
		callers.Wait()
		for _, k := range []string{pinned, "k1", "new"} {
			_ = mustFail(t, c, k, ErrClosed)
			if call, err := c.Replace(k, "value"); call != nil || !errors.Is(err, ErrClosed) {
				t.Errorf("Replace: got %v, %v, want %v", call, err, ErrClosed)
			}
		}
		if c.Len() != 0 || c.lastGood != nil || u.count() != Slots {
			t.Errorf("got %d entries, %v and %d requests, want none, none and %d", c.Len(), c.lastGood, u.count(), Slots)
		}
		c.Close()
		if took := time.Since(start) - 11*time.Second; took > 0 {
			t.Errorf("got closed again after %v, want at once", took)
		}
	})
}

// A call that was ended before its goroutine ran does not ask.
func TestClosedBeforeItRan(t *testing.T) {
	t.Parallel()
	c := cacheOf(t, 10, newUpstream(nil))
	if err := c.overtaken(&Call[string, string]{over: true, err: ErrClosed}); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want %v", err, ErrClosed)
	}
}

// Close drops values, and leaves behind what ignores its context.
func TestCloseWithoutEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		u := newUpstream(func(ctx context.Context, r request) reply {
			if r.key == "deaf" {
				<-release
			}
			return reply{}
		})
		c := cacheOf(t, 10, u)
		mustGet(t, c, pinned)
		mustGet(t, c, "other")
		go func() { _, _, _ = c.Get(t.Context(), "deaf") }()
		synctest.Wait()
		var closers sync.WaitGroup
		for range 3 {
			closers.Go(func() {
				start := time.Now()
				c.Close()
				if took := time.Since(start); took != 5*time.Second {
					t.Errorf("got closed after %v, want 5s", took)
				}
			})
		}
		closers.Wait()
		_ = mustFail(t, c, pinned, ErrClosed)
		_ = mustFail(t, c, "other", ErrClosed)
		close(release)
		synctest.Wait()
		start := time.Now()
		if c.Close(); time.Since(start) > 0 {
			t.Errorf("got closed after %v, want at once", time.Since(start))
		}
	})
}
