package maskinportentest

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Stats is what a server has seen since it started. Requests count on arrival,
// also those that a fault hit or that were refused.
type Stats struct {
	// TokenRequests arrived at the token endpoint.
	TokenRequests int
	// TokensIssued are the Maskinporten tokens that it issued.
	TokensIssued int
	// Exchanges are requests that arrived at the Altinn exchange.
	Exchanges int
	// AltinnTokensIssued are the tokens that the exchange issued.
	AltinnTokensIssued int
	// Metadata are requests for the issuer's metadata, at either of its addresses.
	Metadata int
	// APIRequests arrived at handlers of [Server.Handle] and
	// [Server.RequireToken].
	APIRequests int
	// Refused are the requests that any of these refused. Answers of a fault are not
	// among them.
	Refused int
	// JTIs are the different assertions by iss and jti.
	JTIs int
	// LastAssertion is the latest readable assertion, accepted or not.
	LastAssertion Assertion
}

// Assertion is what a client's assertion said, without its signature, as
// encoding/json decodes it: numbers are float64. Both are nil before the first.
type Assertion struct {
	Header, Claims map[string]any
}

type lastAssertion struct{ header, claims []byte }

// jti identifies an assertion: clients choose theirs independently.
type jti struct{ iss, id string }

// Stats returns the counts so far. The result is the caller's to keep.
func (s *Server) Stats() Stats {
	if !s.works() {
		return Stats{}
	}
	s.mu.Lock()
	st, last := s.stats, s.last
	s.mu.Unlock()
	// Both were decoded before they were kept; nil leaves the maps nil.
	_ = json.Unmarshal(last.header, &st.LastAssertion.Header)
	_ = json.Unmarshal(last.claims, &st.LastAssertion.Claims)
	return st
}

// Refusals lists which requests were refused and why, oldest first, such as
// "token: 400 invalid_grant MP-121: ... Expired key". The last 1000 are kept. They
// hold no assertion and no token.
func (s *Server) Refusals() []string {
	if !s.works() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.refusals)
}

func (s *Server) add(change func(*Stats)) {
	if !s.works() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.stats)
}

func (s *Server) refused(where string, status int, why string) {
	if !s.works() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Refused++
	s.refusals = append(s.refusals, fmt.Sprintf("%s: %d %s", where, status, why))
	if over := len(s.refusals) - maxRefusals; over > 0 {
		s.refusals = slices.Delete(s.refusals, 0, over)
	}
}

// noteAssertion records an assertion on arrival and reports whether its jti
// came before. What cannot be read has no jti to remember.
func (s *Server) noteAssertion(assertion string) (replayed bool) {
	a, bad := parseAssertion(assertion)
	if bad != nil {
		return false
	}
	iss, _ := a.claims["iss"].(string)
	id, _ := a.claims["jti"].(string)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = lastAssertion{a.rawHeader, a.rawClaims}
	if id == "" {
		return false
	}
	key := jti{iss, id}
	if s.jtis[key] {
		return true
	}
	s.jtis[key] = true
	s.stats.JTIs++
	return false
}
