package tokencache

import (
	"errors"
	"testing"
	"time"
)

// A state, an event, the next state, and when a probe is due then.
func TestBreaker(t *testing.T) {
	t.Parallel()
	now := Instant{Wall: 1e18, Monotonic: 1e12}
	before, after := errors.New("before"), errors.New("after")
	const first, second, third = "first", "second", "third"
	temporary := func(retryAfter time.Duration) Failure {
		return Failure{Temporary: true, RetryAfter: retryAfter}
	}
	clientWide := func(retryAfter time.Duration) Failure {
		return Failure{ClientWide: true, RetryAfter: retryAfter}
	}
	var (
		streakOf0  = breaker{}
		streakOf1  = breaker{streak: 1, last: first}
		streakOf2  = breaker{streak: 2, last: second}
		streakOf9  = breaker{streak: 9, last: second}
		isOpen     = breaker{state: open, opened: 4, err: before, failures: 6, since: now.Add(-time.Hour), probeAt: now, streak: 3, last: third}
		isHalfOpen = breaker{state: halfOpen, opened: 4, err: before, failures: 6, since: now.Add(-time.Hour), probeAt: now.Add(time.Second), streak: 3, last: third}
	)
	for name, tc := range map[string]struct {
		from       breaker
		event      *attempt // nil: the server answered
		want       state
		streak     int
		opened     int
		suspicious bool
		probeAt    time.Duration // from now on; what is checked only if want is not closed
	}{
		"closed, success or refusal":                      {streakOf2, nil, closed, 0, 0, false, 0},
		"open, success or refusal":                        {isOpen, nil, closed, 0, 4, false, 0},
		"half-open, success or refusal":                   {isHalfOpen, nil, closed, 0, 4, false, 0},
		"closed, first temporary failure":                 {streakOf0, &attempt{first, false, temporary(0), after}, closed, 1, 0, false, 0},
		"closed, second temporary failure":                {streakOf1, &attempt{second, false, temporary(0), after}, closed, 2, 0, false, 0},
		"closed, the same key again":                      {streakOf1, &attempt{first, false, temporary(0), after}, closed, 1, 0, false, 0},
		"closed, third, another key is good":              {streakOf2, &attempt{third, true, temporary(0), after}, closed, 3, 0, true, 0},
		"closed, third, no other key is good":             {streakOf2, &attempt{third, false, temporary(0), after}, open, 3, 1, false, time.Second},
		"closed, third, the same two keys in turn":        {streakOf2, &attempt{first, false, temporary(0), after}, open, 3, 1, false, time.Second},
		"closed, tenth, another key is good":              {streakOf9, &attempt{third, true, temporary(0), after}, closed, 10, 0, true, 0},
		"closed, tenth, the good one failed too":          {streakOf9, &attempt{third, false, temporary(0), after}, open, 10, 1, false, time.Second},
		"closed, client-wide":                             {streakOf0, &attempt{first, false, clientWide(0), after}, open, 0, 1, false, time.Second},
		"closed, client-wide, another key is good":        {streakOf0, &attempt{first, true, clientWide(0), after}, open, 0, 1, false, time.Second},
		"closed, client-wide and temporary":               {streakOf0, &attempt{first, true, Failure{Temporary: true, ClientWide: true}, after}, open, 0, 1, false, time.Second},
		"closed, Retry-After within the pause":            {streakOf2, &attempt{third, false, temporary(time.Millisecond), after}, open, 3, 1, false, time.Second},
		"closed, Retry-After as the server asks":          {streakOf2, &attempt{third, false, temporary(4 * time.Second), after}, open, 3, 1, false, 4 * time.Second},
		"closed, Retry-After of an hour":                  {streakOf2, &attempt{third, false, temporary(time.Hour), after}, open, 3, 1, false, 5 * time.Second},
		"closed, Retry-After in the past":                 {streakOf2, &attempt{third, false, temporary(-time.Hour), after}, open, 3, 1, false, time.Second},
		"closed, client-wide, Retry-After of an hour":     {streakOf0, &attempt{first, false, clientWide(time.Hour), after}, open, 0, 1, false, 5 * time.Second},
		"open, temporary failure of one under way":        {isOpen, &attempt{first, false, temporary(0), after}, open, 4, 4, false, time.Second},
		"open, client-wide":                               {isOpen, &attempt{first, false, clientWide(0), after}, open, 3, 4, false, time.Second},
		"half-open, the probe fails":                      {isHalfOpen, &attempt{first, false, temporary(0), after}, open, 4, 4, false, time.Second},
		"half-open, the probe fails, another key is good": {isHalfOpen, &attempt{first, true, temporary(0), after}, open, 4, 4, false, time.Second},
		"half-open, the probe fails, Retry-After":         {isHalfOpen, &attempt{first, false, temporary(3 * time.Second), after}, open, 4, 4, false, 3 * time.Second},
		"half-open, client-wide":                          {isHalfOpen, &attempt{first, true, clientWide(0), after}, open, 3, 4, false, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := tc.from
			if tc.event == nil {
				b.answered()
			} else {
				b.failed(*tc.event, now)
			}
			if b.state != tc.want || b.streak != tc.streak || b.opened != tc.opened || b.suspicious() != tc.suspicious {
				t.Errorf("got state %v, streak %d, opened %d times, suspicious %v; want %v, %d, %d, %v",
					b.state, b.streak, b.opened, b.suspicious(), tc.want, tc.streak, tc.opened, tc.suspicious)
			}
			if tc.want == closed {
				if b.err != nil || b.failures != 0 {
					t.Errorf("got the error %v of %d failures, want none: it is closed", b.err, b.failures)
				}
				return
			}
			if !errors.Is(b.err, after) || b.probeAt != now.Add(tc.probeAt) {
				t.Errorf("got the error %v and a probe after %v, want %v and %v", b.err, b.probeAt.Since(now), after, tc.probeAt)
			}
			if opens := tc.from.state == closed; opens != (b.lastProbe == tc.event.key) {
				t.Errorf("got %v as the last probe's key, want the key that opened it: %v", b.lastProbe, opens)
			}
			if want := max(1, tc.from.failures+1); b.failures != want {
				t.Errorf("got %d failures, want %d", b.failures, want)
			}
			if since := b.since.Since(now); (since == 0) != (tc.from.state == closed) {
				t.Errorf("got an outage since %v from now, want the first failure's moment", since)
			}
		})
	}
}

