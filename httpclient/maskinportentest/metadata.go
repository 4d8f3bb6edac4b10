package maskinportentest

import (
	"maps"
	"net/http"
	"slices"
)

// serveMetadata is the RFC 8414 document.
func (s *Server) serveMetadata(w http.ResponseWriter, r *http.Request) {
	if !s.isGet(w, r) {
		return
	}
	algorithms := slices.Sorted(maps.Keys(hashes))
	writeJSON(w, http.StatusOK, "application/json", map[string]any{
		"issuer":                                s.Issuer(),
		"token_endpoint":                        s.Issuer() + "token",
		"jwks_uri":                              s.Issuer() + "jwk",
		"grant_types_supported":                 []string{grantType},
		"token_endpoint_auth_methods_supported": []string{"private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": algorithms,
		"authorization_details_types_supported":            slices.Sorted(maps.Keys(detailMembers)),
	})
}

// serveJWKS holds no keys: this server's Maskinporten tokens are not signed.
func (s *Server) serveJWKS(w http.ResponseWriter, r *http.Request) {
	if s.isGet(w, r) {
		writeJSON(w, http.StatusOK, "application/json", map[string]any{"keys": []any{}})
	}
}

func (s *Server) isGet(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet {
		return true
	}
	s.refused("metadata", http.StatusMethodNotAllowed, "Method must be GET")
	w.Header().Set("Allow", http.MethodGet)
	w.WriteHeader(http.StatusMethodNotAllowed)
	return false
}
