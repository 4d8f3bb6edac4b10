package tokencache

// Status is what a cache holds at one moment.
type Status[K, V comparable] struct {
	Now     Instant
	Closed  bool
	Items   []ItemStatus[K, V] // the pinned key's first, then those used last
	More    int                // keys that are not among them
	Breaker BreakerStatus
}

// ItemStatus is what is known of one key.
type ItemStatus[K, V comparable] struct {
	Key     K
	Asked   bool // the key was fetched before, or is being fetched
	Value   V    // in use; the zero value without one
	Life    Life // of that
	Failing Failing
}

// Failing says that the last fetches failed. It is zero if the last one did not.
type Failing struct {
	Err   error
	Count int     // in a row
	Since Instant // the first of them
	Next  Instant // when the next may be made
}

// BreakerStatus is the circuit breaker's state.
type BreakerStatus struct {
	Open, HalfOpen bool // neither: it is closed
	Failing        Failing
}

// Status tells what the cache holds, of at most the given number of keys. It starts
// nothing and waits for no call.
func (c *Cache[K, V]) Status(most int) Status[K, V] {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Status[K, V]{Now: c.cfg.Clock(), Closed: c.closed}
	add := func(i *Item[K, V]) bool {
		if len(s.Items) < most {
			s.Items = append(s.Items, i.status(s.Now))
		}
		return len(s.Items) < most
	}
	room := add(c.pinned)
	for e := c.idle.Front(); room && e != nil; e = e.Next() {
		room = add(e.Value.(*Item[K, V]))
	}
	for f := range c.running { // keys that are being fetched are not idle
		if !room {
			break
		}
		if !f.over && f.item != c.pinned {
			room = add(f.item)
		}
	}
	s.More = 1 + len(c.items) - len(s.Items)
	if b := &c.breaker; b.state != closed {
		s.Breaker = BreakerStatus{
			Open: b.state == open, HalfOpen: b.state == halfOpen,
			Failing: Failing{Err: b.err, Count: b.failures, Since: b.since, Next: b.probeAt},
		}
	}
	return s
}
