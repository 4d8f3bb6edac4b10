package tokencache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A status in words: each key with its value and failure, and the breaker.
func describe(s Status[string, string]) string {
	var b strings.Builder
	for _, i := range s.Items {
		fmt.Fprintf(&b, "%s=%q", i.Key, i.Value)
		if i.Value != "" {
			fmt.Fprintf(&b, " %v-%v", i.Life.Refresh.left(s.Now), i.Life.End.left(s.Now))
		}
		if !i.Asked {
			b.WriteString(" never asked")
		}
		b.WriteString(describeFailing(i.Failing, s.Now) + "; ")
	}
	fmt.Fprintf(&b, "%d more", s.More)
	switch {
	case s.Breaker.Open:
		b.WriteString("; open")
	case s.Breaker.HalfOpen:
		b.WriteString("; half-open")
	}
	b.WriteString(describeFailing(s.Breaker.Failing, s.Now))
	if s.Closed {
		b.WriteString("; closed")
	}
	return b.String()
}

func describeFailing(f Failing, now Instant) string {
	if f == (Failing{}) {
		return ""
	}
	return fmt.Sprintf(" %v x%d %v ago, next in %v", f.Err, f.Count, now.Since(f.Since), f.Next.left(now))
}

func TestStatus(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer func(context.Context, request) reply
		play   func(*testing.T, *Cache[string, string])
		most   int
		want   string
	}{
		"new": {
			nil, func(*testing.T, *Cache[string, string]) {}, 5,
			`pinned="" never asked; 0 more`,
		},
		"pinned key first, then those used last": {
			nil, func(t *testing.T, c *Cache[string, string]) {
				for _, key := range []string{"a", "b", "c", "a"} {
					mustGet(t, c, key)
					pass(time.Minute)
				}
			}, 5,
			`pinned="" never asked; a="a#1" 41m0s-56m0s; c="c#3" 43m0s-58m0s; b="b#2" 42m0s-57m0s; 0 more`,
		},
		"no more than asked for": {
			nil, func(t *testing.T, c *Cache[string, string]) {
				for _, key := range []string{"a", "b", "c"} {
					mustGet(t, c, key)
				}
			}, 2,
			`pinned="" never asked; c="c#3" 45m0s-1h0m0s; 2 more`,
		},
		"only the pinned key": {
			nil, func(t *testing.T, c *Cache[string, string]) { mustGet(t, c, pinned); mustGet(t, c, "a") }, 1,
			`pinned="pinned#1" 45m0s-1h0m0s; 1 more`,
		},
		"an ended value is not there": {
			nil, func(t *testing.T, c *Cache[string, string]) { mustGet(t, c, pinned); pass(time.Hour) }, 5,
			`pinned=""; 0 more`,
		},
		"refused": {
			func(context.Context, request) reply { return reply{err: errRefused} },
			func(t *testing.T, c *Cache[string, string]) {
				mustFail(t, c, pinned, errRefused)
				mustFail(t, c, "a", errRefused)
				pass(1500 * time.Millisecond)
				mustFail(t, c, "a", errRefused)
			}, 5,
			`pinned="" refused x1 1.5s ago, next in -500ms; a="" refused x2 1.5s ago, next in 2s; 0 more`,
		},
		"refused while the value in use is good": {
			func(_ context.Context, r request) reply {
				if r.last != "" {
					return reply{err: errRefused}
				}
				return reply{}
			},
			func(t *testing.T, c *Cache[string, string]) {
				mustGet(t, c, pinned)
				pass(50 * time.Minute)
				mustGet(t, c, pinned)
				synctest.Wait()
			}, 5,
			`pinned="pinned#1" -5m0s-10m0s refused x1 0s ago, next in 1s; 0 more`,
		},
		"a shorter value is no failure": {
			func(_ context.Context, r request) reply {
				if r.last != "" {
					return reply{life: time.Minute}
				}
				return reply{}
			},
			func(t *testing.T, c *Cache[string, string]) {
				mustGet(t, c, pinned)
				pass(50 * time.Minute)
				mustGet(t, c, pinned)
				synctest.Wait()
			}, 5,
			`pinned="pinned#1" -5m0s-10m0s; 0 more`,
		},
		"the breaker is open": {
			func(context.Context, request) reply { return reply{err: errClient} },
			func(t *testing.T, c *Cache[string, string]) {
				mustFail(t, c, "a", errClient)
				pass(300 * time.Millisecond)
			}, 5,
			`pinned="" never asked; a="" the client is unknown x1 300ms ago, next in 700ms; 0 more; open the client is unknown x1 300ms ago, next in 700ms`,
		},
		"the breaker is half-open": {
			func(ctx context.Context, r request) reply {
				if r.at > 0 {
					return hang(ctx, r)
				}
				return reply{err: errClient}
			},
			func(t *testing.T, c *Cache[string, string]) {
				mustFail(t, c, "a", errClient)
				pass(time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				defer cancel()
				_, _, _ = c.Get(ctx, "a")
			}, 5,
			`pinned="" never asked; a="" the client is unknown x1 1.2s ago, next in -200ms; 0 more; half-open the client is unknown x1 1.2s ago, next in 800ms`,
		},
		"keys that are being fetched come last": {
			func(ctx context.Context, r request) reply {
				if r.key == "slow" || r.key == pinned {
					return hang(ctx, r)
				}
				return reply{}
			},
			func(t *testing.T, c *Cache[string, string]) {
				for _, key := range []string{pinned, "slow"} {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					_, _, _ = c.Get(ctx, key)
					cancel()
				}
				mustGet(t, c, "a")
			}, 5,
			`pinned=""; a="a#3" 45m0s-1h0m0s; slow=""; 0 more`,
		},
		"keys that are being fetched have no room": {
			func(ctx context.Context, r request) reply {
				if r.key == "slow" {
					return hang(ctx, r)
				}
				return reply{}
			},
			func(t *testing.T, c *Cache[string, string]) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, _, _ = c.Get(ctx, "slow")
				mustGet(t, c, "a")
			}, 2,
			`pinned="" never asked; a="a#2" 45m0s-1h0m0s; 1 more`,
		},
		"closed": {
			nil, func(t *testing.T, c *Cache[string, string]) { mustGet(t, c, pinned); mustGet(t, c, "a"); c.Close() }, 5,
			`pinned="" never asked; 0 more; closed`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := cacheOf(t, 10, newUpstream(tc.answer))
				tc.play(t, c)
				if diff := cmp.Diff(tc.want, describe(c.Status(tc.most))); diff != "" {
					t.Errorf("got another status than wanted (-want +got):\n%s", diff)
				}
				c.Close()
			})
		})
	}
}

