package httpclient

import (
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// What makes trouble of failures, and what ends it.
func TestTrouble(t *testing.T) {
	t.Parallel()
	a, b, c := &entry{}, &entry{}, &entry{}
	temporary := &TokenError{Temporary: true}
	type result struct {
		e   *entry
		err error
	}
	for name, tc := range map[string]struct {
		results []result
		blocked bool
	}{
		"nothing":                       {nil, false},
		"one fails for now":             {[]result{{a, temporary}}, false},
		"two fail for now":              {[]result{{a, temporary}, {b, temporary}}, false},
		"three do":                      {[]result{{a, temporary}, {b, temporary}, {c, temporary}}, true},
		"one does again and again":      {[]result{{a, temporary}, {a, temporary}, {a, temporary}, {a, temporary}}, false},
		"two in turn":                   {[]result{{a, temporary}, {b, temporary}, {a, temporary}}, true},
		"three, and one came":           {[]result{{a, temporary}, {b, temporary}, {c, nil}, {a, temporary}, {b, temporary}}, false},
		"three, and one was refused":    {[]result{{a, temporary}, {b, temporary}, {c, &TokenError{Err: ErrScopeNotGranted}}, {a, temporary}}, false},
		"trouble that is over":          {[]result{{a, temporary}, {b, temporary}, {c, temporary}, {a, nil}}, false},
		"the client is refused":         {[]result{{a, &TokenError{Err: ErrUnknownClient, wide: true}}}, true},
		"the client is refused no more": {[]result{{a, &TokenError{wide: true}}, {b, nil}}, false},
		"what tells nothing":            {[]result{{a, &TokenError{wide: true}}, {b, errNoMetadata}}, true},
		"a scope is refused":            {[]result{{a, &TokenError{Err: ErrScopeNotGranted}}, {b, &TokenError{Err: ErrScopeNotGranted}}, {c, &TokenError{Err: ErrScopeNotGranted}}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var known trouble
			now := instant{wall: 1e18}
			for _, r := range tc.results {
				known.learn(r.e, r.err, now)
			}
			if err := known.admit(&entry{}, false, now); (err != nil) != tc.blocked {
				t.Errorf("blocked by %v", err)
			}
			if err := known.overtook(0); (err != nil) != tc.blocked {
				t.Errorf("overtaken by %v", err)
			}
			if err := known.overtook(known.known()); err != nil {
				t.Errorf("overtaken by what was known: %v", err)
			}
			// A second later one is let in, and only one, which has not failed itself.
			later := now.add(time.Second)
			if err := known.admit(&entry{}, true, later); (err != nil) != tc.blocked {
				t.Errorf("a second later, having failed: %v", err)
			}
			if err := known.admit(&entry{}, false, later); err != nil {
				t.Errorf("a second later: %v", err)
			}
			if err := known.admit(&entry{}, false, later); (err != nil) != tc.blocked {
				t.Errorf("and then: %v", err)
			}
			if err := known.admit(&entry{}, true, later.add(2*time.Second)); err != nil {
				t.Errorf("two seconds later, having failed: %v", err)
			}
		})
	}
}

// A failure's pause, and that a success wipes it out.
func TestFailurePauses(t *testing.T) {
	t.Parallel()
	now := instant{wall: 1e18, monotonic: 1e9}
	inUse := newToken("for tests only", "s", now, 120*time.Second, 0) // used until 114 s
	for _, c := range []struct {
		name  string
		count int
		wish  time.Duration
		inUse *Token
		at    time.Duration
		pause time.Duration
	}{
		{"the first", 0, 0, nil, 0, time.Second},
		{"the second", 1, 0, nil, 0, 2 * time.Second},
		{"the fourth", 3, 0, nil, 0, 5 * time.Second},
		{"the hundredth", 99, 0, nil, 0, 5 * time.Second},
		{"as the server asks", 0, 30 * time.Second, nil, 0, 30 * time.Second},
		{"as the server asks, within reason", 0, time.Hour, nil, 0, time.Minute},
		{"a token with time left", 3, 0, inUse, 100 * time.Second, 5 * time.Second},
		{"half of what is left", 3, 0, inUse, 108 * time.Second, 3 * time.Second},
		{"a little", 3, 0, inUse, 113400 * time.Millisecond, 500 * time.Millisecond},
		{"to its end", 3, 0, inUse, 113800 * time.Millisecond, 200 * time.Millisecond},
		{"to its end, whatever the server asks", 3, time.Minute, inUse, 110 * time.Second, 4 * time.Second},
		{"after its end", 3, 0, inUse, 115 * time.Second, 5 * time.Second},
	} {
		f := failure{count: c.count}
		at := now.add(c.at)
		f.record(&TokenError{RetryAfter: c.wish}, at, c.inUse)
		if got := f.next.since(at); got != c.pause {
			t.Errorf("%s: %v, want %v", c.name, got, c.pause)
		}
	}
}

// Retries are spread, so that many machines do not come back together.
func TestRetriesAreSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shortest, longest := time.Hour, time.Duration(0)
		for range 20 {
			start, tries := time.Now(), 0
			_, err := retry(t.Context(), func(context.Context) (*Token, error) {
				tries++
				return nil, &TokenError{Temporary: true}
			})
			took := time.Since(start)
			if err == nil || tries != 3 || took < 300*time.Millisecond || took > 600*time.Millisecond {
				t.Errorf("%d tries in %v: %v", tries, took, err)
			}
			shortest, longest = min(shortest, took), max(longest, took)
		}
		if longest-shortest < 100*time.Millisecond { // of 300
			t.Errorf("from %v to %v", shortest, longest)
		}
	})
}

// Whatever the wall clock is set to, pauses go by the monotonic one.
func TestAfterIsMonotonic(t *testing.T) {
	t.Parallel()
	earlier, later := instant{wall: 5, monotonic: 1}, instant{wall: 1, monotonic: 5}
	if !later.after(earlier) || earlier.after(later) || later.since(earlier) != 4 {
		t.Error("goes by the wall clock")
	}
}

// What is wrong with the network for good concerns every token.
func TestPermanentNetworkFailuresAreWide(t *testing.T) {
	t.Parallel()
	for err, wide := range map[error]bool{http.ErrSchemeMismatch: true, &proxyError{"p", 407}: true, &proxyError{"p", 503}: false, &proxyError{"p", 429}: false, &proxyError{"p", 408}: false, io.EOF: false} {
		var failed TokenError
		if failed.unreachable(err); failed.wide != wide || failed.Temporary == wide {
			t.Errorf("%v: wide %t, temporary %t", err, failed.wide, failed.Temporary)
		}
	}
}

// A token has just run out by both clocks: after a suspension it has not.
func TestHasJustRunOut(t *testing.T) {
	t.Parallel()
	issued := instant{wall: 1e18, monotonic: 1e9}
	token := newToken("for tests only", "s", issued, 120*time.Second, 0) // used until 114 s
	for _, c := range []struct {
		name          string
		awake, asleep time.Duration
		want          bool
	}{
		{"good", 113 * time.Second, 0, false},
		{"now", 114 * time.Second, 0, true},
		{"a moment ago", 114900 * time.Millisecond, 0, true},
		{"a second ago", 115 * time.Second, 0, false},
		{"in its sleep", 70 * time.Second, time.Hour, false},
	} {
		now := instant{wall: issued.wall + int64(c.awake+c.asleep), monotonic: issued.monotonic + int64(c.awake)}
		if got := token.hasJustRunOut(now); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
	if (*Token)(nil).hasJustRunOut(issued) {
		t.Error("no token has")
	}
}
