package fxmodule_test

import (
	"encoding/base64"
	"os"
	"strings"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// key plants an EncodedJwk in the vault.
func key(encode func(s *site) string) func(*site) {
	return func(s *site) { s.vault.Set(jwkSecret, encode(s)) }
}

// file is a file of testdata/keys.
func (s *site) file(name string) []byte {
	data, err := os.ReadFile("../testdata/keys/" + name)
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

func base64Of(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// jwk is the key's JWK, changed.
func jwk(replace ...string) string {
	data, err := base64.StdEncoding.DecodeString(testKey().EncodedJWK())
	if err != nil {
		panic(err) // the double encodes in base64
	}
	return strings.NewReplacer(replace...).Replace(string(data))
}

// ofVault is what names the key's source.
const ofVault = "EncodedJwk (secret " + jwkSecret + " of " + vaultURL + ")"

var wrongKeys = []misconfiguration{
	{
		name: "the key is not base64", tells: atStart,
		plant: inVault(jwkSecret, "%CANARY%"),
		names: []string{ofVault, "base64", "private JWK"}, never: []string{"CANARY"},
	},
	{
		name: "the key is base64 of something else", tells: atStart,
		plant: inVault(jwkSecret, base64Of("CANARY is not a key")),
		names: []string{ofVault, "JSON", "private JWK"}, never: []string{"CANARY"},
	},
	{
		name: "the key is the name of a file", tells: atStart,
		plant: inVault(jwkSecret, "./keys/client.jwk.json"),
		names: []string{ofVault, "base64", "private JWK"},
	},
	{
		name: "the key is public only", tells: atStart,
		plant: key(func(*site) string { return base64Of(`{"kty":"RSA","kid":"k","e":"AQAB","n":"CANARY"}`) }),
		names: []string{ofVault, "public key", "export the private key"}, never: []string{"CANARY"},
	},
	{
		name: "the key is too small", tells: atStart,
		plant: key(func(s *site) string { return base64Of(string(s.file("small.jwk.json"))) }),
		names: []string{ofVault, "1024", "2048"},
	},
	{
		name: "the key is an elliptic curve's", tells: atStart,
		plant: key(func(s *site) string { return base64Of(string(s.file("ec.jwk.json"))) }),
		names: []string{ofVault, "RSA"},
	},
	{
		name: "the key is PEM", tells: atStart,
		plant: pasted("PEM", func(s *site, secret string) { s.vault.Set(jwkSecret, secret) }),
		names: []string{ofVault, "PEM", "JWK"},
	},
	{
		name: "the key is base64 of PEM", tells: atStart,
		plant: pasted("base64 of PEM", func(s *site, secret string) { s.vault.Set(jwkSecret, secret) }),
		names: []string{ofVault, "PEM", "JWK"},
	},
	{
		name: "the key is a PKCS#12 archive", tells: atStart,
		plant: pasted("base64 of PKCS#12", func(s *site, secret string) { s.vault.Set(jwkSecret, secret) }),
		names: []string{ofVault, "EncodedX509"},
	},
	{
		name: "the key is a token", tells: atStart,
		plant: pasted("JWT", func(s *site, secret string) { s.vault.Set(jwkSecret, secret) }),
		names: []string{ofVault, "token (JWT)"},
	},
	{
		name: "the base64 is cut", tells: atStart,
		plant: key(func(*site) string { return testKey().EncodedJWK()[:1000] }),
		names: []string{ofVault, "cut"},
	},
	{
		name: "the base64 is cut within a group", tells: atStart,
		plant: key(func(*site) string { return testKey().EncodedJWK()[:1001] }),
		names: []string{ofVault, "cut"},
	},
	{
		name: "base64 of base64", tells: atStart,
		plant: key(func(*site) string { return base64Of(testKey().EncodedJWK()) }),
		names: []string{ofVault, "twice"},
	},
	{
		name: "the key has no key id", tells: atStart,
		plant: key(func(*site) string { return base64Of(jwk(`"kid":"for-tests-only",`, "")) }),
		names: []string{ofVault, "kid", "Kid"},
	},
	{
		name: "the key's numbers do not fit", tells: atStart,
		plant: key(func(*site) string { return base64Of(jwk(`"q":"`, `"q":"AQ`)) }),
		names: []string{ofVault, "do not fit together"},
	},
	{
		name: "two private keys", tells: atStart,
		plant: key(func(*site) string { return base64Of(`{"keys":[` + jwk() + `,` + jwk("for-tests-only", "other") + `]}`) }),
		names: []string{ofVault, "one private key"},
	},
	{
		name: "the key is for another algorithm", tells: atStart,
		plant: key(func(*site) string { return base64Of(jwk(`"alg":"RS256"`, `"alg":"PS256"`)) }),
		names: []string{ofVault, "PS256", "RS256"},
	},
	{
		name: "a key and a certificate", tells: atStart,
		plant: func(s *site) { s.section["EncodedX509"] = base64Of(string(s.file("enterprise.p12"))) },
		names: []string{ofVault, "EncodedX509 (appsettings.json)", "keep one"},
	},
	{
		name: "an archive with a password", tells: atStart,
		plant: func(s *site) {
			s.vault.Delete(jwkSecret)
			s.section["EncodedX509"] = base64Of(string(s.file("enterprise.p12")))
		},
		names: []string{"EncodedX509 (appsettings.json)", "password"}, cures: []string{"CertificatePkcs12Password"},
	},
	{
		name: "a wrong password of an archive", tells: atStart,
		plant: func(s *site) {
			s.vault.Delete(jwkSecret)
			s.section["CertificatePkcs12Path"] = "../testdata/keys/enterprise.p12"
			s.section["CertificatePkcs12Password"] = "CANARY-0123456789"
		},
		names: []string{"CertificatePkcs12Password (appsettings.json)", "CertificatePkcs12Path (appsettings.json)"}, never: []string{"CANARY"},
	},
	{
		name: "an archive's file is not there", tells: atStart,
		plant: func(s *site) {
			s.vault.Delete(jwkSecret)
			s.section["CertificatePkcs12Path"] = "client.p12"
		},
		names: []string{"CertificatePkcs12Path (appsettings.json)", "working directory"}, cures: []string{"no such file"},
	},
	{
		name: "the archive is a PEM file", tells: atStart,
		plant: func(s *site) {
			s.vault.Delete(jwkSecret)
			s.section["CertificatePkcs12Path"] = "../testdata/keys/enterprise-root.pem"
		},
		names: []string{"CertificatePkcs12Path (appsettings.json)", "PKCS#12"},
	},
	{
		name: "a wrong Kid", tells: atRequest,
		plant: set("Kid", "my-old-key"),
		names: []string{"Kid (appsettings.json)", "not registered"}, cures: []string{"my-old-key", "2 minutes", s2048},
	},
}

// s2048 is the size of the key of the tests.
const s2048 = "2048"

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
		names: []string{ofVault, "not registered"}, cures: []string{"for-tests-only", s2048, "2 minutes"},
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
		names: []string{"https", "plain http"},
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
