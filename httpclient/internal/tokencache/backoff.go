package tokencache

import (
	"errors"
	"time"
)

// backoff remembers that fetching one key failed, so that callers do not each ask
// again.
type backoff struct {
	err      error    // nil: the last fetch succeeded
	count    int      // how often the pause has grown
	failures int      // fetches that failed in a row
	since    Instant  // when the first of them failed
	until    Instant  // no fetch before this moment
	end      *Instant // of the value that was in use at the failure; nil without one
}

// valueEnded reports whether the value that was in use at the failure has ended.
func (b *backoff) valueEnded(now Instant) bool { return b.end != nil && b.end.Reached(now) }

// over reports whether the key may be fetched.
func (b *backoff) over(now Instant) bool { return b.count == 0 || b.until.Reached(now) }

// record notes a failure. end is when the value that is still in use ends, nil
// without one. As that nears, the next tries come sooner, so that one succeeds
// before anybody has to wait. When it is reached, callers wait, and a try is due.
// What the server asks for comes first.
func (b *backoff) record(err error, retryAfter time.Duration, now Instant, end *Instant) {
	pause := min(firstPause<<min(b.count, 8), longestPause)
	if end != nil {
		left := end.left(now)
		pause = min(pause, max(left/2, shortestPause), left)
	}
	if b.count == 0 || errors.Is(b.err, ErrShorter) {
		b.since, b.failures = now, 0
	}
	b.err, b.end = err, end
	b.count++
	b.failures++
	b.until = now.Add(max(pause, min(retryAfter, longestRetryAfter)))
}
