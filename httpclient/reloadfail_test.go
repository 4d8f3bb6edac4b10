package httpclient_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/httpclient"
)

// A reading that fails keeps the last good keys. The log tells it once, and again only
// after it has worked.
func TestLastGoodKeysAreKept(t *testing.T) {
	t.Parallel()
	older := keyFile(t, "client.jwk.json")
	for name, c := range map[string]struct {
		fail func(*reloaded)
		want string
	}{
		"an error": {func(r *reloaded) { r.fails(errors.New("one\ntwo")) }, `error="one; two"`},
		"no key":   {func(r *reloaded) { r.gives() }, `error="it gave no key"`},
		"a nil key": {func(r *reloaded) {
			r.does(func(context.Context) ([]*httpclient.Key, error) {
				return []*httpclient.Key{parsedKey(r.t, older), nil}, nil
			})
		}, `error="it gave a key that is nil or zero"`},
		"a zero key": {func(r *reloaded) {
			r.does(func(context.Context) ([]*httpclient.Key, error) { return []*httpclient.Key{{}}, nil })
		}, `error="it gave a key that is nil or zero"`},
		"a panic": {func(r *reloaded) {
			r.does(func(context.Context) ([]*httpclient.Key, error) { panic("CANARY") })
		}, `error="the function that reads keys panicked: the log has its stack"`},
		"a hang": {func(r *reloaded) {
			r.does(func(ctx context.Context) ([]*httpclient.Key, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
		}, `error="reading takes longer than 10s: context deadline exceeded"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newReloaded(t, 0, older)
				defer r.close()
				r.fetches(1, olderID)
				c.fail(r)
				for range 5 {
					pass(time.Minute)
					start := time.Now()
					r.fetches(2, olderID, olderID)
					if took := time.Since(start); took > 0 {
						t.Errorf("got a fetch that waited %v, want none that waits", took)
					}
					pass(15 * time.Second)
				}
				r.wantReads(6)
				r.wantLog(map[string]int{keptKeys: 1, keptKeys + " " + c.want: 1, readAgain: 0, "CANARY": 0})

				r.gives(older)
				pass(time.Minute)
				r.fetches(1, olderID)
				r.wantLog(map[string]int{keptKeys: 1, readAgain: 1, otherKeys: 0})
				c.fail(r)
				pass(time.Minute)
				r.fetches(1, olderID)
				pass(15 * time.Second)
				panics := 0
				if name == "a panic" {
					panics = 2
				}
				r.wantLog(map[string]int{keptKeys: 2, readAgain: 1, "level=ERROR": panics})
			})
		})
	}
}

// A reading that ignores its context is left behind. After four of them no more are
// started until one returns.
func TestReadingsThatHang(t *testing.T) {
	t.Parallel()
	older, newer := keyFile(t, "client.jwk.json"), keyFile(t, "other.jwk.json")
	registered := newerKey(t)
	synctest.Test(t, func(t *testing.T) {
		r := newReloaded(t, 0)
		defer r.close()
		release := make(chan struct{})
		r.does(func(context.Context) ([]*httpclient.Key, error) {
			<-release
			return nil, errors.New("too late")
		})
		start := time.Now()
		if err := r.fetch(); !strings.Contains(message(err), "it gave no key in time") || time.Since(start) > 20*time.Second {
			t.Errorf("got %v after %v, want an error about the reading within a fetch's time", err, time.Since(start))
		}
		for range 10 {
			pass(time.Minute)
			if err := r.fetch(); err == nil {
				t.Error("got a token without a key")
			}
		}
		r.wantReads(4)
		pass(time.Minute)
		if err := r.fetch(); !strings.Contains(message(err), "4 earlier readings have not returned") {
			t.Errorf("got %v, want an error about earlier readings", err)
		}
		close(release)
		r.gives(older)
		pass(10 * time.Second)
		r.take()
		r.fetches(1, olderID)

		// A refused fetch waits for a reading that hangs, but not longer than it may.
		r.srv.RemoveKey(r.srv.ClientID(), olderID)
		r.srv.AddKey(r.srv.ClientID(), registered)
		r.does(func(context.Context) ([]*httpclient.Key, error) {
			pass(time.Minute)
			return []*httpclient.Key{parsedKey(t, newer)}, nil
		})
		start = time.Now()
		if err := r.fetch(); !errors.Is(err, httpclient.ErrUnknownKey) || time.Since(start) != 10*time.Second {
			t.Errorf("got %v after %v, want the refusal after 10s", err, time.Since(start))
		}
		pass(time.Minute)
	})
}
