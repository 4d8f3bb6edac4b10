package maskinportentest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
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
		s.refused("exchange", http.StatusUnauthorized, why)
		w.Header().Set("WWW-Authenticate", "Bearer")
		w.WriteHeader(http.StatusUnauthorized)
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

// problem answers with ProblemDetails (RFC 9457), as ASP.NET does.
func (s *Server) problem(w http.ResponseWriter, status int, detail string) {
	s.refused("exchange", status, detail)
	writeJSON(w, status, "application/problem+json", map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail,
	})
}

func acceptsJSON(h http.Header) bool {
	for _, accept := range strings.Split(strings.Join(h.Values("Accept"), ","), ",") {
		if mediaType, _, err := mime.ParseMediaType(accept); err == nil && mediaType == "application/json" {
			return true
		}
	}
	return false
}

// exchange makes an Altinn token. Clients read iat and exp from it; that it is
// signed with a secret of this server's keeps anything else from accepting it.
func (s *Server) exchange(from Token, test bool) string {
	now := s.now()
	t := from
	t.Altinn = true
	t.IssuedAt = time.Unix(now.Unix(), 0)
	t.ExpiresAt = time.Unix(now.Add(s.cfg.altinnLife).Unix(), 0)
	owner, _ := from.Grant["consumer_org"].(string)
	if owner == "" {
		owner = from.orgNo
	}
	claims := map[string]any{
		"iss":                  s.PlatformURL() + "/authentication/api/v1/openid/",
		"iat":                  t.IssuedAt.Unix(),
		"nbf":                  t.IssuedAt.Unix(),
		"exp":                  t.ExpiresAt.Unix(),
		"jti":                  randomText(),
		"client_id":            t.ClientID,
		"scope":                strings.Join(t.Scopes, " "),
		"token_type":           "Bearer",
		"consumer":             map[string]any{"authority": "iso6523-actorid-upis", "ID": "0192:" + owner},
		"urn:altinn:orgNumber": owner,
	}
	if test && owner == s.cfg.testOrg {
		claims["urn:altinn:org"] = "ttd"
	}
	if details, given := from.Grant["authorization_details"]; given {
		claims["authorization_details"] = details
	}
	token := s.sign(claims)
	s.keep(token, t)
	s.add(func(st *Stats) { st.AltinnTokensIssued++ })
	return token
}

func (s *Server) sign(claims map[string]any) string {
	raw, _ := json.Marshal(claims) // strings, numbers and decoded JSON always encode
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b64(raw)
	mac := hmac.New(sha256.New, []byte(s.signing))
	mac.Write([]byte(signed))
	return signed + "." + b64(mac.Sum(nil))
}
