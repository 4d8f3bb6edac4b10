package tokencache

import "time"

type state int

const (
	closed   state = iota // every key may be fetched
	open                  // no key may be fetched until a probe is due
	halfOpen              // a probe is under way
)

// breaker is the client's circuit breaker: pure state, without lock or clock.
type breaker struct {
	state     state
	opened    int // how often it opened
	err       error
	failures  int // since it opened, with the one that opened it
	since     Instant
	probeAt   Instant       // open, half-open: the next probe. Closed: the next check
	lastProbe any           // the key of the last probe, or of the failure that opened it
	except    Instant       // when the next exception may be made
	pause     time.Duration // between two probes or exceptions, as the server asks

	streak int // of temporary failures; those of one key in a row count once
	last   any // the key of the last of them
}

// due is when a key may be the probe. One whose last fetch failed lets others go
// first for a second, unless it was the last probe.
func (b *breaker) due(key any, hasFailed bool) Instant {
	if hasFailed && b.lastProbe != key {
		return b.probeAt.Add(probePause)
	}
	return b.probeAt
}

// probe reports whether the key may be the probe now, and lets it be. The next probe is
// due a second later, even if this one has not ended.
func (b *breaker) probe(key any, hasFailed bool, now Instant) bool {
	if !b.due(key, hasFailed).Reached(now) {
		return false
	}
	b.probeAt = now.Add(probePause)
	b.take(key)
	return true
}

// exception lets a key ask though it is not time for a probe, because its callers had
// a value until now. The next exception may be made after the same pause as between
// probes.
func (b *breaker) exception(key any, now Instant) bool {
	if !b.except.Reached(now) {
		return false
	}
	b.except = now.Add(max(b.pause, probePause))
	if b.probeAt.Reached(now) {
		b.probeAt = now.Add(probePause) // it is as good as one
	}
	b.take(key)
	return true
}

func (b *breaker) take(key any) {
	b.lastProbe = key
	if b.state == open {
		b.state = halfOpen
	}
}

// suspicious reports whether keys fail in a row though another has been good. Only that
// one can tell whether they or the server are at fault.
func (b *breaker) suspicious() bool { return b.state == closed && b.streak >= streakToOpen }

// answered notes that the server answered: with a value, or with a refusal that
// concerns one key.
func (b *breaker) answered() {
	b.state, b.err, b.failures, b.pause = closed, nil, 0, 0
	b.streak, b.last = 0, nil
}

// attempt is a fetch that failed temporarily, or for all keys of the client.
type attempt struct {
	key       any  // identifies the item
	otherGood bool // another key was fetched with success and did not fail since
	failure   Failure
	err       error // as callers of other keys may see it
}

// failed notes such a fetch.
func (b *breaker) failed(a attempt, now Instant) {
	f := a.failure
	if !f.ClientWide {
		if b.last != a.key {
			b.last, b.streak = a.key, b.streak+1
		}
		if b.state == closed && (b.streak < streakToOpen || a.otherGood) {
			return
		}
	}
	if b.state == closed {
		b.opened++
		b.since, b.failures, b.lastProbe = now, 0, a.key
	}
	b.failures++
	b.state, b.err = open, a.err
	b.pause = max(probePause, min(f.RetryAfter, longestPause))
	b.probeAt = now.Add(b.pause)
}
