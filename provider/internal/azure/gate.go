package azure

import (
	"context"
	"sync"
	"sync/atomic"
)

// gate holds back all requests of a load except the first. The SDK learns from the
// first answer which token a vault wants. It would send every request that starts
// before that twice.
type gate struct {
	once    sync.Once
	opened  chan struct{}
	waiting atomic.Int32            // how many calls wait for a token
	token   *atomic.Pointer[string] // the token that was issued last
}

func newGate() *gate {
	return &gate{opened: make(chan struct{}), token: new(atomic.Pointer[string])}
}

func (g *gate) open() { g.once.Do(func() { close(g.opened) }) }

func (g *gate) wait(ctx context.Context) error {
	select {
	case <-g.opened:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