// A probe is due, or not due, in each state. A key that has failed lets others go first
// for a second, unless it was the last probe.
func TestBreakerProbes(t *testing.T) {
	t.Parallel()
	now := Instant{Wall: 1e18, Monotonic: 1e12}
	for name, tc := range map[string]struct {
		state  state
		at     time.Duration // when a probe is due, from now on
		failed bool          // the key has
		last   string        // the last probe's key
		want   bool
		next   state
	}{
		"closed, due":                          {closed, 0, false, "", true, closed},
		"closed, not due":                      {closed, 1, false, "", false, closed},
		"open, due":                            {open, 0, false, "", true, halfOpen},
		"open, overdue":                        {open, -time.Hour, false, "", true, halfOpen},
		"open, not due":                        {open, 1, false, "", false, open},
		"half-open, due":                       {halfOpen, 0, false, "", true, halfOpen},
		"half-open, not due":                   {halfOpen, 1, false, "", false, halfOpen},
		"open, due, has failed":                {open, 0, true, "other", false, open},
		"open, due for a second, has failed":   {open, -time.Second, true, "other", true, halfOpen},
		"open, just not due so, has failed":    {open, 1 - time.Second, true, "other", false, open},
		"open, due, has failed as a probe":     {open, 0, true, "key", true, halfOpen},
		"open, not due, has failed as a probe": {open, 1, true, "key", false, open},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := breaker{state: tc.state, probeAt: now.Add(tc.at), lastProbe: tc.last}
			if due := b.due("key", tc.failed); due.Reached(now) != tc.want {
				t.Errorf("got due after %v, want now: %v", due.Since(now), tc.want)
			}
			if got := b.probe("key", tc.failed, now); got != tc.want || b.state != tc.next {
				t.Errorf("got a probe %v and state %v, want %v and %v", got, b.state, tc.want, tc.next)
			}
			if tc.want && (b.probeAt != now.Add(time.Second) || b.lastProbe != "key") {
				t.Errorf("got the next probe after %v, and %v as the last, want a second and the key", b.probeAt.Since(now), b.lastProbe)
			}
			if b.probe("key", tc.failed, now) {
				t.Error("got a second probe in the same moment, want one")
			}
		})
	}
}

// Exceptions are made as often as probes, whatever probe is due.
func TestBreakerExceptions(t *testing.T) {
	t.Parallel()
	now := Instant{Wall: 1e18, Monotonic: 1e12}
	b := breaker{state: open, probeAt: now.Add(2 * time.Hour)}
	for _, tc := range []struct {
		at   time.Duration
		want bool
		next state
	}{{0, true, halfOpen}, {0, false, halfOpen}, {time.Second - 1, false, halfOpen}, {time.Second, true, halfOpen}, {time.Hour, true, halfOpen}} {
		if got := b.exception("key", now.Add(tc.at)); got != tc.want || b.state != tc.next || b.lastProbe != "key" {
			t.Errorf("after %v: got %v, state %v, want %v, %v", tc.at, got, b.state, tc.want, tc.next)
		}
	}
	if b.probeAt != now.Add(2*time.Hour) {
		t.Errorf("got the next probe after %v, want it as it was", b.probeAt.Since(now))
	}
	b.probeAt = now
	if !b.exception("key", now.Add(2*time.Hour)) || b.probe("key", false, now.Add(2*time.Hour)) {
		t.Error("got a probe in the moment of an exception, want only the exception")
	}
	b.failed(attempt{key: "key", failure: Failure{Temporary: true, RetryAfter: 3 * time.Second}}, now)
	after := now.Add(3 * time.Hour)
	if !b.exception("key", after) || b.exception("key", after.Add(3*time.Second-1)) || !b.exception("key", after.Add(3*time.Second)) {
		t.Error("got another rhythm, want an exception every 3 seconds, as the server asks")
	}
	b.answered()
	later := after.Add(time.Hour)
	if !b.exception("key", later) || b.exception("key", later.Add(time.Second-1)) || !b.exception("key", later.Add(time.Second)) || b.state != closed {
		t.Errorf("got another rhythm in state %v, want an exception every second after an answer", b.state)
	}
}
