package maskinportentest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"strings"
	"time"
)

const enterpriseUserHeader = "X-Altinn-EnterpriseUser-Authentication"

// serveExchange is Altinn's exchange of a Maskinporten token for one of its own.
func (s *Server) serveExchange(w http.ResponseWriter, r *http.Request) {
	test := r.URL.RawQuery == "test=true"
	switch {
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		s.problem(w, http.StatusMethodNotAllowed, "Method must be GET")
		return
	case !test && (r.URL.RawQuery != "" || r.URL.ForceQuery):
		s.problem(w, http.StatusBadRequest, "The only query allowed is test=true")
		return
	case len(r.Header.Values("Cookie")) > 0:
		s.problem(w, http.StatusBadRequest, "Cookies must be absent")
		return
	case len(r.Header.Values(enterpriseUserHeader)) > 0:
		s.problem(w, http.StatusGone, "Enterprise users are no longer supported")
		return
	}
	from, why := s.authenticate(r.Header)
	if why == "" && from.Altinn {
		why = "not a Maskinporten token"
	}
	if why != "" {
		s.problem(w, http.StatusUnauthorized, why)
		return
	}
	token := s.exchange(from, test)
	w.Header().Set("Cache-Control", "no-store")
	if acceptsJSON(r.Header) {
		writeJSON(w, http.StatusOK, "application/json; charset=utf-8", token)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(token))
}

// problemTypes are the sections of RFC 9110 that ASP.NET names as a problem's type.
var problemTypes = map[int]string{
	http.StatusBadRequest:       "15.5.1",
	http.StatusUnauthorized:     "15.5.2",
	http.StatusMethodNotAllowed: "15.5.6",
	http.StatusGone:             "15.5.11",
}

// problem answers with ProblemDetails (RFC 9457), as ASP.NET does. Altinn does not
// say what is wrong with a token, so a 401 has no detail.
func (s *Server) problem(w http.ResponseWriter, status int, why string) {
	s.refused("exchange", status, why)
	answer := map[string]any{
		"type":    "https://tools.ietf.org/html/rfc9110#section-" + problemTypes[status],
		"title":   http.StatusText(status),
		"status":  status,
		"traceId": "00-" + hexText(16) + "-" + hexText(8) + "-00",
	}
	if status != http.StatusUnauthorized {
		answer["detail"] = why
	}
	writeJSON(w, status, "application/problem+json; charset=utf-8", answer)
}

func acceptsJSON(h http.Header) bool {
	for _, accept := range strings.Split(strings.Join(h.Values("Accept"), ","), ",") {
		if mediaType, _, err := mime.ParseMediaType(accept); err == nil && mediaType == "application/json" {
			return true
		}
	}
	return false
}

// exchange makes an Altinn token. It takes over the Maskinporten token's claims as
// Altinn does, and is signed with a secret of this server's, so that nothing else
// accepts it.
func (s *Server) exchange(from Token, test bool) string {
	now := s.now()
	t := from
	t.Altinn = true
	t.IssuedAt = time.Unix(now.Unix(), 0)
	t.ExpiresAt = time.Unix(now.Add(s.cfg.altinnLife).Unix(), 0)
	owner, delegated := from.Assertion["consumer_org"].(string)
	if !delegated {
		owner = from.orgNo
	}
	claims := maps.Clone(from.claims)
	delete(claims, "aud")
	delete(claims, "client_amr")
	maps.Copy(claims, map[string]any{
		"iss":                           s.PlatformURL() + "/authentication/api/v1/openid/",
		"iat":                           t.IssuedAt.Unix(),
		"nbf":                           t.IssuedAt.Unix(),
		"exp":                           t.ExpiresAt.Unix(),
		"jti":                           randomText(),
		"urn:altinn:orgNumber":          owner,
		"urn:altinn:authenticatemethod": "maskinporten",
		"urn:altinn:authlevel":          3,
	})
	if test && owner == s.cfg.testOrg {
		claims["urn:altinn:org"] = "ttd"
	}
	t.claims = claims
	token := s.signAltinn(claims)
	s.keep(token, t)
	s.add(func(st *Stats) { st.AltinnTokensIssued++ })
	return token
}

func (s *Server) signAltinn(claims map[string]any) string {
	raw, _ := json.Marshal(claims) // strings, numbers and decoded JSON always encode
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b64(raw)
	mac := hmac.New(sha256.New, []byte(s.altinnSecret))
	mac.Write([]byte(signed))
	return signed + "." + b64(mac.Sum(nil))
}
