package maskinportentest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
)

// exchangePath is where Altinn's platform exchanges tokens, below its base URL.
const exchangePath = "/authentication/api/v1/exchange/maskinporten"

// Server is Maskinporten, the Altinn exchange and a protected API behind one
// address. Make one with [NewServer] or [NewPipe]; the zero value is of no use.
type Server struct {
	// Faults holds what shall go wrong with coming requests, of any of the
	// server's parts. A request that a fault hits is counted all the same.
	Faults faulttest.Queue

	cfg     config
	now     func() time.Time
	server  *faulttest.Server
	mux     *http.ServeMux
	handler http.Handler
	signing string // the secret that Altinn tokens are signed with

	// The patterns of the server's own endpoints, for counting.
	tokenPattern, metadataPattern, exchangePattern, jwksPattern string

	generate  sync.Once
	generated Key // the default client's, where none was given

	mu       sync.Mutex
	clients  map[string]*Client
	tokens   map[string]*issued
	jtis     map[jti]bool // never forgotten
	stats    Stats
	last     lastAssertion
	refusals []string
}

// NewServer starts a server behind TLS on a free loopback port. It panics when
// the machine has none, as [net/http/httptest] does.
func NewServer(opts ...Option) *Server {
	return start(opts, func(h http.Handler, hosts []string) *faulttest.Server {
		return faulttest.StartTLS(h, hosts...)
	})
}

// NewPipe starts a server in memory, without socket or TLS, though its URLs are
// https. It works inside a testing/synctest bubble, where it must be started and
// closed. Generate its key outside and pass it [WithKey].
func NewPipe(opts ...Option) *Server {
	return start(opts, func(h http.Handler, _ []string) *faulttest.Server {
		return faulttest.StartPipe(h)
	})
}

func start(opts []Option, listen func(http.Handler, []string) *faulttest.Server) *Server {
	cfg := newConfig(opts)
	s := &Server{
		cfg:     cfg,
		now:     time.Now,
		mux:     http.NewServeMux(),
		clients: map[string]*Client{},
		tokens:  map[string]*issued{},
		jtis:    map[jti]bool{},
		signing: randomText(),
	}
	for _, c := range cfg.clients {
		s.AddClient(c)
	}
	s.handler = s.count(s.Faults.Wrap(s.mux))
	if cfg.clock != nil {
		s.now = cfg.clock
		s.handler = dateHeader(cfg.clock, s.handler)
	}

	issuerHost, issuerPath := split(cfg.issuer)
	platformHost, platformPath := split(cfg.platform)
	s.tokenPattern = issuerHost + issuerPath + "token"
	s.metadataPattern = issuerHost + issuerPath + ".well-known/oauth-authorization-server"
	s.jwksPattern = issuerHost + issuerPath + "jwk"
	s.exchangePattern = platformHost + strings.TrimSuffix(platformPath, "/") + exchangePath
	s.mux.Handle(s.tokenPattern, s.delayed(s.serveToken))
	s.mux.Handle(s.metadataPattern, s.delayed(s.serveMetadata))
	s.mux.Handle(s.jwksPattern, s.delayed(s.serveJWKS))
	s.mux.Handle(s.exchangePattern, s.delayed(s.serveExchange))

	var hosts []string
	for _, h := range []string{issuerHost, platformHost} {
		if h != "" {
			hosts = append(hosts, h)
		}
	}
	s.server = listen(s.handler, hosts)
	return s
}

// split divides a base URL into the host (without port, as ServeMux matches it)
// and the path, "/" for none. Without a URL the endpoints answer on any host.
func split(base string) (host, path string) {
	u, err := url.Parse(base)
	if err != nil {
		return "", "/"
	}
	return u.Hostname(), "/" + strings.TrimPrefix(u.Path, "/")
}

// Close ends the server and every request under way.
func (s *Server) Close() { s.server.Close() }

// Issuer is Maskinporten's issuer with its trailing slash, which assertions must
// name as aud: the server's own address unless [WithIssuer] says otherwise.
func (s *Server) Issuer() string {
	if s.cfg.issuer != "" {
		return s.cfg.issuer
	}
	return s.server.URL + "/"
}

// PlatformURL is the base URL of Altinn's exchange without a trailing slash: the
// server's own address unless [WithPlatform] says otherwise.
func (s *Server) PlatformURL() string {
	if s.cfg.platform != "" {
		return s.cfg.platform
	}
	return s.server.URL
}

// Handler is everything the server answers, faults included, for mounting
// elsewhere.
func (s *Server) Handler() http.Handler { return s.handler }

// Transport reaches this server, under the hosts of its issuer and its platform
// as well, and nothing else. Each call returns the same transport.
func (s *Server) Transport() http.RoundTripper { return s.server.Transport() }

// ClientID is the id of the default client.
func (s *Server) ClientID() string { return s.cfg.clients[0].ID }

// Key is the default client's first key, such as for [Server.RemoveKey] by its
// KeyID, or for a [Client] of your own.
func (s *Server) Key() Key {
	if keys := s.cfg.clients[0].Keys; len(keys) > 0 {
		return keys[0]
	}
	s.EncodedJWK()
	return s.generated
}

// EncodedJWK is the default client's first key as the setting EncodedJwk holds
// it. It stays the same when that key is removed or others are added.
func (s *Server) EncodedJWK() string {
	if keys := s.cfg.clients[0].Keys; len(keys) > 0 {
		return keys[0].EncodedJWK()
	}
	s.generate.Do(func() {
		s.generated = NewKey("maskinportentest-only-for-tests")
		s.AddKey(s.ClientID(), s.generated)
	})
	return s.generated.EncodedJWK()
}

// Section is the settings of the default client, as they stand under
// MaskinportenSettings: Environment, ClientId, Scope, EncodedJwk and
// TokenExchangeEnvironment, all strings. Each call returns a new map: add
// ExhangeToAltinnToken to have tokens exchanged.
func (s *Server) Section() map[string]any {
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
