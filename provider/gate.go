package provider

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// gate holds back all requests of a load but the first. The Azure SDK learns from
// the first answer which token a vault wants, and would send every request that
// starts before that twice.
type gate struct {
	once   sync.Once
	opened chan struct{}
	asking atomic.Int32 // how many calls wait for a token
}

func newGate() *gate { return &gate{opened: make(chan struct{})} }

func (g *gate) open() { g.once.Do(func() { close(g.opened) }) }

func (g *gate) wait(ctx context.Context) error {
	select {
	case <-g.opened:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// gatedCredential opens the gate as soon as there is a token. A refusal does not
// open it: the others would only ask for the same token again.
type gatedCredential struct {
	inner azcore.TokenCredential
	gate  *gate
}

// credentialError marks an error as the credential's.
type credentialError struct{ error }

func (e credentialError) Unwrap() error { return e.error }

// GetToken returns when ctx ends even if the credential does not heed it.
func (c gatedCredential) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	type result struct {
		token azcore.AccessToken
		err   error
	}
	c.gate.asking.Add(1)
	done := make(chan result, 1)
	go func() {
		token, err := c.inner.GetToken(ctx, options)
		done <- result{token, err}
	}()
	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
		// asking stays raised: it tells what the load was waiting for.
		return azcore.AccessToken{}, credentialError{ctx.Err()}
	}
	if r.err != nil {
		return azcore.AccessToken{}, credentialError{r.err}
	}
	c.gate.asking.Add(-1)
	c.gate.open()
	return r.token, nil
}
