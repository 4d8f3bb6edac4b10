package azure

import (
	"net/http"
	"slices"
	"strings"
)

// The steps of a load.
const (
	StepAuthenticate = "authenticate"
	StepList         = "list"
	StepGet          = "get"
)

// kind is what went wrong if no answer tells.
type kind int

const (
	kindUnknown kind = iota
	kindDeadline
	kindCanceled
	kindHost
	kindProxy
	kindCertificate
	kindAlert
	kindNotTLS
	kindNetwork
	kindNoAnswer
	kindTenant
	kindResource
	kindChallenge
	kindNotJSON
	kindStranger
	kindChain
	kindIssuer
	kindCredential
	kindPanic
	kindGone
)

// ownError is an error of this package about an answer that no vault gives.
type ownError struct {
	error
	kind kind
}

// meaning is one way in which a step fails. It is recognised by any one of codes,
// status and kind. Texts are parts of the SDK's own errors that come without a
// type; TestReadAgainst names the versions that they were read in.
type meaning struct {
	step  string   // "" for any
	codes []string // of Key Vault or Entra
	from  int      // statuses, this one
	to    int      // to this one; 0 means from
	kind  kind
	texts []string

	means string // "" if the status and code say it
	cure  string // "" if the caller knows
}

const (
	cureRole    = `grant the identity the role "Key Vault Secrets User" on the vault (with access policies: the secret permissions Get and List)`
	cureTenant  = "use a credential of the tenant that the vault's subscription belongs to: check TenantId"
	cureAddress = "check that the address (kvSetting:SecretUri, Config.VaultURL) is a key vault's, and that no proxy or log-in page answers instead"
	cureEntra   = "check the authority's address and TenantId, and that no proxy or log-in page answers instead"
)

