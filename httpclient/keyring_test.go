package httpclient_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/httpclient"
)

// While Maskinporten does not know the newest key, the previous one is used. Only one
// fetch in two minutes asks with the newest, and the log tells it once.
func TestUnknownKeyIsRemembered(t *testing.T) {
	t.Parallel()
	older, newer := keyFile(t, "client.jwk.json"), keyFile(t, "other.jwk.json")
	registered := newerKey(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRing(t, newer, older)
		defer r.close()
		r.fetches(3, newerID, olderID, olderID, olderID)
		r.offer(newer, older) // read again: they are the same keys
		pass(2*time.Minute - time.Second)
		r.fetches(2, olderID, olderID)

		pass(time.Second)
		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() {
				if err := r.fetch(); err != nil {
					t.Errorf("got %v, want a token", err)
				}
			})
		}
		callers.Wait()
		kids := r.take()
		if got := slices.DeleteFunc(slices.Clone(kids), func(kid string) bool { return kid == olderID }); len(kids) != 21 || !slices.Equal(got, []string{newerID}) {
			t.Errorf("got %q of 20 fetches at once, want one with the newer key besides the older", kids)
		}

		r.srv.AddKey(r.srv.ClientID(), registered)
		pass(time.Minute)
		r.fetches(1, olderID)
		pass(time.Minute)
		r.fetches(2, newerID, newerID)
		synctest.Wait()
		for want, n := range map[string]int{
			`level=WARN msg="httpclient: register key other-for-tests-only (RS256) if this lasts longer than 2 minutes: it is not known yet: key for-tests-only (RS256) is used until Maskinporten accepts it" client_id=maskinportentest-client`: 1,
			`level=INFO msg="httpclient: Maskinporten accepts key other-for-tests-only (RS256) now: it is used" client_id=maskinportentest-client`:                                                                                                1,
			"level=WARN": 1,
		} {
			if got := strings.Count(r.log.String(), want); got != n {
				t.Errorf("got %d times %s, want %d:\n%s", got, want, n, r.log.String())
			}
		}
	})
}

// An expired registration is remembered as well, and the log says so.
func TestEndedRegistrationIsRemembered(t *testing.T) {
	t.Parallel()
	older, newer := keyFile(t, "client.jwk.json"), keyFile(t, "other.jwk.json")
	registered := newerKey(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRing(t, newer, older)
		defer r.close()
		r.srv.AddKey(r.srv.ClientID(), registered)
		r.srv.ExpireKey(r.srv.ClientID(), newerID)
		r.fetches(2, newerID, olderID, olderID)
		synctest.Wait()
		want := "register key other-for-tests-only (RS256) again, or replace it: its registration has ended: key for-tests-only (RS256) is used"
		if got := strings.Count(r.log.String(), want); got != 1 {
			t.Errorf("got %d times %s, want once:\n%s", got, want, r.log.String())
		}
	})
}

// If Maskinporten knows none of the keys, each fetch tries them all, newest first, and
// the error is about the newest.
func TestAllKeysUnknown(t *testing.T) {
	t.Parallel()
	older, newer := keyFile(t, "client.jwk.json"), keyFile(t, "other.jwk.json")
	registered := newerKey(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRing(t, newer, older)
		defer r.close()
		r.srv.RemoveKey(r.srv.ClientID(), olderID)
		for range 2 {
			if err := r.fetch(); !errors.Is(err, httpclient.ErrUnknownKey) || !strings.Contains(message(err), newerID) {
				t.Errorf("got %v, want ErrUnknownKey of the newest key", err)
			}
			if diff := cmp.Diff([]string{newerID, olderID}, r.take()); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
			pass(10 * time.Second)
		}
		r.srv.AddKey(r.srv.ClientID(), registered)
		r.fetches(2, newerID, newerID)
		synctest.Wait()
		if strings.Contains(r.log.String(), "is used") {
			t.Errorf("got this log, want nothing about keys that take one another's place:\n%s", r.log.String())
		}
	})
}

