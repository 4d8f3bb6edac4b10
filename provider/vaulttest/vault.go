package vaulttest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// vaultAudience is the resource that Key Vault's tokens are for.
	vaultAudience = "https://vault.azure.net"
	// pageSize is Key Vault's largest page, and its default.
	pageSize = 25
	// skipPrefix marks the skip tokens that this server made.
	skipPrefix = "vaulttest:"
)

// serveVault checks what is true of every call, then hands it on.
func (s *Server) serveVault(w http.ResponseWriter, r *http.Request) {
	if !s.authorized(w, r) {
		return
	}
	s.mu.Lock()
	misuse := s.misuse
	s.mu.Unlock()
	parts := strings.Split(strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), "/"), "/")
	switch {
	case misuse != "":
		s.refuse(w, http.StatusBadRequest, vaultError("BadParameter", "vaulttest: "+misuse, ""))
	case r.Method != http.MethodGet:
		s.refuse(w, http.StatusMethodNotAllowed, vaultError("MethodNotAllowed", r.Method+" is not served here", ""))
	case r.URL.Query().Get("api-version") == "":
		s.refuse(w, http.StatusBadRequest, vaultError("BadParameter", "api-version must be specified", ""))
	case len(parts) == 1:
		s.list(w, r)
	case len(parts) == 2:
		s.get(w, parts[1], "")
	case len(parts) == 3:
		s.get(w, parts[1], parts[2])
	default:
		s.refuse(w, http.StatusNotFound, vaultError("NotFound", "no such route", ""))
	}
}

// authorized answers 401 unless the request has a good token.
func (s *Server) authorized(w http.ResponseWriter, r *http.Request) bool {
	header := r.Header.Get("Authorization")
	bearer, isBearer := strings.CutPrefix(header, "Bearer ")
	s.mu.Lock()
	t, issued := s.tokens[bearer]
	s.mu.Unlock()
	var problem string
	switch {
	case header == "" || !isBearer:
		problem = "AKV10000: Request is missing a Bearer or PoP token."
	case !issued:
		problem = "the token was not issued by this tenant"
	case t.audience != vaultAudience:
		problem = fmt.Sprintf("AKV10022: Invalid audience. Expected %s, found: %s.", vaultAudience, t.audience)
	case !s.now().Before(t.expires):
		problem = "the token has expired"
	default:
		return true
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer authorization=%q, resource=%q", s.AuthorityURL()+"/"+tenantID, vaultAudience))
	body := vaultError("Unauthorized", problem, "")
	if header == "" {
		writeJSON(w, http.StatusUnauthorized, body)
	} else {
		s.refuse(w, http.StatusUnauthorized, body)
	}
	return false
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	if s.noList {
		s.refuse(w, http.StatusForbidden, forbidden("readMetadata"))
		return
	}
	query, limit, after := r.URL.Query(), pageSize, ""
	if text := query.Get("maxresults"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > pageSize {
			s.refuse(w, http.StatusBadRequest, vaultError("BadParameter", "maxresults must be between 1 and 25", ""))
			return
		}
		limit = n
	}
	if text := query.Get("$skiptoken"); text != "" {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		name, ours := strings.CutPrefix(string(raw), skipPrefix)
		if err != nil || !ours {
			s.refuse(w, http.StatusBadRequest, vaultError("BadParameter", "$skiptoken is not one of this vault's", ""))
			return
		}
		after = name
	}
	page, next := s.page(after, limit)
	items := make([]map[string]any, 0, len(page))
	for _, secret := range page {
		items = append(items, secret.properties(s.VaultURL()+"/secrets/"+secret.Name))
	}
	answer := map[string]any{"value": items, "nextLink": nil}
	if next != "" {
		q := url.Values{
			"api-version": {query.Get("api-version")},
			"maxresults":  {strconv.Itoa(limit)},
			"$skiptoken":  {base64.RawURLEncoding.EncodeToString([]byte(skipPrefix + next))},
		}
		answer["nextLink"] = s.VaultURL() + "/secrets?" + q.Encode()
	}
	writeJSON(w, http.StatusOK, answer)
}

func (s *Server) get(w http.ResponseWriter, name, version string) {
	if !secretName.MatchString(name) {
		s.refuse(w, http.StatusBadRequest, vaultError("BadParameter", "the secret's name is malformed", ""))
		return
	}
	if s.noGet {
		s.refuse(w, http.StatusForbidden, forbidden("getSecret"))
		return
	}
	secret, ok := s.find(name)
	switch {
	case !ok || (version != "" && version != secret.version):
		s.refuse(w, http.StatusNotFound, vaultError("SecretNotFound", fmt.Sprintf("A secret with (name/id) %s was not found in this key vault.", name), ""))
	case secret.disabled():
		s.refuse(w, http.StatusForbidden, vaultError("Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled"))
	default:
		answer := secret.properties(s.VaultURL() + "/secrets/" + secret.Name + "/" + secret.version)
		answer["value"] = secret.Value
		writeJSON(w, http.StatusOK, answer)
	}
}

// properties is what listing and getting a secret have in common.
func (s stored) properties(id string) map[string]any {
	attributes := map[string]any{"recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90}
	if s.disabled() {
		attributes["enabled"] = false
	} else if s.Enabled != nil {
		attributes["enabled"] = true
	}
	for name, at := range map[string]time.Time{"nbf": s.NotBefore, "exp": s.Expires, "created": s.Created, "updated": s.Updated} {
		if !at.IsZero() {
			attributes[name] = at.Unix()
		}
	}
	tags := s.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	out := map[string]any{"id": id, "attributes": attributes, "tags": tags}
	if s.ContentType != "" {
		out["contentType"] = s.ContentType
	}
	if s.Managed {
		out["managed"] = true
	}
	return out
}

// vaultError is the body of Key Vault's errors.
func vaultError(code, message, inner string) map[string]any {
	e := map[string]any{"code": code, "message": message}
	if inner != "" {
		e["innererror"] = map[string]any{"code": inner}
	}
	return map[string]any{"error": e}
}

func forbidden(action string) map[string]any {
	return vaultError("Forbidden", fmt.Sprintf(
		"Caller is not authorized to perform action on resource. Caller: appid=%s. Action: 'Microsoft.KeyVault/vaults/secrets/%s/action'. Assignment: (not found)",
		clientID, action), "ForbiddenByRbac")
}

// refuse answers with an error and counts it.
func (s *Server) refuse(w http.ResponseWriter, status int, body map[string]any) {
	s.mu.Lock()
	s.stats.Refused++
	s.mu.Unlock()
	writeJSON(w, status, body)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
