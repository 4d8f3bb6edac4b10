package tokencache

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// skewed is a clock whose wall clock is set, or whose machine is suspended.
type skewed struct{ wall time.Duration }

func (s *skewed) clock() Clock {
	system := System()
	return func() Instant {
		now := system()
		now.Wall += int64(s.wall)
		return now
	}
}

func TestInstant(t *testing.T) {
	t.Parallel()
	at := Instant{Wall: 1e18, Monotonic: 1e12}
	for name, tc := range map[string]struct {
		now  Instant
		want bool
	}{
		"before it":               {Instant{1e18 - 1, 1e12 - 1}, false},
		"both clocks are there":   {Instant{1e18, 1e12}, true},
		"the wall clock is":       {Instant{1e18, 1e12 - 1}, true},
		"the monotonic clock is":  {Instant{1e18 - 1, 1e12}, true},
		"the wall clock was set":  {Instant{1e18 - 1e15, 1e12 + 1}, true},
		"the machine was asleep":  {Instant{1e18 + 1e15, 1e12 - 1}, true},
		"long before, by a clock": {Instant{0, 0}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := at.Reached(tc.now); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
	later := at.Add(time.Minute)
	if later.Since(at) != time.Minute || later.Time() != time.Unix(1e9+60, 0) || later.left(at) != time.Minute || at.left(later) != -time.Minute {
		t.Errorf("got %v, %v, want a minute later by both clocks", later, later.Time())
	}
}

func TestSystemClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		clock := System()
		start := time.Now()
		if now := clock(); now.Monotonic != 0 || !now.Time().Equal(start) {
			t.Errorf("got %v, want %v and no monotonic time", now, start)
		}
		pass(time.Minute)
		if now := clock(); now != (Instant{start.Add(time.Minute).UnixNano(), int64(time.Minute)}) {
			t.Errorf("got %v, want a minute later", now)
		}
	})
}

// Either clock ends a value's life, and makes it due.
func TestEitherClockEndsALife(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		wall, passes time.Duration
		cached       bool
		requests     int // a second later
	}{
		"neither clock":               {0, time.Minute, true, 1},
		"due by both":                 {0, 50 * time.Minute, true, 2},
		"over by both":                {0, time.Hour, false, 2},
		"set back, due":               {-10 * time.Hour, 50 * time.Minute, true, 2},
		"set back, over":              {-10 * time.Hour, time.Hour, false, 2},
		"suspended until it was due":  {49 * time.Minute, time.Minute, true, 2},
		"suspended until it was over": {59 * time.Minute, time.Minute, false, 2},
		"suspended for days":          {100 * time.Hour, time.Minute, false, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				for _, key := range []string{pinned, "other"} {
					var skew skewed
					u := newUpstream(nil)
					u.clock = skew.clock()
					c := cacheOf(t, 10, u)
					mustGet(t, c, key)
					skew.wall = tc.wall
					pass(tc.passes)
					if _, cached := mustGet(t, c, key); cached != tc.cached {
						t.Errorf("%s: got cached %v, want %v", key, cached, tc.cached)
					}
					pass(time.Second)
					if u.count() != tc.requests {
						t.Errorf("%s: got %d requests, want %d", key, u.count(), tc.requests)
					}
				}
			})
		})
	}
}

// What is left of two lives is compared by the clock that ends each first.
func TestRefreshAfterSuspension(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var skew skewed
		life := time.Hour
		u := newUpstream(func(context.Context, request) reply { return reply{life: life} })
		u.clock = skew.clock()
		c := cacheOf(t, 10, u)
		mustGet(t, c, pinned)
		skew.wall = 50 * time.Minute // 10 minutes are left, though the monotonic clock says 60
		life = 20 * time.Minute
		first, _ := mustGet(t, c, pinned)
		synctest.Wait()
		if second, _ := mustGet(t, c, pinned); second == first {
			t.Errorf("got %q still, want the value that lives for 20 minutes rather than 10", second)
		}
	})
}
