package azure

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/portnokkel/portnokkel/internal/netcause"
)

// The steps of a load.
const (
	StepAuthenticate = "authenticate"
	StepList         = "list"
	StepGet          = "get"
	StepVersions     = "versions" // listing the versions of a secret
	StepWatch        = "watch"    // listing to see what has changed
)

// The steps of a client for keys.
const (
	StepKeyVersions = "list versions"
	StepKey         = "get key"
	StepSign        = "sign"
)

// kind is what went wrong if no answer tells, nor the network.
type kind int

const (
	kindUnknown kind = iota
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
	cureRole    = `grant the identity the role "Key Vault Secrets User" on the vault (a new role takes up to 10 minutes)`
	cureAccess  = "give the identity the secret permissions Get and List in the vault's access policies"
	cureMay     = `grant the identity the role "Key Vault Secrets User" on the vault (with access policies: the secret permissions Get and List)`
	cureByName  = ", or name the secrets in Secrets, which takes no permission to list"
	cureList    = ": Watch lists the vault, even if Secrets names what to load"
	cureTenant  = "use a credential of the tenant that the vault's subscription belongs to: check {TenantId}"
	cureAddress = "check that {VaultURL} is a key vault's address, and that no proxy or log-in page answers instead"
	cureEntra   = "check the authority's address and {TenantId}, and that no proxy or log-in page answers instead"

	cureKeyRole   = `grant the identity the role "Key Vault Crypto User" on the vault or the key (a new role takes up to 10 minutes)`
	cureKeyAccess = "give the identity the key permissions Get, List and Sign in the vault's access policies"
	cureKeyMay    = `grant the identity the role "Key Vault Crypto User" on the vault or the key (with access policies: the key permissions Get, List and Sign)`
	cureKeyReads  = "read the keys less often, or start fewer instances at once"
	tooMuch       = "the vault is asked for too much"

	// authority is what names Entra's address.
	authority = "the authority's address (AZURE_AUTHORITY_HOST, the credential's options)"
)

