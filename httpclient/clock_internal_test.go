package httpclient

import (
	"sync"
	"testing"
	"time"
)

// A machine that wakes, or whose wall clock is set, is noticed within wallEvery, and
// the wall clock is not read more often than that.
func TestSparingClock(t *testing.T) {
	t.Parallel()
	var wall, monotonic int64
	reads := 0
	now := sparing(func() int64 { reads++; return wall }, func() int64 { return monotonic })
	pass := func(asleep, awake time.Duration) {
		wall += int64(asleep + awake)
		monotonic += int64(awake)
	}
	wall = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	cases := []struct {
		name          string
		asleep, awake time.Duration
		late          time.Duration // by how much the wall clock is behind
		read          bool
	}{
		{"at first", 0, 0, 0, true},
		{"at once again", 0, 0, 0, false},
		{"a moment later", 0, wallEvery - 1, 0, false},
		{"after wallEvery", 0, 1, 0, true},
		{"woken a moment ago", time.Hour, wallEvery - 1, time.Hour, false},
		{"and noticed", 0, 1, 0, true},
		{"set back", -time.Hour, wallEvery, 0, true},
		{"after a day", 0, 24 * time.Hour, 0, true},
	}
	for _, c := range cases {
		pass(c.asleep, c.awake)
		before := reads
		if got := now(); got != (instant{wall: wall - int64(c.late), monotonic: monotonic}) {
			t.Errorf("%s: got %v, want %v and %v", c.name, got, wall-int64(c.late), monotonic)
		}
		if read := reads > before; read != c.read {
			t.Errorf("%s: wall clock read: %t", c.name, read)
		}
	}
}

// The machine's own clock agrees with package time's, from many goroutines.
func TestSystemClock(t *testing.T) {
	t.Parallel()
	now := systemClock()
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			var last instant
			for range 1000 {
				got := now()
				if off := time.Since(got.time()).Abs(); off > time.Minute || got.monotonic < last.monotonic {
					t.Errorf("off by %v, monotonic after %v", off, got.since(last))
				}
				last = got
			}
		})
	}
	readers.Wait()
}
