package httpclient_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// reloaded is a ring whose keys are read by ReloadingKeys. What read gives is for the
// test to change.
type reloaded struct {
	*ring
	reads atomic.Int64
	next  atomic.Pointer[func(context.Context) ([]*httpclient.Key, error)]
}

// newReloaded makes one in a bubble.
func newReloaded(t *testing.T, every time.Duration, jwks ...string) *reloaded {
	r := &reloaded{ring: &ring{t: t, srv: newPipe(t, builtIn)}}
	r.gives(jwks...)
	r.source = withoutKey(t, r.srv, httpclient.ReloadingKeys(r.read, every),
		httpclient.WithTokenTransport(r), httpclient.WithLogger(r.log.logger(0)))
	return r
}

func (r *reloaded) read(ctx context.Context) ([]*httpclient.Key, error) {
	r.reads.Add(1)
	return (*r.next.Load())(ctx)
}

// does sets what read does.
func (r *reloaded) does(read func(context.Context) ([]*httpclient.Key, error)) { r.next.Store(&read) }

func (r *reloaded) gives(jwks ...string) {
	r.offer(jwks...)
	list := *r.offered.Load()
	r.does(func(context.Context) ([]*httpclient.Key, error) { return list, nil })
}

func (r *reloaded) fails(err error) {
	r.does(func(context.Context) ([]*httpclient.Key, error) { return nil, err })
}

// wantReads checks how often keys were read so far.
func (r *reloaded) wantReads(want int64) {
	r.t.Helper()
	synctest.Wait()
	if got := r.reads.Load(); got != want {
		r.t.Errorf("got %d readings, want %d", got, want)
	}
}

// wantLog checks how often the log has these texts.
func (r *reloaded) wantLog(want map[string]int) {
	r.t.Helper()
	synctest.Wait()
	for text, n := range want {
		if got := strings.Count(r.log.String(), text); got != n {
			r.t.Errorf("got %d times %q in the log, want %d:\n%s", got, text, n, r.log.String())
		}
	}
}

const (
	keptKeys  = `level=WARN msg="httpclient: the keys could not be read again; those in use are kept" client_id=maskinportentest-client`
	readAgain = `level=INFO msg="httpclient: the keys can be read again" client_id=maskinportentest-client`
	otherKeys = `level=INFO msg="httpclient: there are other keys now" client_id=maskinportentest-client`
)

// Keys are read when a fetch asks and they are old enough. No timer reads them.
func TestKeysAreReadAgainWhenAsked(t *testing.T) {
	t.Parallel()
	older, newer := keyFile(t, "client.jwk.json"), keyFile(t, "other.jwk.json")
	registered := newerKey(t)
	for name, c := range map[string]struct{ given, every time.Duration }{
		"a minute unless told": {0, time.Minute},
		"as told":              {5 * time.Minute, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newReloaded(t, c.given, older)
				defer r.close()
				r.srv.AddKey(r.srv.ClientID(), registered)
				r.wantReads(0)
				r.fetches(3, olderID, olderID, olderID)
				r.wantReads(1)
				pass(c.every - time.Second)
				r.fetches(1, olderID)
				r.wantReads(1)

				r.gives(newer, older)
				pass(time.Second)
				r.fetches(1, olderID) // it does not wait for the reading that it starts
				r.wantReads(2)
				r.fetches(1, newerID)
				pass(24 * time.Hour)
				r.wantReads(2)
				r.fetches(2, newerID, newerID)
				r.wantReads(3)
				r.wantLog(map[string]int{
					otherKeys + ` keys="key other-for-tests-only (RS256), key for-tests-only (RS256)"`: 1,
					"there are other keys": 1, "level=WARN": 0,
				})
			})
		})
	}
}

// All fetches share one reading, the first one and later ones.
func TestFetchesShareAReading(t *testing.T) {
	t.Parallel()
	older := keyFile(t, "client.jwk.json")
	synctest.Test(t, func(t *testing.T) {
		r := newReloaded(t, 0)
		defer r.close()
		list := []*httpclient.Key{parsedKey(t, older)}
		r.does(func(context.Context) ([]*httpclient.Key, error) {
			pass(3 * time.Second)
			return list, nil
		})
		crowd := func(longest time.Duration) {
			t.Helper()
			start := time.Now()
			var callers sync.WaitGroup
			for range 20 {
				callers.Go(func() {
					if err := r.fetch(); err != nil {
						t.Errorf("got %v, want a token", err)
					}
				})
			}
			callers.Wait()
			if got := time.Since(start); got != longest {
				t.Errorf("got 20 fetches in %v, want %v", got, longest)
			}
		}
		crowd(3 * time.Second)
		r.wantReads(1)
		pass(time.Minute)
		crowd(0)
		r.wantReads(2)
	})
}

