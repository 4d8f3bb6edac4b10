package vaulttest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
)

// The one identity that exists here. It means nothing elsewhere.
const (
	tenantID     = "00000000-0000-4000-8000-00000000aaaa"
	tenantDomain = "vaulttest.onmicrosoft.com"
	clientID     = "00000000-0000-4000-8000-00000000cccc"
	clientSecret = "test-secret-for-vaulttest-only"
)

// Server plays one vault and one Entra tenant. Make it with [NewServer] or
// [NewPipe]: a nil or zero Server has no address and serves nothing.
type Server struct {
	// Faults are applied to requests before the server looks at them. A request
	// that a fault answers is counted like any other.
	Faults faulttest.Queue

	cfg    config
	roleAt time.Time // when the client's role takes effect
	srv    *faulttest.Server

	mu            sync.Mutex
	secrets       map[string]*secret // by lower-case name
	keys          map[string]*key    // likewise
	misuse        string             // why the vault answers 400 to everything, if it does
	tokens        map[string]token
	claims        map[string]any // what a token's claims must hold
	secretExpired bool
	stats         Stats
	refusals      []string
	concurrent    int
}

// NewServer starts a server behind TLS on a free loopback port. Its certificate
// is its own: reach it through [Server.Transport], or trust
// [Server.CertificatePEM]. Like [net/http/httptest] it panics when the machine has
// no loopback port.
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
	s := &Server{cfg: newConfig(opts)}
	s.roleAt = s.now().Add(s.cfg.roleDelay)
	for name, value := range s.cfg.secrets {
		s.Set(name, value)
	}
	return s
}

func (s *Server) now() time.Time {
	if s.cfg.clock == nil {
		return time.Now()
	}
	return s.cfg.clock()
}

func (s *Server) hosts() []string {
	var hosts []string
	for _, h := range []string{s.cfg.vaultHost, s.cfg.authorityHost} {
		if h != "" {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// Close ends the server and the requests that are still under way.
func (s *Server) Close() {
	if s != nil {
		s.srv.Close()
	}
}

// Handler is the server's behaviour without its listener, faults included.
func (s *Server) Handler() http.Handler {
	if s == nil {
		return http.NotFoundHandler()
	}
	inner := s.Faults.Wrap(http.HandlerFunc(s.serve))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		done := s.arrived(r)
		defer done()
		inner.ServeHTTP(&firstByte{ResponseWriter: w, started: done}, r)
	})
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if s.cfg.latency > 0 {
		timer := time.NewTimer(s.cfg.latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	if isVaultPath(r.URL.Path) {
		if answersFor(r, s.cfg.vaultHost) {
			s.serveVault(w, r)
			return
		}
	} else if answersFor(r, s.cfg.authorityHost) {
		s.serveEntra(w, r)
		return
	}
	s.refuseVault(w, http.StatusNotFound, "NotFound", "nothing is served under this host and path", "")
}

// answersFor reports whether a request is for host, whatever its port. Without a
// host of its own a part of the server answers for every host.
func answersFor(r *http.Request, host string) bool {
	return host == "" || strings.EqualFold((&url.URL{Host: r.Host}).Hostname(), host)
}

// Transport reaches the server under all of its names, and nothing else. Each
// call on a started server returns the same transport.
func (s *Server) Transport() *http.Transport {
	if s == nil || s.srv == nil {
		return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("vaulttest: the server has not been started: make it with NewServer or NewPipe")
		}}
	}
	return s.srv.Transport()
}

// Client is a new [http.Client] over [Server.Transport].
func (s *Server) Client() *http.Client { return &http.Client{Transport: s.Transport()} }

// CertificatePEM is the server's certificate, for programs that cannot use
// [Server.Transport], such as those in other languages. They trust it as a
// certificate authority. It is nil for a server of [NewPipe].
func (s *Server) CertificatePEM() []byte {
	if s == nil {
		return nil
	}
	return s.srv.CertificatePEM()
}

// VaultURL is the vault's address, without a trailing slash.
func (s *Server) VaultURL() string {
	if s == nil {
		return ""
	}
	return s.base(s.cfg.vaultHost)
}

// AuthorityURL is Entra's address, without tenant or trailing slash.
func (s *Server) AuthorityURL() string {
	if s == nil {
		return ""
	}
	return s.base(s.cfg.authorityHost)
}

func (s *Server) base(host string) string {
	if host != "" {
		return "https://" + host
	}
	if s.srv == nil {
		return ""
	}
	return s.srv.URL
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

// Format prints where the server is and nothing of what it holds.
func (s *Server) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "vaulttest.Server(%s)", s.VaultURL())
}
