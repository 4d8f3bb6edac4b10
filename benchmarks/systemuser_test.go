package benchmarks

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/portnokkel/portnokkel/httpclient"
)

// customers is how many tokens are in the cache: as many as it holds by default.
const customers = 10_000 // as many as a source keeps

// BenchmarkSystemUser reads a warm token from all cores, for a system user each
// time, among 10,000 whose tokens are cached. "plain" is the settings' own token,
// "call" makes the context for each read, as a handler does, and "kept" has it.
func BenchmarkSystemUser(b *testing.B) {
	s := systemUsers(customers)
	read := func(ctx context.Context) error {
		_, err := s.source.Token(ctx)
		return err
	}
	// A stride that shares no factor with the number visits every customer.
	next := func(i int) int { return (i + 7919) % customers }
	b.Run("by=plain", func(b *testing.B) {
		each(b, allCores, func() func() error {
			return func() error { return read(context.Background()) }
		})
	})
	b.Run("by=kept", func(b *testing.B) {
		each(b, allCores, func() func() error {
			i := 0
			return func() error { i = next(i); return read(s.contexts[i]) }
		})
	})
	b.Run("by=call", func(b *testing.B) {
		each(b, allCores, func() func() error {
			i := 0
			return func() error { i = next(i); return read(as(s.users[i])) }
		})
	})
}

// What a warm token of a system user costs.
func TestSystemUserAllocations(t *testing.T) {
	s := systemUsers(10)
	read := func(ctx context.Context) {
		if _, err := s.source.Token(ctx); err != nil {
			t.Error(err)
		}
	}
	kept := testing.AllocsPerRun(1000, func() { read(s.contexts[0]) })
	call := testing.AllocsPerRun(1000, func() { read(as(s.users[0])) })
	if kept > 0 || call > 9 {
		t.Errorf("%v allocations with a context at hand and %v with a new one, want none and at most 9", kept, call)
	}
}

func as(user httpclient.SystemUser) context.Context {
	return httpclient.ContextWithSystemUser(context.Background(), user)
}

type cachedCustomers struct {
	source   *httpclient.TokenSource
	users    []httpclient.SystemUser
	contexts []context.Context
}

// systemUsers has a token of each customer in its cache, and their contexts. Each
// token takes a signature, so the cores share the work.
func systemUsers(n int) cachedCustomers {
	source, err := httpclient.NewTokenSource(settings(), httpclient.WithTokenTransport(cannedTokens()))
	if err != nil {
		panic(err)
	}
	c := cachedCustomers{source: source, users: make([]httpclient.SystemUser, n), contexts: make([]context.Context, n)}
	var sharing sync.WaitGroup
	cores := runtime.GOMAXPROCS(0)
	for core := range cores {
		sharing.Go(func() {
			for i := core; i < n; i += cores {
				c.users[i] = httpclient.SystemUser{OrgNo: fmt.Sprintf("%09d", i)}
				c.contexts[i] = as(c.users[i])
				if _, err := source.Token(c.contexts[i]); err != nil {
					panic(err)
				}
			}
		})
	}
	sharing.Wait()
	if _, err := source.Token(context.Background()); err != nil {
		panic(err)
	}
	return c
}
