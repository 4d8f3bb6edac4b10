package tokencache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
)

// model is what one scenario knows of the cache, from its callers and its fetches.
type model struct {
	t       *testing.T
	seed    uint64
	keys    []string
	evicts  bool // the cache keeps fewer
	cache   *Cache[string, string]
	callers sync.WaitGroup
	system  Clock

	mu       sync.Mutex
	rand     *rand.Rand
	faults   int           // of 10 fetches
	wall     time.Duration // how far the wall clock was set
	closed   bool          // Close was called
	gone     bool          // and has returned
	obedient int           // fetches under way that end with their context

	values   map[string]modelValue
	fetched  int
	inUse    map[string]string      // the value that callers of a key got last
	rejected map[string]int         // the key's values up to this number
	started  map[string]time.Time   // the key's fetch under way
	recent   map[string][]time.Time // the key's fetches of the last second
	notUntil map[string]time.Time   // no fetch of the key before this moment
	newest   map[string]string      // the key's value that was fetched last
	opened   time.Time              // when a client-wide failure came; zero: an answer came since
	except   time.Time              // when a fetch was last made before its time
	answer   time.Time              // when the last answer came
}

type modelValue struct {
	number int
	life   Life
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{
		t: t, seed: seed, system: System(), rand: rand.New(rand.NewPCG(seed, 0)),
		values: map[string]modelValue{}, inUse: map[string]string{}, rejected: map[string]int{},
		started: map[string]time.Time{}, recent: map[string][]time.Time{}, notUntil: map[string]time.Time{},
		newest: map[string]string{},
	}
	m.keys = []string{pinned}
	for i := range m.rand.IntN(6) {
		m.keys = append(m.keys, key("k", i))
	}
	m.faults = m.rand.IntN(9)
	size := len(m.keys)
	if m.rand.IntN(4) == 0 {
		size = m.rand.IntN(3)
		m.evicts = size < len(m.keys)-1
	}
	m.cache = New(pinned, Config[string, string]{Fetch: m.fetch, Classify: classify, Clock: m.clock, Size: size})
	return m
}

// broken reports a broken rule.
func (m *model) broken(format string, args ...any) {
	m.t.Helper()
	m.t.Errorf("after %v: %s\nrun again with -run TestModel -scenarios 1 -seed %d",
		time.Duration(m.system().Monotonic), fmt.Sprintf(format, args...), m.seed)
}

func (m *model) clock() Instant {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now()
}

func (m *model) now() Instant {
	now := m.system()
	now.Wall += int64(m.wall)
	return now
}

// setWall sets the wall clock, ahead as a suspension does or back. All else happens at
// whole milliseconds. Pauses may have ended then, and so may values.
func (m *model) setWall(at, by time.Duration) {
	pass(at + time.Millisecond/2)
	m.mu.Lock()
	m.wall += by
	m.opened, m.except = time.Time{}, time.Time{}
	clear(m.inUse)
	clear(m.recent)
	clear(m.notUntil)
	m.mu.Unlock()
	pass(time.Millisecond / 2)
}

func (m *model) isClosed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}

// usable reports whether the cache must have a value for a key.
func (m *model) usable(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, ok := m.inUse[key]
	return ok && !m.evicts && !m.values[value].life.End.Reached(m.now())
}

// note remembers a value that a caller got.
func (m *model) note(key, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.values[value]
	if v.life.End.Reached(m.now()) {
		m.broken("%s: got %q after its end", key, value)
	}
	if v.number > m.rejected[key] {
		m.inUse[key] = value
	}
}

// forget notes that a value was rejected: another may take its place at any time.
func (m *model) forget(key, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rejected[key] = max(m.rejected[key], m.values[value].number)
	delete(m.inUse, key)
}

