package maskinportentest

import (
	"crypto/rsa"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
)

// exchangePath is where Altinn's platform exchanges tokens, below its base URL.
const exchangePath = "/authentication/api/v1/exchange/maskinporten"

// Server is Maskinporten, the Altinn exchange and a protected API behind one
// address. Make one with [NewServer] or [NewPipe]. The zero value serves nothing.
type Server struct {
	// Faults holds what goes wrong with coming requests, to any part of the
	// server. A request that a fault hits is counted all the same.
	Faults faulttest.Queue

	cfg          config
	now          func() time.Time
	server       *faulttest.Server
	mux          *http.ServeMux
	handler      http.Handler
	signingKey   func() *rsa.PrivateKey // signs Maskinporten tokens
	altinnSecret string                 // signs Altinn tokens

	tokenPattern string
	counters     map[string]func(*Stats) // of the server's own endpoints, by pattern

	generate  sync.Once
	generated Key // the default client's, if no key was given

	mu       sync.Mutex
	clients  map[string]*registration
	tokens   map[string]*issued
	jtis     map[jti]bool // never forgotten
	stats    Stats
	last     lastAssertion
	refusals []string
}

// NewServer starts a server behind TLS on a free loopback port. Like
// [net/http/httptest.NewServer], it panics when the machine has no such port, and
// when no certificate can name the host of [WithIssuer] or [WithPlatform].
func NewServer(opts ...Option) *Server {
	return start(opts, func(h http.Handler, hosts []string) *faulttest.Server {
		return faulttest.StartTLS(h, hosts...)
	})
}

// NewPipe starts a server in memory, without a socket or TLS, though its URLs are
// https. It is made for testing/synctest: start and close it inside the bubble.
// Generate its key outside the bubble and give it by [WithKey].
func NewPipe(opts ...Option) *Server {
	return start(opts, func(h http.Handler, _ []string) *faulttest.Server {
		return faulttest.StartPipe(h)
	})
}

func start(opts []Option, listen func(http.Handler, []string) *faulttest.Server) *Server {
	cfg := newConfig(opts)
	s := &Server{
		cfg:          cfg,
		now:          time.Now,
		mux:          http.NewServeMux(),
		signingKey:   sync.OnceValue(newSigningKey),
		altinnSecret: randomText(),
		counters:     map[string]func(*Stats){},
		clients:      map[string]*registration{},
		tokens:       map[string]*issued{},
		jtis:         map[jti]bool{},
	}
	for _, c := range cfg.clients {
		s.AddClient(c)
	}
	s.handler = s.count(s.Faults.Wrap(s.mux))
	if cfg.clock != nil {
		s.now = cfg.clock
		s.handler = dateHeader(cfg.clock, s.handler)
	}
	s.server = listen(s.handler, s.mount())
	return s
}

// mount puts the server's own endpoints on its mux, and returns their hosts.
func (s *Server) mount() (hosts []string) {
	issuerHost, issuerPath := split(s.cfg.issuer)
	platformHost, platformPath := split(s.cfg.platform)
	endpoint := func(pattern string, serve http.HandlerFunc, count func(*Stats)) {
		s.mux.Handle(pattern, s.delayed(serve))
		s.counters[pattern] = count
	}
	countMetadata := func(st *Stats) { st.Metadata++ }
	s.tokenPattern = issuerHost + issuerPath + "token"
	endpoint(s.tokenPattern, s.serveToken, func(st *Stats) { st.TokenRequests++ })
	endpoint(issuerHost+issuerPath+"jwk", s.serveJWKS, func(*Stats) {})
	if !s.cfg.noOAuthMetadata {
		endpoint(issuerHost+issuerPath+".well-known/oauth-authorization-server", s.serveMetadata, countMetadata)
	}
	if !s.cfg.noOpenIDMetadata {
		endpoint(issuerHost+issuerPath+".well-known/openid-configuration", s.serveMetadata, countMetadata)
	}
	endpoint(platformHost+strings.TrimSuffix(platformPath, "/")+exchangePath, s.serveExchange, func(st *Stats) { st.Exchanges++ })

	for _, h := range []string{issuerHost, platformHost} {
		if h != "" {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// split divides a base URL into what a pattern of [http.ServeMux] holds: the host
// without its port, and the path with a slash at both ends. An empty or malformed
// URL has no host, so its endpoints answer on any.
func split(base string) (host, dir string) {
	u, err := url.Parse(base)
	if err != nil {
		return "", "/"
	}
	// ServeMux panics on a path that is not clean, and braces are its wildcards.
	return u.Hostname(), strings.TrimSuffix(path.Clean("/"+u.EscapedPath()), "/") + "/"
}

// works tells a server that was started from a nil or zero one.
func (s *Server) works() bool { return s != nil && s.clients != nil }

// Close ends the server and every request under way.
func (s *Server) Close() {
	if s.works() {
		s.server.Close()
	}
}

// Handler is everything that the server answers, faults included, for use in
// another server.
func (s *Server) Handler() http.Handler {
	if !s.works() {
		return http.NotFoundHandler()
	}
	return s.handler
}

// Transport reaches this server, and nothing else. The hosts of its issuer and its
// platform lead to it too. Each call returns the same transport, so connections
// are shared. That of a nil or zero Server fails every request.
func (s *Server) Transport() *http.Transport {
	if !s.works() {
		return (*faulttest.Server)(nil).Transport()
	}
	return s.server.Transport()
}

// Client is a new [http.Client] over [Server.Transport].
func (s *Server) Client() *http.Client { return &http.Client{Transport: s.Transport()} }

// CertificatePEM is the server's certificate, for programs that cannot use
// [Server.Transport], such as those in other languages. They trust it as a
// certificate authority. It is nil for a server without TLS.
func (s *Server) CertificatePEM() []byte {
	if !s.works() {
		return nil
	}
	return s.server.CertificatePEM()
}