// meanings is in the order in which it is searched. The codes' meanings are from
// https://learn.microsoft.com/azure/key-vault/general/rest-error-codes and
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes.
var meanings = []meaning{
	// What the load knows better than the answer.
	{
		kind: kindGone, means: "the vault listed the secret and then did not have it",
		cure: "load again: the secret was deleted meanwhile; if it stays so, check that no proxy answers instead of the vault",
	},

	// Codes of Key Vault.
	{
		codes: []string{"ForbiddenByFirewall"},
		cure:  "let {client} through the vault's firewall (Networking), or reach the vault by its private endpoint",
	},
	{
		codes: []string{"ForbiddenByConnection"},
		cure:  "reach the vault from a network with its private endpoint, or allow public access to it (Networking)",
	},
	{step: StepKeyVersions, codes: []string{"ForbiddenByRbac"}, cure: cureKeyRole},
	{step: StepKey, codes: []string{"ForbiddenByRbac"}, cure: cureKeyRole},
	{step: StepSign, codes: []string{"ForbiddenByRbac"}, cure: cureKeyRole},
	{step: StepList, codes: []string{"ForbiddenByRbac"}, cure: cureRole + cureByName},
	{step: StepWatch, codes: []string{"ForbiddenByRbac"}, cure: cureRole + cureList},
	{codes: []string{"ForbiddenByRbac"}, cure: cureRole},
	{step: StepKeyVersions, codes: []string{"AccessDenied"}, cure: cureKeyAccess},
	{step: StepKey, codes: []string{"AccessDenied"}, cure: cureKeyAccess},
	{step: StepSign, codes: []string{"AccessDenied"}, cure: cureKeyAccess},
	{step: StepList, codes: []string{"AccessDenied"}, cure: cureAccess + cureByName},
	{step: StepWatch, codes: []string{"AccessDenied"}, cure: cureAccess + cureList},
	{codes: []string{"AccessDenied"}, cure: cureAccess},
	{
		codes: []string{"SecretDisabled"},
		cure:  "enable the secret in the vault, or do not name it in Secrets",
	},
	{
		codes: []string{"SecretNotFound"},
		cure:  "create the secret in the vault, or correct its name",
	},
	{
		codes: []string{"KeyDisabled"},
		cure:  "enable the key's version in the vault, or use another",
	},
	{
		codes: []string{"KeyExpired"},
		cure:  "make a new version of the key and register it, or set a later expiry date in the vault",
	},
	{
		codes: []string{"KeyNotYetValid"},
		cure:  "set an earlier activation date for the key's version in the vault, or use another",
	},
	{
		codes: []string{"KeyOperationForbidden"},
		cure:  "permit the operation Sign for the key's version in the vault, or make a new version that permits it",
	},
	{
		codes: []string{"KeyNotFound"},
		cure:  "create the key in the vault (a key, not a secret or a certificate), or correct its name and version",
	},
	{
		codes: []string{"AKV10032"}, // the token's issuer
		cure:  cureTenant,
	},
	{
		codes: []string{"AKV10022"}, // the token's audience
		means: "the token is for another service",
		cure:  "check the cloud in the credential's options and in ClientOptions",
	},

	// Codes of Entra.
	{
		codes: []string{"AADSTS7000215"},
		means: "the client secret is wrong",
		cure:  "set {ClientSecret} to the client secret's value, not its ID",
	},
	{
		codes: []string{"AADSTS7000222"},
		means: "the client secret has expired",
		cure:  "set {ClientSecret} to the value of a new client secret of the app registration",
	},
	{
		codes: []string{"AADSTS700016"},
		means: "there is no such application in the tenant",
		cure:  "check {ClientId} and {TenantId}",
	},
	{
		codes: []string{"AADSTS700038"},
		means: "this cannot be an application's id",
		cure:  "set {ClientId} to the application (client) ID of the app registration, a GUID",
	},
	{
		codes: []string{"AADSTS7000112"},
		means: "the application is disabled in the tenant",
		cure:  "enable the application in Entra (Enterprise applications), or use another",
	},
	{
		codes: []string{"AADSTS90002", "AADSTS900023"},
		means: "Entra knows no such tenant",
		cure:  "set {TenantId} to the directory (tenant) ID, a GUID, or to one of the tenant's domains",
	},
	{
		codes: []string{"AADSTS500011"},
		means: "the tenant does not know this vault's service",
		cure:  "check the cloud in the credential's options and in ClientOptions",
	},

	// Statuses.
	{step: StepAuthenticate, from: http.StatusBadRequest, means: "Entra does not accept the request", cure: "check {TenantId}, {ClientId} and the credential's options"},
	{step: StepAuthenticate, from: http.StatusUnauthorized, means: "Entra does not accept the credential", cure: "check {ClientId} and {ClientSecret}"},
	{step: StepAuthenticate, from: http.StatusNotFound, cure: cureEntra},
	{step: StepAuthenticate, from: http.StatusTooManyRequests, means: "Entra is asked for too many tokens", cure: "start fewer instances at once"},
	{step: StepAuthenticate, from: 300, to: 399, cure: cureEntra},
	{
		from: http.StatusBadRequest, means: "the vault does not accept the request",
		cure: "leave ClientOptions.APIVersion empty, or set a version that the vault knows",
	},
	{
		from: http.StatusUnauthorized, means: "the vault does not accept the credential's token",
		cure: "check the tenant and the cloud of the credential",
	},
	{step: StepKeyVersions, from: http.StatusForbidden, cure: cureKeyMay},
	{step: StepKey, from: http.StatusForbidden, cure: cureKeyMay},
	{step: StepSign, from: http.StatusForbidden, cure: cureKeyMay},
	{step: StepList, from: http.StatusForbidden, cure: cureMay + cureByName},
	{step: StepWatch, from: http.StatusForbidden, cure: cureMay + cureList},
	{from: http.StatusForbidden, cure: cureMay},
	{
		step: StepGet, from: http.StatusNotFound,
		cure: "check the secret's name, and that {VaultURL} is a key vault's address",
	},
	{from: http.StatusNotFound, cure: cureAddress},
	{step: StepWatch, from: http.StatusTooManyRequests, means: "the vault is asked for too much", cure: "raise WatchEvery, or watch in fewer instances"},
	{step: StepKeyVersions, from: http.StatusTooManyRequests, means: tooMuch, cure: cureKeyReads},
	{step: StepKey, from: http.StatusTooManyRequests, means: tooMuch, cure: cureKeyReads},
	{
		step: StepSign, from: http.StatusTooManyRequests, means: "the vault is asked for too many signatures",
		cure: "take a key of 2048 bits, which the vault signs with most often, or give this service a vault of its own",
	},
	{
		from: http.StatusTooManyRequests, means: tooMuch,
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
		step: StepAuthenticate, kind: kindStranger, cure: cureEntra,
	},
	{
		kind: kindStranger, texts: []string{errTooLarge.Error()},
		means: errTooLarge.Error(), cure: cureAddress,
	},
	{
		kind: kindCredential, means: "the credential failed",
		cure: "check the network between this machine and Entra, and the authority in the credential's options; AZURE_SDK_GO_LOGGING=all tells more",
	},
	{
		kind: kindPanic, means: "the client, its transport or the credential panicked",
		cure: "look at the stack in the log",
	},
	{
		kind: kindChain, texts: []string{"Attempted credentials:"},
		means: "no credential of the chain gave a token",
		cure:  "give this machine one of these identities, or set kvSetting's ClientId, TenantId and ClientSecret; AZURE_SDK_GO_LOGGING=all tells more",
	},
}

