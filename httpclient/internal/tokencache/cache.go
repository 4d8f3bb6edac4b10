package tokencache

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Config says how a cache gets its values. Fetch, Classify, Clock and Size are
// required. All but Fetch are called under the cache's lock: they must be quick and
// must not call the cache.
type Config[K, V comparable] struct {
	// Fetch gets the value of a key. The context belongs to no caller and ends with the
	// call. The result of the key's last fetch is last, also if it came beside an error:
	// then it is kept for the next fetch only. If renew is set, Fetch must get a new
	// value even if the last may still be good.
	Fetch func(ctx context.Context, key K, last V, renew bool) (V, Life, error)
	// Classify says what a failed fetch means for other fetches.
	Classify func(error) Failure
	// Dated adds to a remembered error how many fetches have failed in a row, since
	// when, and when the next is due. Nil adds nothing.
	Dated func(err error, failures int, since, retryAt time.Time) error
	// Shared is the error as callers of other keys may see it. Nil changes nothing.
	Shared func(error) error
	// Kept is told that a fetch ahead of a value's end failed. It may be nil.
	Kept func(key K, value V, err error)
	// Clock tells the time.
	Clock Clock
	// Size is how many keys are kept besides the pinned one. Up to Slots more may be
	// there for a while: keys that are being fetched, and the key that was good last, are
	// not evicted.
	Size int
}

// Life is how long a value is good. While a value is due, callers start one call after
// another: Refresh must lie ahead.
type Life struct {
	Refresh Instant // from here on a newer value is fetched ahead
	End     Instant // from here on the value is not used
}

// Failure is what a failed fetch means. The zero value concerns one key only and
// is not temporary.
type Failure struct {
	Temporary  bool // the same fetch may succeed later
	ClientWide bool // no other key would fare better
	RetryAfter time.Duration
}

// What stands in the way of a fetch besides a failed one. Except for ErrClosed, all are
// temporary.
var (
	ErrClosed    = errors.New("the cache is closed")
	ErrBusy      = fmt.Errorf("%d fetches are under way, and the cache is full", Slots)
	ErrNoSlot    = fmt.Errorf("%d other fetches are under way, and not one ended in %v", Slots, slotTimeout)
	ErrAbandoned = fmt.Errorf("the fetch did not end in %v", FetchTimeout)
	ErrStuck     = fmt.Errorf("%d fetches did not end in %v and are still under way", maxAbandoned, FetchTimeout)
	ErrNoResult  = errors.New("the fetch ended without a result")
	ErrSpent     = errors.New("the value ended before it arrived")
	ErrShorter   = errors.New("the new value ends before the one in use")
)

// Cache keeps one value per key. It is safe for concurrent use.
type Cache[K, V comparable] struct {
	cfg   Config[K, V]
	slots chan struct{}

	mu        sync.Mutex
	closed    bool
	pinned    *Item[K, V]
	items     map[K]*Item[K, V]
	idle      list.List // of *Item without a call, most recently used first
	breaker   breaker
	lastGood  *Item[K, V]                        // for checks and probes; nil: no good key is known
	running   map[*Call[K, V]]context.CancelFunc // goroutines that have not returned
	abandoned int                                // of these, those whose call is over
	quiet     chan struct{}                      // closed when the last of them returns after Close
}

// New makes a cache. The pinned key is never evicted, and its fetches need no slot.
func New[K, V comparable](pinned K, cfg Config[K, V]) *Cache[K, V] {
	c := &Cache[K, V]{
		cfg:     cfg,
		slots:   make(chan struct{}, Slots),
		items:   map[K]*Item[K, V]{},
		running: map[*Call[K, V]]context.CancelFunc{},
		quiet:   make(chan struct{}),
	}
	c.pinned = &Item[K, V]{cache: c, key: pinned}
	return c
}

// Pinned is the pinned key's item. Reading its fresh value takes no lock.
func (c *Cache[K, V]) Pinned() *Item[K, V] { return c.pinned }

// Get returns a key's value, and whether it was there. A caller waits only if there
// is no usable value, and no longer than its context. A context that is over starts
// nothing.
func (c *Cache[K, V]) Get(ctx context.Context, key K) (value V, cached bool, err error) {
	if key == c.pinned.key {
		return c.pinned.Get(ctx)
	}
	c.mu.Lock()
	value, call, err := c.answer(ctx, c.item(key))
	c.mu.Unlock()
	if call == nil {
		return value, err == nil, err
	}
	value, err = call.Wait(ctx)
	return value, false, err
}

// Replace gives the call that brings another value than the one that was rejected.
// A value is replaced once, however many callers bring it. One that was replaced a
// moment ago is believed: the result is nil.
func (c *Cache[K, V]) Replace(key K, rejected V) (*Call[K, V], error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.item(key)
	now := c.cfg.Clock()
	held := i.held.Load()
	switch {
	case held.usable(now) && held.value != rejected:
		return finished[K](held.value), nil
	case i.call != nil:
		i.call.rejected = true
		return i.call, nil
	}
	// A value that is due is rejected when its request took long. That is not a
	// replacement out of turn, but the refresh that was due.
	renew := held.fresh(now)
	if renew && !i.replaceAt.Reached(now) {
		return nil, nil
	}
	if err := c.admit(i, now); err != nil {
		return nil, err
	}
	why := refresh
	if renew {
		why = replace
	}
	call := c.start(i, why)
	call.rejected = true
	return call, nil
}

