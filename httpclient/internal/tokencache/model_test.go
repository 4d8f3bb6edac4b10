package tokencache

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	modelScenarios = flag.Int("scenarios", 2000, "number of scenarios of TestModel")
	modelSeed      = flag.Uint64("seed", 1, "seed of TestModel's first scenario; each further one has the next")
)

// The cache keeps its rules in random scenarios. The rules are the calls of broken.
//
//	go test -run TestModel -scenarios 100000
//	go test -run TestModel -scenarios 1 -seed 4711
//
// What happens at the same moment comes in the scheduler's order: a seed may need some
// runs until it fails again.
func TestModel(t *testing.T) {
	t.Parallel()
	const shards = 4
	for shard := range shards {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			for i := shard; i < *modelScenarios && !t.Failed(); i += shards {
				synctest.Test(t, func(t *testing.T) { playModel(newModel(t, *modelSeed+uint64(i))) })
			}
		})
	}
}

// playModel plays one scenario: callers, faults and a clock that is set, and then
// Close, either amid all that or after the faults have ended.
func playModel(m *model) {
	plan := rand.New(rand.NewPCG(m.seed, 1))
	for i := range 2 + plan.IntN(5) {
		rng := rand.New(rand.NewPCG(m.seed, uint64(i+2)))
		m.callers.Go(func() { m.caller(rng) })
	}
	for range plan.IntN(3) {
		at := time.Duration(plan.IntN(60_000)) * time.Millisecond
		by := time.Duration(plan.Int64N(int64(40*time.Minute))) - 20*time.Minute
		m.callers.Go(func() { m.setWall(at, by) })
	}
	if plan.IntN(4) == 0 {
		pass(time.Duration(plan.IntN(60_000)) * time.Millisecond)
		m.close()
		m.callers.Wait()
	} else {
		m.callers.Wait()
		m.recovers()
		m.close()
	}
	pass(2 * FetchTimeout) // for fetches that ignore their context
}

// caller asks for values for a while, at times many times in a row, and rejects some.
func (m *model) caller(rng *rand.Rand) {
	for range 3 + rng.IntN(12) {
		key := m.keys[rng.IntN(len(m.keys))]
		times := 1
		if rng.IntN(8) == 0 {
			times = 20
		}
		for range times {
			ctx, cancel := context.WithCancel(context.Background())
			switch rng.IntN(6) {
			case 0:
				ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(30_000))*time.Millisecond)
			case 1:
				cancel()
			}
			if value, err := m.get(ctx, key); err == nil && rng.IntN(5) == 0 {
				m.reject(ctx, key, value)
			}
			cancel()
			if rng.IntN(4) == 0 {
				m.status(rng)
			}
			pass(20 * time.Millisecond)
		}
		pass(time.Duration(rng.IntN(rng.IntN(10_000)+1)) * time.Millisecond)
	}
}

// get is Cache.Get.
func (m *model) get(ctx context.Context, key string) (string, error) {
	start, limit := time.Now(), limitOf(ctx)
	sure := m.usable(key)
	value, _, err := m.cache.Get(ctx, key)
	m.answered(key, value, err, start, limit)
	if sure && (err != nil || time.Since(start) > 0) && !m.isClosed() {
		m.broken("%s: got %q, %v after %v, though a usable value was there", key, value, err, time.Since(start))
	}
	return value, err
}

// reject is Cache.Replace and Call.Wait.
func (m *model) reject(ctx context.Context, key, value string) {
	m.forget(key, value)
	start, limit := time.Now(), limitOf(ctx)
	call, err := m.cache.Replace(key, value)
	if err != nil || call == nil { // it may not be fetched now, or it is believed
		return
	}
	other, err := call.Wait(ctx)
	m.answered(key, other, err, start, limit)
	if other == value {
		m.broken("%s: got the rejected %q again", key, value)
	}
}

// limitOf is how long a caller may wait.
func limitOf(ctx context.Context) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	if deadline, ok := ctx.Deadline(); ok {
		return min(FetchTimeout, time.Until(deadline))
	}
	return FetchTimeout
}

// answered checks an answer to a caller, and remembers the value.
func (m *model) answered(key, value string, err error, start time.Time, limit time.Duration) {
	var left *WaitError
	switch took := time.Since(start); {
	case (value == "") != (err != nil):
		m.broken("%s: got %q and %v, want a value or an error", key, value, err)
	case took > limit:
		m.broken("%s: got an answer after %v, want %v at most", key, took, limit)
	case errors.As(err, &left) && took != limit:
		m.broken("%s: got %v after %v, want it after %v", key, err, took, limit)
	case err == nil && !strings.HasPrefix(value, key+"#"):
		m.broken("%s: got %q, the value of another key", key, value)
	case err == nil:
		m.note(key, value)
	}
}

// recovers ends all faults. After the longest pause every key can be fetched again, or
// after a good key's probe.
func (m *model) recovers() {
	m.mu.Lock()
	m.faults = 0
	m.mu.Unlock()
	pass(longestRetryAfter + 2*FetchTimeout)
	for _, key := range m.keys {
		_, err := m.get(context.Background(), key)
		for tries := 1; err != nil && tries < 3; tries++ {
			pass(longestPause)
			_, err = m.get(context.Background(), key)
		}
		if err != nil {
			m.broken("%s: got %v long after the last fault", key, err)
		}
	}
}

// close is Cache.Close. Only what ignores its context may outlast it.
func (m *model) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	start := time.Now()
	m.cache.Close()
	if took := time.Since(start); took > closeTimeout {
		m.broken("got closed after %v, want %v at most", took, closeTimeout)
	}
	if _, _, err := m.cache.Get(context.Background(), pinned); !errors.Is(err, ErrClosed) {
		m.broken("got %v after Close, want %v", err, ErrClosed)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gone = true
	if m.obedient > 0 {
		m.broken("got %d fetches under way after Close that end with their context", m.obedient)
	}
}