// netTexts are parts of the errors of a credential whose transport is not ours, and which
// come as text only. The order matters: one text may hold several.
var netTexts = []struct {
	part string
	kind netcause.Kind
}{
	{"no such host", netcause.Host},
	{`": Proxy Authentication Required`, netcause.ProxyRefused},
	{`": Forbidden`, netcause.ProxyRefused},
	{`": Bad Gateway`, netcause.ProxyRefused},
	{`": Service Unavailable`, netcause.ProxyRefused},
	{`": Gateway Timeout`, netcause.ProxyRefused},
	{"proxyconnect tcp", netcause.ProxyLost},
	{"remote error: tls: ", netcause.Alert},
	{"first record does not look like a TLS handshake", netcause.NotTLS},
	{"server gave HTTP response to HTTPS client", netcause.NotTLS},
	{"x509: certificate is valid for ", netcause.Name},
	{"x509: certificate has expired", netcause.Expired},
	{"x509: ", netcause.Authority},
	{"tls: failed to verify", netcause.Authority},
	{"deadline exceeded", netcause.Timeout},
	{"Client.Timeout", netcause.Timeout},
	{"TLS handshake timeout", netcause.Timeout},
	{"i/o timeout", netcause.Timeout},
	{"connection refused", netcause.Refused},
	{"connection reset", netcause.Closed},
	{"EOF", netcause.Closed},
	{"dial tcp", netcause.Unreachable},
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

// explain adds to a diagnosis what it means and what to do about it.
func (s *Session) explain(d *Diagnosis) {
	address, identity := cmp.Or(s.setting, "VaultURL"), Names{}
	if asked := s.gate.asked.Load(); asked != nil {
		identity = asked.names
	}
	if d.net != nil && d.StatusCode == 0 {
		if d.Step == StepAuthenticate {
			address = authority
		}
		d.Hint = d.net.Cure(address)
		return
	}
	m := meaningFor(*d)
	if m.means != "" && d.StatusCode != 0 {
		d.Reason += ": " + m.means // of a kind the reason is just that
	}
	d.Hint = strings.NewReplacer(
		"{VaultURL}", address,
		"{TenantId}", cmp.Or(identity.TenantID, "TenantId"),
		"{ClientId}", cmp.Or(identity.ClientID, "ClientId"),
		"{ClientSecret}", cmp.Or(identity.ClientSecret, "ClientSecret"),
		"{client}", cmp.Or(d.client, "this machine's address"),
	).Replace(m.cure)
	if number, ok := strings.CutPrefix(d.Code, "AADSTS"); ok && len(m.codes) == 0 {
		d.Hint += ", and look the code up at https://login.microsoftonline.com/error?code=" + number
	}
	if private := netcause.CurePrivate(hostOf(s.vault), address); private != "" && d.kind == kindResource {
		d.Hint = private
	}
}

// meaningFor is the first meaning that applies; a zero one if none does.
func meaningFor(d Diagnosis) meaning {
	for _, m := range meanings {
		ofKind := m.kind != kindUnknown && m.kind == d.kind
		ofAnswer := slices.Contains(m.codes, d.Code) || m.from != 0 && d.StatusCode >= m.from && d.StatusCode <= max(m.from, m.to)
		if (m.step == "" || m.step == d.Step) && (ofKind || ofAnswer) {
			return m
		}
	}
	return meaning{}
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
