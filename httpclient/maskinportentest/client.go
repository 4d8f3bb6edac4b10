package maskinportentest

import (
	"crypto/rsa"
	"crypto/x509"
	"slices"
)

// Client is a client as registered with Maskinporten.
type Client struct {
	// ID is the client id: an assertion's iss.
	ID string
	// Scopes are the scopes it may ask for.
	Scopes []string
	// Keys are its registered keys; only their public halves are used.
	Keys []Key
	// OrgNo is the nine digits of the organisation that owns it. An assertion
	// whose consumer_org is the same is refused, and so is a certificate made
	// out to another one. Empty checks neither.
	OrgNo string
	// ConsumerOrgs are the organisations that delegated their access to OrgNo:
	// the values allowed for consumer_org. Nil allows all.
	ConsumerOrgs []string
	// Roots are the authorities whose enterprise certificates the client may
	// sign with, named by the header x5c instead of kid. None refuses all.
	Roots []*x509.Certificate
}

// AddClient registers a client, in place of one with the same ID.
func (s *Server) AddClient(c Client) {
	c.Scopes = slices.Clone(c.Scopes)
	c.Keys = slices.Clone(c.Keys)
	c.ConsumerOrgs = slices.Clone(c.ConsumerOrgs)
	c.Roots = slices.Clone(c.Roots)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[c.ID] = &c
}

// AddKey registers a key on a client, valid at once, in place of one with the
// same kid. It reports whether the client exists.
func (s *Server) AddKey(clientID string, k Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[clientID]
	if c == nil {
		return false
	}
	c.Keys = append(slices.DeleteFunc(c.Keys, hasID(k.KeyID)), k)
	return true
}

// RemoveKey takes a key off a client: its kid is unknown from now on. It
// reports whether it was there.
func (s *Server) RemoveKey(clientID, kid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[clientID]
	if c == nil || !slices.ContainsFunc(c.Keys, hasID(kid)) {
		return false
	}
	c.Keys = slices.DeleteFunc(c.Keys, hasID(kid))
	return true
}

// ExpireKey makes a key one that Maskinporten knows but no longer accepts, as
// after its year: answers say "Expired key" (MP-121). Adding it again renews it.
// It reports whether it was there.
func (s *Server) ExpireKey(clientID, kid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[clientID]
	if c == nil {
		return false
	}
	i := slices.IndexFunc(c.Keys, hasID(kid))
	if i >= 0 {
		c.Keys[i].expired = true
	}
	return i >= 0
}

func hasID(kid string) func(Key) bool { return func(k Key) bool { return k.KeyID == kid } }

// client returns a client as it is now; later changes do not reach the copy.
func (s *Server) client(id string) (Client, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[id]
	if c == nil {
		return Client{}, false
	}
	found := *c
	found.Keys = slices.Clone(c.Keys)
	return found, true
}

// publicKey finds the registered key that an assertion's header names.
func (c Client) publicKey(kid, alg string) (*rsa.PublicKey, *refusal) {
	i := slices.IndexFunc(c.Keys, hasID(kid))
	switch {
	case i < 0 || c.Keys[i].private == nil:
		return nil, authFailed("", "Unknown key identifier (kid) for client")
	case c.Keys[i].expired:
		return nil, authFailed("MP-121", "Expired key")
	case c.Keys[i].Algorithm != "" && c.Keys[i].Algorithm != alg:
		return nil, authFailed("", "Invalid JWT. The key is registered for another algorithm")
	}
	return &c.Keys[i].private.PublicKey, nil
}
