package maskinportentest

import (
	"fmt"
	"strings"
)

// Issuer is Maskinporten's issuer, which assertions must name as aud exactly as
// it is spelt. See [WithIssuer].
func (s *Server) Issuer() string {
	switch {
	case !s.works():
		return ""
	case s.cfg.issuer != "":
		return s.cfg.issuer
	}
	return s.server.URL + "/"
}

// base is the issuer with a trailing slash, for the URLs below it.
func (s *Server) base() string { return strings.TrimSuffix(s.Issuer(), "/") + "/" }

// TokenURL is the address of Maskinporten's token endpoint.
func (s *Server) TokenURL() string {
	if !s.works() {
		return ""
	}
	return s.base() + "token"
}

// PlatformURL is the base URL of Altinn's exchange without a trailing slash. See
// [WithPlatform].
func (s *Server) PlatformURL() string {
	switch {
	case !s.works():
		return ""
	case s.cfg.platform != "":
		return s.cfg.platform
	}
	return s.server.URL
}

// ClientID is the default client's ID.
func (s *Server) ClientID() string {
	if !s.works() {
		return ""
	}
	return s.cfg.clients[0].ID
}

// Key is the default client's first key. It stays the same when that key is
// removed or others are added.
func (s *Server) Key() Key {
	if !s.works() {
		return Key{}
	}
	if keys := s.cfg.clients[0].Keys; len(keys) > 0 {
		return keys[0]
	}
	s.generate.Do(func() {
		s.generated = NewKey("maskinportentest-only-for-tests")
		s.AddKey(s.ClientID(), s.generated)
	})
	return s.generated
}

// EncodedJWK is [Server.Key] as the setting EncodedJwk holds it.
func (s *Server) EncodedJWK() string { return s.Key().EncodedJWK() }

// Section is the settings of the default client, as they stand under
// MaskinportenSettings: Environment, ClientId, Scope, EncodedJwk and
// TokenExchangeEnvironment, all strings. Add ExhangeToAltinnToken to have tokens
// exchanged. Each call returns a new map, empty for a nil or zero Server.
func (s *Server) Section() map[string]any {
	if !s.works() {
		return map[string]any{}
	}
	return map[string]any{
		"Environment":              s.Issuer(),
		"ClientId":                 s.ClientID(),
		"Scope":                    strings.Join(s.cfg.clients[0].Scopes, " "),
		"EncodedJwk":               s.EncodedJWK(),
		"TokenExchangeEnvironment": s.PlatformURL(),
	}
}

// Format prints where the server is and nothing of what it holds.
func (s *Server) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "maskinportentest.Server(%s)", s.Issuer())
}
