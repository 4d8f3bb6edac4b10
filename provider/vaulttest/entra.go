package vaulttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	discoveryPath = "/common/discovery/instance"
	metadataPath  = "/v2.0/.well-known/openid-configuration"
	tokenPath     = "/oauth2/v2.0/token"
)

// publicCloud is the names of Entra in Azure's public cloud. Microsoft's libraries
// take instance discovery's word that they are one.
var publicCloud = []string{"login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"}

// ExpireClientSecret makes Entra refuse the client's secret as expired.
func (s *Server) ExpireClientSecret() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secretExpired = true
}

func (s *Server) serveEntra(w http.ResponseWriter, r *http.Request) {
	tenant, route, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	route = "/" + route
	discovery := r.URL.Path == discoveryPath
	wantMethod := http.MethodGet
	if route == tokenPath {
		wantMethod = http.MethodPost
	}
	known := strings.EqualFold(tenant, tenantID) || strings.EqualFold(tenant, tenantDomain)
	switch {
	case !discovery && route != metadataPath && route != tokenPath:
		s.refuseEntra(w, http.StatusNotFound, "invalid_request", 90100, "no such endpoint")
	case r.Method != wantMethod:
		s.refuseEntra(w, http.StatusMethodNotAllowed, "invalid_request", 900561, "the endpoint does not accept "+r.Method+" requests")
	case discovery:
		s.discover(w, r)
	case !known:
		s.refuseEntra(w, http.StatusBadRequest, "invalid_request", 90002, fmt.Sprintf("Tenant %q not found", tenant))
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

// discover answers the question that Microsoft's libraries ask before they trust
// an authority: is this host one of Entra's, and which others are the same?
func (s *Server) discover(w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get("authorization_endpoint")
	if text == "" {
		s.refuseEntra(w, http.StatusBadRequest, "invalid_request", 900144, `The request must contain the parameter "authorization_endpoint"`)
		return
	}
	asked, err := url.Parse(text)
	aliases := s.aliases()
	if err != nil || asked.Scheme != "https" || !slices.Contains(aliases, strings.ToLower(asked.Host)) {
		s.refuseEntra(w, http.StatusBadRequest, "invalid_instance", 50049, "Unknown or invalid instance")
		return
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(asked.Path, "/"), "/")
	cache := aliases[0]
	if len(aliases) > 1 {
		cache = aliases[1] // login.windows.net, as Entra says
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"tenant_discovery_endpoint": "https://" + asked.Host + "/" + tenant + metadataPath,
		"api-version":               "1.1",
		"metadata": []map[string]any{{
			"preferred_network": aliases[0],
			"preferred_cache":   cache,
			"aliases":           aliases,
		}},
	})
}

// aliases are the hosts under which this Entra is known, the preferred one first.
func (s *Server) aliases() []string {
	if s.isPublicCloud() {
		return publicCloud
	}
	return []string{strings.TrimPrefix(s.AuthorityURL(), "https://")}
}

func (s *Server) isPublicCloud() bool {
	return s != nil && slices.Contains(publicCloud, strings.ToLower(s.cfg.authorityHost))
}

// grant answers the client credentials grant, in the order of Entra's checks.
func (s *Server) grant(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.refuseEntra(w, http.StatusBadRequest, "invalid_request", 900144, "the body is not a form")
		return
	}
	form := r.PostForm
	for _, name := range []string{"grant_type", "client_id", "client_secret", "scope"} {
		if form.Get(name) == "" {
			s.refuseEntra(w, http.StatusBadRequest, "invalid_request", 900144, fmt.Sprintf("The request body must contain the parameter %q", name))
			return
		}
	}
	s.mu.Lock()
	expired := s.secretExpired
	s.mu.Unlock()
	scope := scopeOfResource(form.Get("scope"))
	claims, readable := requestedClaims(form.Get("claims"))
	switch {
	case form.Get("grant_type") != "client_credentials":
		s.refuseEntra(w, http.StatusBadRequest, "unsupported_grant_type", 70003, "unsupported grant type")
	case !strings.EqualFold(form.Get("client_id"), clientID):
		s.refuseEntra(w, http.StatusBadRequest, "unauthorized_client", 700016, "Application was not found in the directory")
	case form.Get("client_secret") != clientSecret:
		s.refuseEntra(w, http.StatusUnauthorized, "invalid_client", 7000215, "Invalid client secret provided")
	case expired:
		s.refuseEntra(w, http.StatusUnauthorized, "invalid_client", 7000222, "The provided client secret keys are expired")
	case !strings.HasSuffix(scope, "/.default"):
		s.refuseEntra(w, http.StatusBadRequest, "invalid_scope", 1002012, "the scope must end with /.default")
	case scope != vaultAudience+"/.default":
		s.refuseEntra(w, http.StatusBadRequest, "invalid_resource", 500011, "The resource principal was not found in the tenant")
	case !readable:
		s.refuseEntra(w, http.StatusBadRequest, "invalid_request", 90023, "the parameter claims is not a JSON object")
	default:
		life := int(s.cfg.tokenLife.Seconds())
		writeJSON(w, http.StatusOK, map[string]any{
			"token_type":     "Bearer",
			"expires_in":     life,
			"ext_expires_in": life,
			"access_token":   s.issue(vaultAudience, s.cfg.tokenLife, claims),
		})
	}
}

// scopeOfResource drops the OpenID scopes that Microsoft's libraries add to each
// request. They mean nothing to this grant.
func scopeOfResource(scopes string) string {
	var kept []string
	for _, scope := range strings.Fields(scopes) {
		if scope != "openid" && scope != "offline_access" && scope != "profile" {
			kept = append(kept, scope)
		}
	}
	return strings.Join(kept, " ")
}

// requestedClaims reads the parameter claims of a token request.
func requestedClaims(text string) (claims map[string]any, readable bool) {
	if text == "" {
		return nil, true
	}
	err := json.Unmarshal([]byte(text), &claims)
	return claims, err == nil && claims != nil
}
