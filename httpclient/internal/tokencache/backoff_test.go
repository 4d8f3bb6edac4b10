package tokencache

import (
	"errors"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	now := Instant{Wall: 1e18, Monotonic: 1e12}
	began := now.Add(-time.Hour)
	in := func(d time.Duration) *Instant { at := now.Add(d); return &at }
	for name, tc := range map[string]struct {
		count      int
		retryAfter time.Duration
		end        *Instant
		want       time.Duration
	}{
		"first":                            {0, 0, nil, time.Second},
		"second":                           {1, 0, nil, 2 * time.Second},
		"third":                            {2, 0, nil, 4 * time.Second},
		"fourth":                           {3, 0, nil, 5 * time.Second},
		"hundredth":                        {99, 0, nil, 5 * time.Second},
		"as the server asks":               {0, 30 * time.Second, nil, 30 * time.Second},
		"the server asks for less":         {2, time.Second, nil, 4 * time.Second},
		"the server asks for an hour":      {0, time.Hour, nil, time.Minute},
		"the server asks for the past":     {0, -time.Hour, nil, time.Second},
		"the end is far":                   {3, 0, in(time.Hour), 5 * time.Second},
		"the end comes nearer":             {3, 0, in(6 * time.Second), 3 * time.Second},
		"the end is near":                  {3, 0, in(700 * time.Millisecond), 500 * time.Millisecond},
		"the end comes first":              {3, 0, in(100 * time.Millisecond), 100 * time.Millisecond},
		"by the wall clock":                {3, 0, &Instant{now.Wall + 100e6, now.Monotonic + 1e12}, 100 * time.Millisecond},
		"by the monotonic clock":           {3, 0, &Instant{now.Wall + 1e12, now.Monotonic + 100e6}, 100 * time.Millisecond},
		"the server's time before the end": {3, 30 * time.Second, in(time.Second), 30 * time.Second},
		"a short time of the server":       {3, time.Millisecond, in(6 * time.Second), 3 * time.Second},
		"a time in the past near the end":  {3, -time.Second, in(6 * time.Second), 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := backoff{count: tc.count, since: began}
			err := errors.New("failed")
			b.record(err, tc.retryAfter, now, tc.end)
			if got := b.until.Since(now); got != tc.want || b.until.Wall-now.Wall != int64(tc.want) {
				t.Errorf("got a pause of %v, want %v by both clocks", got, tc.want)
			}
			since := began
			if tc.count == 0 {
				since = now
			}
			if !errors.Is(b.err, err) || b.count != tc.count+1 || b.since != since {
				t.Errorf("got %+v, want %v, %d and %v", b, err, tc.count+1, since)
			}
			if b.over(now.Add(tc.want - 1)) {
				t.Error("got over before its time, want a pause")
			}
			if !b.over(now.Add(tc.want)) {
				t.Error("got a pause at its end, want it over")
			}
		})
	}
	if b := (backoff{}); !b.over(now) {
		t.Error("got a pause without a failure, want no pause")
	}
}

// A value that ends too early is no failure: real ones are dated from the first of them.
func TestBackoffAfterShorterValues(t *testing.T) {
	t.Parallel()
	now := Instant{Wall: 1e18, Monotonic: 1e12}
	var b backoff
	b.record(ErrShorter, 0, now, nil)
	b.record(errTemporary, 0, now.Add(time.Hour), nil)
	b.record(errTemporary, 0, now.Add(2*time.Hour), nil)
	if got := b.since.Since(now); got != time.Hour || b.failures != 2 {
		t.Errorf("got %d failures since %v, want 2 since 1h", b.failures, got)
	}
}