// The previous key is forgotten while the newest still counts as unknown: no fetch
// fails.
func TestPreviousKeyIsForgotten(t *testing.T) {
	t.Parallel()
	older, newer := keyFile(t, "client.jwk.json"), keyFile(t, "other.jwk.json")
	registered := newerKey(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRing(t, newer, older)
		defer r.close()
		r.fetches(1, newerID, olderID)
		r.srv.AddKey(r.srv.ClientID(), registered)
		r.srv.RemoveKey(r.srv.ClientID(), olderID)
		r.fetches(2, olderID, newerID, newerID)
		synctest.Wait()
		if got := strings.Count(r.log.String(), "level=WARN"); got != 1 {
			t.Errorf("got %d warnings, want one only, of the newer key:\n%s", got, r.log.String())
		}
	})
}

// A key that the source no longer lists is forgotten, and so is one whose private key
// was replaced under the same id.
func TestRefusedKeysAreForgotten(t *testing.T) {
	t.Parallel()
	older, newer := keyFile(t, "client.jwk.json"), keyFile(t, "other.jwk.json")
	wrong := jwkWith(t, map[string]any{"kid": newerID}) // of the older's numbers
	registered := newerKey(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRing(t, newer, older)
		defer r.close()
		r.fetches(2, newerID, olderID, olderID)
		r.offer(older)
		r.fetches(1, olderID)
		r.offer(newer, older)
		r.fetches(1, newerID, olderID)

		r.srv.AddKey(r.srv.ClientID(), registered)
		r.offer(wrong, older)
		r.fetches(2, newerID, olderID, olderID) // its signature is refused
		r.offer(newer, older)
		r.fetches(1, newerID)
	})
}

// A key that does not sign costs no request. It is tried each time, so that it is used
// as soon as it signs.
func TestKeyThatDoesNotSignIsNotRemembered(t *testing.T) {
	t.Parallel()
	older := keyFile(t, "client.jwk.json")
	registered := newerKey(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRing(t)
		defer r.close()
		r.srv.AddKey(r.srv.ClientID(), registered)
		device := &lockable{Signer: registered.Signer()}
		device.locked.Store(true)
		key, err := httpclient.NewKey(device, newerID, "")
		if err != nil {
			t.Fatal(err)
		}
		r.offered.Store(&[]*httpclient.Key{key, parsedKey(t, older)})
		r.fetches(2, olderID, olderID)
		device.locked.Store(false)
		r.fetches(1, newerID)
	})
}

// lockable signs while it is not locked.
type lockable struct {
	crypto.Signer
	locked atomic.Bool
}

func (l *lockable) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if l.locked.Load() {
		return nil, errors.New("locked")
	}
	return l.Signer.Sign(random, digest, opts)
}

// A key that has expired is tried last, whatever its place.
func TestExpiredKeyIsTriedLast(t *testing.T) {
	t.Parallel()
	leaf, _ := enterprise(t, time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour))
	expired, err := httpclient.NewCertificateKey(leaf.key.(*rsa.PrivateKey), []*x509.Certificate{leaf.cert}, "")
	if err != nil {
		t.Fatal(err)
	}
	srv := newDouble(t)
	unknown := parsedKey(t, keyFile(t, "other.jwk.json"))
	// The error is that of the key that was tried first.
	if _, err := withoutKey(t, srv, keys(expired, unknown)).Token(t.Context()); !errors.Is(err, httpclient.ErrUnknownKey) {
		t.Errorf("got %v, want the error of the key that has not expired", err)
	}
	if _, err := withoutKey(t, srv, keys(unknown, expired)).Token(t.Context()); !errors.Is(err, httpclient.ErrUnknownKey) {
		t.Errorf("got %v, want the error of the key that has not expired", err)
	}
	if _, err := withoutKey(t, srv, keys(expired, signingKey(t))).Token(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := withoutKey(t, srv, keys(expired)).Token(t.Context()); !errors.Is(err, httpclient.ErrExpiredKey) {
		t.Errorf("got %v, want ErrExpiredKey of the only key", err)
	}
}

