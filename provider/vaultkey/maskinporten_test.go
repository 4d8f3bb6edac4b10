package vaultkey_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/provider/vaultkey"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// private is two keys, as Maskinporten's double has them. Their ids are for the test to
// set.
func private() (older, newer maskinportentest.Key) {
	return maskinportentest.NewKey("older"), maskinportentest.NewKey("newer")
}

// tokens makes a token source of srv that signs with keys.
func tokens(t *testing.T, srv *maskinportentest.Server, keys httpclient.KeySource) *httpclient.TokenSource {
	t.Helper()
	section := srv.Section()
	section["EncodedJwk"] = ""
	settings, err := httpclient.ParseSettings(section)
	if err != nil {
		t.Fatal(err)
	}
	source, err := httpclient.NewTokenSource(settings, httpclient.WithKeySource(keys),
		httpclient.WithTokenTransport(srv.Transport()), httpclient.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// A key that never leaves the vault gives a token of Maskinporten's.
func TestTokenWithAVaultsKey(t *testing.T) {
	t.Parallel()
	registered, _ := private()
	for _, algorithm := range []string{"RS256", "RS384", "RS512"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			vault := vaulttest.NewServer()
			defer vault.Close()
			vault.CreateKey(vaulttest.Key{Name: keyName, Private: registered.Signer()})
			cfg := configFor(t, vault)
			cfg.Algorithm = algorithm
			key := newest(t, open(t, cfg), 1)[0]
			known := registered
			known.KeyID, known.Algorithm = key.KeyID(), algorithm
			srv := maskinportentest.NewServer(maskinportentest.WithKey(known))
			defer srv.Close()

			signing, err := httpclient.NewKey(key, key.KeyID(), key.Algorithm())
			if err != nil {
				t.Fatal(err)
			}
			source := tokens(t, srv, httpclient.KeySourceFunc(func(context.Context) ([]*httpclient.Key, error) {
				return []*httpclient.Key{signing}, nil
			}))
			defer source.Close()
			for range 3 {
				if _, err := source.Token(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			header := srv.Stats().LastAssertion.Header
			if header["alg"] != algorithm || header["kid"] != key.KeyID() || vault.Stats().Signs != 1 || srv.Stats().Refused != 0 {
				t.Errorf("got %v after %d signatures, want %s of %s after one", header, vault.Stats().Signs, algorithm, key.KeyID())
			}
		})
	}
}

// reread reads a source's keys again when a minute has passed.
type reread struct {
	source *vaultkey.Source
	last   time.Time
	keys   []*httpclient.Key
}

func (r *reread) Keys(ctx context.Context) (_ []*httpclient.Key, err error) {
	if time.Since(r.last) >= time.Minute {
		r.keys, err = vaultkey.Keys(ctx, r.source, 2, httpclient.NewKey)
		r.last = time.Now()
	}
	return r.keys, err
}

// The vault makes a new version before Maskinporten knows it, as a rotation policy
// does. The previous version signs until then, and no request fails.
func TestRotation(t *testing.T) {
	t.Parallel()
	older, newer := private()
	synctest.Test(t, func(t *testing.T) {
		vault := vaulttest.NewPipe()
		defer vault.Close()
		first := vault.CreateKey(vaulttest.Key{Name: keyName, Private: older.Signer()})
		source := open(t, configFor(t, vault))
		older.KeyID = newest(t, source, 2)[0].KeyID()
		srv := maskinportentest.NewPipe(maskinportentest.WithKey(older), maskinportentest.WithTokenLifetime(10*time.Second))
		defer srv.Close()
		client := tokens(t, srv, &reread{source: source})
		defer client.Close()

		steps := map[time.Duration]func(){
			1 * time.Minute: func() { vault.CreateKey(vaulttest.Key{Name: keyName, Private: newer.Signer()}) },
			4 * time.Minute: func() {
				newer.KeyID = newest(t, source, 2)[0].KeyID()
				srv.AddKeyAfter(srv.ClientID(), newer, 2*time.Minute)
			},
			8 * time.Minute:  func() { vault.DisableKey(keyName, first) },
			10 * time.Minute: func() { srv.RemoveKey(srv.ClientID(), older.KeyID) },
		}
		start := time.Now()
		used := map[string]time.Duration{} // by key id, since when
		var order []string
		for time.Since(start) < 12*time.Minute {
			if step := steps[time.Since(start)]; step != nil {
				step()
			}
			if _, err := client.Token(t.Context()); err != nil {
				t.Errorf("after %v: got %v, want a token", time.Since(start), err)
			}
			synctest.Wait()
			token, _ := srv.Stats().LastAssertion.Header["kid"].(string)
			if _, seen := used[token]; !seen && token != "" {
				used[token], order = time.Since(start), append(order, token)
			}
			<-time.After(time.Second)
		}
		if !slices.Equal(order, []string{older.KeyID, newer.KeyID}) {
			t.Errorf("got assertions by %v, want by the older version and then by the newer", used)
		}
		// Until the newer version was known, Maskinporten refused it and the older one signed.
		if srv.Stats().Refused == 0 {
			t.Error("Maskinporten refused nothing: the test plays no rotation")
		}
	})
}
