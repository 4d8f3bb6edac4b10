package tokencache

import (
	"context"
	"errors"
	"time"
)

// Call is one fetch that any number of callers wait for, each with its own context.
type Call[K, V comparable] struct {
	item     *Item[K, V]
	why      purpose
	opened   int // how often the breaker had opened when it started
	watchdog *time.Timer
	hurry    chan struct{} // tells it to wait for a slot no more

	// Guarded by the cache's lock.
	slot      bool // it holds one
	over      bool // its result is known
	abandoned bool // and its goroutine is left behind
	rejected  bool // the value in use was rejected: any other is better

	done  chan struct{} // closed when the result is known
	value V
	err   error
}

// Wait returns the call's result, or a [*WaitError] when the context ends first.
func (f *Call[K, V]) Wait(ctx context.Context) (V, error) {
	select {
	case <-f.done:
	case <-ctx.Done():
		select {
		case <-f.done:
		default:
			var none V
			return none, &WaitError{ctx.Err(), context.Cause(ctx)}
		}
	}
	return f.value, f.err
}

// WaitError says that a caller's context ended while it waited. It is what the
// context's error is: a time-out, for one.
type WaitError struct{ Err, Cause error }

// Error is the cause's text.
func (e *WaitError) Error() string { return e.Cause.Error() }

// Unwrap gives the context's error and its cause.
func (e *WaitError) Unwrap() []error { return []error{e.Err, e.Cause} }

// Timeout reports whether the context's deadline passed.
func (e *WaitError) Timeout() bool { return errors.Is(e.Err, context.DeadlineExceeded) }

// finished is a call that is over.
func finished[K, V comparable](value V) *Call[K, V] {
	f := &Call[K, V]{over: true, done: make(chan struct{}), value: value}
	close(f.done)
	return f
}

// purpose is why a call is made.
type purpose int

const (
	refresh purpose = iota // to get a value, or a newer one ahead of the end
	replace                // because the value in use was rejected
	probe                  // to find out whether the server or the keys are at fault
)

// start starts an item's call. The caller holds the lock and has made sure that the
// item may be fetched.
func (c *Cache[K, V]) start(i *Item[K, V], why purpose) *Call[K, V] {
	if i != c.pinned && c.items[i.key] != i {
		c.makeRoom()
		c.items[i.key] = i
	}
	if i.place != nil {
		c.idle.Remove(i.place)
		i.place = nil
	}
	f := &Call[K, V]{item: i, why: why, opened: c.breaker.opened, hurry: make(chan struct{}, 1), done: make(chan struct{})}
	i.call = f
	ctx, cancel := context.WithTimeout(context.Background(), FetchTimeout-lastWord)
	c.running[f] = cancel
	f.watchdog = time.AfterFunc(FetchTimeout, func() { c.abandon(f) })
	last := i.last
	go func() {
		defer c.returned(f)
		c.run(ctx, f, last)
	}()
	return f
}

// result is what became of a call.
type result[V any] struct {
	value V
	life  Life
	err   error
	asked bool // Fetch was called
}

// run fetches the value of a call.
func (c *Cache[K, V]) run(ctx context.Context, f *Call[K, V], last V) {
	r := result[V]{value: last, err: ErrNoResult}
	// Deferred, because code that is not ours may end the goroutine.
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.finish(f, r)
	}()
	if f.why != probe && f.item != c.pinned && !c.turn(ctx, f) {
		r.err = ErrNoSlot
		return
	}
	if r.err = c.overtaken(f); r.err != nil {
		return
	}
	r.asked, r.err = true, ErrNoResult
	r.value, r.life, r.err = c.cfg.Fetch(ctx, f.item.key, last, f.why != refresh)
}

// turn waits for a slot. The call's end gives it back. A call that has to hurry goes
// on without one.
func (c *Cache[K, V]) turn(ctx context.Context, f *Call[K, V]) bool {
	timer := time.NewTimer(slotTimeout)
	defer timer.Stop()
	select {
	case c.slots <- struct{}{}:
	case <-f.hurry:
		return true
	case <-timer.C:
		return false
	case <-ctx.Done():
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f.slot = true
	return true
}

// overtaken gives the error that came up while the call waited for a slot, or that it
// was given because the cache is closed.
func (c *Cache[K, V]) overtaken(f *Call[K, V]) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case f.over:
		return f.err
	case c.abandoned >= maxAbandoned:
		return ErrStuck
	case c.breaker.state != closed && c.breaker.opened != f.opened:
		return c.held(c.breaker.probeAt)
	}
	return nil
}

// abandon ends a call whose fetch ignores its context. The fetch is left behind.
func (c *Cache[K, V]) abandon(f *Call[K, V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.over {
		return
	}
	f.abandoned = true
	c.abandoned++
	c.finish(f, result[V]{value: f.item.last, err: ErrAbandoned, asked: true})
}

// finish takes a call's result. The result of a call that is over is dropped. The
// caller holds the lock.
func (c *Cache[K, V]) finish(f *Call[K, V], r result[V]) {
	if f.over {
		return
	}
	i, now := f.item, c.cfg.Clock()
	var none V
	switch {
	case r.err != nil:
	case r.value == none:
		r.err = ErrNoResult
	case r.life.End.Reached(now):
		r.err = ErrSpent
	}
	switch {
	case !r.asked:
	case r.err != nil:
		r.err = c.failed(i, r, now)
	default:
		i.take(f, r.value, r.life, now)
		r.value = i.held.Load().value // the one that lives longer
		c.breaker.answered()
		c.lastGood = i
	}
	c.end(f, r.value, r.err)
	if held := i.held.Load(); r.err != nil && held.usable(now) && c.cfg.Kept != nil {
		c.cfg.Kept(i.key, held.value, r.err)
	}
}

// failed notes a failed fetch and gives the error to remember.
func (c *Cache[K, V]) failed(i *Item[K, V], r result[V], now Instant) error {
	i.last = r.value
	failure := c.cfg.Classify(r.err)
	i.backoff.record(r.err, failure.RetryAfter, now, i.end(now))
	if failure.Temporary || failure.ClientWide {
		if c.lastGood == i {
			c.lastGood = nil
		}
		shared := r.err
		if c.cfg.Shared != nil {
			shared = c.cfg.Shared(r.err)
		}
		c.breaker.failed(attempt{i, c.lastGood != nil, failure, shared}, now)
		if c.breaker.suspicious() {
			c.check(now)
		} else if c.breaker.state != closed && c.lastGood == nil {
			c.lastGood = c.otherGood(now)
		}
	} else {
		c.breaker.answered()
	}
	return c.dated(r.err, i.backoff.failures, i.backoff.since, i.backoff.until)
}

// end makes a call's result known, gives back its slot, and makes its item idle. The
// caller holds the lock.
func (c *Cache[K, V]) end(f *Call[K, V], value V, err error) {
	f.over = true
	f.watchdog.Stop()
	if err == nil {
		f.value = value
	}
	f.err = err
	close(f.done)
	if f.slot {
		<-c.slots
	}
	i := f.item
	i.call = nil
	if i != c.pinned {
		i.place = c.idle.PushFront(i)
	}
}

// returned notes that a call's goroutine is at its end.
func (c *Cache[K, V]) returned(f *Call[K, V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running[f]() // the context's own resources
	delete(c.running, f)
	if f.abandoned {
		c.abandoned--
	}
	if c.closed && len(c.running) == 0 {
		close(c.quiet)
	}
}
