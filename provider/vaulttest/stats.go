package vaulttest

import (
	"maps"
	"net/http"
	"strings"
	"sync"
)

// Stats counts the requests that arrived, whatever they were answered and
// whether or not a fault hit them.
type Stats struct {
	// Challenges is the number of requests to the vault without a token.
	Challenges int
	// Lists and Gets are the requests with a token, one a page and one a secret.
	Lists, Gets int
	// GetsByName splits Gets by the secret's name as it was requested.
	GetsByName map[string]int
	// Metadata and Tokens are the requests to Entra.
	Metadata, Tokens int
	// Refused is how many requests the server itself, not a fault, answered with
	// an error. The challenge to a request without a token is none.
	Refused int
	// MaxInFlight is the largest number of requests that the vault had in hand at
	// the same moment.
	MaxInFlight int
}

// Stats returns a copy of the counts so far.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.GetsByName = maps.Clone(s.stats.GetsByName)
	return stats
}

// ResetStats sets every count to zero.
func (s *Server) ResetStats() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats = Stats{GetsByName: map[string]int{}}
}

// arrived counts a request. The returned function says that its answer begins.
func (s *Server) arrived(r *http.Request) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !isVaultPath(r.URL.Path) {
		if strings.HasSuffix(r.URL.Path, metadataPath) {
			s.stats.Metadata++
		} else if strings.HasSuffix(r.URL.Path, tokenPath) {
			s.stats.Tokens++
		}
		return func() {}
	}
	name, _, _ := strings.Cut(strings.Trim(strings.TrimPrefix(r.URL.Path, "/secrets"), "/"), "/")
	switch {
	case r.Header.Get("Authorization") == "":
		s.stats.Challenges++
	case name == "":
		s.stats.Lists++
	default:
		s.stats.Gets++
		s.stats.GetsByName[name]++
	}
	s.inFlight++
	s.stats.MaxInFlight = max(s.stats.MaxInFlight, s.inFlight)
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.inFlight--
	})
}

// firstByte ends a request's time in flight before its answer leaves: a client
// that has read the answer may send the next request before the handler returns.
type firstByte struct {
	http.ResponseWriter
	started func()
}

func (w *firstByte) WriteHeader(status int) {
	w.started()
	w.ResponseWriter.WriteHeader(status)
}

func (w *firstByte) Write(p []byte) (int, error) {
	w.started()
	return w.ResponseWriter.Write(p)
}

func (w *firstByte) Unwrap() http.ResponseWriter { return w.ResponseWriter }
