package fxmodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// wrongVaults have an address that is not the vault's.
var wrongVaults = []misconfiguration{
	{
		name: "a page of the portal", tells: atStart,
		plant: kvSet("SecretUri", "https://portal.azure.com/#@my.no/resource/subscriptions/0/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/my-vault/overview"),
		names: []string{"kvSetting:SecretUri" + kvFile, "portal", "Vault URI"},
	},
	{
		name: "the address of a secret", tells: atStart,
		plant: kvSet("SecretUri", vaultURL+"/secrets/MaskinportenSettings--ClientId/0123456789abcdef"),
		names: []string{"kvSetting:SecretUri" + kvFile, "set " + vaultURL},
	},
	{
		name: "the vault's name only", tells: atStart,
		plant: kvSet("SecretUri", "my-vault"),
		names: []string{"kvSetting:SecretUri" + kvFile, "https://my-vault.vault.azure.net"},
	},
	{
		name: "the vault's host without https", tells: atStart,
		plant: kvSet("SecretUri", "my-vault.vault.azure.net"),
		names: []string{"kvSetting:SecretUri" + kvFile, "https://"},
	},
	{
		name: "plain http to the vault", tells: atStart,
		plant: kvSet("SecretUri", "http://my-vault.vault.azure.net"),
		names: []string{"kvSetting:SecretUri" + kvFile, "https://"},
	},
	{
		name: "the name of the private link", tells: atStart,
		plant: kvSet("SecretUri", "https://my-vault.privatelink.vaultcore.azure.net"),
		names: []string{"kvSetting:SecretUri" + kvFile, "https://my-vault.vault.azure.net"}, cures: []string{"private"},
	},
	{
		name: "the vault's name misspelt", tells: atStart,
		plant: kvSet("SecretUri", "https://my-valt.vault.azure.net"),
		names: []string{"kvSetting:SecretUri" + kvFile}, cures: []string{"my-valt.vault.azure.net", "DNS"},
	},
	{
		name: "the address of another service", tells: atStart,
		plant: kvSet("SecretUri", "https://login.microsoftonline.com"),
		names: []string{"kvSetting:SecretUri" + kvFile, "key vault"},
	},
	{
		name: "SecretUri in quotation marks", tells: atStart,
		plant: kvSet("SecretUri", `"https://my-vault.vault.azure.net"`),
		names: []string{"kvSetting:SecretUri" + kvFile, "quotation marks", "remove"},
	},
}

// vaultAnswers makes the vault answer every call that has a token with an error of its
// shape.
func vaultAnswers(status int, code, inner, message string) func(*site) {
	return func(s *site) {
		body := text(map[string]any{"error": map[string]any{"code": code, "message": message, "innererror": map[string]any{"code": inner}}})
		s.vault.Faults.Add(faulttest.Fault{Match: withToken, Times: -1, Status: status, Body: body, Header: http.Header{"Content-Type": {"application/json"}}})
	}
}

func withToken(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/secrets") && r.Header.Get("Authorization") != ""
}

