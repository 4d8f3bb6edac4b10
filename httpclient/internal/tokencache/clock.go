package tokencache

import "time"

// Instant is a moment by both of a machine's clocks. The monotonic one does not
// jump, but stands still while a Linux machine is suspended. The wall clock goes on
// then, but may be set. A moment is reached when either clock says so.
type Instant struct {
	Wall      int64 // nanoseconds since 1970
	Monotonic int64 // nanoseconds since the clock was made
}

// Clock tells the time. Tests inject their own.
type Clock func() Instant

// System reads this machine's two clocks at once: a [time.Time] holds both.
func System() Clock {
	start := time.Now()
	return func() Instant {
		now := time.Now()
		return Instant{Wall: now.UnixNano(), Monotonic: int64(now.Sub(start))}
	}
}

// Add returns the moment d later.
func (i Instant) Add(d time.Duration) Instant {
	return Instant{Wall: i.Wall + int64(d), Monotonic: i.Monotonic + int64(d)}
}

// Reached reports whether either clock has come to the moment i.
func (i Instant) Reached(now Instant) bool {
	return now.Wall >= i.Wall || now.Monotonic >= i.Monotonic
}

// left is how long it is to the moment i, by the clock that gets there first.
func (i Instant) left(now Instant) time.Duration {
	return time.Duration(min(i.Wall-now.Wall, i.Monotonic-now.Monotonic))
}

// earlier is the moment that is reached when the first of both is.
func (i Instant) earlier(other Instant) Instant {
	return Instant{Wall: min(i.Wall, other.Wall), Monotonic: min(i.Monotonic, other.Monotonic)}
}

// Since is how long before i other was, by the monotonic clock.
func (i Instant) Since(other Instant) time.Duration {
	return time.Duration(i.Monotonic - other.Monotonic)
}

// Time is the moment by the wall clock.
func (i Instant) Time() time.Time { return time.Unix(0, i.Wall) }
