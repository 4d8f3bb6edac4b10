package httpclient

import (
	"strconv"
	"testing"
	"time"
)

// What was told is remembered of a bounded number of keys: the oldest is told again.
func TestToldKeysAreBounded(t *testing.T) {
	t.Parallel()
	var e keyExpiry
	now := time.Unix(0, 0)
	for i := range 3 * maxTold {
		if !e.isDue(strconv.Itoa(i), stageNear, now) {
			t.Errorf("key %d is not due, want each told once", i)
		}
	}
	if len(e.told) != maxTold {
		t.Errorf("got %d keys remembered, want %d", len(e.told), maxTold)
	}
	for _, c := range []struct {
		key  int
		want bool
	}{{2 * maxTold, false}, {3*maxTold - 1, false}, {2*maxTold - 1, true}, {2 * maxTold, true}} {
		if got := e.isDue(strconv.Itoa(c.key), stageNear, now); got != c.want {
			t.Errorf("key %d: got due %t, want %t", c.key, got, c.want)
		}
	}
}

// Clocks of two fetches differ a little, in either direction. That is not a day.
func TestEndIsToldOnceByTwoFetches(t *testing.T) {
	t.Parallel()
	var e keyExpiry
	now := time.Unix(0, 0)
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {-time.Second, false}, {time.Second, false}, {warnEvery - 1, false}, {warnEvery, true}, {warnEvery + 1, false}, {1 - warnEvery, true}} {
		if got := e.isDue("k", stageNear, now.Add(c.after)); got != c.want {
			t.Errorf("%v later: got due %t, want %t", c.after, got, c.want)
		}
	}
}

func TestFirstOfFixedKeys(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	over := (&Key{kid: "over"}).WithLife(time.Time{}, now)
	good, other := (&Key{kid: "good"}).WithLife(time.Time{}, now.Add(1)), &Key{kid: "other"}
	for _, c := range []struct {
		keys fixedKeys
		want *Key
	}{{nil, nil}, {fixedKeys{over}, over}, {fixedKeys{over, good, other}, good}, {fixedKeys{other, good}, other}, {fixedKeys{over, over}, over}} {
		if got := c.keys.first(now); got != c.want {
			t.Errorf("%v: got %v, want %v", c.keys, got, c.want)
		}
	}
	if (*Key)(nil).expired(now) || !over.expired(now) || good.expired(now) || other.expired(now) {
		t.Error("got another answer whether a key has expired, want it from its end on")
	}
}
