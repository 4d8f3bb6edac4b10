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
	// Lists, VersionLists and Gets are the vault's requests with a token: one for
	// each page of secrets, each page of a secret's versions, and each secret.
	Lists, VersionLists, Gets int
	// GetsByName splits Gets by the secret's name as it was requested.
	GetsByName map[string]int
	// KeyLists, KeyVersionLists, KeyGets and Signs are the vault's requests about keys
	// with a token: one for each page of keys, each page of a key's versions, each key
	// and each signature.
	KeyLists, KeyVersionLists, KeyGets, Signs int
	// Discoveries, Metadata and Tokens are the requests to Entra: for instance
	// discovery, for OpenID metadata and for tokens.
	Discoveries, Metadata, Tokens int
	// Refused is how many requests the server itself, not a fault, answered with
	// an error. The challenge to a request without a token does not count.
	Refused int
	// MaxConcurrent is the largest number of requests that the vault was answering
	// at the same moment.
	MaxConcurrent int
}

// Stats returns a copy of the counts so far.
func (s *Server) Stats() Stats {
	if s == nil {
		return Stats{GetsByName: map[string]int{}}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.GetsByName = map[string]int{}
	maps.Copy(stats.GetsByName, s.stats.GetsByName)
	return stats
}

// ResetStats sets every count to zero.
func (s *Server) ResetStats() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats = Stats{}
}

// arrived counts a request. The returned function says that its answer begins.
func (s *Server) arrived(r *http.Request) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !isVaultPath(r.URL.Path) {
		switch {
		case r.URL.Path == discoveryPath:
			s.stats.Discoveries++
		case strings.HasSuffix(r.URL.Path, metadataPath):
			s.stats.Metadata++
		case strings.HasSuffix(r.URL.Path, tokenPath):
			s.stats.Tokens++
		}
		return func() {}
	}
	switch c := parseCall(r.URL.Path); {
	case r.Header.Get("Authorization") == "":
		s.stats.Challenges++
	case c.keys:
		s.stats.countKeys(c)
	case c.list && c.name == "":
		s.stats.Lists++
	case c.list:
		s.stats.VersionLists++
	default:
		s.stats.Gets++
		if s.stats.GetsByName == nil {
			s.stats.GetsByName = map[string]int{}
		}
		s.stats.GetsByName[c.name]++
	}
	s.concurrent++
	s.stats.MaxConcurrent = max(s.stats.MaxConcurrent, s.concurrent)
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.concurrent--
	})
}

// countKeys counts a request about keys.
func (s *Stats) countKeys(c call) {
	switch {
	case c.list && c.name == "":
		s.KeyLists++
	case c.list:
		s.KeyVersionLists++
	case c.sign:
		s.Signs++
	default:
		s.KeyGets++
	}
}

// firstByte ends a request's count before its answer leaves: a client that has read
// the answer may send the next request before the handler returns.
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