// A fetch that ignores its context is left behind. Its key is listed once.
func TestStatusOfAnAbandonedFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		c := cacheOf(t, 10, newUpstream(func(context.Context, request) reply {
			<-release
			return reply{err: errTemporary}
		}))
		mustFail(t, c, "a", ErrAbandoned)
		if got, want := describe(c.Status(5)), `pinned="" never asked; a="" `+ErrAbandoned.Error()+` x1 0s ago, next in 1s; 0 more`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		close(release)
		synctest.Wait()
	})
}

// status is Cache.Status, which must agree with what callers know.
func (m *model) status(rng *rand.Rand) {
	most := 1 + rng.IntN(len(m.keys)+1)
	start := time.Now()
	sure := m.sure()
	s := m.cache.Status(most)
	if took := time.Since(start); took > 0 {
		m.broken("got a status after %v, want it at once", took)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case s.Closed != m.closed && !m.closed:
		m.broken("got a closed status before Close")
	case s.Closed:
		return
	case len(s.Items) == 0 || s.Items[0].Key != pinned:
		m.broken("got %d keys, want the pinned one first", len(s.Items))
		return
	case len(s.Items) > most || s.More > 0 && len(s.Items) < most || s.More < 0:
		m.broken("got %d keys and %d more, want %d at most and no room left", len(s.Items), s.More, most)
	}
	seen := map[string]bool{}
	for _, i := range s.Items {
		switch failing := i.Failing; {
		case seen[i.Key]:
			m.broken("%s: got it twice", i.Key)
		case i.Value != "" && !strings.HasPrefix(i.Value, i.Key+"#"):
			m.broken("%s: got %q, the value of another key", i.Key, i.Value)
		case i.Value != "" && i.Life != m.values[i.Value].life:
			m.broken("%s: got the life %v of %q, want %v", i.Key, i.Life, i.Value, m.values[i.Value].life)
		case i.Value != "" && i.Life.End.Reached(s.Now):
			m.broken("%s: got %q after its end", i.Key, i.Value)
		case i.Value == "" && sure[i.Key]:
			m.broken("%s: got no value, though a usable one was there", i.Key)
		case !i.Asked && (i.Value != "" || failing.Err != nil):
			m.broken("%s: got %q and %v, though it was never asked for", i.Key, i.Value, failing.Err)
		case (failing.Err != nil) != (failing.Count > 0):
			m.broken("%s: got %v of %d failures", i.Key, failing.Err, failing.Count)
		}
		seen[i.Key] = true
	}
	for key := range sure {
		if !seen[key] && s.More == 0 {
			m.broken("%s: got a status without it, though its value is in use", key)
		}
	}
	b := s.Breaker
	if isOpen := b.Open || b.HalfOpen; b.Open && b.HalfOpen || isOpen != (b.Failing.Err != nil) {
		m.broken("got open %v, half-open %v and %v", b.Open, b.HalfOpen, b.Failing.Err)
	} else if !isOpen && !m.opened.IsZero() && time.Now().After(m.opened) {
		m.broken("got a closed breaker %v after a client-wide failure", time.Since(m.opened))
	}
}

// sure are the keys whose value must be there.
func (m *model) sure() map[string]bool {
	sure := map[string]bool{}
	for _, key := range m.keys {
		if m.usable(key) {
			sure[key] = true
		}
	}
	return sure
}
