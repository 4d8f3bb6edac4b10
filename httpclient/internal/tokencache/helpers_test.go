package tokencache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"
)

// pinned is the pinned key of the tests' caches.
const pinned = "pinned"

// failure is an error of a fetch that says what it means.
type failure struct {
	Failure
	text string
}

func (e *failure) Error() string { return e.text }

// The failures that most tests need.
var (
	errTemporary = &failure{Failure{Temporary: true}, "temporary"}
	errRefused   = &failure{Failure{}, "refused"}
	errClient    = &failure{Failure{ClientWide: true}, "the client is unknown"}
)

// classify is the Classify of the tests' caches. The cache's own errors are temporary.
func classify(err error) Failure {
	var f *failure
	if errors.As(err, &f) {
		return f.Failure
	}
	return Failure{Temporary: true}
}

// dated is an error with its dates.
type dated struct {
	error
	failures       int
	since, retryAt time.Time
}

// date is the Dated of the tests' caches.
func date(err error, failures int, since, retryAt time.Time) error {
	return dated{err, failures, since, retryAt}
}

func (e dated) Unwrap() error { return e.error }

// request is one call of Fetch.
type request struct {
	key, last string
	renew     bool
	at        time.Duration // since the upstream was made
}

// reply is what Fetch returns. Without a value or an error the value is the key and
// the number of the request. A life of zero is an hour, and the refresh time is at
// three quarters of the life.
type reply struct {
	value string
	life  time.Duration
	err   error
}

// upstream is the Fetch of the tests' caches. It notes every request.
type upstream struct {
	clock  Clock
	answer func(context.Context, request) reply

	mu       sync.Mutex
	start    time.Time
	requests []request
	running  map[string]int // requests under way
	most     int            // the most of one key at once
	mostAll  int            // the most of all keys at once
}

// newUpstream makes one. A nil answer always succeeds at once.
func newUpstream(answer func(context.Context, request) reply) *upstream {
	if answer == nil {
		answer = func(context.Context, request) reply { return reply{} }
	}
	return &upstream{clock: System(), answer: answer, start: time.Now(), running: map[string]int{}}
}

func (u *upstream) fetch(ctx context.Context, key, last string, renew bool) (string, Life, error) {
	u.mu.Lock()
	r := request{key, last, renew, time.Since(u.start)}
	u.requests = append(u.requests, r)
	n := len(u.requests)
	u.running[key]++
	u.most = max(u.most, u.running[key])
	all := 0
	for _, k := range u.running {
		all += k
	}
	u.mostAll = max(u.mostAll, all)
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.running[key]--; u.running[key] == 0 {
			delete(u.running, key)
		}
	}()
	a := u.answer(ctx, r)
	if a.value == "" && a.err == nil {
		a.value = fmt.Sprintf("%s#%d", key, n)
	}
	return a.value, lives(u.clock(), cmp.Or(a.life, time.Hour)), a.err
}

// lives is a life from now on.
func lives(now Instant, life time.Duration) Life {
	return Life{Refresh: now.Add(life / 4 * 3), End: now.Add(life)}
}

// count is how many requests there were, of the given keys or of all.
func (u *upstream) count(keys ...string) (n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, r := range u.requests {
		if len(keys) == 0 || slices.Contains(keys, r.key) {
			n++
		}
	}
	return n
}

// all is every request so far.
func (u *upstream) all() []request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.requests)
}

// newest is the last request so far.
func (u *upstream) newest() request {
	all := u.all()
	return all[len(all)-1]
}

// underway is the number of requests that have not returned.
func (u *upstream) underway() (n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for k := range maps.Values(u.running) {
		n += k
	}
	return n
}

// cacheOf makes a cache over an upstream, and closes it when the test ends.
func cacheOf(t testing.TB, size int, u *upstream, more ...func(*Config[string, string])) *Cache[string, string] {
	t.Helper()
	config := Config[string, string]{Fetch: u.fetch, Classify: classify, Clock: u.clock, Size: size}
	for _, change := range more {
		change(&config)
	}
	c := New(pinned, config)
	t.Cleanup(c.Close)
	return c
}

// inside is the number of calls that have not returned, and of those left behind.
func inside(c *Cache[string, string]) (running, abandoned int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.running), c.abandoned
}

// pass lets time pass.
func pass(d time.Duration) { <-time.After(d) }

// hang waits for the end of a fetch's context.
func hang(ctx context.Context, _ request) reply {
	<-ctx.Done()
	return reply{err: errTemporary}
}

// key is the name of the i-th key of a kind.
func key(kind string, i int) string { return fmt.Sprint(kind, i) }

// mustGet gets a value that must be there or must come.
func mustGet(t testing.TB, c *Cache[string, string], key string) (value string, cached bool) {
	t.Helper()
	value, cached, err := c.Get(context.Background(), key)
	if err != nil {
		t.Fatalf("Get(%q): got %v, want a value", key, err)
	}
	return value, cached
}

// mustFail gets a value that must not come.
func mustFail(t testing.TB, c *Cache[string, string], key string, want error) error {
	t.Helper()
	value, _, err := c.Get(context.Background(), key)
	if !errors.Is(err, want) || value != "" {
		t.Fatalf("Get(%q): got %q, %v, want %v", key, value, err, want)
	}
	return err
}
