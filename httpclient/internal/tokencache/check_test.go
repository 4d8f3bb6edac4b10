package tokencache

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A check comes at once though all slots are taken, also of a key that waits for one.
func TestCheckNeedsNoSlot(t *testing.T) {
	t.Parallel()
	for name, waits := range map[string]bool{"the good key is idle": false, "the good key waits for a slot": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				u := newUpstream(func(ctx context.Context, r request) reply {
					switch {
					case r.at == 0:
						return reply{life: time.Minute}
					case strings.HasPrefix(r.key, "bad"):
						pass(time.Second)
						return reply{err: errTemporary}
					case r.key == "good":
						return reply{}
					}
					return hang(ctx, r)
				})
				c := cacheOf(t, 1000, u)
				mustGet(t, c, "good")
				pass(time.Minute)
				var callers sync.WaitGroup
				ask := func(key string) {
					callers.Go(func() { _, _, _ = c.Get(t.Context(), key) })
					synctest.Wait()
				}
				for i := range 3 {
					ask(key("bad", i))
				}
				for i := range Slots + 20 {
					ask(key("hangs", i))
				}
				if waits {
					ask("good")
				}
				pass(time.Second)
				synctest.Wait()
				if n := u.count("good"); n != 2 {
					t.Errorf("got %d requests of the good key, want the second as soon as three have failed", n)
				}
				c.Close()
				callers.Wait()
			})
		})
	}
}

// A check does not come before the good key's own pause is over.
func TestCheckKeepsTheGoodKeysPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUpstream(func(_ context.Context, r request) reply {
			switch {
			case r.at == 0:
				return reply{life: time.Minute}
			case r.key == "good":
				return reply{err: &failure{Failure{RetryAfter: 30 * time.Second}, "refused"}}
			}
			return reply{err: errTemporary}
		})
		c := cacheOf(t, 1000, u)
		mustGet(t, c, "good")
		pass(time.Minute)
		_, _, _ = c.Get(t.Context(), "good")
		for i := range 300 {
			_, _, _ = c.Get(t.Context(), key("bad", i))
			synctest.Wait()
			pass(100 * time.Millisecond)
		}
		if n := u.count("good"); n != 2 {
			t.Errorf("got %d requests of the good key, want 2 within its pause", n)
		}
		_, _, _ = c.Get(t.Context(), "bad")
		synctest.Wait()
		if n := u.count("good"); n != 3 {
			t.Errorf("got %d requests of the good key, want 3 after its pause", n)
		}
	})
}

// In an outage the probes come from a key that has been good, if there is one. Those of
// a key that never was would say less.
func TestProbesComeFromGoodKeys(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		warm  []string // in this order
		fails string   // and opens the circuit breaker
		probe string
	}{
		"no good key":                  {nil, "bad", "new"},
		"the pinned one":               {[]string{pinned}, "bad", pinned},
		"another":                      {[]string{"good"}, "bad", "good"},
		"the last of two":              {[]string{pinned, "good"}, "bad", "good"},
		"the last fails, not pinned":   {[]string{pinned, "good"}, "good", pinned},
		"the last fails, not another":  {[]string{"other", "good"}, "good", "other"},
		"the last fails, never good":   {[]string{"good"}, "good", "new"},
		"the pinned one fails":         {[]string{"good", pinned}, pinned, "good"},
		"the pinned one fails, no one": {[]string{pinned}, pinned, "new"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				down := false
				u := newUpstream(func(context.Context, request) reply {
					if down {
						return reply{err: &failure{Failure{ClientWide: true, RetryAfter: 2 * time.Second}, "down"}}
					}
					return reply{}
				})
				c := cacheOf(t, 1000, u)
				for _, key := range tc.warm {
					mustGet(t, c, key)
				}
				pass(time.Hour)
				down = true
				if _, _, err := c.Get(t.Context(), tc.fails); err == nil {
					t.Fatal("got a value, want an error")
				}
				pass(2*time.Second - 1)
				before := u.count()
				_, _, _ = c.Get(t.Context(), "new")
				synctest.Wait()
				if u.count() != before {
					t.Errorf("got a probe before its time, want it at its time")
				}
				down = false
				pass(1)
				_, _, err := c.Get(t.Context(), "new")
				if (err == nil) != (tc.probe == "new") {
					t.Errorf("got %v, want the probe of %q", err, tc.probe)
				}
				synctest.Wait()
				if last := u.newest(); last.key != tc.probe {
					t.Errorf("got a probe of %q, want %q", last.key, tc.probe)
				}
				mustGet(t, c, "new")
			})
		})
	}
}

