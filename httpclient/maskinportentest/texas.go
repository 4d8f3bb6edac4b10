package maskinportentest

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
)

// texasPath is where Texas gives tokens, below its base URL.
const texasPath = "/api/v1/token"

// Texas is the token service that NAIS runs beside an application, in front of a
// [Server]'s Maskinporten. It holds the key of the server's default client, and caches
// tokens by itself: the same request gets the same token until 120 seconds before its
// end, or until half of a shorter life. A request with skip_cache gets a new one. Make
// one with [NewTexas]. The zero value serves nothing. https://github.com/nais/texas
//
// It takes JSON and forms, and answers in Texas's words and shapes. It hands on what
// Maskinporten refuses, without error_uri. It refuses what Texas ignores, too: an
// unknown parameter, such as consumer_org, a query, a cookie and an Authorization
// header. Unlike Texas, it does not try again when Maskinporten fails.
type Texas struct {
	// Faults holds what goes wrong with coming requests to Texas. A request that a fault
	// hits is counted all the same.
	Faults faulttest.Queue

	behind    *Server
	url       string
	transport *http.Transport
	stop      func()

	mu       sync.Mutex
	disabled bool
	cache    map[string]cachedToken
	stats    TexasStats
	refusals []string
}

// TexasStats is what a [Texas] has seen since it started.
type TexasStats struct {
	// Requests arrived at its token endpoint.
	Requests int
	// SkipCache are those with skip_cache.
	SkipCache int
	// Cached were answered from its cache.
	Cached int
	// Issued were answered with a new token.
	Issued int
	// Refused were refused, by Texas or by Maskinporten.
	Refused int
}

// cachedToken is an answer and until when it is given. Its token is a function, because
// package fmt prints unexported fields.
type cachedToken struct {
	token      func() string
	end, until time.Time
}

// NewTexas starts Texas in front of a server. It listens without TLS on a free loopback
// port, as the real one does, or in memory if the server does. Like
// [net/http/httptest.NewServer], it panics when the machine has no such port. That of a
// nil or zero Server serves nothing.
func NewTexas(behind *Server) *Texas {
	t := &Texas{behind: behind}
	if !behind.works() {
		return t
	}
	t.cache = map[string]cachedToken{}
	mux := http.NewServeMux()
	serve := t.Faults.Wrap(http.HandlerFunc(t.serveToken))
	mux.HandleFunc(texasPath, func(w http.ResponseWriter, r *http.Request) {
		t.count(func(st *TexasStats) { st.Requests++ })
		serve.ServeHTTP(w, r)
	})
	if behind.CertificatePEM() == nil {
		pipe := faulttest.StartPipe(mux)
		t.url, t.transport, t.stop = "http://127.0.0.1", pipe.Transport(), pipe.Close
		return t
	}
	ctx, cancel := context.WithCancel(context.Background())
	srv := httptest.NewUnstartedServer(mux)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // dropped connections are part of the tests
	srv.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	srv.Start()
	t.url, t.transport = srv.URL, &http.Transport{MaxIdleConnsPerHost: 64}
	t.stop = func() {
		cancel()
		srv.Close()
	}
	return t
}

func (t *Texas) works() bool { return t != nil && t.cache != nil }

// URL is Texas's base URL without a trailing slash, as TEXAS_URL has it. It is plain
// http.
func (t *Texas) URL() string {
	if !t.works() {
		return ""
	}
	return t.url
}

// TokenURL is the address of its token endpoint, as NAIS_TOKEN_ENDPOINT has it.
func (t *Texas) TokenURL() string {
	if !t.works() {
		return ""
	}
	return t.url + texasPath
}

// Getenv gives the variables that NAIS gives an application, as [os.Getenv] does:
// NAIS_TOKEN_ENDPOINT, MASKINPORTEN_CLIENT_ID, MASKINPORTEN_SCOPES and
// MASKINPORTEN_ISSUER. Others are empty.
func (t *Texas) Getenv(name string) string {
	if !t.works() {
		return ""
	}
	switch name {
	case "NAIS_TOKEN_ENDPOINT":
		return t.TokenURL()
	case "MASKINPORTEN_CLIENT_ID":
		return t.behind.ClientID()
	case "MASKINPORTEN_SCOPES":
		return strings.Join(t.behind.cfg.clients[0].Scopes, " ")
	case "MASKINPORTEN_ISSUER":
		return t.behind.Issuer()
	}
	return ""
}

