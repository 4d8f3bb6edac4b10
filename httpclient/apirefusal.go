package httpclient

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/portnokkel/portnokkel/httpclient/internal/tokencache"
)

// apiRefusals notices an API that refuses tokens of ours that cannot be old. Then the
// settings are wrong, and a warning says what to check. It forgets a host that takes a
// token again.
type apiRefusals struct {
	remembered atomic.Int32 // how many hosts there are: 0 costs a good answer no lock

	mu    sync.Mutex
	hosts map[string]*apiHost
}

// apiHost is what is known of a host that refuses.
type apiHost struct {
	row    int // refusals of fresh tokens without a success in between
	status int // that was warned about; 0 if there was no warning
	warned tokencache.Instant
	last   tokencache.Instant // refusal
}

// isRefusal reports whether an API's status says that it does not take the token.
func isRefusal(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// accepted notes a host's answer that is not a refusal.
func (r *apiRefusals) accepted(host string, status int, now tokencache.Clock) {
	if r.remembered.Load() == 0 || status >= http.StatusBadRequest {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	name := foldHost(host)
	h := r.hosts[name]
	switch {
	case h == nil:
	case h.status == http.StatusForbidden && now().Since(h.warned) < refusalWarning:
		// An API that takes the token forbids some requests in its normal run.
		h.row = 0
	default:
		r.forget(name)
	}
}

func (r *apiRefusals) forget(host string) {
	delete(r.hosts, host)
	r.remembered.Store(int32(len(r.hosts))) //nolint:gosec // at most maxRefusing
}

// refused notes that a host refused a fresh token, and reports whether to warn: at the
// second refusal in a row, and again after a success or an hour.
func (r *apiRefusals) refused(host string, status int, now tokencache.Instant) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	host = foldHost(host)
	h := r.hosts[host]
	if h == nil {
		h = r.remember(host)
	}
	h.row++
	h.last = now
	if h.row < 2 || h.status != 0 && now.Since(h.warned) < refusalWarning {
		return false
	}
	h.status, h.warned = status, now
	return true
}

// remember makes room for another host. The one that refused longest ago leaves.
func (r *apiRefusals) remember(host string) *apiHost {
	for len(r.hosts) >= maxRefusing {
		oldest := ""
		for name, h := range r.hosts {
			if oldest == "" || h.last.Since(r.hosts[oldest].last) < 0 {
				oldest = name
			}
		}
		r.forget(oldest)
	}
	if r.hosts == nil {
		r.hosts = map[string]*apiHost{}
	}
	h := &apiHost{}
	r.hosts[host] = h
	r.remembered.Store(int32(len(r.hosts))) //nolint:gosec // at most maxRefusing
	return h
}

// noteAnswer looks at an API's answer to a token of ours.
func (s *source) noteAnswer(req *http.Request, resp *http.Response, request *tokenRequest, token *Token) {
	clock := s.clock
	if !isRefusal(resp.StatusCode) {
		s.refusals.accepted(req.URL.Host, resp.StatusCode, clock)
		return
	}
	now := clock()
	if now.Since(token.issued) > freshToken {
		return
	}
	if s.refusals.refused(req.URL.Host, resp.StatusCode, now) {
		s.warnOfRefusals(req.Context(), req.URL.Host, request, token, readAnswer(resp, request, token))
	}
}

// warnOfRefusals says what to check when an API refuses fresh tokens.
func (s *source) warnOfRefusals(ctx context.Context, host string, request *tokenRequest, token *Token, said apiAnswer) {
	host = cut(printable(foldHost(host)), maxWords)
	s.log.warn(ctx, fmt.Sprintf("check %s - %s refuses fresh tokens: %s", s.checks.what(host, request, token, said), host, said),
		slog.String("client_id", s.clientID), slog.String("host", host), slog.Int("status", said.status))
}

// apiChecks is what the settings say that an API may not fit.
type apiChecks struct {
	environment environment
	exchanges   bool
	names       map[string]string                        // of settings
	name        func(tokenRequest) func(s string) string // of settings that a request may replace
}

// what is what to check. If something is known not to fit, it is that only.
func (c *apiChecks) what(host string, request *tokenRequest, token *Token, said apiAnswer) string {
	name := c.name(*request)
	scope, issuer := name("Scope"), name("Environment")
	ours, theirs := c.environment.production(), productionOf(host)
	if ours != nil && theirs != nil && *ours != *theirs {
		return fmt.Sprintf("%s: its tokens are for %s, and the host is in %s", issuer, stage(*ours), stage(*theirs))
	}
	if said.code == "insufficient_scope" && said.scope != "" {
		return fmt.Sprintf("%s: the API wants %s, and the token is for %s", scope, said.scope, showScope(token.scope))
	}
	other := "an Altinn token"
	if c.exchanges {
		other = "Maskinporten's own token"
	}
	return fmt.Sprintf("%s, %s and %s: the API may want %s, another environment's, or another scope than %s",
		c.names["ExhangeToAltinnToken"], issuer, scope, other, showScope(token.scope))
}

func stage(production bool) string {
	if production {
		return "production"
	}
	return "test"
}

// production reports whether an environment is production. It is nil for another
// issuer than Maskinporten's.
func (e environment) production() *bool {
	if e.name == "" {
		return nil
	}
	production := e.name == "prod"
	return &production
}

// productionOf reports whether a host of Altinn's is in production. It is nil for the
// host of somebody else.
func productionOf(host string) *bool {
	name, _, _ := strings.Cut(host, ":")
	var production bool
	switch {
	case strings.HasSuffix(name, ".altinn.cloud"), strings.HasSuffix(name, ".tt02.altinn.no"):
	case strings.HasSuffix(name, ".altinn.no"):
		production = true
	default:
		return nil
	}
	return &production
}
