package vaulttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// The bounds of the log of refusals, so that a long run does not grow it without
// end.
const (
	maxRefusals    = 1000
	maxRefusalText = 600
)

// How Key Vault names the client and the vault in its refusals.
const (
	caller     = "appid=" + clientID + ";oid=" + clientID + ";iss=https://sts.windows.net/" + tenantID + "/"
	vaultPlace = "vaulttest;location=norwayeast"
	vaultPath  = "/subscriptions/" + tenantID + "/resourcegroups/vaulttest/providers/microsoft.keyvault/vaults/vaulttest"
)

// Refusals tells, oldest first, which requests the server refused and why, such as
// "vault: 403 ForbiddenByRbac: Caller is not authorized to perform action on
// resource. ..." or "entra: 401 invalid_client: AADSTS7000215: Invalid client
// secret provided ...". It keeps the last 1000. They hold no secret and no token.
func (s *Server) Refusals() []string {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.refusals)
}

// refused counts and logs a refusal as one line.
func (s *Server) refused(where string, status int, code, text string) {
	line := fmt.Sprintf("%s: %d %s: %s", where, status, code, strings.Join(strings.Fields(text), " "))
	if len(line) > maxRefusalText {
		line = strings.ToValidUTF8(line[:maxRefusalText], "") + "..."
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Refused++
	s.refusals = append(s.refusals, line)
	if over := len(s.refusals) - maxRefusals; over > 0 {
		s.refusals = slices.Delete(s.refusals, 0, over)
	}
}

// refuseVault answers with an error in Key Vault's shape.
func (s *Server) refuseVault(w http.ResponseWriter, status int, code, message, inner string) {
	if inner != "" {
		s.refused("vault", status, inner, message)
	} else {
		s.refused("vault", status, code, message)
	}
	writeJSON(w, status, vaultError(code, message, inner))
}

// vaultError is the body of Key Vault's errors.
func vaultError(code, message, inner string) map[string]any {
	e := map[string]any{"code": code, "message": message}
	if inner != "" {
		e["innererror"] = map[string]any{"code": inner}
	}
	return map[string]any{"error": e}
}

// refuseRole answers as Key Vault does when no role allows an action.
func (s *Server) refuseRole(w http.ResponseWriter, c call) {
	resource := vaultPath
	if c.name != "" {
		resource += "/" + c.noun() + "s/" + strings.ToLower(c.name)
	}
	s.refuseVault(w, http.StatusForbidden, "Forbidden", strings.Join([]string{
		"Caller is not authorized to perform action on resource.",
		"If role assignments, deny assignments or role definitions were changed recently, please observe propagation time.",
		"Caller: " + caller,
		"Action: 'Microsoft.KeyVault/vaults/" + c.action() + "'",
		"Resource: '" + resource + "'",
		"Assignment: (not found)",
		"DenyAssignmentId: null",
		"DecisionReason: null ",
		"Vault: " + vaultPlace,
		"",
	}, "\r\n"), "ForbiddenByRbac")
}

// action is the data action that a call takes, as roles name it.
func (c call) action() string {
	switch {
	case c.sign:
		return "keys/sign/action"
	case c.keys:
		return "keys/read"
	case c.list:
		return "secrets/readMetadata/action"
	}
	return "secrets/getSecret/action"
}

// refuseEntra answers with an error in Entra's shape.
func (s *Server) refuseEntra(w http.ResponseWriter, status int, kind string, code int, text string) {
	text = fmt.Sprintf("AADSTS%d: %s.", code, text)
	s.refused("entra", status, kind, text)
	writeJSON(w, status, map[string]any{
		"error":             kind,
		"error_description": fmt.Sprintf("%s Trace ID: %s Correlation ID: %s", text, tenantID, clientID),
		"error_codes":       []int{code},
		"trace_id":          tenantID,
		"correlation_id":    clientID,
	})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