// Without any good reading the fetch fails, and the next one reads at once.
func TestFirstReadingFails(t *testing.T) {
	t.Parallel()
	older := keyFile(t, "client.jwk.json")
	synctest.Test(t, func(t *testing.T) {
		r := newReloaded(t, 0)
		defer r.close()
		cause := errors.New("the vault is closed")
		r.fails(cause)
		err := r.fetch()
		if !errors.Is(err, cause) || !errors.Is(err, httpclient.ErrTemporary) ||
			message(err) != "httpclient: check what WithKeySource was given - signing key of client maskinportentest-client: the vault is closed" {
			t.Errorf("got %v, want the cause", err)
		}
		r.wantReads(3) // the attempts of one fetch
		pass(5 * time.Second)
		r.gives(older)
		r.fetches(1, olderID)
		r.wantReads(4)
		r.wantLog(map[string]int{"level=WARN": 0, readAgain: 0})
	})
}

// Refused keys are read again at once, and the fetch tries those that are new. That
// happens once in 10 s, however many are refused.
func TestRefusedKeysAreReadAtOnce(t *testing.T) {
	t.Parallel()
	older, newer := keyFile(t, "client.jwk.json"), keyFile(t, "other.jwk.json")
	registered := newerKey(t)
	for name, refuse := range map[string]func(*maskinportentest.Server){
		"unknown": func(srv *maskinportentest.Server) { srv.RemoveKey(srv.ClientID(), olderID) },
		"expired": func(srv *maskinportentest.Server) { srv.ExpireKey(srv.ClientID(), olderID) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newReloaded(t, time.Hour, older)
				defer r.close()
				r.srv.AddKey(r.srv.ClientID(), registered)
				r.fetches(1, olderID)
				refuse(r.srv)
				r.does(func(context.Context) ([]*httpclient.Key, error) {
					pass(2 * time.Second)
					return []*httpclient.Key{parsedKey(t, newer)}, nil
				})
				start := time.Now()
				var callers sync.WaitGroup
				for range 20 {
					callers.Go(func() {
						if err := r.fetch(); err != nil {
							t.Errorf("got %v, want a token", err)
						}
					})
				}
				callers.Wait()
				if got := time.Since(start); got != 2*time.Second {
					t.Errorf("got tokens after %v, want 2s", got)
				}
				r.wantReads(2)
				if used := r.take(); slices.Index(used, newerID) < 20 || len(used) != 40 {
					t.Errorf("got token requests with %q, want 20 with each key", used)
				}
			})
		})
	}
}

// While the keys stay refused, they are read once in 10 s.
func TestRefusedKeysAreReadOnceInTenSeconds(t *testing.T) {
	t.Parallel()
	older, newer := keyFile(t, "client.jwk.json"), keyFile(t, "other.jwk.json")
	registered := newerKey(t)
	synctest.Test(t, func(t *testing.T) {
		r := newReloaded(t, time.Hour, older)
		defer r.close()
		r.srv.AddKey(r.srv.ClientID(), registered)
		r.fetches(1, olderID)
		r.srv.RemoveKey(r.srv.ClientID(), olderID)
		start := time.Now()
		for time.Since(start) < time.Minute-time.Second {
			if err := r.fetch(); !errors.Is(err, httpclient.ErrUnknownKey) {
				t.Errorf("got %v, want ErrUnknownKey", err)
			}
			pass(time.Second)
		}
		r.wantReads(7)
		// A reading that fails hides nothing: the error is that of the key.
		pass(10 * time.Second)
		r.fails(errors.New("oh"))
		if err := r.fetch(); !errors.Is(err, httpclient.ErrUnknownKey) {
			t.Errorf("got %v, want ErrUnknownKey", err)
		}
		r.wantReads(8) // by a probe, which its caller does not wait for
		r.gives(newer)
		pass(10 * time.Second)
		r.take()
		r.fetches(1, olderID, newerID)
	})
}

// While the previous key works there is no need to read at once.
func TestPreviousKeySparesTheReading(t *testing.T) {
	t.Parallel()
	older, newer := keyFile(t, "client.jwk.json"), keyFile(t, "other.jwk.json")
	synctest.Test(t, func(t *testing.T) {
		r := newReloaded(t, time.Hour, newer, older)
		defer r.close()
		r.fetches(2, newerID, olderID, olderID)
		r.wantReads(1)
	})
}