// When a key's end is reached, the others come first. It is still tried when they are
// refused: what tells its end may be wrong.
func TestKeyThatExpiresInUse(t *testing.T) {
	t.Parallel()
	older, newer := keyFile(t, "client.jwk.json"), keyFile(t, "other.jwk.json")
	registered := newerKey(t)
	synctest.Test(t, func(t *testing.T) {
		r := newRing(t)
		defer r.close()
		r.srv.AddKey(r.srv.ClientID(), registered)
		ending := parsedKey(t, newer).WithLife(time.Time{}, time.Now().Add(time.Hour))
		r.offered.Store(&[]*httpclient.Key{ending, parsedKey(t, older)})
		r.fetches(1, newerID)
		pass(time.Hour - time.Second)
		r.fetches(1, newerID)
		pass(time.Second)
		r.fetches(2, olderID, olderID)
		r.srv.RemoveKey(r.srv.ClientID(), olderID)
		r.fetches(2, olderID, newerID, olderID, newerID) // also after a key that was refused

		ended := parsedKey(t, older).WithLife(time.Time{}, time.Now())
		r.offered.Store(&[]*httpclient.Key{ending, ended})
		r.fetches(1, newerID)
		r.offered.Store(&[]*httpclient.Key{ending})
		r.fetches(1, newerID)
	})
}

// If Maskinporten refuses all keys, any source is asked once more, and keys that it did
// not list before are tried. The keys that were refused are not.
func TestRefusedFetchAsksTheSourceAgain(t *testing.T) {
	t.Parallel()
	older, newer := parsedKey(t, keyFile(t, "client.jwk.json")), parsedKey(t, keyFile(t, "other.jwk.json"))
	for name, c := range map[string]struct {
		again []*httpclient.Key
		err   error
		want  []string
		is    error
	}{
		"a new key":          {again: []*httpclient.Key{older}, want: []string{newerID, olderID}},
		"a new key too":      {again: []*httpclient.Key{newer, older}, want: []string{newerID, olderID}},
		"the same key":       {again: []*httpclient.Key{newer}, want: []string{newerID}, is: httpclient.ErrUnknownKey},
		"the same key anew":  {again: []*httpclient.Key{parsedKey(t, keyFile(t, "other.jwk.json"))}, want: []string{newerID}, is: httpclient.ErrUnknownKey},
		"no key":             {want: []string{newerID}, is: httpclient.ErrUnknownKey},
		"the source fails":   {err: errors.New("oh"), want: []string{newerID}, is: httpclient.ErrUnknownKey},
		"a key that is nil":  {again: []*httpclient.Key{nil, newer}, want: []string{newerID}},
		"nil, and a new key": {again: []*httpclient.Key{nil, older}, want: []string{newerID, olderID}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn)
				defer srv.Close()
				r := &ring{t: t, srv: srv}
				var asked atomic.Int64
				source := withoutKey(t, srv, httpclient.KeySourceFunc(func(context.Context) ([]*httpclient.Key, error) {
					if asked.Add(1) == 1 {
						return []*httpclient.Key{newer}, nil
					}
					return c.again, c.err
				}), httpclient.WithTokenTransport(r))
				defer source.Close()
				_, err := source.Token(t.Context())
				if c.is != nil && !errors.Is(err, c.is) || (err == nil) != slices.Contains(c.want, olderID) {
					t.Errorf("got %v, want %v", err, c.is)
				}
				kids := r.take()
				if diff := cmp.Diff(c.want, kids); diff != "" {
					t.Errorf("keys (-want +got):\n%s", diff)
				}
			})
		})
	}
}
