package vaulttest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"time"
)

// maxTokens is how many tokens the server remembers before it forgets the expired.
const maxTokens = 1000

// token is what the server remembers of a token that it issued.
type token struct {
	audience string
	expires  time.Time
	claims   map[string]any // what the client asked for
}

// IssueToken makes a token for an audience, such as "https://vault.azure.net",
// that lives for the given duration. A vault's client does not need it: it is for
// tests of what the vault refuses.
func (s *Server) IssueToken(audience string, life time.Duration) string {
	return s.issue(audience, life, nil)
}

func (s *Server) issue(audience string, life time.Duration, claims map[string]any) string {
	value := "vaulttest-token-for-tests-only-" + rand.Text()
	if s == nil {
		return value
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tokens == nil {
		s.tokens = map[string]token{}
	}
	if len(s.tokens) >= maxTokens {
		maps.DeleteFunc(s.tokens, func(_ string, t token) bool { return !now.Before(t.expires) })
	}
	s.tokens[value] = token{audience: audience, expires: now.Add(life), claims: claims}
	return value
}

// RequireClaims starts a claims challenge, as continuous access evaluation does
// when something about the client has changed. claims is a JSON object, such as
//
//	{"access_token":{"nbf":{"essential":true,"value":"1726258122"}}}
//
// From now on the vault answers 401 with these claims to every token that was not
// requested with them. An empty string ends the challenge. Anything else that is
// not a JSON object is a mistake in the test: see [Server.SetSecret].
func (s *Server) RequireClaims(claims string) {
	if s == nil {
		return
	}
	var required map[string]any
	if claims != "" {
		if err := json.Unmarshal([]byte(claims), &required); err != nil || required == nil {
			s.misused("RequireClaims was given what is not a JSON object")
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims = required
}

// authorized answers 401 unless the request has a good token.
func (s *Server) authorized(w http.ResponseWriter, r *http.Request) bool {
	header := r.Header.Get("Authorization")
	bearer, isBearer := strings.CutPrefix(header, "Bearer ")
	s.mu.Lock()
	t, issued := s.tokens[bearer]
	required := s.claims
	s.mu.Unlock()
	challenge := fmt.Sprintf("Bearer authorization=%q, resource=%q", s.AuthorityURL()+"/"+tenantID, vaultAudience)
	var problem string
	switch {
	case header == "":
		w.Header().Set("WWW-Authenticate", challenge)
		writeJSON(w, http.StatusUnauthorized, vaultError("Unauthorized", missingToken, ""))
		return false
	case !isBearer:
		problem = missingToken
	case !issued:
		problem = "the token was not issued by this tenant"
	case t.audience != vaultAudience:
		problem = fmt.Sprintf("AKV10022: Invalid audience. Expected %s, found: %s.", vaultAudience, t.audience)
	case !s.now().Before(t.expires):
		problem = "the token has expired"
	case !holds(t.claims, required):
		problem = "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp"
		raw, _ := json.Marshal(required) // it was read from JSON
		challenge = fmt.Sprintf(`Bearer realm="", authorization_uri=%q, error_description=%q, error="insufficient_claims", claims=%q`,
			s.AuthorityURL()+"/common/oauth2/authorize", problem, base64.StdEncoding.EncodeToString(raw))
	default:
		return true
	}
	w.Header().Set("WWW-Authenticate", challenge)
	s.refuseVault(w, http.StatusUnauthorized, "Unauthorized", problem, "")
	return false
}

const missingToken = "AKV10000: Request is missing a Bearer or PoP token."

// holds reports whether claims have all that is required, and perhaps more.
func holds(claims, required map[string]any) bool {
	for name, want := range required {
		got, there := claims[name]
		wantObject, isObject := want.(map[string]any)
		gotObject, areObjects := got.(map[string]any)
		switch {
		case !there:
			return false
		case isObject && areObjects:
			if !holds(gotObject, wantObject) {
				return false
			}
		case !reflect.DeepEqual(got, want):
			return false
		}
	}
	return true
}
