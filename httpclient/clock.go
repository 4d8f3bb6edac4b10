package httpclient

import (
	"sync/atomic"
	"time"
)

// instant is a moment by both of a machine's clocks, in nanoseconds. The
// monotonic one does not jump but stands still while a Linux machine is
// suspended; the wall clock goes on then but may be set. Something is over when
// either says so.
type instant struct {
	wall      int64 // since 1970
	monotonic int64 // since the clock was made
}

func (i instant) add(d time.Duration) instant {
	return instant{wall: i.wall + int64(d), monotonic: i.monotonic + int64(d)}
}

// reached reports whether either clock has come to the moment i.
func (i instant) reached(now instant) bool {
	return now.wall >= i.wall || now.monotonic >= i.monotonic
}

// after reports whether i comes after other, by the monotonic clock.
func (i instant) after(other instant) bool { return i.monotonic > other.monotonic }

// since is how long ago other was, by the monotonic clock.
func (i instant) since(other instant) time.Duration {
	return time.Duration(i.monotonic - other.monotonic)
}

func (i instant) time() time.Time { return time.Unix(0, i.wall) }

// clock tells both times. Tests inject their own.
type clock func() instant

// wallEvery is how long the wall clock is taken to go as the monotonic one does. A
// machine that was suspended is thus noticed at most a millisecond after it wakes,
// which is less than a request takes to leave it.
const wallEvery = time.Millisecond

// systemClock reads this machine's clocks.
func systemClock() clock {
	start := time.Now()
	return sparing(
		func() int64 { return time.Now().UnixNano() },
		func() int64 { return int64(time.Since(start)) },
	)
}

// sparing reads the monotonic clock each time, and the wall clock, which costs
// twice as much, when its last reading is older than wallEvery.
func sparing(wall, monotonic func() int64) clock {
	var (
		ahead atomic.Int64 // the wall clock's lead over the monotonic one
		read  atomic.Int64 // when it was read, by the monotonic one
	)
	read.Store(-int64(wallEvery))
	return func() instant {
		now := monotonic()
		if now-read.Load() >= int64(wallEvery) {
			ahead.Store(wall() - now)
			read.Store(now) // last: whoever sees it sees that lead, or a later one
		}
		return instant{wall: now + ahead.Load(), monotonic: now}
	}
}
