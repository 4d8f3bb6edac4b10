package tokencache

import (
	"container/list"
	"context"
	"errors"
	"sync/atomic"
)

// Item is one key: its value, the call under way, and what is known of the last
// failure. The cache's lock guards all but the value.
type Item[K, V comparable] struct {
	cache *Cache[K, V]
	key   K
	held  atomic.Pointer[held[V]]

	call      *Call[K, V] // nil: no call is under way
	last      V           // what the last fetch returned, also beside an error
	good      bool        // it was fetched with success before
	backoff   backoff
	replaceAt Instant       // when a rejected value may be replaced again
	place     *list.Element // in the cache's idle list
}

// held is a value in use.
type held[V any] struct {
	value V
	life  Life
}

// fresh reports whether the value needs nothing done.
func (h *held[V]) fresh(now Instant) bool { return h != nil && !h.life.Refresh.Reached(now) }

// usable reports whether the value may be used.
func (h *held[V]) usable(now Instant) bool { return h != nil && !h.life.End.Reached(now) }

// Get is [Cache.Get] for this item. A fresh value is one atomic load.
func (i *Item[K, V]) Get(ctx context.Context) (value V, cached bool, err error) {
	c := i.cache
	now := c.cfg.Clock()
	h := i.held.Load()
	if h.fresh(now) {
		return h.value, true, nil
	}
	if h.usable(now) {
		// No caller waits for a refresh, nor for the lock.
		if c.mu.TryLock() {
			_, _, _ = c.answer(ctx, i)
			c.mu.Unlock()
		}
		return h.value, true, nil
	}
	c.mu.Lock()
	value, call, err := c.answer(ctx, i)
	c.mu.Unlock()
	if call == nil {
		return value, err == nil, err
	}
	value, err = call.Wait(ctx)
	return value, false, err
}

// Last is the value that callers got last, though it may have ended; the zero value
// without one.
func (i *Item[K, V]) Last() V {
	if h := i.held.Load(); h != nil {
		return h.value
	}
	var none V
	return none
}

// take keeps a new value. If it ends before the one in use, that one stays, and the
// next try comes at the new value's refresh time. A value that was rejected does not
// stay.
func (i *Item[K, V]) take(f *Call[K, V], value V, life Life, now Instant) {
	i.last, i.good = value, true
	life.Refresh = life.Refresh.earlier(life.End)
	inUse := i.held.Load()
	if !f.rejected && inUse.usable(now) && life.End.left(now) <= inUse.life.End.left(now) {
		i.backoff.record(ErrShorter, life.Refresh.left(now), now, &inUse.life.End)
		return
	}
	i.held.Store(&held[V]{value, life})
	i.backoff = backoff{}
	if f.why == replace {
		i.replaceAt = now.Add(min(replacePause, life.End.left(now)/2))
	}
}

// isMissed reports whether the value ended and was not asked for since: callers who
// had one wait now.
func (i *Item[K, V]) isMissed(now Instant) bool {
	h := i.held.Load()
	return h != nil && !h.usable(now) && (i.backoff.count == 0 || i.backoff.valueEnded(now))
}

// end is when the value in use ends, nil without one.
func (i *Item[K, V]) end(now Instant) *Instant {
	if h := i.held.Load(); h.usable(now) {
		return &h.life.End
	}
	return nil
}

// drop forgets everything about the key.
func (i *Item[K, V]) drop() {
	var none V
	i.held.Store(nil)
	i.last, i.good, i.backoff, i.place = none, false, backoff{}, nil
}

// status is what is known of the key. The caller holds the lock.
func (i *Item[K, V]) status(now Instant) ItemStatus[K, V] {
	s := ItemStatus[K, V]{Key: i.key}
	held := i.held.Load()
	s.Asked = held != nil || i.call != nil || i.backoff.count > 0
	if held.usable(now) {
		s.Value, s.Life = held.value, held.life
	}
	if b := &i.backoff; b.count > 0 && !errors.Is(b.err, ErrShorter) {
		s.Failing = Failing{Err: b.err, Count: b.failures, Since: b.since, Next: b.until}
	}
	return s
}