// When a value ends in an outage, its key is fetched at once, though the server asked
// for more time: it may be back. Only the first caller's key is, and only once.
func TestValueThatEndsInAnOutage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		others bool // fail too, so that the circuit breaker is open
		asked  bool // for a refresh before the end, which fails
	}{
		"asked for before":                   {false, true},
		"asked for before, breaker open":     {true, true},
		"not asked for before, breaker open": {true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				down := false
				u := newUpstream(func(context.Context, request) reply {
					if down {
						return reply{err: &failure{Failure{Temporary: true, RetryAfter: time.Minute}, "down"}}
					}
					return reply{life: 100 * time.Second}
				})
				c := cacheOf(t, 1000, u)
				for _, key := range []string{"calm", "good", "too"} {
					mustGet(t, c, key)
				}
				pass(90 * time.Second)
				down = true
				if tc.asked {
					mustGet(t, c, "good")
					mustGet(t, c, "too")
				}
				for i := 0; tc.others && i < 10; i++ {
					_, _, _ = c.Get(t.Context(), key("bad", i))
					synctest.Wait()
				}
				pass(10*time.Second - 1)
				before := u.count()
				_, _, _ = c.Get(t.Context(), "bad")
				mustGet(t, c, "good")
				synctest.Wait()
				if n := u.count() - before; n > 1 { // the new key's, or a probe
					t.Errorf("got %d requests before the values end, want at most 1", n)
				}
				pass(1)
				before = u.count()
				if tc.asked {
					for range 10 {
						for _, key := range []string{"good", "too", "bad"} {
							if _, _, err := c.Get(t.Context(), key); err == nil {
								t.Errorf("%s: got a value, want an error", key)
							}
						}
					}
					if n := u.count("good", "too", "bad"); u.count()-before != 1 {
						t.Errorf("got %d requests, %d of these keys, when the values end, want 1", u.count()-before, n)
					}
					pass(5 * time.Second)
				}
				down = false
				mustGet(t, c, "calm")
			})
		})
	}
}

// The other good key has the fewest failures, and may be fetched now.
func TestOtherGood(t *testing.T) {
	t.Parallel()
	now := Instant{}.Add(time.Hour)
	items := map[rune]func() *Item[string, string]{
		'g': func() *Item[string, string] { return &Item[string, string]{good: true} },                             // has been good
		'f': func() *Item[string, string] { return &Item[string, string]{good: true, backoff: backoff{count: 1}} }, // and has failed since
		'p': func() *Item[string, string] { // and pauses
			return &Item[string, string]{good: true, backoff: backoff{count: 1, until: now.Add(1)}}
		},
		'a': func() *Item[string, string] { return &Item[string, string]{good: true, call: &Call[string, string]{}} }, // and is being asked
		'n': func() *Item[string, string] { return &Item[string, string]{} },                                          // was never good
	}
	for name, tc := range map[string]struct {
		keys string // the pinned one, and then the others, most recently used first
		want int    // -1: none
	}{
		"no good key":            {"nn", -1},
		"pinned":                 {"gn", 0},
		"pinned before others":   {"gg", 0},
		"pinned has failed":      {"ffngg", 3},
		"pinned pauses":          {"pnf", 2},
		"pinned is being asked":  {"af", 1},
		"only one that failed":   {"nnfn", 2},
		"only those that pause":  {"ppn", -1},
		"the most recently used": {"ngg", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := New(pinned, Config[string, string]{})
			var all []*Item[string, string]
			for i, kind := range tc.keys {
				all = append(all, items[kind]())
				if i > 0 {
					c.idle.PushBack(all[i])
				}
			}
			c.pinned = all[0]
			if got := slices.Index(all, c.otherGood(now)); got != tc.want {
				t.Errorf("got key %d, want %d", got, tc.want)
			}
		})
	}
}
