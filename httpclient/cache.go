package httpclient

import (
	"container/list"
	"sync"
)

// defaultCacheSize is how many tokens of requests with options of their own, such
// as [ContextWithSystemUser], are kept where [WithCacheSize] does not say otherwise.
const defaultCacheSize = 10_000

// cache keeps an entry for each kind of request, up to a bound. The least recently
// used leave first: what they hold is fetched again when it is wanted.
type cache struct {
	size int

	mu      sync.Mutex
	entries map[tokenRequest]*list.Element // of *entry
	order   list.List                      // most recently used first
}

func newCache(size int) *cache {
	return &cache{size: size, entries: map[tokenRequest]*list.Element{}}
}

func (c *cache) entry(request tokenRequest) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.entries[request]; ok {
		c.order.MoveToFront(element)
		return element.Value.(*entry)
	}
	e := &entry{request: request}
	c.entries[request] = c.order.PushFront(e)
	// What is being fetched stays: it would be fetched twice at once.
	last := c.order.Back()
	for tries := 0; c.order.Len() > c.size && last != nil && tries < evictionTries; tries++ {
		element := last
		last = last.Prev()
		if old := element.Value.(*entry); old != e && old.isIdle() {
			c.order.Remove(element)
			delete(c.entries, old.request)
		}
	}
	return e
}

// evictionTries bounds the search for an entry that may leave. Those that may not
// are as many as the background's work at most.
const evictionTries = 2 * atOnce

// clear forgets every entry and gives them to be dropped.
func (c *cache) clear() []*entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*entry
	for element := c.order.Front(); element != nil; element = element.Next() {
		all = append(all, element.Value.(*entry))
	}
	c.order.Init()
	clear(c.entries)
	return all
}
