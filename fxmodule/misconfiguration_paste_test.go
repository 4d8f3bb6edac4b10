package fxmodule_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
)

// pasteTarget is a place for a text that is not a secret.
type pasteTarget struct {
	name  string
	names string // what the first line says of it
	paste func(*site, string)
	// any is set if a password may be a value: nothing tells it from one.
	any bool
}

// pasteTargets is every setting and option of an application that takes a text which
// is not a secret, or a flag.
func pasteTargets() []pasteTarget {
	var targets []pasteTarget
	for _, setting := range []string{
		"Environment", "Authority", "ClientId", "Scope", "Resource", "ConsumerOrgNo", "CertificatePkcs12Path", "CertificateStoreThumbprint", "Kid",
		"TokenExchangeEnvironment", "ExhangeToAltinnToken", "UseAltinnTestOrg", "EnableDebugLog", "OverwriteAuthorizationHeader",
	} {
		targets = append(targets, pasteTarget{
			name: setting, names: setting + " (secret MaskinportenSettings--" + setting + " of " + vaultURL + ")", any: setting == "Scope" || setting == "Resource",
			paste: func(s *site, secret string) {
				switch setting {
				case "Authority":
					delete(s.section, "Environment")
				case "CertificatePkcs12Path", "CertificateStoreThumbprint":
					s.vault.Delete(jwkSecret)
				}
				s.vault.Set("MaskinportenSettings--"+setting, secret)
			},
		})
	}
	for _, field := range []string{"ClientId", "TenantId", "SecretUri"} {
		targets = append(targets, pasteTarget{
			name: "kvSetting:" + field, names: "kvSetting:" + field + " (environment variable kvSetting__" + field + ")", any: field == "ClientId",
			paste: func(s *site, secret string) { s.environ = append(s.environ, "kvSetting__"+field+"="+secret) },
		})
	}
	return append(targets,
		pasteTarget{name: "APP_ENVIRONMENT", names: "APP_ENVIRONMENT", any: true, paste: func(s *site, secret string) { s.environ = []string{"APP_ENVIRONMENT=" + secret} }},
		pasteTarget{name: "AppConfig.Environment", names: "Environment", any: true, paste: func(s *site, secret string) { s.app.Environment = secret }},
		pasteTarget{name: "Config.VaultURL", names: "VaultURL", paste: func(s *site, secret string) { s.connect.VaultURL = secret }},
		pasteTarget{name: "Config.Secrets", names: "Secrets", paste: func(s *site, secret string) { s.connect.Secrets = []string{secret} }},
		pasteTarget{name: "Config.Sections", names: "Sections", paste: func(s *site, secret string) { s.connect.Sections = []string{secret} }},
		pasteTarget{name: "WithAllowedHosts", names: "WithAllowedHosts", paste: func(s *site, secret string) { s.client = append(s.client, httpclient.WithAllowedHosts(secret)) }},
		pasteTarget{name: "fxmodule.Section", names: "Section", any: true, paste: func(s *site, secret string) { s.options = append(s.options, fxmodule.Section(secret)) }},
	)
}

// Every kind of secret, pasted into every setting of an application, stops its start.
// Nothing of it is printed or sent, though the servers echo and all is logged.
func TestPastedSecrets(t *testing.T) {
	t.Parallel()
	secrets := maps.Clone(secretsOnce(t))
	const password = "a password" // it looks like nothing in particular
	secrets[password] = "Sommer-2026!CANARY"
	var pasted, printed atomic.Int64
	t.Run("into", func(t *testing.T) {
		for _, target := range pasteTargets() {
			t.Run(target.name, func(t *testing.T) {
				t.Parallel()
				for _, kind := range slices.Sorted(maps.Keys(secrets)) {
					if kind == password && target.any {
						continue
					}
					pasted.Add(1)
					if target.try(t, kind, secrets[kind]) {
						printed.Add(1)
					}
				}
			})
		}
	})
	t.Logf("%d of %d were printed", printed.Load(), pasted.Load())
	if pasted.Load() < 600 {
		t.Errorf("got %d pasted, want all kinds in all places", pasted.Load())
	}
}

// try pastes one secret, and reports whether it was printed.
func (target pasteTarget) try(t *testing.T, kind, secret string) (printed bool) {
	t.Helper()
	s := newSite(t, misconfiguration{plant: func(s *site) { target.paste(s, secret) }})
	s.pasted[kind] = secret
	echo := faulttest.Fault{
		Times: -1, Status: http.StatusBadRequest, Header: http.Header{"Content-Type": {"application/json"}},
		Body: text(map[string]any{"error": secret, "error_description": secret, "error_uri": secret, "message": secret}),
	}
	s.porten.Faults.Add(echo)
	echo.Match = func(r *http.Request) bool { return !toVault(r) && sends(r, secret) }
	s.vault.Faults.Add(echo)
	var sent atomic.Bool
	s.vault.Faults.Add(faulttest.Fault{Match: func(r *http.Request) bool { sent.Store(sent.Load() || sends(r, secret)); return false }, Status: 500})
	o := s.run()
	if len(o.Leaks) > 0 {
		t.Errorf("%s: got %q printed, want nothing of it:\n%s", kind, o.Leaks, o.Message)
	}
	first, _, _ := strings.Cut(o.Message, "\n")
	if o.Tells != atStart || !strings.Contains(first, target.names) {
		t.Errorf("%s: got told at %q, want a start refused for %s:\n%s", kind, o.Tells, target.names, o.Message)
	}
	if n := s.porten.Stats().TokenRequests; n > 0 || sent.Load() {
		t.Errorf("%s: got %d token requests, and sent to the vault: %t, want nothing sent", kind, n, sent.Load())
	}
	return len(o.Leaks) > 0
}

// sends reports whether a request holds a part of a secret.
func sends(r *http.Request, secret string) bool {
	form := fmt.Sprint(r.URL)
	if r.ParseForm() == nil {
		form += fmt.Sprint(r.Form)
	}
	return shows(form, secret)
}

// A text of random characters is refused where no setting has one, though it may be any
// service's key. A key's id may be one, and so may the client secret.
func TestPastedAccessKeys(t *testing.T) {
	t.Parallel()
	const key = "dskX2urm26/L8H2YxO8G+Z9tnYGT5XKYbCOy38imz6kQzX1r7Tt0bGv2NfYc9WmPq4Lh6JdKsRu8EoAiBx3V5w=="
	const thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
	refused := []string{"Environment", "ClientId", "Scope", "Resource", "ConsumerOrgNo", "TokenExchangeEnvironment", "kvSetting:ClientId", "APP_ENVIRONMENT", "fxmodule.Section"}
	for _, target := range pasteTargets() {
		if slices.Contains(refused, target.name) {
			t.Run(target.name, func(t *testing.T) {
				t.Parallel()
				target.try(t, "an access key", key)
			})
		}
	}
	t.Run("a thumbprint as Kid", func(t *testing.T) {
		t.Parallel()
		o := newSite(t, misconfiguration{plant: func(s *site) { s.section["Kid"] = thumbprint }}).run()
		if o.Tells != atRequest || !strings.Contains(o.Message, thumbprint) {
			t.Errorf("got told at %q, want the key's id sent and named:\n%s", o.Tells, o.Message)
		}
	})
	t.Run("a client secret of random characters", func(t *testing.T) {
		t.Parallel()
		o := newSite(t, misconfiguration{plant: func(s *site) { s.kv["ClientSecret"] = key }}).run()
		if !strings.Contains(o.Message, "AADSTS7000215") {
			t.Errorf("got %s, want Entra asked with it", o.Message)
		}
	})
}
