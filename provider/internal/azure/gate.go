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
	asked   atomic.Pointer[asking]  // nil if the credential is the caller's, or was not asked
}

// gateKey is the key of a session's *gate in the context that its credential gets.
type gateKey struct{}

// asking is a client secret that was asked for a token, and what carries the requests.
type asking struct {
	*clientSecret
	wire *wire
}

// asks notes the credential that is being asked.
func (g *gate) asks(c *clientSecret) *asking {
	before := g.asked.Load()
	if before == nil || before.clientSecret != c {
		g.asked.CompareAndSwap(before, &asking{c, c.wire.again()})
	}
	return g.asked.Load()
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