// meanings is in the order in which it is searched. The codes' meanings are from
// https://learn.microsoft.com/azure/key-vault/general/rest-error-codes and
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes.
var meanings = []meaning{
	// What the load knows better than the answer.
	{
		kind: kindGone, means: "the vault listed the secret and then did not have it",
		cure: "it was deleted meanwhile: load again; if it stays so, check that no proxy answers instead of the vault",
	},

	// Codes of Key Vault.
	{
		codes: []string{"ForbiddenByFirewall", "ForbiddenByConnection"},
		cure:  "let this machine's address through the vault's firewall (Networking), or reach the vault by its private endpoint",
	},
	{
		codes: []string{"SecretDisabled"},
		cure:  "enable the secret in the vault, or do not name it in Secrets",
	},
	{
		codes: []string{"SecretNotFound"},
		cure:  "create the secret in the vault, or correct its name",
	},
	{
		codes: []string{"AKV10032"}, // the token's issuer
		cure:  cureTenant,
	},
	{
		codes: []string{"AKV10022"}, // the token's audience
		cure:  "the token is for another service: check the cloud in the credential's options and in ClientOptions",
	},

	// Codes of Entra.
	{
		codes: []string{"AADSTS7000215"},
		means: "the client secret is wrong",
		cure:  "ClientSecret must be the secret's value, not its ID",
	},
	{
		codes: []string{"AADSTS7000222"},
		means: "the client secret has expired",
		cure:  "make a new one for the app registration, and set ClientSecret to its value",
	},
	{
		codes: []string{"AADSTS700016"},
		means: "there is no such application in the tenant",
		cure:  "check ClientId and TenantId",
	},
	{
		codes: []string{"AADSTS700038"},
		means: "this cannot be an application's id",
		cure:  "ClientId must be the application (client) ID of the app registration, a GUID",
	},
	{
		codes: []string{"AADSTS7000112"},
		means: "the application is disabled in the tenant",
		cure:  "enable it in Entra (Enterprise applications), or use another",
	},
	{
		codes: []string{"AADSTS90002", "AADSTS900023"},
		means: "Entra knows no such tenant",
		cure:  "TenantId must be the directory (tenant) ID, a GUID, or one of the tenant's domains",
	},
	{
		codes: []string{"AADSTS500011"},
		means: "the tenant does not know this vault's service",
		cure:  "check the cloud in the credential's options and in ClientOptions",
	},

	// Statuses.
	{step: StepAuthenticate, from: http.StatusBadRequest, means: "Entra does not accept the request", cure: "check TenantId, ClientId and the credential's options"},
	{step: StepAuthenticate, from: http.StatusUnauthorized, means: "Entra does not accept the credential", cure: "check ClientId and ClientSecret"},
	{step: StepAuthenticate, from: http.StatusNotFound, cure: cureEntra},
	{step: StepAuthenticate, from: http.StatusTooManyRequests, means: "Entra is asked for too many tokens", cure: "start fewer instances at once"},
	{step: StepAuthenticate, from: 300, to: 399, cure: cureEntra},
	{
		from: http.StatusBadRequest, means: "the vault does not accept the request",
		cure: "leave ClientOptions.APIVersion empty, or set a version that the vault knows",
	},
	{
		from: http.StatusUnauthorized, means: "the vault does not accept the credential's token",
		cure: "check its tenant and cloud",
	},
	{step: StepList, from: http.StatusForbidden, cure: cureRole + ", or name the secrets in Secrets, which takes no permission to list"},
	{from: http.StatusForbidden, cure: cureRole},
	{
		step: StepGet, from: http.StatusNotFound,
		cure: "check the secret's name, and that the address (kvSetting:SecretUri, Config.VaultURL) is a key vault's",
	},
	{from: http.StatusNotFound, cure: cureAddress},
	{
		from: http.StatusTooManyRequests, means: "the vault is asked for too much",
		cure: "load less with Secrets or Sections, lower Concurrency, or start fewer instances at once",
	},
	{from: 100, to: 199, cure: cureAddress},
	{from: 300, to: 399, cure: cureAddress},
	{from: 500, to: 599, means: "the service has a fault of its own", cure: "try again later"},

	// Kinds. The order of their texts matters: the SDK wraps one error in another.
	{
		kind: kindTenant, texts: []string{"isn't configured to acquire tokens for tenant"},
		means: "the credential is for another tenant than the vault's", cure: cureTenant,
	},
	{
		kind: kindResource, texts: []string{"doesn't match the requested domain"},
		means: "the host is not one of Azure Key Vault's",
		cure:  cureAddress + "; for a private cloud, see DisableChallengeResourceVerification in ClientOptions",
	},
	{
		kind: kindChallenge, texts: []string{"WWW-Authenticate header", "invalid challenge resource", "challenge contains invalid claims"},
		means: errChallenge.Error(), cure: cureAddress,
	},
	{
		step: StepAuthenticate, kind: kindNotJSON,
		means: "the answer is not the JSON that was expected", cure: cureEntra,
	},
	{
		kind: kindNotJSON, texts: []string{"unmarshalling type", "json decode error"},
		means: "the answer is not the JSON that was expected", cure: cureAddress,
	},
	{
		kind: kindIssuer, texts: []string{"does not match authority"},
		means: "the authority's metadata names another issuer",
		cure:  "check the authority's address (ActiveDirectoryAuthorityHost of the credential's options, AZURE_AUTHORITY_HOST)",
	},
	{
		step: StepAuthenticate, kind: kindHost,
		means: "the host is unknown", cure: "check the authority's host, and that this machine's DNS can resolve it",
	},
	{
		kind: kindHost, texts: []string{"no such host"},
		means: "the host is unknown",
		cure:  "check the spelling of the address (kvSetting:SecretUri, Config.VaultURL), that the vault exists, and that this machine's DNS can resolve it",
	},
	{
		kind:  kindProxy,
		texts: []string{`": Proxy Authentication Required`, `": Forbidden`, `": Bad Gateway`, `": Service Unavailable`, `": Gateway Timeout`},
		means: "a proxy refused the tunnel",
		cure:  "check HTTPS_PROXY and NO_PROXY, and whether the proxy lets this machine reach the host and wants a user name and password",
	},
	{
		kind: kindAlert, texts: []string{"remote error: tls: "},
		means: "the other side refused the TLS connection",
		cure:  "check the address and the proxy, and whether either wants another TLS version or a client's certificate",
	},
	{
		kind: kindNotTLS, texts: []string{"first record does not look like a TLS handshake", "server gave HTTP response to HTTPS client"},
		means: "the other side does not speak TLS", cure: "check the address's port, and the proxy",
	},
	{
		kind: kindCertificate, texts: []string{"x509: ", "tls: "},
		means: "the TLS handshake failed",
		cure:  "a proxy may answer with a certificate of its own: add its authority to the system's, or give a transport in ClientOptions",
	},
	{
		kind: kindDeadline, texts: []string{"deadline exceeded", "Client.Timeout", "i/o timeout"},
		cure: "check that this machine can reach the vault and Entra (firewall, private endpoint, proxy), or raise Timeout",
	},
	{kind: kindCanceled, means: "the context was canceled"},
	{
		step: StepAuthenticate, kind: kindStranger, cure: cureEntra,
	},
	{
		kind: kindStranger, texts: []string{errTooLarge.Error()},
		means: errTooLarge.Error(), cure: cureAddress,
	},
	{
		kind: kindNetwork, texts: []string{"dial tcp", "connection refused", "connection reset", "EOF"},
		means: "the connection failed", cure: "check the network between this machine and Azure (firewall, private endpoint, proxy)",
	},
	{
		kind:  kindNoAnswer,
		means: "there was no answer, or none that HTTP allows",
		cure:  "check the network between this machine and Azure, and that no proxy or log-in page answers instead; AZURE_SDK_GO_LOGGING=all tells more",
	},
	{
		kind: kindCredential, means: "the credential failed",
		cure: "check the network between this machine and Entra, and the authority in the credential's options; AZURE_SDK_GO_LOGGING=all tells more",
	},
	{
		kind: kindPanic, means: "the client, its transport or the credential panicked",
		cure: "the log has the stack",
	},
	{
		kind: kindChain, texts: []string{"Attempted credentials:"},
		means: "no credential of the chain gave a token",
		cure:  "give this machine one of these identities, or set ClientId, TenantId and ClientSecret of kvSetting; AZURE_SDK_GO_LOGGING=all tells more",
	},
}

// kindOfText finds the meaning of an SDK error that comes as text only.
func kindOfText(text string) kind {
	for _, m := range meanings {
		if slices.ContainsFunc(m.texts, func(part string) bool { return strings.Contains(text, part) }) {
			return m.kind
		}
	}
	return kindUnknown
}

// meaningOf says what a kind is, in words of this package.
func meaningOf(k kind) string {
	for _, m := range meanings {
		if m.kind == k && k != kindUnknown && m.means != "" {
			return m.means
		}
	}
	return ""
}

// hint is what to do about a diagnosis: the first meaning that applies. An answer's
// meaning is part of the hint, since the reason holds only its status and code.
func hint(d Diagnosis) string {
	for _, m := range meanings {
		ofKind := m.kind != kindUnknown && m.kind == d.kind
		ofAnswer := slices.Contains(m.codes, d.Code) || m.from != 0 && d.StatusCode >= m.from && d.StatusCode <= max(m.from, m.to)
		switch {
		case m.step != "" && m.step != d.Step || !ofKind && !ofAnswer:
			continue
		case m.means != "" && d.StatusCode != 0:
			return m.means + ": " + m.cure
		}
		return m.cure
	}
	return ""
}
