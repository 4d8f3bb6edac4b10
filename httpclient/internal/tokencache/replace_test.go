package tokencache

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// rejected replaces a value that was rejected, and gives what comes instead.
func rejected(t *testing.T, c *Cache[string, string], key, value string) string {
	t.Helper()
	call, err := c.Replace(key, value)
	if err != nil {
		t.Fatalf("Replace(%q, %q): got %v, want no error", key, value, err)
	}
	if call == nil {
		return value
	}
	other, err := call.Wait(t.Context())
	if err != nil {
		t.Fatalf("Replace(%q, %q): got %v, want no error", key, value, err)
	}
	return other
}

// However many callers bring the same rejected value, it is replaced once.
func TestRejectedValueIsReplacedOnce(t *testing.T) {
	t.Parallel()
	for _, key := range []string{pinned, "other"} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				u := newUpstream(func(context.Context, request) reply {
					pass(time.Second)
					return reply{}
				})
				c := cacheOf(t, 10, u)
				first, _ := mustGet(t, c, key)
				var callers sync.WaitGroup
				for i := range 100 {
					callers.Go(func() {
						pass(time.Duration(i) * 50 * time.Millisecond) // before, during and after the call
						if value := rejected(t, c, key, first); value != key+"#2" {
							t.Errorf("got %q, want %q", value, key+"#2")
						}
					})
				}
				callers.Wait()
				if u.count() != 2 || !u.all()[1].renew || u.all()[1].last != first {
					t.Errorf("got %+v, want one more request, for a new value", u.all())
				}
			})
		})
	}
}

// A value that has just replaced a rejected one is believed for 10 seconds, or for
// half of its life if that is shorter.
func TestReplacedValueIsBelieved(t *testing.T) {
	t.Parallel()
	for life, want := range map[time.Duration]time.Duration{time.Hour: 10 * time.Second, 10 * time.Second: 5 * time.Second} {
		t.Run(life.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				u := newUpstream(func(context.Context, request) reply { return reply{life: life} })
				c := cacheOf(t, 10, u)
				value, _ := mustGet(t, c, "key")
				second := rejected(t, c, "key", value)
				pass(want - 1)
				if call, err := c.Replace("key", second); call != nil || err != nil {
					t.Errorf("got %v, %v, want neither a call nor an error", call, err)
				}
				pass(1)
				if third := rejected(t, c, "key", second); third == second {
					t.Errorf("after %v: got %q again, want another", want, third)
				}
			})
		})
	}
}

// A rejected value that is due is refreshed, which does not count as a replacement.
func TestRejectedValueThatIsDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := cacheOf(t, 10, newUpstream(nil))
		value, _ := mustGet(t, c, "key")
		pass(50 * time.Minute)
		second := rejected(t, c, "key", value)
		if third := rejected(t, c, "key", second); second == value || third == second {
			t.Errorf("got %q, %q and %q, want three values", value, second, third)
		}
	})
}

// A rejected value is replaced by one that lives shorter, too, however that comes.
func TestRejectedValueIsReplacedByAShorterOne(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		pass    time.Duration // before the rejection
		refresh bool          // a caller has started a refresh
	}{
		"fresh":                {time.Minute, false},
		"due":                  {50 * time.Minute, false},
		"due, being refreshed": {50 * time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				u := newUpstream(func(_ context.Context, r request) reply {
					pass(time.Second)
					if r.at == 0 {
						return reply{life: time.Hour}
					}
					return reply{life: time.Minute}
				})
				c := cacheOf(t, 10, u)
				first, _ := mustGet(t, c, "key")
				pass(tc.pass)
				if tc.refresh {
					mustGet(t, c, "key")
					synctest.Wait()
				}
				if value := rejected(t, c, "key", first); value == first {
					t.Errorf("got %q, the rejected value, again, want another", value)
				}
				if value, cached := mustGet(t, c, "key"); value == first || !cached {
					t.Errorf("got %q, cached %v, want the new value", value, cached)
				}
				if u.count() != 2 {
					t.Errorf("got %d requests, want 2", u.count())
				}
			})
		})
	}
}

// A value other than the rejected one is given at once, and an unknown key is fetched.
func TestReplaceOfAnotherValue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUpstream(nil)
		c := cacheOf(t, 10, u)
		if value := rejected(t, c, "key", "of an evicted item"); value != "key#1" {
			t.Errorf("got %q, want %q", value, "key#1")
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		call, err := c.Replace("key", "older")
		if err != nil {
			t.Fatal(err)
		}
		for range 100 { // the value is there: the context does not matter
			if value, err := call.Wait(ended); value != "key#1" || err != nil {
				t.Fatalf("got %q, %v, want %q", value, err, "key#1")
			}
		}
		if u.count() != 1 || u.all()[0].renew {
			t.Errorf("got %+v, want one request", u.all())
		}
	})
}

// When a replacement fails, the value stays, and the failure is remembered.
func TestReplaceThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := newUpstream(func(_ context.Context, r request) reply {
			if r.renew {
				return reply{err: errTemporary}
			}
			return reply{}
		})
		c := cacheOf(t, 10, u)
		value, _ := mustGet(t, c, "key")
		call, err := c.Replace("key", value)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := call.Wait(t.Context()); got != "" || !errors.Is(err, errTemporary) {
			t.Errorf("got %q, %v, want %v", got, err, errTemporary)
		}
		if _, err := c.Replace("key", value); !errors.Is(err, errTemporary) {
			t.Errorf("got %v, want the remembered %v", err, errTemporary)
		}
		if got, cached := mustGet(t, c, "key"); got != value || !cached || u.count() != 2 {
			t.Errorf("got %q, cached %v after %d requests, want %q from the cache after 2", got, cached, u.count(), value)
		}
	})
}
