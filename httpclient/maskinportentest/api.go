package maskinportentest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Token describes a token that reached a protected handler. It does not hold the
// token itself.
type Token struct {
	// Altinn tells an exchanged Altinn token from a Maskinporten token.
	Altinn bool
	// ClientID and Scopes are whom it was issued to and for what.
	ClientID string
	Scopes   []string
	// Assertion is the claims of the assertion behind it, such as resource,
	// consumer_org, pid and authorization_details. Numbers are json.Number. All
	// requests with the token share Assertion and Scopes: do not change them.
	Assertion map[string]any
	// IssuedAt and ExpiresAt are its life by the server's clock.
	IssuedAt, ExpiresAt time.Time

	orgNo     string         // of the client's organisation
	clientAMR string         // how the client authenticated
	claims    map[string]any // of the token itself
}

type tokenKey struct{}

// TokenFrom describes the token of the request that ctx belongs to. It finds one
// in handlers of [Server.Handle] and [Server.RequireToken] only.
func TokenFrom(ctx context.Context) (Token, bool) {
	if ctx == nil {
		return Token{}, false
	}
	t, ok := ctx.Value(tokenKey{}).(Token)
	return t, ok
}

// Handle serves h on this server for requests that match pattern (see
// [http.ServeMux]) and carry a token as [Server.RequireToken] wants it. A nil h
// answers 404. Like ServeMux, Handle panics on a pattern that is invalid or taken.
func (s *Server) Handle(pattern string, h http.Handler, scopes ...string) {
	if s.works() {
		s.mux.Handle(pattern, s.guard(h, scopes))
	}
}

// RequireToken protects a handler of a server of your own. It passes on a request with
// exactly one bearer token. This server must have issued the token, as Maskinporten or
// by the exchange. The token must be neither expired nor revoked, and have all the
// scopes. Others get 401, or 403 for a missing scope, and a WWW-Authenticate header as
// RFC 6750 describes. A nil next answers 404.
func (s *Server) RequireToken(next http.Handler, scopes ...string) http.Handler {
	guarded := s.guard(next, scopes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.add(func(st *Stats) { st.APIRequests++ })
		guarded.ServeHTTP(w, r)
	})
}

func (s *Server) guard(next http.Handler, scopes []string) http.Handler {
	scopes = slices.Clone(scopes)
	if next == nil {
		next = http.NotFoundHandler()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, why := s.authenticate(r.Header)
		if why != "" {
			challenge := fmt.Sprintf("Bearer realm=%q", "maskinportentest")
			if why != noToken {
				challenge += fmt.Sprintf(", error=%q, error_description=%q", "invalid_token", why)
			}
			s.deny(w, http.StatusUnauthorized, challenge, why)
			return
		}
		for _, scope := range scopes {
			if !slices.Contains(t.Scopes, scope) {
				s.deny(w, http.StatusForbidden, fmt.Sprintf("Bearer realm=%q, error=%q, scope=%q",
					"maskinportentest", "insufficient_scope", strings.Join(scopes, " ")), "scope "+scope+" is missing")
				return
			}
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, t)))
	})
}

func (s *Server) deny(w http.ResponseWriter, status int, challenge, why string) {
	s.refused("api", status, why)
	w.Header().Set("WWW-Authenticate", challenge)
	http.Error(w, http.StatusText(status), status)
}

const unknownToken = "unknown token"

// noToken is the only reason without an error code in RFC 6750.
const noToken = "no bearer token"

// authenticate finds the token that a request carries, or says why it is refused.
func (s *Server) authenticate(h http.Header) (t Token, why string) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return Token{}, noToken
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return Token{}, "not exactly one bearer token"
	}
	if !s.works() {
		return Token{}, unknownToken
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.tokens[token]
	switch {
	case found == nil:
		return Token{}, unknownToken
	case found.revoked:
		return Token{}, "token revoked"
	case !now.Before(found.ExpiresAt):
		return Token{}, "token expired"
	}
	return found.Token, ""
}

// Revoke makes the API and the exchange refuse a token from now on. A token that
// this server never issued is ignored.
func (s *Server) Revoke(token string) {
	if !s.works() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tokens[token]; t != nil {
		t.revoked = true
	}
}

// RevokeAll revokes every token issued so far.
func (s *Server) RevokeAll() {
	if !s.works() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tokens {
		t.revoked = true
	}
}
