package maskinportentest

import (
	"encoding/base64"
	"maps"
	"math/big"
	"net/http"
	"slices"
)

// serveMetadata is the RFC 8414 document, with what test.maskinporten.no has in it.
func (s *Server) serveMetadata(w http.ResponseWriter, r *http.Request) {
	if !s.isGet(w, r) {
		return
	}
	writeJSON(w, http.StatusOK, "application/json", map[string]any{
		"issuer":                                s.Issuer(),
		"token_endpoint":                        s.TokenURL(),
		"jwks_uri":                              s.base() + "jwk",
		"grant_types_supported":                 []string{grantType},
		"token_endpoint_auth_methods_supported": []string{"private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": slices.Sorted(maps.Keys(hashes)),
		"authorization_details_types_supported":            slices.Sorted(maps.Keys(detailMembers)),
	})
}

// serveJWKS is the public half of the key that signs Maskinporten tokens.
func (s *Server) serveJWKS(w http.ResponseWriter, r *http.Request) {
	if !s.isGet(w, r) {
		return
	}
	public := s.signingKey().PublicKey
	b64 := base64.RawURLEncoding.EncodeToString
	writeJSON(w, http.StatusOK, "application/json", map[string]any{"keys": []any{map[string]string{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": signingKeyID,
		"n": b64(public.N.Bytes()), "e": b64(big.NewInt(int64(public.E)).Bytes()),
	}}})
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
