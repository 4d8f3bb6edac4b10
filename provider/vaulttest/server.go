package vaulttest

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
)

// The one identity that exists here. None of it means anything elsewhere.
const (
	tenantID     = "00000000-0000-4000-8000-00000000aaaa"
	tenantDomain = "vaulttest.onmicrosoft.com"
	clientID     = "00000000-0000-4000-8000-00000000cccc"
	clientSecret = "test-secret-for-vaulttest-only"
)

// Server plays one vault and one Entra tenant. Make it with [NewServer] or
// [NewPipe]; the zero value serves nothing.
type Server struct {
	// Faults are applied to requests before the server looks at them. A request
	// that a fault answers is counted like any other.
	Faults faulttest.Queue

	srv           *faulttest.Server
	vaultHost     string
	authorityHost string
	latency       time.Duration
	lifetime      time.Duration
	now           func() time.Time
	noList, noGet bool

	mu            sync.Mutex
	secrets       map[string]stored // by lower-case name
	versions      int
	misuse        string // why the vault answers 400 to everything, if it does
	tokens        map[string]token
	secretExpired bool
	stats         Stats
	inFlight      int
}

// NewServer starts a server behind TLS on a free loopback port. Its certificate
// is its own: reach it through [Server.Transport].
func NewServer(opts ...Option) *Server {
	s := newServer(opts)
	s.srv = faulttest.StartTLS(s.Handler(), s.hosts()...)
	return s
}

// NewPipe starts a server in memory, without any socket. Start and close it
// inside the testing/synctest bubble that uses it.
func NewPipe(opts ...Option) *Server {
	s := newServer(opts)
	s.srv = faulttest.StartPipe(s.Handler())
	return s
}

func newServer(opts []Option) *Server {
	s := &Server{
		now:      time.Now,
		lifetime: DefaultTokenLifetime,
		secrets:  map[string]stored{},
		tokens:   map[string]token{},
		stats:    Stats{GetsByName: map[string]int{}},
	}
	for _, o := range opts {
		o(s)
	}
	return s
}

func (s *Server) hosts() []string {
	var hosts []string
	for _, h := range []string{s.vaultHost, s.authorityHost} {
		if h != "" {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// Close ends the server and the requests that are still under way.
func (s *Server) Close() { s.srv.Close() }

// Handler is the server's behaviour without its listener, faults included.
func (s *Server) Handler() http.Handler {
	inner := s.Faults.Wrap(http.HandlerFunc(s.serve))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		done := s.arrived(r)
		defer done()
		inner.ServeHTTP(&firstByte{ResponseWriter: w, started: done}, r)
	})
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if s.latency > 0 {
		timer := time.NewTimer(s.latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	if isVaultPath(r.URL.Path) {
		if s.vaultHost == "" || hostname(r) == strings.ToLower(s.vaultHost) {
			s.serveVault(w, r)
			return
		}
	} else if s.authorityHost == "" || hostname(r) == strings.ToLower(s.authorityHost) {
		s.serveEntra(w, r)
		return
	}
	s.refuse(w, http.StatusNotFound, vaultError("NotFound", "nothing is served under this host and path", ""))
}

func isVaultPath(path string) bool {
	return path == "/secrets" || strings.HasPrefix(path, "/secrets/")
}

func hostname(r *http.Request) string {
	return strings.ToLower((&url.URL{Host: r.Host}).Hostname())
}

// Transport reaches the server under all of its names, and nothing else.
func (s *Server) Transport() http.RoundTripper { return s.srv.Transport() }

// VaultURL is the vault's address, without a trailing slash.
func (s *Server) VaultURL() string { return s.base(s.vaultHost) }

// AuthorityURL is Entra's address, without tenant or trailing slash.
func (s *Server) AuthorityURL() string { return s.base(s.authorityHost) }

func (s *Server) base(host string) string {
	if host == "" {
		return s.srv.URL
	}
	return "https://" + host
}

// TenantID is the GUID of the only tenant. Entra also knows it in upper case and
// as [Server.TenantDomain].
func (s *Server) TenantID() string { return tenantID }

// TenantDomain is the domain name of the only tenant.
func (s *Server) TenantDomain() string { return tenantDomain }

// ClientID is the only application that is registered in the tenant.
func (s *Server) ClientID() string { return clientID }

// ClientSecret is that application's secret. It is made for tests.
func (s *Server) ClientSecret() string { return clientSecret }
