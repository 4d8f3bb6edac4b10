package azure

import (
	"net/http"
	"slices"
	"strings"
)

// identify adds who was refused, and the vault's tenant if that may be why.
func (s *Session) identify(d *Diagnosis) {
	refused := d.StatusCode == http.StatusUnauthorized || d.StatusCode == http.StatusForbidden || strings.HasPrefix(d.Code, "AADSTS")
	asked := s.gate.asked.Load()
	if asked != nil && refused && d.net == nil && guid.MatchString(asked.client) {
		d.Identity = asked.client
	}
	if s.wire == nil || d.kind != kindTenant && !slices.Contains([]string{"AKV10032", "AADSTS700016", "AADSTS90002"}, d.Code) {
		return
	}
	vaults, ours := s.wire.vaultTenant(), ""
	if asked != nil {
		ours = asked.tenant
	}
	if vaults == "" || vaults == ours {
		return
	}
	d.Reason += "; the vault's tenant is " + vaults
	if guid.MatchString(ours) {
		d.Reason += ", the credential's " + ours
	}
}
