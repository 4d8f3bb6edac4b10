package httpclient

import (
	"context"
	"fmt"
	"sync"
)

// background is the work that a source does for no caller in particular.
type background struct {
	slots chan struct{} // one for each piece of work that may be at it
	most  int           // how many may be at it or wait for that

	mu      sync.Mutex
	closed  bool
	started int                        // how much work there has been
	cancels map[int]context.CancelFunc // of the work under way
	working sync.WaitGroup
}

// atOnce is how many fetches of a source may be under way at the same time.
const atOnce = 64

// newBackground bounds the work by the size of the cache that it is for.
func newBackground(cacheSize int) *background {
	return &background{slots: make(chan struct{}, atOnce), most: cacheSize + atOnce, cancels: map[int]context.CancelFunc{}}
}

// run does work in a goroutine of its own, at once where it is urgent, and else when
// there is a slot for it, with a context that belongs to no caller: it ends after
// fetchTimeout, or when the background is closed.
func (b *background) run(urgent bool, work func(context.Context)) error {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	switch {
	case b.closed:
		err = ErrClosed
	case !urgent && len(b.cancels) >= b.most:
		err = fmt.Errorf("%w: %d tokens are being fetched", ErrTemporary, len(b.cancels))
	}
	if err != nil {
		cancel()
		return err
	}
	b.started++
	id := b.started
	b.cancels[id] = cancel
	b.working.Go(func() {
		defer func() {
			cancel()
			b.mu.Lock()
			defer b.mu.Unlock()
			delete(b.cancels, id)
		}()
		if !urgent && b.turn(ctx) {
			defer func() { <-b.slots }()
		} else if !urgent {
			cancel() // work ends at once, and tells whoever waits
		}
		work(ctx)
	})
	return nil
}

// turn waits for a slot, as long as there is time for an attempt afterwards.
func (b *background) turn(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout-attemptTimeout)
	defer cancel()
	select {
	case b.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (b *background) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// close ends the work under way and waits for it.
func (b *background) close() {
	b.mu.Lock()
	b.closed = true
	for _, cancel := range b.cancels {
		cancel()
	}
	b.mu.Unlock()
	b.working.Wait()
}
