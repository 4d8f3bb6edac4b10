package httpclient_test

import (
	"context"
	"crypto"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/httpclient"
)

// remote signs far away, within a context.
type remote struct {
	crypto.Signer
	ended chan struct{} // of a signature that hangs; nil: none does
}

func (remote) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("signed without a context")
}

func (r remote) SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if r.ended != nil {
		<-ctx.Done()
		r.ended <- struct{}{}
		return nil, context.Cause(ctx)
	}
	return r.Signer.Sign(nil, digest, opts)
}

// A signer that takes a context is given one.
func TestSignerWithAContext(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	key, err := httpclient.NewKey(remote{Signer: clientKey(t).Signer()}, "for-tests-only", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := withoutKey(t, srv, keys(key)).Token(t.Context()); err != nil {
		t.Errorf("got %v, want a token", err)
	}
}

// A signature ends with the fetch that it is for: when the source closes, and at the
// latest when a fetch has taken too long.
func TestSignatureEndsWithItsFetch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		closes time.Duration
		want   time.Duration // the longest time that the signature goes on
	}{
		"the source closes": {time.Second, time.Second},
		"nobody ends it":    {time.Hour, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn)
				defer srv.Close()
				ended := make(chan struct{}, 10)
				key, err := httpclient.NewKey(remote{clientKey(t).Signer(), ended}, "for-tests-only", "")
				if err != nil {
					t.Fatal(err)
				}
				source := withoutKey(t, srv, keys(key))
				start := time.Now()
				closed := time.AfterFunc(c.closes, source.Close)
				defer closed.Stop()
				if _, err := source.Token(t.Context()); err == nil {
					t.Fatal("got a token, want an error")
				}
				<-ended
				if took := time.Since(start); took > c.want {
					t.Errorf("the signature ended after %v, want %v at most", took, c.want)
				}
				closed.Stop()
				source.Close()
			})
		})
	}
}