// Len is how many keys the cache holds besides the pinned one.
func (c *Cache[K, V]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.items)
}

// item finds a key's item. A new one is not kept before it is fetched.
func (c *Cache[K, V]) item(key K) *Item[K, V] {
	if key == c.pinned.key {
		return c.pinned
	}
	i := c.items[key]
	if i == nil {
		return &Item[K, V]{cache: c, key: key}
	}
	if i.place != nil {
		c.idle.MoveToFront(i.place)
	}
	return i
}

// answer gives an item's usable value, or the call to wait for.
func (c *Cache[K, V]) answer(ctx context.Context, i *Item[K, V]) (value V, call *Call[K, V], err error) {
	now := c.cfg.Clock()
	if held := i.held.Load(); held.usable(now) {
		if !held.fresh(now) && i.call == nil && ctx.Err() == nil && c.admit(i, now) == nil {
			c.start(i, refresh)
		}
		return held.value, nil, nil
	}
	if ctx.Err() != nil {
		return value, nil, &WaitError{ctx.Err(), context.Cause(ctx)}
	}
	if i.call != nil {
		return value, i.call, nil
	}
	if err := c.admit(i, now); err != nil {
		return value, nil, err
	}
	return value, c.start(i, refresh), nil
}

// admit gives the error that stands in the way of an item's fetch. Without one, a
// fetch must follow.
func (c *Cache[K, V]) admit(i *Item[K, V], now Instant) error {
	hasFailed := i.backoff.count > 0
	over := i.backoff.over(now)
	switch {
	case c.closed:
		return ErrClosed
	case c.abandoned >= maxAbandoned:
		return ErrStuck
	case i != c.pinned && c.items[i.key] != i && c.full():
		return ErrBusy
	case over && c.breaker.state == closed:
	case i.isMissed(now) && c.breaker.exception(i, now):
	case !over:
		return c.dated(i.backoff.err, i.backoff.failures, i.backoff.since, i.backoff.until)
	case !i.good && c.lastGood != nil:
		c.check(now) // it tells more than a key that was never good
		return c.held(c.breaker.probeAt)
	case !c.breaker.probe(i, hasFailed, now):
		return c.held(c.breaker.due(i, hasFailed))
	}
	return nil
}

// held is the error of a breaker that is not closed.
func (c *Cache[K, V]) held(until Instant) error {
	return c.dated(c.breaker.err, c.breaker.failures, c.breaker.since, until)
}

func (c *Cache[K, V]) dated(err error, failures int, since, retryAt Instant) error {
	if c.cfg.Dated == nil || err == nil {
		return err
	}
	return c.cfg.Dated(err, failures, since.Time(), retryAt.Time())
}

// check fetches the key that was good last, to find out whether the server or the
// keys are at fault. If a call for it is under way already, that one waits for a slot
// no more.
func (c *Cache[K, V]) check(now Instant) {
	switch i := c.lastGood; {
	case i.call != nil:
		select {
		case i.call.hurry <- struct{}{}:
		default:
		}
	case i.backoff.over(now) && c.breaker.probe(i, false, now):
		c.start(i, probe)
	}
}

// otherGood is a key that has been good and may be fetched, nil without one. Of these
// it is the one with the fewest failures since. The next probe comes from it when the
// key that was good last has failed.
func (c *Cache[K, V]) otherGood(now Instant) (best *Item[K, V]) {
	consider := func(i *Item[K, V]) {
		if i.good && i.call == nil && i.backoff.over(now) && (best == nil || i.backoff.count < best.backoff.count) {
			best = i
		}
	}
	consider(c.pinned)
	for e := c.idle.Front(); e != nil; e = e.Next() {
		consider(e.Value.(*Item[K, V]))
	}
	return best
}

// full reports whether a new key has no place: too many are being fetched.
func (c *Cache[K, V]) full() bool { return len(c.items)-c.idle.Len() >= c.cfg.Size+Slots }

// makeRoom evicts the least recently used keys. Keys that are being fetched stay:
// they would be fetched twice at once. The key that was good last stays if it can.
func (c *Cache[K, V]) makeRoom() {
	for len(c.items) >= c.cfg.Size && c.idle.Len() > 0 {
		i := c.idle.Back().Value.(*Item[K, V])
		switch {
		case i != c.lastGood:
		case c.idle.Len() > 1:
			c.idle.MoveToFront(i.place)
			continue
		case len(c.items) < c.cfg.Size+Slots:
			return
		default:
			c.lastGood = nil
		}
		c.idle.Remove(i.place)
		i.place = nil
		delete(c.items, i.key)
	}
}

// Close ends all calls and drops all values. It waits for the goroutines of the
// fetches, but leaves behind after 5 seconds what ignores its context.
func (c *Cache[K, V]) Close() {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		if len(c.running) == 0 {
			close(c.quiet)
		}
	}
	var none V
	for call, cancel := range c.running {
		cancel()
		if !call.over {
			c.end(call, none, ErrClosed)
		}
	}
	for _, i := range c.items {
		i.drop()
	}
	c.pinned.drop()
	clear(c.items)
	c.idle.Init()
	c.lastGood = nil
	c.mu.Unlock()

	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-c.quiet:
	case <-timer.C:
	}
}
