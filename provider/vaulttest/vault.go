package vaulttest

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

const (
	// vaultAudience is the resource that Key Vault's tokens are for.
	vaultAudience = "https://vault.azure.net"
	// latestAPIVersion is what the vault recommends when it serves every version.
	latestAPIVersion = "2025-07-01"
	// clientAddress is where the firewall says the client is. RFC 5737 keeps it for
	// documentation.
	clientAddress = "203.0.113.7"
)

var apiVersion = regexp.MustCompile(`^([0-9]+\.[0-9]+|20[0-9]{2}-[0-9]{2}-[0-9]{2})(-preview(\.[0-9]+)?)?$`)

func isVaultPath(path string) bool {
	collection, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return collection == "secrets" || collection == "keys"
}

// call is what the path of a request to the vault asks for.
type call struct {
	keys    bool   // of the keys, not the secrets
	name    string // "" to list them
	version string // "" for the latest
	list    bool
	sign    bool
	known   bool // false: there is no such route
}

func parseCall(path string) call {
	parts := strings.Split(strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/"), "/")
	c := call{keys: parts[0] == "keys", known: true}
	if len(parts) > 1 {
		c.name = parts[1]
	}
	switch {
	case len(parts) == 1, len(parts) == 3 && parts[2] == "versions":
		c.list = true
	case len(parts) == 2:
	case len(parts) == 3:
		c.version = parts[2]
	case len(parts) == 4 && c.keys && parts[3] == "sign":
		c.version, c.sign = parts[2], true
	default:
		c.known = false
	}
	return c
}

// method is the only one that a call is served by.
func (c call) method() string {
	if c.sign {
		return http.MethodPost
	}
	return http.MethodGet
}

// serveVault checks in Key Vault's order: the token, the request, the network, the
// role, and then the secret.
func (s *Server) serveVault(w http.ResponseWriter, r *http.Request) {
	if !s.authorized(w, r) {
		return
	}
	s.mu.Lock()
	misuse := s.misuse
	s.mu.Unlock()
	c := parseCall(r.URL.Path)
	switch version := r.URL.Query().Get("api-version"); {
	case misuse != "":
		s.refuseVault(w, http.StatusBadRequest, "BadParameter", "vaulttest: "+misuse, "")
	case r.Method != c.method():
		s.refuseVault(w, http.StatusMethodNotAllowed, "MethodNotAllowed", r.Method+" is not served here", "")
	case version == "":
		s.refuseVault(w, http.StatusBadRequest, "BadParameter", "api-version must be specified", "")
	case !s.servesVersion(version):
		s.refuseVault(w, http.StatusBadRequest, "BadParameter", fmt.Sprintf(
			"The specified version (%s) is not recognized. Consider using the latest supported version (%s).", version, s.latestVersion()), "")
	case !c.known:
		s.refuseVault(w, http.StatusNotFound, "NotFound", "no such route", "")
	case c.name != "" && !secretName.MatchString(c.name):
		s.refuseVault(w, http.StatusBadRequest, "BadParameter", "the "+c.noun()+"'s name is malformed", "")
	case s.cfg.firewall:
		s.refuseVault(w, http.StatusForbidden, "Forbidden", fmt.Sprintf(
			"Client address is not authorized and caller is not a trusted service.\r\nClient address: %s\r\nCaller: %s\r\nVault: %s\r\n",
			clientAddress, caller, vaultPlace), "ForbiddenByFirewall")
	case !s.mayCall(c):
		s.refuseRole(w, c)
	case c.list:
		s.list(w, r, c)
	case c.sign:
		s.sign(w, r, c)
	case c.keys:
		s.getKey(w, c)
	default:
		s.get(w, c)
	}
}

// noun is what a call is about.
func (c call) noun() string {
	if c.keys {
		return "key"
	}
	return "secret"
}

// mayCall reports whether the client has the role that a call takes.
func (s *Server) mayCall(c call) bool {
	switch {
	case s.now().Before(s.roleAt):
		return false
	case c.keys:
		return !s.cfg.noKeys && (!c.sign || !s.cfg.noSign)
	case c.list:
		return !s.cfg.noList
	}
	return !s.cfg.noGet
}

func (s *Server) servesVersion(version string) bool {
	if len(s.cfg.apiVersions) == 0 {
		return apiVersion.MatchString(version)
	}
	return slices.Contains(s.cfg.apiVersions, version)
}

func (s *Server) latestVersion() string {
	if n := len(s.cfg.apiVersions); n > 0 {
		return s.cfg.apiVersions[n-1]
	}
	return latestAPIVersion
}

// get answers with a secret. One that has expired or is not yet valid is given out
// too, as in Azure: those times are information (Azure/AzureKeyVault issue 19).
func (s *Server) get(w http.ResponseWriter, c call) {
	found, ok := s.find(c.name, c.version)
	switch {
	case !ok:
		s.refuseVault(w, http.StatusNotFound, "SecretNotFound", fmt.Sprintf(
			"A secret with (name/id) %s was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182",
			strings.TrimSuffix(c.name+"/"+c.version, "/")), "")
	case found.Disabled:
		s.refuseVault(w, http.StatusForbidden, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
	default:
		answer := found.properties(s.secretID(found.Name) + "/" + found.id)
		answer["value"] = found.Value
		writeJSON(w, http.StatusOK, answer)
	}
}

func (s *Server) secretID(name string) string { return s.VaultURL() + "/secrets/" + name }
