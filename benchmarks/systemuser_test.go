package benchmarks

import (
	"context"
	"crypto"
	"crypto/rsa"
	"fmt"
	"io"
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
	s := systemUsers()
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
	s := systemUsers()
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

// systemUsers has a token of each customer in its cache, and their contexts.
var systemUsers = sync.OnceValue(func() cachedCustomers {
	signer, err := httpclient.NewKey(blankSigner{privateKey()}, keyID, "")
	if err != nil {
		panic(err)
	}
	s := settings()
	s.EncodedJWK = httpclient.Secret{}
	source, err := httpclient.NewTokenSource(s,
		httpclient.WithTokenTransport(cannedTokens()),
		httpclient.WithKeySource(httpclient.KeySourceFunc(func(context.Context) ([]*httpclient.Key, error) {
			return []*httpclient.Key{signer}, nil
		})))
	if err != nil {
		panic(err)
	}
	c := cachedCustomers{source: source}
	for i := range customers {
		user := httpclient.SystemUser{OrgNo: fmt.Sprintf("%09d", i)}
		ctx := as(user)
		if _, err := source.Token(ctx); err != nil {
			panic(err)
		}
		c.users, c.contexts = append(c.users, user), append(c.contexts, ctx)
	}
	if _, err := source.Token(context.Background()); err != nil {
		panic(err)
	}
	return c
})

// blankSigner signs with nothing, since nobody looks: 10,000 true signatures would
// take longer than all that is measured.
type blankSigner struct{ key *rsa.PrivateKey }

func (s blankSigner) Public() crypto.PublicKey { return s.key.Public() }

func (s blankSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return make([]byte, s.key.Size()), nil
}
