package httpclient

import "time"

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

func systemClock() clock {
	start := time.Now()
	return func() instant {
		now := time.Now()
		return instant{wall: now.UnixNano(), monotonic: int64(now.Sub(start))}
	}
}
