package maskinportentest

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

const grantType = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// issued is a token that this server issued.
type issued struct {
	Token
	revoked bool
}

// refusal is an answer in Maskinporten's shape.
type refusal struct {
	status int
	code   string // OAuth's error
	mp     string // Maskinporten's code, often absent
	text   string // without a full stop
}

// authFailed refuses an assertion for who signed it or how.
func authFailed(mp, why string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_grant", mp, "Invalid assertion. Client authentication failed. " + why}
}

// notValid refuses a genuine assertion for what it says.
func notValid(mp, why string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_grant", mp, "Invalid assertion. Validation of JWT failed. " + why}
}

// malformed refuses what does not follow the format of the JWT bearer grant.
func malformed(why string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_request", "MP-011", "Invalid assertion. Invalid parameter value. " + why}
}

func badRequest(why string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_request", "", "Invalid request. " + why}
}

func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	assertion, bad := readAssertion(r)
	var allowed Token
	if bad == nil {
		replayed, _ := r.Context().Value(replayedKey{}).(bool)
		allowed, bad = s.verify(assertion, replayed)
	}
	if bad != nil {
		s.refuseToken(w, bad)
		return
	}
	token := s.issue(allowed)
	s.add(func(st *Stats) { st.TokensIssued++ })
	writeJSON(w, http.StatusOK, "application/json", map[string]any{
		"access_token": token,
		"token_type":   "Bearer",
		"expires_in":   s.expiresIn(),
		"scope":        strings.Join(allowed.Scopes, " "),
	})
}

// readAssertion takes the assertion from a request that is exactly as documented.
func readAssertion(r *http.Request) (string, *refusal) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Method != http.MethodPost:
		return "", &refusal{http.StatusMethodNotAllowed, "invalid_request", "", "Invalid request. Method must be POST"}
	case err != nil || mediaType != "application/x-www-form-urlencoded":
		return "", badRequest("Content-Type must be application/x-www-form-urlencoded")
	case r.URL.RawQuery != "" || r.URL.ForceQuery:
		return "", badRequest("The URL must have no query")
	}
	for _, name := range []string{"Authorization", "Proxy-Authorization", "Cookie", "Content-Encoding", enterpriseUserHeader} {
		if len(r.Header.Values(name)) > 0 {
			return "", badRequest("The header " + name + " must be absent")
		}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || len(body) > maxForm {
		return "", badRequest("Unreadable body")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", malformed("Malformed form")
	}
	for name, values := range form {
		if name != "grant_type" && name != "assertion" {
			return "", malformed("Only grant_type and assertion are allowed")
		}
		if len(values) > 1 {
			return "", malformed("A parameter is repeated")
		}
	}
	if form.Get("grant_type") != grantType {
		return "", &refusal{http.StatusBadRequest, "unsupported_grant_type", "", "Invalid request. Unsupported grant_type"}
	}
	return form.Get("assertion"), nil
}

func (s *Server) refuseToken(w http.ResponseWriter, bad *refusal) {
	s.refused("token", bad.status, strings.TrimSpace(bad.code+" "+bad.mp)+": "+bad.text)
	stop := "."
	if bad.mp == "MP-200" { // recorded answers end with the scope
		stop = ""
	}
	answer := map[string]any{
		"error":             bad.code,
		"error_description": bad.text + stop + " (trace_id: " + hexText(16) + ")",
	}
	if bad.mp != "" {
		answer["error_uri"] = s.base() + "errors/" + bad.mp
	}
	if bad.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	}
	writeJSON(w, bad.status, "application/json", answer)
}

// keep remembers a token until it has expired.
func (s *Server) keep(token string, t Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = &issued{Token: t}
	if len(s.tokens)%pruneEvery == 0 {
		maps.DeleteFunc(s.tokens, func(_ string, old *issued) bool { return old.ExpiresAt.Before(t.IssuedAt) })
	}
}

// writeJSON answers with strings, numbers and maps of them, which always encode.
func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store") // RFC 6749 section 5.1
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func randomText() string { return rand.Text() + rand.Text() }

// hexText is n random bytes, as trace ids have them.
func hexText(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