// fetch is the cache's Fetch. It checks whether it may be called, plays a fault or
// succeeds, and may take its time.
func (m *model) fetch(ctx context.Context, key, _ string, _ bool) (value string, life Life, err error) {
	start := time.Now()
	m.mu.Lock()
	m.mayFetch(key, start)
	m.started[key] = start
	latency := time.Duration(1+m.rand.IntN(2000)) * time.Millisecond
	var patience time.Duration // how long it goes on after its context's end
	fault := m.rand.IntN(10) < m.faults
	if fault && m.rand.IntN(3) == 0 {
		latency = time.Duration(1+2*m.rand.IntN(20_000)) * time.Millisecond // never FetchTimeout
		patience = []time.Duration{0, time.Second, time.Hour}[m.rand.IntN(3)]
	}
	kind := m.rand.IntN(9)
	retryAfter := time.Duration(1+m.rand.IntN(90)) * time.Second
	length := 4*time.Second + time.Duration(m.rand.Int64N(1+m.rand.Int64N(int64(5*time.Minute))))
	if patience == 0 {
		m.obedient++
	}
	m.mu.Unlock()

	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if patience == 0 {
			m.obedient--
		}
		if m.started[key] == start {
			delete(m.started, key)
			if time.Since(start) < FetchTimeout { // else its callers have left
				m.fetchEnded(key, err, value)
			}
		}
	}()
	err = errTemporary // also if the goroutine ends
	select {
	case <-time.After(latency):
	case <-ctx.Done():
		select {
		case <-time.After(latency - time.Since(start)):
		case <-time.After(patience):
			return "", Life{}, err
		}
	}
	if fault {
		switch kind {
		case 0:
			return "", Life{}, &failure{Failure{Temporary: true, RetryAfter: retryAfter}, "busy"}
		case 1:
			return "half", Life{}, errRefused
		case 2:
			return "", Life{}, errClient
		case 3:
			return "", Life{}, &failure{Failure{ClientWide: true, RetryAfter: retryAfter}, "the client is busy"}
		case 4:
			runtime.Goexit()
		case 5:
			return "", lives(m.clock(), time.Hour), nil
		default:
			return "half", Life{}, errTemporary
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fetched++
	value = fmt.Sprintf("%s#%d", key, m.fetched)
	m.values[value] = modelValue{m.fetched, lives(m.now(), length)}
	return value, m.values[value].life, nil
}

// mayFetch checks whether a fetch may start: one call per key, and a bounded rate.
func (m *model) mayFetch(key string, now time.Time) {
	if m.gone {
		m.broken("%s: got a fetch after Close", key)
	}
	if before, ok := m.started[key]; ok && now.Sub(before) < FetchTimeout {
		m.broken("%s: got a fetch while one is under way since %v", key, now.Sub(before))
	}
	value, good := m.newest[key]
	missed := good && m.values[value].life.End.Reached(m.now())
	tooSoon := !m.opened.IsZero() && now.After(m.opened) && now.Before(m.opened.Add(probePause))
	early := !m.evicts && now.Before(m.notUntil[key]) // what is evicted is not remembered
	switch {
	case !tooSoon && !early:
	case missed && now.Sub(m.except) >= probePause:
		m.except = now // callers had a value until now: one such fetch a second
	case tooSoon:
		m.broken("%s: got a fetch %v after a client-wide failure", key, now.Sub(m.opened))
	case early:
		m.broken("%s: got a fetch %v before its time", key, m.notUntil[key].Sub(now))
	}
	if m.evicts {
		return
	}
	recent := m.recent[key]
	for len(recent) > 0 && now.Sub(recent[0]) >= time.Second {
		recent = recent[1:]
	}
	m.recent[key] = append(recent, now)
	if len(recent) >= 5 {
		m.broken("%s: got %d fetches in a second", key, len(recent)+1)
	}
}

// fetchEnded notes what a fetch's end means for others.
func (m *model) fetchEnded(key string, err error, value string) {
	now := time.Now()
	f := classify(err)
	if err == nil && value == "" {
		f = Failure{Temporary: true}
	}
	switch {
	case err == nil && value != "", !f.Temporary && !f.ClientWide:
		m.opened, m.answer = time.Time{}, now
		if err == nil {
			m.newest[key] = value
			delete(m.notUntil, key)
		}
	case f.ClientWide && m.answer != now && !m.closed:
		m.opened = now
	}
	if err != nil && f.RetryAfter > 0 {
		m.notUntil[key] = now.Add(min(f.RetryAfter, longestRetryAfter))
	}
}
