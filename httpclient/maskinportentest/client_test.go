package maskinportentest_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

func TestClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t,
		maskinportentest.WithClient(maskinportentest.Client{ID: "first", Scopes: []string{"a", "b"}, Keys: []maskinportentest.Key{other()}}),
		maskinportentest.WithClient(maskinportentest.Client{ID: "second", Scopes: []string{"c"}, Keys: []maskinportentest.Key{key()}}),
	)
	if w.ClientID() != "first" || w.EncodedJWK() != other().EncodedJWK() || w.Section()["Scope"] != "a b" {
		t.Errorf("got default client %s with scope %v, want the first one given", w.ClientID(), w.Section()["Scope"])
	}
	w.token(set("iss", "second"), set("scope", "c"))
	if got := w.post(sign(t, key(), header(), w.claims(set("scope", "a")))); !strings.Contains(got.raw, "Unknown key identifier") {
		t.Errorf("another client's key: got %d %s, want that it is unknown", got.status, got.raw)
	}
	w.AddClient(maskinportentest.Client{ID: "second", Scopes: []string{"d"}, Keys: []maskinportentest.Key{key()}})
	if got := w.post(sign(t, key(), header(), w.claims(set("iss", "second"), set("scope", "c")))); !strings.Contains(got.raw, "invalid_scope") {
		t.Errorf("a scope of the old registration: got %d %s, want invalid_scope", got.status, got.raw)
	}
}

// An assertion without iss is of no client, whatever is registered.
func TestClientWithoutAnID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AddClient(maskinportentest.Client{Scopes: []string{scope}, Keys: []maskinportentest.Key{key()}})
	got := w.post(sign(t, key(), header(), w.claims(without("iss"))))
	checkRefusal(t, w, got, 401, "invalid_client", "MP-100", "Invalid assertion. Client authentication failed. Client not found")
}

// A change of the caller's slices does not reach the server, and the server does not
// change them.
func TestClientsAreCopied(t *testing.T) {
	t.Parallel()
	c := maskinportentest.Client{Scopes: []string{scope}, Keys: []maskinportentest.Key{key()}}
	one := newWorld(t, maskinportentest.WithClient(c))
	two := newWorld(t, maskinportentest.WithClient(c))
	one.ExpireKey(one.ClientID(), kid)
	one.RemoveKey(one.ClientID(), kid)
	c.Scopes[0] = "changed"
	two.token()
}

func TestClientKeepsItsScopes(t *testing.T) {
	t.Parallel()
	c := maskinportentest.Client{ID: "two", Scopes: []string{"a"}, Granted: []string{"a"}, Keys: []maskinportentest.Key{key()}}
	w := newWorld(t)
	w.AddClient(c)
	c.Scopes[0], c.Granted[0] = "changed", "changed"
	w.token(set("iss", "two"), set("scope", "a"))
}

// refusalOf posts an assertion by a key, and returns what the refusal says about the
// key: "" for a token.
func (w *world) refusalOf(k maskinportentest.Key) string {
	w.t.Helper()
	h := header()
	h["kid"] = k.KeyID
	got := w.post(sign(w.t, k, h, w.claims()))
	d, _ := got.json["error_description"].(string)
	text, _, _ := strings.Cut(strings.TrimPrefix(d, "Invalid assertion. Client authentication failed. "), ". (trace_id")
	return text
}

const unknownKey = "Unknown key identifier (kid) for client"

func TestRotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	try := func(k maskinportentest.Key, want string) {
		t.Helper()
		if got := w.refusalOf(k); got != want {
			t.Errorf("key %s: got refusal %q, want %q", k.KeyID, got, want)
		}
	}
	is := func(got, want bool) {
		t.Helper()
		if got != want {
			t.Errorf("got %t, want %t", got, want)
		}
	}
	try(other(), unknownKey)
	is(w.AddKey(w.ClientID(), other()), true)
	try(other(), "")
	try(key(), "")
	is(w.ExpireKey(w.ClientID(), kid), true)
	try(key(), "Expired key")
	is(w.AddKey(w.ClientID(), key()), true)
	try(key(), "")
	is(w.RemoveKey(w.ClientID(), kid), true)
	try(key(), unknownKey)
	try(other(), "")
	is(w.AddKey("nobody", key()), false)
	is(w.AddKeyAfter("nobody", key(), time.Minute), false)
	is(w.RemoveKey("nobody", kid), false)
	is(w.ExpireKey("nobody", kid), false)
	is(w.RemoveKey(w.ClientID(), kid), false)
	is(w.ExpireKey(w.ClientID(), kid), false)
	if w.EncodedJWK() != key().EncodedJWK() {
		t.Error("got another default key after rotation, want the same")
	}
}

// A new key is unknown for a while by the server's clock, and then works.
func TestAddKeyAfter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	try := func(when string, k maskinportentest.Key, want string) {
		t.Helper()
		if got := w.refusalOf(k); got != want {
			t.Errorf("%s: got refusal %q, want %q", when, got, want)
		}
	}
	if !w.AddKeyAfter(w.ClientID(), other(), 2*time.Minute) {
		t.Fatal("got false, want the client to exist")
	}
	try("at once", other(), unknownKey)
	try("at once, the old key", key(), "")
	w.advance(2*time.Minute - 1)
	try("a moment before", other(), unknownKey)
	w.advance(1)
	try("after the delay", other(), "")
	if !w.AddKeyAfter(w.ClientID(), other(), time.Minute) {
		t.Fatal("got false, want the client to exist")
	}
	try("added again with a delay", other(), unknownKey)
	w.AddKeyAfter(w.ClientID(), other(), -time.Minute)
	try("added again without one", other(), "")
	w.AddKeyAfter(w.ClientID(), other(), time.Minute)
	w.RemoveKey(w.ClientID(), other().KeyID)
	w.advance(time.Minute)
	try("removed before it worked", other(), unknownKey)
}

func TestAddKeyAfterInABubble(t *testing.T) {
	t.Parallel()
	first, second := key(), other()
	synctest.Test(t, func(t *testing.T) {
		srv := maskinportentest.NewPipe(maskinportentest.WithKey(first))
		defer srv.Close()
		w := &world{Server: srv, t: t, client: srv.Client(), clock: time.Now}
		srv.AddKeyAfter(srv.ClientID(), second, 2*time.Minute)
		for _, want := range []string{unknownKey, unknownKey, ""} {
			if got := w.refusalOf(second); got != want {
				t.Errorf("got refusal %q, want %q", got, want)
			}
			<-time.After(time.Minute) // the bubble's time
		}
	})
}

func TestRotationWhileInUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			default:
				w.AddKey(w.ClientID(), other())
				w.AddKey(w.ClientID(), key())
				w.ExpireKey(w.ClientID(), other().KeyID)
				w.RemoveKey(w.ClientID(), other().KeyID)
			}
		}
	}()
	for range 50 {
		w.token()
	}
	close(done)
	<-stopped
}
