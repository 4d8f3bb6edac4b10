package provider

import "net/http"

const (
	cureRole    = `grant the identity the role "Key Vault Secrets User" on the vault (with access policies: the secret permissions Get and List)`
	cureTenant  = "use a credential of the tenant that the vault's subscription belongs to: check TenantId"
	cureProxy   = "check that the address (kvSetting:SecretUri, Config.VaultURL) is a key vault's, and that no proxy or log-in page answers instead"
	cureEntra   = "check the authority's address and TenantId, and that no proxy or log-in page answers instead"
	cureSlow    = "check that this machine can reach the vault and Entra (firewall, private endpoint, proxy), or raise Timeout"
	cureBusy    = "the vault is asked for too much: load less with Secrets or Sections, lower Concurrency, or start fewer instances at once"
	cureOutage  = "the service has a fault of its own: try again later"
	cureUnknown = ""
)

// cure is what to do about a failed step.
func cure(step string, d diagnosis) string {
	for _, find := range []func(string, diagnosis) string{cureByCode, cureByStatus, cureByKind} {
		if text := find(step, d); text != "" {
			return text
		}
	}
	return cureUnknown
}

// cureByCode knows the codes of Key Vault and Entra. Their meaning is in
// https://learn.microsoft.com/azure/key-vault/general/rest-error-codes and
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes.
func cureByCode(step string, d diagnosis) string {
	switch d.code {
	case "ForbiddenByFirewall", "ForbiddenByConnection":
		return "let this machine's address through the vault's firewall (Networking), or reach the vault by its private endpoint"
	case "SecretDisabled":
		return "enable the secret in the vault, or do not name it in Secrets"
	case "SecretNotFound":
		return "create the secret in the vault, or correct its name"
	case "AKV10032":
		return cureTenant
	case "AADSTS7000215":
		return "the client secret is wrong: ClientSecret must be the secret's value, not its ID"
	case "AADSTS7000222":
		return "the client secret has expired: make a new one for the app registration, and set ClientSecret to its value"
	case "AADSTS700016":
		return "there is no such application in the tenant: check ClientId and TenantId"
	case "AADSTS90002", "AADSTS900023":
		return "there is no such tenant: check TenantId"
	case "AADSTS500011":
		return "the tenant does not know this vault's service: check the cloud in the credential's and ClientOptions"
	}
	return cureUnknown
}

func cureByStatus(step string, d diagnosis) string {
	switch {
	case d.status == http.StatusForbidden && step == stepList:
		return cureRole + ", or name the secrets in Secrets, which takes no permission to list"
	case d.status == http.StatusForbidden && step == stepGet:
		return cureRole
	case d.status == http.StatusUnauthorized && step != stepAuthenticate:
		return "the vault does not accept the credential's token: check its tenant and cloud"
	case d.status == http.StatusTooManyRequests && step == stepAuthenticate:
		return "Entra is asked for too many tokens: start fewer instances at once"
	case d.status == http.StatusTooManyRequests:
		return cureBusy
	case d.status >= 500:
		return cureOutage
	case d.status >= 300 && d.status < 400, d.status == http.StatusNotFound:
		return cureStranger(step)
	}
	return cureUnknown
}

// cureStranger is for an answer that seems to be someone else's.
func cureStranger(step string) string {
	if step == stepAuthenticate {
		return cureEntra
	}
	return cureProxy
}

func cureByKind(step string, d diagnosis) string {
	switch d.kind {
	case kindDeadline:
		return cureSlow
	case kindHost:
		if step == stepAuthenticate {
			return "check the authority's host, and that this machine's DNS can resolve it"
		}
		return "check the spelling of the address (kvSetting:SecretUri, Config.VaultURL), that the vault exists, and that this machine's DNS can resolve it"
	case kindTLS:
		return "a proxy may answer with a certificate of its own: add its authority to the system's, or give a transport in ClientOptions"
	case kindNetwork:
		return "check the network between this machine and Azure (firewall, private endpoint, proxy)"
	case kindTenant:
		return cureTenant
	case kindChallenge:
		return cureProxy + "; for a private cloud, see DisableChallengeResourceVerification in ClientOptions"
	case kindGarbage:
		return cureStranger(step)
	case kindChain:
		return "give this machine one of these identities, or set ClientId, TenantId and ClientSecret of kvSetting; AZURE_SDK_GO_LOGGING=all tells more"
	}
	return cureUnknown
}
