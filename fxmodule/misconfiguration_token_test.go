package fxmodule_test

import (
	"strings"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// client registers the site's client otherwise.
func client(change func(*maskinportentest.Client)) []maskinportentest.Option {
	c := maskinportentest.Client{ID: "maskinportentest-client", OrgNo: "991825827", Scopes: []string{scope}, Keys: []maskinportentest.Key{testKey()}}
	change(&c)
	return []maskinportentest.Option{maskinportentest.WithClient(c)}
}

// refuse makes Maskinporten answer every token request with a refusal.
func refuse(status int, oauth, description string) func(*site) {
	return func(s *site) {
		s.porten.Faults.Add(faulttest.Fault{Match: toToken, Times: -1, Status: status, Body: text(map[string]any{"error": oauth, "error_description": description + " (trace_id: 0123456789abcdef0123456789abcdef)"})})
	}
}

var refusedTokens = []misconfiguration{
	{
		name: "ClientId misspelt", tells: atRequest,
		plant: inVault(clientIDSecret, "misspelt"),
		names: []string{"ClientId (secret " + clientIDSecret + " of " + vaultURL + ")", "misspelt", "Environment (appsettings.json)"}, cures: []string{"client misspelt"},
	},
	{
		name: "the key is not registered", tells: atRequest,
		porten: client(func(c *maskinportentest.Client) { c.Keys = []maskinportentest.Key{{KeyID: "another"}} }), plant: func(*site) {},
		names: []string{ofVault, "not registered"}, cures: []string{"for-tests-only", "2048", "2 minutes"},
	},
	{
		name: "the key expired at Maskinporten", tells: atRequest,
		plant: func(s *site) { s.porten.ExpireKey(s.porten.ClientID(), "for-tests-only") },
		names: []string{ofVault, "register it again"}, cures: []string{"for-tests-only"},
	},
	{
		name: "another key under the same key id", tells: atRequest,
		plant: key(func(s *site) string {
			return base64Of(strings.ReplaceAll(string(s.file("other.jwk.json")), otherKid(s), "for-tests-only"))
		}),
		names: []string{ofVault}, cures: []string{"for-tests-only"},
	},
	{
		name: "a scope that does not exist", tells: atRequest,
		plant: set("Scope", "altinn:instances.raed"),
		names: []string{"Scope (appsettings.json)", "misspelt"}, cures: []string{"altinn:instances.raed"},
	},
	{
		name: "a scope of another client", tells: atRequest,
		plant: func(s *site) {
			s.porten.AddClient(maskinportentest.Client{ID: "other", Scopes: []string{"ks:fiks"}})
			s.section["Scope"] = "ks:fiks"
		},
		names: []string{"Scope (appsettings.json)", "client"}, cures: []string{"ks:fiks"},
	},
	{
		name: "a scope that is not granted", tells: atRequest,
		porten: client(func(c *maskinportentest.Client) { c.Granted = []string{} }), plant: func(*site) {},
		names: []string{"Scope (appsettings.json)", "API's owner"}, cures: []string{scope},
	},
	{
		name: "access that is not delegated", tells: atRequest,
		porten: client(func(c *maskinportentest.Client) { c.ConsumerOrgs = []string{} }),
		plant:  set("ConsumerOrgNo", "974760673"),
		names:  []string{"ConsumerOrgNo (appsettings.json)", "delegate"}, cures: []string{"974760673"},
	},
	{
		name: "ConsumerOrgNo is the client's own organisation", tells: atRequest,
		plant: set("ConsumerOrgNo", "991825827"),
		names: []string{"remove ConsumerOrgNo (appsettings.json)", "own organisation"},
	},
	{
		name: "Resource is not a URI", tells: atRequest,
		plant: set("Resource", "my-api"),
		names: []string{"Resource (appsettings.json)"}, cures: []string{"absolute URI"},
	},
	{
		name: "a certificate of another environment", tells: atRequest,
		plant: refuse(400, "invalid_grant", "Invalid assertion. Client authentication failed. JWT is signed with an invalid certificate (MP-120)"),
		names: []string{ofVault, "certificate", "production"}, cures: []string{"MP-120"},
	},
	{
		name: "an enterprise certificate that is not registered", tells: atRequest,
		plant: func(s *site) {
			s.vault.Delete(jwkSecret)
			s.section["CertificatePkcs12Path"] = "../testdata/keys/enterprise.p12"
			s.section["CertificatePkcs12Password"] = "for-tests-only"
		},
		names: []string{"CertificatePkcs12Path (appsettings.json)"},
	},
	{
		name: "a grant refused without a reason", tells: atRequest,
		plant: refuse(400, "invalid_grant", ""),
		names: []string{"Environment (appsettings.json)", ofVault}, cures: []string{"maskinportentest-client"},
	},
	{
		name: "the assertion is another environment's", tells: atRequest,
		plant: refuse(400, "invalid_grant", "Invalid assertion. Client authentication failed. Invalid JWT claim aud (MP-110)"),
		names: []string{"Environment (appsettings.json)"}, cures: []string{"MP-110"},
	},
	{
		name: "a refusal that nobody knows", tells: atRequest,
		plant: refuse(400, "temporarily_strange", "Something new went wrong"),
		names: []string{"token request"}, cures: []string{"Something new went wrong", "400"},
	},
	{
		name: "the first token at the start", tells: atStart,
		plant: func(s *site) {
			s.options = []fxmodule.Option{fxmodule.WarmUp()}
			s.vault.Set(clientIDSecret, "misspelt")
		},
		names: []string{"ClientId (secret " + clientIDSecret + " of " + vaultURL + ")", "misspelt"}, cures: []string{"client misspelt", `"altinn"`},
	},
	{
		name: "an enterprise user", tells: atRequest,
		plant: func(s *site) {
			s.pasted["the password"] = "CANARY-0123456789"
			s.section["EnterpriseUserName"], s.section["EnterpriseUserPassword"] = "ola.nordmann", "CANARY-0123456789"
		},
		names: []string{"EnterpriseUserName (appsettings.json)", "EnterpriseUserPassword (appsettings.json)", "remove", "system user"}, cures: []string{"410"},
	},
	{
		name: "the exchange refuses the token", tells: atRequest,
		plant: func(s *site) {
			s.porten.Faults.Add(faulttest.Fault{Match: toExchange, Times: -1, Status: 401, Body: `{"title":"Unauthorized","status":401}`})
		},
		names: []string{"TokenExchangeEnvironment", "Environment (appsettings.json)"}, cures: []string{"401"},
	},
	{
		name: "too many token requests", tells: atRequest,
		plant: func(s *site) {
			s.porten.Faults.Add(faulttest.Fault{Match: toToken, Times: -1, Status: 429, Header: map[string][]string{"Retry-After": {"30"}}})
		},
		names: []string{"wait"}, cures: []string{"429", issuerURL},
	},
	{
		name: "Maskinporten fails", tells: atRequest,
		plant: func(s *site) { s.porten.Faults.Add(faulttest.Fault{Match: toToken, Times: -1, Status: 503}) },
		names: []string{"wait"}, cures: []string{"503", issuerURL},
	},
}

// otherKid is the key id of testdata's other key.
func otherKid(s *site) string {
	_, after, _ := strings.Cut(string(s.file("other.jwk.json")), `"kid": "`)
	kid, _, _ := strings.Cut(after, `"`)
	if kid == "" {
		s.t.Fatal("the other key has no kid")
	}
	return kid
}

var wrongEnvironments = []misconfiguration{
	{
		name: "production's platform with a test token", tells: atRequest,
		plant: set("TokenExchangeEnvironment", "prod"),
		names: []string{"TokenExchangeEnvironment (appsettings.json)"},
	},
	{
		name: "the issuer is misspelt", tells: atRequest,
		plant: func(s *site) {
			s.section["Environment"], s.section["TokenExchangeEnvironment"] = "https://test.maskinporten.example/", "tt02"
		},
		names: []string{"Environment (appsettings.json)"}, cures: []string{"test.maskinporten.example", "DNS"},
	},
	{
		name: "the exchange's address is misspelt", tells: atRequest,
		plant: set("TokenExchangeEnvironment", "https://platform.tt02.altinn.example"),
		names: []string{"TokenExchangeEnvironment (appsettings.json)"}, cures: []string{"platform.tt02.altinn.example", "DNS"},
	},
	{
		name: "a host that is not allowed", tells: atRequest,
		plant: func(s *site) { s.client = append(s.client, httpclient.WithAllowedHosts("platform.altinn.no")) },
		names: []string{"WithAllowedHosts", "platform.tt02.altinn.no"},
	},
	{
		name: "plain http to another machine", tells: atRequest,
		plant: func(s *site) { s.url = strings.Replace(apiURL, "https:", "http:", 1) },
		names: []string{"https"}, cures: []string{"plain http"},
	},
}

// mixedIdentities have the key of one client and the id of another.
var mixedIdentities = []misconfiguration{
	{
		name: "the vault's key with a file's client", tells: atRequest,
		plant: func(s *site) {
			s.vault.Delete(clientIDSecret)
			s.section["EncodedJwk"] = base64Of(string(s.file("other.jwk.json")))
			s.section["ClientId"] = "clients-file"
		},
		names: []string{"ClientId (appsettings.json)", ofVault}, cures: []string{"clients-file"},
	},
	{
		name: "the vault's client with a file's key", tells: atRequest,
		plant: func(s *site) {
			s.vault.Delete(jwkSecret)
			s.section["ClientId"] = "clients-file"
			s.section["EncodedJwk"] = base64Of(string(s.file("other.jwk.json")))
		},
		names: []string{"EncodedJwk (appsettings.json)", "ClientId (secret " + clientIDSecret + " of " + vaultURL + ")"},
	},
	{
		name: "the vault's client with a file's key that fits", tells: inLog,
		plant: func(s *site) {
			s.section["ClientId"], s.section["EncodedJwk"] = "clients-file", testKey().EncodedJWK()
			s.vault.Delete(jwkSecret)
		},
		names: []string{"EncodedJwk (appsettings.json)", "ClientId (secret " + clientIDSecret + " of " + vaultURL + ")"},
	},
}

var clocks = []misconfiguration{
	{
		name: "the clock is behind", tells: inLog,
		porten: clock(10 * time.Minute), plant: func(*site) {},
		names: []string{"clock", "behind", "synchronise"}, cures: []string{"10m0s"},
	},
	{
		name: "the clock is ahead", tells: inLog,
		porten: clock(-10 * time.Minute), plant: func(*site) {},
		names: []string{"clock", "ahead", "synchronise"}, cures: []string{"10m0s"},
	},
	{
		name: "the clock is hours behind", tells: atRequest,
		porten: clock(5 * time.Hour), plant: func(*site) {},
		names: []string{"synchronise", "clock"}, cures: []string{"5h0m0s behind"},
	},
	{
		name: "the clock is hours ahead", tells: atRequest,
		porten: clock(-5 * time.Hour), plant: func(*site) {},
		names: []string{"synchronise", "clock"}, cures: []string{"5h0m0s ahead"},
	},
}

// clock moves Maskinporten's clock.
func clock(by time.Duration) []maskinportentest.Option {
	return []maskinportentest.Option{maskinportentest.WithClock(func() time.Time { return time.Now().Add(by) })}
}