// Close ends a reading, and no log tells of that.
func TestCloseEndsAReading(t *testing.T) {
	t.Parallel()
	older := keyFile(t, "client.jwk.json")
	synctest.Test(t, func(t *testing.T) {
		r := newReloaded(t, 0, older)
		defer r.close()
		r.fetches(1, olderID)
		pass(time.Minute)
		var ended atomic.Bool
		r.does(func(ctx context.Context) ([]*httpclient.Key, error) {
			<-ctx.Done()
			ended.Store(true)
			return nil, ctx.Err()
		})
		r.fetches(1, olderID)
		start := time.Now()
		r.source.Close()
		if took := time.Since(start); took != 0 || !ended.Load() {
			t.Errorf("got a Close of %v and a reading that ended: %t, want it ended at once", took, ended.Load())
		}
		r.wantLog(map[string]int{"level=WARN": 0})
	})
}

// The wrong arguments are errors, when the token source is made and when keys are asked
// for.
func TestReloadingKeysArguments(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	s := settingsOf(t, srv, nil).WithoutKeys()
	read := func(context.Context) ([]*httpclient.Key, error) { return nil, nil }
	for want, source := range map[string]httpclient.KeySource{
		"httpclient: give ReloadingKeys a function that reads keys - it is nil":                   httpclient.ReloadingKeys(nil, 0),
		"httpclient: give ReloadingKeys the time between two readings, or 0 for 1m0s - it is -1s": httpclient.ReloadingKeys(read, -time.Second),
	} {
		if _, err := source.Keys(t.Context()); message(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if _, err := httpclient.NewTokenSource(s, httpclient.WithKeySource(source)); message(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A program may ask for keys itself, and do what it likes with the list.
func TestReloadingKeysWithoutATokenSource(t *testing.T) {
	t.Parallel()
	list := []*httpclient.Key{parsedKey(t, keyFile(t, "other.jwk.json")), signingKey(t)}
	source := httpclient.ReloadingKeys(func(context.Context) ([]*httpclient.Key, error) { return list, nil }, time.Nanosecond)
	for range 3 {
		got, err := source.Keys(t.Context())
		if err != nil || len(got) != 2 || got[0].KeyID() != newerID || got[1].KeyID() != olderID {
			t.Fatalf("got %v and error %v, want both keys", got, err)
		}
		got[0], got[1] = nil, nil
	}
}

// A caller that leaves does not end the reading, which others may wait for.
func TestReadingOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	jwk := keyFile(t, "client.jwk.json")
	synctest.Test(t, func(t *testing.T) {
		source := httpclient.ReloadingKeys(func(ctx context.Context) ([]*httpclient.Key, error) {
			pass(3 * time.Second)
			return []*httpclient.Key{parsedKey(t, jwk)}, ctx.Err()
		}, 0)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errors.New("gone home")) })
		if _, err := source.Keys(ctx); message(err) != "waiting for the keys to be read: gone home" {
			t.Errorf("got %v, want that the caller left", err)
		}
		start := time.Now()
		if _, err := source.Keys(t.Context()); err != nil || time.Since(start) != 2*time.Second {
			t.Errorf("got error %v after %v, want keys at the end of the same reading", err, time.Since(start))
		}
	})
}

// The log of the token source is reached through a key source of the program's own, too.
func TestReloadingKeysWithinAnotherSource(t *testing.T) {
	t.Parallel()
	older, newer := keyFile(t, "client.jwk.json"), keyFile(t, "other.jwk.json")
	registered := newerKey(t)
	synctest.Test(t, func(t *testing.T) {
		r := newReloaded(t, 0, older)
		defer r.close()
		inner := httpclient.ReloadingKeys(r.read, 0)
		r.source.Close()
		r.source = withoutKey(t, r.srv, httpclient.KeySourceFunc(func(ctx context.Context) ([]*httpclient.Key, error) {
			return inner.Keys(ctx)
		}), httpclient.WithTokenTransport(r), httpclient.WithLogger(r.log.logger(0)))
		r.fetches(1, olderID)
		r.fails(errors.New("oh"))
		pass(time.Minute)
		r.fetches(1, olderID)
		r.wantLog(map[string]int{keptKeys: 1})
		r.srv.RemoveKey(r.srv.ClientID(), olderID)
		r.srv.AddKey(r.srv.ClientID(), registered)
		r.gives(newer)
		r.fetches(1, olderID, newerID)
	})
}

// What holds keys prints none.
func TestReloadingKeysPrintNothing(t *testing.T) {
	t.Parallel()
	jwk := keyFile(t, "client.jwk.json")
	source := httpclient.ReloadingKeys(func(context.Context) ([]*httpclient.Key, error) {
		return []*httpclient.Key{parsedKey(t, jwk)}, nil
	}, 0)
	if _, err := source.Keys(t.Context()); err != nil {
		t.Fatal(err)
	}
	secret := fmt.Sprint(member(t, jwk, "d"))
	if strings.Contains(prints(source), secret[:40]) {
		t.Error("got the private key in print, want it hidden")
	}
	if got, want := fmt.Sprintf("%+v", source), "httpclient.ReloadingKeys"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
