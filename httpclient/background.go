package httpclient

import (
	"context"
	"sync"
)

// background is the work that a source does for no caller in particular.
type background struct {
	mu      sync.Mutex
	closed  bool
	started int                        // how much work there has been
	cancels map[int]context.CancelFunc // of the work under way
	working sync.WaitGroup
}

func newBackground() *background { return &background{cancels: map[int]context.CancelFunc{}} }

// run does work in a goroutine of its own, with a context that belongs to no
// caller: it ends after fetchTimeout, or when the background is closed.
func (b *background) run(work func(context.Context)) error {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		cancel()
		return ErrClosed
	}
	b.started++
	id := b.started
	b.cancels[id] = cancel
	b.working.Go(func() {
		defer cancel()
		work(ctx)
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.cancels, id)
	})
	return nil
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
