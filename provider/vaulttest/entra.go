package vaulttest

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	metadataPath = "/v2.0/.well-known/openid-configuration"
	tokenPath    = "/oauth2/v2.0/token"
)

// token is what the server remembers of a token that it issued.
type token struct {
	audience string
	expires  time.Time
}

// IssueToken makes a token for an audience, such as "https://vault.azure.net",
// that lives as long as said. A vault's client does not need it: it is for tests
// of what the vault refuses.
func (s *Server) IssueToken(audience string, life time.Duration) string {
	value := "vaulttest-token-for-tests-only-" + rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[value] = token{audience: audience, expires: s.now().Add(life)}
	return value
}

// ExpireClientSecret makes Entra refuse the client's secret as expired.
func (s *Server) ExpireClientSecret() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secretExpired = true
}

func (s *Server) serveEntra(w http.ResponseWriter, r *http.Request) {
	tenant, route, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	route = "/" + route
	known := strings.EqualFold(tenant, tenantID) || strings.EqualFold(tenant, tenantDomain)
	switch {
	case route != metadataPath && route != tokenPath:
		s.refuse(w, http.StatusNotFound, entraError("invalid_request", 90100, "no such endpoint"))
	case (route == metadataPath) != (r.Method == http.MethodGet) || (route == tokenPath) != (r.Method == http.MethodPost):
		s.refuse(w, http.StatusMethodNotAllowed, entraError("invalid_request", 900561, "the endpoint does not accept "+r.Method+" requests"))
	case !known:
		s.refuse(w, http.StatusBadRequest, entraError("invalid_request", 90002, fmt.Sprintf("Tenant %q not found", tenant)))
	case route == metadataPath:
		base := s.AuthorityURL() + "/" + tenantID
		writeJSON(w, http.StatusOK, map[string]any{
			"issuer":                                base + "/v2.0",
			"authorization_endpoint":                base + "/oauth2/v2.0/authorize",
			"token_endpoint":                        base + tokenPath,
			"jwks_uri":                              base + "/discovery/v2.0/keys",
			"token_endpoint_auth_methods_supported": []string{"client_secret_post"},
		})
	default:
		s.grant(w, r)
	}
}

// grant answers the client credentials grant, in the order of Entra's checks.
func (s *Server) grant(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.refuse(w, http.StatusBadRequest, entraError("invalid_request", 900144, "the body is not a form"))
		return
	}
	form := r.PostForm
	for _, name := range []string{"grant_type", "client_id", "client_secret", "scope"} {
		if form.Get(name) == "" {
			s.refuse(w, http.StatusBadRequest, entraError("invalid_request", 900144, fmt.Sprintf("The request body must contain the parameter %q", name)))
			return
		}
	}
	s.mu.Lock()
	expired := s.secretExpired
	s.mu.Unlock()
	scope := scopeOfResource(form.Get("scope"))
	switch {
	case form.Get("grant_type") != "client_credentials":
		s.refuse(w, http.StatusBadRequest, entraError("unsupported_grant_type", 70003, "unsupported grant type"))
	case !strings.EqualFold(form.Get("client_id"), clientID):
		s.refuse(w, http.StatusBadRequest, entraError("unauthorized_client", 700016, "Application was not found in the directory"))
	case form.Get("client_secret") != clientSecret:
		s.refuse(w, http.StatusUnauthorized, entraError("invalid_client", 7000215, "Invalid client secret provided"))
	case expired:
		s.refuse(w, http.StatusUnauthorized, entraError("invalid_client", 7000222, "The provided client secret keys are expired"))
	case !strings.HasSuffix(scope, "/.default"):
		s.refuse(w, http.StatusBadRequest, entraError("invalid_scope", 1002012, "the scope must end with /.default"))
	case scope != vaultAudience+"/.default":
		s.refuse(w, http.StatusBadRequest, entraError("invalid_resource", 500011, "The resource principal was not found in the tenant"))
	default:
		writeJSON(w, http.StatusOK, map[string]any{
			"token_type":     "Bearer",
			"expires_in":     int(s.lifetime.Seconds()),
			"ext_expires_in": int(s.lifetime.Seconds()),
			"access_token":   s.IssueToken(vaultAudience, s.lifetime),
		})
	}
}

// scopeOfResource drops the OpenID scopes that Microsoft's libraries add to each
// request and that mean nothing to this grant.
func scopeOfResource(scopes string) string {
	var kept []string
	for _, scope := range strings.Fields(scopes) {
		if scope != "openid" && scope != "offline_access" && scope != "profile" {
			kept = append(kept, scope)
		}
	}
	return strings.Join(kept, " ")
}

// entraError is the body of Entra's errors.
func entraError(kind string, code int, text string) map[string]any {
	return map[string]any{
		"error":             kind,
		"error_description": fmt.Sprintf("AADSTS%d: %s. Trace ID: %s Correlation ID: %s", code, text, tenantID, clientID),
		"error_codes":       []int{code},
		"trace_id":          tenantID,
		"correlation_id":    clientID,
	}
}