// Transport reaches Texas and the server behind it, and nothing else. Each call returns
// the same connections. That of a nil or zero Texas fails every request.
func (t *Texas) Transport() http.RoundTripper {
	if !t.works() {
		return (*Server)(nil).Transport()
	}
	return texasTransport{t}
}

type texasTransport struct{ texas *Texas }

// RoundTrip implements [http.RoundTripper].
func (r texasTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme+"://"+req.URL.Host == r.texas.url {
		return r.texas.transport.RoundTrip(req)
	}
	return r.texas.behind.Transport().RoundTrip(req)
}

// CloseIdleConnections lets [http.Client.CloseIdleConnections] reach both.
func (r texasTransport) CloseIdleConnections() {
	r.texas.transport.CloseIdleConnections()
	r.texas.behind.Transport().CloseIdleConnections()
}

// DisableMaskinporten makes Texas answer as it does for an application without a
// Maskinporten client.
func (t *Texas) DisableMaskinporten() {
	if !t.works() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.disabled = true
}

// Stats returns the counts so far.
func (t *Texas) Stats() TexasStats {
	if !t.works() {
		return TexasStats{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}

// Refusals lists which requests were refused and why, oldest first, such as "texas: 400
// invalid_request: identity provider 'maskinporten' is not enabled". The last 1000 are
// kept. They hold no token.
func (t *Texas) Refusals() []string {
	if !t.works() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.refusals)
}

// Close ends Texas and every request under way, and leaves the server behind it open.
func (t *Texas) Close() {
	if t.works() {
		t.transport.CloseIdleConnections()
		t.stop()
		t.transport.CloseIdleConnections()
	}
}

// Format prints where Texas is and nothing of what it holds.
func (t *Texas) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "maskinportentest.Texas(%s)", t.URL())
}

func (t *Texas) count(change func(*TexasStats)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.stats)
}

// refuse answers with an error in Texas's shape.
func (t *Texas) refuse(w http.ResponseWriter, r *texasRefusal) {
	t.mu.Lock()
	t.stats.Refused++
	t.refusals = append(t.refusals, fmt.Sprintf("texas: %d %s: %s", r.status, r.Code, r.Description))
	if over := len(t.refusals) - maxRefusals; over > 0 {
		t.refusals = slices.Delete(t.refusals, 0, over)
	}
	t.mu.Unlock()
	if r.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(r.status) // with an empty body
		return
	}
	writeJSON(w, r.status, "application/json", r)
}

// texasRefusal is an error as Texas tells it. Its words may be Maskinporten's.
type texasRefusal struct {
	status      int
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func notUnderstood(format string, args ...any) *texasRefusal {
	return &texasRefusal{http.StatusBadRequest, "invalid_request", fmt.Sprintf(format, args...)}
}

func texasFails(format string, args ...any) *texasRefusal {
	return &texasRefusal{http.StatusInternalServerError, "server_error", fmt.Sprintf(format, args...)}
}

// serveToken answers a token request, from the cache if it may.
func (t *Texas) serveToken(w http.ResponseWriter, r *http.Request) {
	asked, bad := readTexasRequest(r)
	if bad == nil {
		bad = t.offers(asked.provider)
	}
	if bad != nil {
		t.refuse(w, bad)
		return
	}
	key := asked.key()
	if answer, ok := t.lookUp(key, asked.skipCache); ok {
		t.answer(w, answer)
		return
	}
	answer, bad := t.ask(r.Context(), asked)
	if bad != nil {
		t.refuse(w, bad)
		return
	}
	t.mu.Lock()
	t.cache[key] = answer
	t.stats.Issued++
	t.mu.Unlock()
	t.answer(w, answer)
}

// offers refuses what is not Maskinporten, and Maskinporten if it is disabled.
func (t *Texas) offers(provider string) *texasRefusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	if provider != "maskinporten" || t.disabled {
		return notUnderstood("identity provider '%s' is not enabled", provider)
	}
	return nil
}

// lookUp finds a token in the cache. skipCache drops it first.
func (t *Texas) lookUp(key string, skipCache bool) (cachedToken, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if skipCache {
		t.stats.SkipCache++
		delete(t.cache, key)
	}
	found, ok := t.cache[key]
	if !ok || !t.behind.now().Before(found.until) {
		return cachedToken{}, false
	}
	t.stats.Cached++
	return found, true
}

func (t *Texas) answer(w http.ResponseWriter, a cachedToken) {
	writeJSON(w, http.StatusOK, "application/json", map[string]any{
		"access_token": a.token(),
		"expires_in":   int64(max(0, a.end.Sub(t.behind.now())) / time.Second),
		"token_type":   "Bearer",
	})
}
