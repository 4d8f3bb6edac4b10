package maskinportentest

import (
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"time"
)

// Client is a client as registered with Maskinporten. A token request is refused
// for a scope as follows:
//
//   - MP-200, 400: the scope does not exist;
//   - MP-201, 400: the scope exists, but is not registered on this client;
//   - MP-250, 403: it is registered, but its owner has not granted it to OrgNo;
//   - MP-251, 403: the organisation in consumer_org has not delegated it to OrgNo.
//
// A scope exists if it is among the Scopes or Granted of any client of the server.
type Client struct {
	// ID is the client id: an assertion's iss. A client without one is unknown.
	ID string
	// Scopes are the scopes that are registered on the client.
	Scopes []string
	// Granted are the scopes that their owners granted to OrgNo. Nil means all of
	// Scopes. It does not matter to a request with consumer_org, which uses the
	// other organisation's access.
	Granted []string
	// Keys are its registered keys; only their public halves are used.
	Keys []Key
	// OrgNo is the nine digits of the organisation that owns the client. An
	// assertion whose consumer_org is the same is refused, and so is a certificate
	// of another organisation. Empty checks neither, and tokens then name
	// "991825827".
	OrgNo string
	// ConsumerOrgs are the organisations that delegated their access to OrgNo:
	// the values allowed for consumer_org. Nil allows all.
	ConsumerOrgs []string
	// Roots are the authorities whose enterprise certificates the client may
	// sign with, named by the header x5c instead of kid. Empty refuses all.
	Roots []*x509.Certificate
}

// registration is a client with its keys as they stand now.
type registration struct {
	Client
	keys []registeredKey
}

type registeredKey struct {
	Key
	from    time.Time // unknown before; zero: works at once
	expired bool
}

// AddClient registers a client, in place of one with the same ID. Its keys work at
// once.
func (s *Server) AddClient(c Client) {
	if !s.works() || c.ID == "" {
		return
	}
	c.Scopes = slices.Clone(c.Scopes)
	c.Granted = slices.Clone(c.Granted)
	c.ConsumerOrgs = slices.Clone(c.ConsumerOrgs)
	c.Roots = slices.Clone(c.Roots)
	r := &registration{Client: c}
	for _, k := range c.Keys {
		r.keys = append(r.keys, registeredKey{Key: k})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[c.ID] = r
}

// AddKey registers a key on a client, in place of one with the same kid. It works
// at once. AddKey reports whether the client exists.
func (s *Server) AddKey(clientID string, k Key) bool { return s.AddKeyAfter(clientID, k, 0) }

// AddKeyAfter is [Server.AddKey] for a key that stays unknown until delay has
// passed on the server's clock. Maskinporten takes up to two minutes.
func (s *Server) AddKeyAfter(clientID string, k Key, delay time.Duration) bool {
	added := registeredKey{Key: k}
	if s.works() && delay > 0 {
		added.from = s.now().Add(delay)
	}
	return s.changeKeys(clientID, func(keys []registeredKey) ([]registeredKey, bool) {
		return append(slices.DeleteFunc(keys, hasID(k.KeyID)), added), true
	})
}

// RemoveKey takes a key off a client: its kid is unknown from now on. It reports
// whether the key was there.
func (s *Server) RemoveKey(clientID, kid string) bool {
	return s.changeKeys(clientID, func(keys []registeredKey) ([]registeredKey, bool) {
		left := slices.DeleteFunc(slices.Clone(keys), hasID(kid))
		return left, len(left) < len(keys)
	})
}

// ExpireKey makes a key one that Maskinporten knows but no longer accepts, as
// after its year: answers say "Expired key" (MP-121). [Server.AddKey] renews it.
// ExpireKey reports whether the key was there.
func (s *Server) ExpireKey(clientID, kid string) bool {
	return s.changeKeys(clientID, func(keys []registeredKey) ([]registeredKey, bool) {
		i := slices.IndexFunc(keys, hasID(kid))
		if i >= 0 {
			keys[i].expired = true
		}
		return keys, i >= 0
	})
}

// changeKeys replaces a client's keys. It reports false for a client that does not
// exist.
func (s *Server) changeKeys(clientID string, change func([]registeredKey) ([]registeredKey, bool)) (done bool) {
	if !s.works() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[clientID]
	if c == nil {
		return false
	}
	c.keys, done = change(c.keys)
	return done
}

func hasID(kid string) func(registeredKey) bool {
	return func(k registeredKey) bool { return k.KeyID == kid }
}

// client returns a client as it is now; later changes do not reach the copy.
func (s *Server) client(id string) (registration, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[id]
	if c == nil {
		return registration{}, false
	}
	found := *c
	found.keys = slices.Clone(c.keys)
	return found, true
}

// organisation is the owner's number, for texts and tokens.
func (c Client) organisation() string { return cmp.Or(c.OrgNo, digdirOrgNo) }

// scopeExists reports whether any client has to do with a scope.
func (s *Server) scopeExists(scope string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		if slices.Contains(c.Scopes, scope) || slices.Contains(c.Granted, scope) {
			return true
		}
	}
	return false
}

// publicKey finds the registered key that an assertion's header names.
func (r registration) publicKey(kid, alg string, now time.Time) (*rsa.PublicKey, *refusal) {
	i := slices.IndexFunc(r.keys, hasID(kid))
	switch {
	case i < 0 || r.keys[i].private == nil || now.Before(r.keys[i].from):
		return nil, authFailed("", "Unknown key identifier (kid) for client")
	case r.keys[i].expired:
		return nil, authFailed("MP-121", "Expired key")
	case r.keys[i].Algorithm != "" && r.keys[i].Algorithm != alg:
		return nil, authFailed("", "Invalid JWT. The key is registered for another algorithm")
	}
	return &r.keys[i].private.PublicKey, nil
}