var refusedByVault = []misconfiguration{
	{
		name: "no role", tells: atStart,
		vault: []vaulttest.Option{vaulttest.WithoutList(), vaulttest.WithoutGet()}, plant: func(*site) {},
		names: []string{"Key Vault Secrets User"}, cures: []string{vaultURL, "ForbiddenByRbac", "403"},
	},
	{
		name: "a role that cannot read", tells: atStart,
		vault: []vaulttest.Option{vaulttest.WithoutGet()}, plant: func(s *site) { s.vault.Delete(jwkSecret) },
		names: []string{"Key Vault Secrets User"}, cures: []string{"ForbiddenByRbac", "MaskinportenSettings--"},
	},
	{
		name: "a role that cannot list", tells: atStart,
		vault: []vaulttest.Option{vaulttest.WithoutList()}, plant: func(*site) {},
		names: []string{"Key Vault Secrets User"}, cures: []string{"Secrets"},
	},
	{
		name: "a role of a minute ago", tells: atStart,
		vault: []vaulttest.Option{vaulttest.WithRoleDelay(time.Hour)}, plant: func(*site) {},
		names: []string{"Key Vault Secrets User"}, cures: []string{"minutes"},
	},
	{
		name: "an access policy is missing", tells: atStart,
		plant: vaultAnswers(403, "Forbidden", "AccessDenied", "The user, group or application 'appid=0' does not have secrets list permission on key vault 'my-vault;location=norwayeast'."),
		names: []string{"access policies", "Get and List"}, cures: []string{"403"},
	},
	{
		name: "the vault's firewall", tells: atStart,
		vault: []vaulttest.Option{vaulttest.WithFirewall()}, plant: func(*site) {},
		names: []string{"firewall", "203.0.113.7"}, cures: []string{"ForbiddenByFirewall"},
	},
	{
		name: "public access is disabled", tells: atStart,
		plant: vaultAnswers(403, "Forbidden", "ForbiddenByConnection", "Public network access is disabled and request is not from a trusted service nor via an approved private link.\r\nCaller: appid=0\r\nVault: my-vault;location=norwayeast"),
		names: []string{"private endpoint"}, cures: []string{"ForbiddenByConnection"},
	},
	{
		name: "the vault throttles", tells: atStart,
		plant: func(s *site) {
			s.connect.ClientOptions.Retry.MaxRetries = -1
			vaultAnswers(429, "Throttled", "", "Request was not processed because too many requests were received.")(s)
		},
		names: []string{"Sections"}, cures: []string{"429", "too much"},
	},
	{
		name: "the vault fails", tells: atStart,
		plant: vaultAnswers(503, "ServiceUnavailable", "", "The service is temporarily unavailable."),
		names: []string{"try again later"}, cures: []string{"503", vaultURL},
	},
	{
		name: "a named secret is not there", tells: atStart,
		plant: func(s *site) {
			s.connect.Secrets = []string{"MaskinportenSettings--Jwk"}
		},
		names: []string{"create the secret"}, cures: []string{"MaskinportenSettings--Jwk", "SecretNotFound", vaultURL},
	},
	{
		name: "a named secret is disabled", tells: atStart,
		plant: func(s *site) {
			s.connect.Secrets = []string{jwkSecret}
			s.change(jwkSecret, func(v *vaulttest.Secret) { v.Disabled = true })
		},
		names: []string{"enable the secret"}, cures: []string{jwkSecret, "SecretDisabled", vaultURL},
	},
	{
		name: "a secret's name that cannot be one", tells: atStart,
		plant: func(s *site) { s.connect.Secrets = []string{"MaskinportenSettings:ClientId"} },
		names: []string{"Secrets", "letters, digits and dashes"},
	},
	{
		name: "a section of the vault that has no secret", tells: inLog,
		plant: func(s *site) { s.connect.Sections = []string{"MaskinportenSettings", "KsSettings"} },
		names: []string{"KsSettings"},
	},
	{
		name: "the vault is required", tells: atStart,
		plant: func(s *site) { s.connect.Require = true; delete(s.kv, "ClientSecret") },
		names: []string{"kvSetting:ClientSecret"}, cures: []string{"kvSetting__ClientSecret"},
	},
}

// entraAnswers makes Entra refuse every token request with a code.
func entraAnswers(status int, oauth string, code int, message string) func(*site) {
	return func(s *site) {
		body := text(map[string]any{"error": oauth, "error_description": fmt.Sprintf("AADSTS%d: %s Trace ID: 0 Correlation ID: 0", code, message), "error_codes": []int{code}})
		s.vault.Faults.Add(faulttest.Fault{
			Match: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token") },
			Times: -1, Status: status, Body: body, Header: http.Header{"Content-Type": {"application/json"}},
		})
	}
}

var refusedByEntra = []misconfiguration{
	{
		name: "the client secret's id", tells: atStart,
		plant: kvSet("ClientSecret", "77ed8698-e619-4066-9eb4-5c1eb3f165a1"),
		names: []string{"kvSetting:ClientSecret" + kvFile, "value", "ID"}, cures: []string{"AADSTS7000215"}, never: []string{"77ed8698"},
	},
	{
		name: "the client secret has expired", tells: atStart,
		plant: func(s *site) { s.vault.ExpireClientSecret() },
		names: []string{"kvSetting:ClientSecret" + kvFile, "new"}, cures: []string{"AADSTS7000222", "expired"},
	},
	{
		name: "a tenant that does not exist", tells: atStart,
		plant: kvSet("TenantId", "11111111-1111-4111-8111-111111111111"),
		names: []string{"kvSetting:TenantId" + kvFile}, cures: []string{"11111111-1111-4111-8111-111111111111", "00000000-0000-4000-8000-00000000aaaa"},
	},
	{
		name: "a tenant that cannot be one", tells: atStart,
		plant: kvSet("TenantId", "My Company"),
		names: []string{"kvSetting:TenantId" + kvFile, "GUID"},
	},
	{
		name: "an application of another tenant", tells: atStart,
		plant: kvSet("ClientId", "22222222-2222-4222-8222-222222222222"),
		names: []string{"kvSetting:ClientId" + kvFile, "kvSetting:TenantId" + kvFile}, cures: []string{"AADSTS700016"},
	},
	{
		name: "the application's name", tells: atStart,
		plant: entraAnswers(400, "unauthorized_client", 700038, "my-app is not a valid application identifier."),
		names: []string{"kvSetting:ClientId" + kvFile, "GUID"}, cures: []string{"AADSTS700038"},
	},
	{
		name: "the application is disabled", tells: atStart,
		plant: entraAnswers(401, "unauthorized_client", 7000112, "Application '0'(my-app) is disabled."),
		names: []string{"enable", "Enterprise applications"}, cures: []string{"AADSTS7000112"},
	},
	{
		name: "a policy of conditional access", tells: atStart,
		plant: entraAnswers(400, "invalid_grant", 53003, "Access has been blocked by Conditional Access policies."),
		names: []string{"kvSetting", "https://login.microsoftonline.com/error?code=53003"}, cures: []string{"AADSTS53003"},
	},
	{
		name: "the vault of another tenant", tells: atStart,
		plant: func(s *site) {
			s.vault.Faults.Add(faulttest.Fault{
				Match: func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/secrets") }, Times: -1, Status: 401,
				Header: http.Header{"Www-Authenticate": {`Bearer authorization="https://login.microsoftonline.com/33333333-3333-4333-8333-333333333333", resource="https://vault.azure.net"`}},
			})
		},
		names: []string{"kvSetting:TenantId" + kvFile}, cures: []string{"33333333-3333-4333-8333-333333333333"},
	},
	{
		name: "the client secret is a reference", tells: atStart,
		plant: kvSet("ClientSecret", "@Microsoft.KeyVault(VaultName=my-vault;SecretName=vault-secret)"),
		names: []string{"kvSetting:ClientSecret" + kvFile}, cures: []string{"reference"},
	},
	{
		name: "CredentialOptions beside a Credential", tells: atStart,
		plant: func(s *site) {
			credential, err := s.vault.Credential()
			if err != nil {
				s.t.Fatal(err)
			}
			s.connect.Credential = credential.GetToken
		},
		names: []string{"CredentialOptions", "empty"},
	},
}

// reference plants a Key Vault reference as ClientId.
func reference(value string) func(*site) {
	return func(s *site) {
		s.vault.Delete(clientIDSecret)
		s.section["ClientId"] = value
	}
}

// fromReference is what names a setting that is a reference.
const fromReference = "MaskinportenSettings:ClientId (appsettings.json)"

var references = []misconfiguration{
	{
		name: "a reference without its end", tells: atStart,
		plant: reference("@Microsoft.KeyVault(SecretUri=https://my-vault.vault.azure.net/secrets/my-client"),
		names: []string{fromReference, `")"`},
	},
	{
		name: "a reference without a secret", tells: atStart,
		plant: reference("@Microsoft.KeyVault(VaultName=my-vault)"),
		names: []string{fromReference, "secret's name"},
	},
	{
		name: "a reference with a comma", tells: atStart,
		plant: reference("@Microsoft.KeyVault(VaultName=my-vault,SecretName=my-client)"),
		names: []string{fromReference, `";"`},
	},
	{
		name: "a reference to a secret that is not there", tells: atStart,
		plant: reference("@Microsoft.KeyVault(VaultName=my-vault;SecretName=my-client)"),
		names: []string{fromReference, "create the secret"}, cures: []string{"my-client", "SecretNotFound", vaultURL},
	},
	{
		name: "a reference to a disabled secret", tells: atStart,
		plant: func(s *site) {
			reference("@Microsoft.KeyVault(VaultName=my-vault;SecretName=my-client)")(s)
			s.vault.SetSecret(vaulttest.Secret{Name: "my-client", Value: "x", Disabled: true})
		},
		names: []string{fromReference, "enable"}, cures: []string{"SecretDisabled"},
	},
	{
		name: "a reference to another host", tells: atStart,
		plant: reference("@Microsoft.KeyVault(SecretUri=https://my-vault.example/secrets/my-client)"),
		names: []string{fromReference, "host"},
	},
	{
		name: "a reference without a credential", tells: atStart,
		plant: func(s *site) {
			reference("@Microsoft.KeyVault(VaultName=my-vault;SecretName=my-client)")(s)
			clear(s.kv)
		},
		names: []string{"kvSetting:ClientSecret"}, cures: []string{fromReference},
	},
	{
		name: "a reference that is misspelt", tells: atStart,
		plant: reference("@MicrosoftKeyVault(VaultName=my-vault;SecretName=my-client)"),
		names: []string{"ClientId (appsettings.json)", "@Microsoft.KeyVault("},
	},
}
