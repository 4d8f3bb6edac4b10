package fxmodule_test

import (
	"encoding/json"
	"sync"
	"testing"

	"github.com/portnokkel/portnokkel/internal/paste/pastetest"
)

// text is settings as a file has them.
func text(settings map[string]any) string {
	data, err := json.Marshal(settings)
	if err != nil {
		panic(err) // the table's own maps always encode
	}
	return string(data)
}

// set plants a setting of MaskinportenSettings in appsettings.json.
func set(key string, value any) func(*site) { return func(s *site) { s.section[key] = value } }

// inVault plants a secret.
func inVault(name, value string) func(*site) { return func(s *site) { s.vault.Set(name, value) } }

// kvSet plants a field of kvSetting.
func kvSet(field string, value any) func(*site) { return func(s *site) { s.kv[field] = value } }

// kvFile is where kvSetting stands.
const kvFile = " (appsettings.Production.json)"

var wrongTypes = []misconfiguration{
	{
		name: "a flag that is a word", tells: atStart,
		plant: set("ExhangeToAltinnToken", "ja"),
		names: []string{"ExhangeToAltinnToken (appsettings.json)", "true", "false"},
	},
	{
		name: "a flag that is a number", tells: atStart,
		plant: set("UseAltinnTestOrg", 1),
		names: []string{"UseAltinnTestOrg (appsettings.json)", "true", "false"},
	},
	{
		name: "a flag that is a section", tells: atStart,
		plant: set("EnableDebugLog", map[string]any{"Level": "CANARY"}),
		names: []string{"EnableDebugLog (appsettings.json)", "true", "false"}, never: []string{"CANARY"},
	},
	{
		name: "a flag of a secret", tells: atStart,
		plant: inVault("MaskinportenSettings--UseAltinnTestOrg", "CANARY-0123456789"),
		names: []string{"UseAltinnTestOrg (secret MaskinportenSettings--UseAltinnTestOrg of " + vaultURL + ")", "true", "false"}, never: []string{"CANARY"},
	},
	{
		name: "Scope is a section", tells: atStart,
		plant: set("Scope", map[string]any{"altinn:instances.read": true}),
		names: []string{"Scope (appsettings.json)", "section", "text"},
	},
	{
		name: "a number among the scopes", tells: atStart,
		plant: set("Scope", []any{scope, 7}),
		names: []string{"Scope (appsettings.json)", "number", "text"},
	},
	{
		name: "ClientId is a list", tells: atStart,
		plant: func(s *site) { s.vault.Delete(clientIDSecret); s.section["ClientId"] = []any{"a"} },
		names: []string{"ClientId (appsettings.json)", "list", "text"},
	},
	{
		name: "the section is a text", tells: atStart,
		plant: func(s *site) {
			s.files["appsettings.json"] = `{"MaskinportenSettings": "CANARY"}`
			s.vault.Delete(clientIDSecret)
			s.vault.Delete(jwkSecret)
		},
		names: []string{`"MaskinportenSettings"`, "keys below it"}, cures: []string{"(appsettings.json)"}, never: []string{"CANARY"},
	},
	{
		name: "the section is a list", tells: atStart,
		plant: func(s *site) {
			s.files["appsettings.json"] = `{"MaskinportenSettings": [{"Environment": "test"}]}`
			s.vault.Delete(clientIDSecret)
			s.vault.Delete(jwkSecret)
		},
		names: []string{`"MaskinportenSettings"`, "keys below it"}, cures: []string{"(appsettings.json)"},
	},
	{
		name: "kvSetting is a text", tells: atStart,
		plant: func(s *site) {
			s.files["appsettings.Production.json"] = `{"kvSetting": "https://my-vault.vault.azure.net"}`
		},
		names: []string{"kvSetting", kvFile, "section"},
	},
	{
		name: "a field of kvSetting is a number", tells: atStart,
		plant: kvSet("ClientSecret", 12345),
		names: []string{"kvSetting:ClientSecret" + kvFile, "text"},
	},
	{
		name: "two spellings that disagree", tells: atStart,
		plant: set("ExchangeToAltinnToken", false),
		names: []string{"ExhangeToAltinnToken (appsettings.json)", "ExchangeToAltinnToken (appsettings.json)", "keep one"},
	},
}

var wrongForms = []misconfiguration{
	{
		name: "semicolons in Scope", tells: atStart,
		plant: set("Scope", "altinn:instances.read;altinn:instances.write"),
		names: []string{"Scope (appsettings.json)", "semicolon", "spaces or commas"},
	},
	{
		name: "Scope in quotation marks", tells: atStart,
		plant: set("Scope", `"altinn:serviceowner/instances.read"`),
		names: []string{"Scope (appsettings.json)", "quotation marks", "remove"},
	},
	{
		name: "ClientId in quotation marks", tells: atStart,
		plant: inVault(clientIDSecret, `"maskinportentest-client"`),
		names: []string{"ClientId (secret " + clientIDSecret + " of " + vaultURL + ")", "quotation marks", "remove"},
	},
	{
		name: "the key in quotation marks", tells: atStart,
		plant: func(s *site) { s.vault.Set(jwkSecret, `"`+testKey().EncodedJWK()+`"`) },
		names: []string{"EncodedJwk (secret " + jwkSecret + " of " + vaultURL + ")", "quotation marks", "remove"},
	},
	{
		name: "Environment in quotation marks, from a variable", tells: atStart,
		plant: func(s *site) { s.environ = []string{`MaskinportenSettings__Environment="test"`} },
		names: []string{"Environment (environment variable MaskinportenSettings__Environment)", "quotation marks", "remove"},
	},
	{
		name: "a space in ClientId", tells: atStart,
		plant: inVault(clientIDSecret, "my client"),
		names: []string{"ClientId (secret " + clientIDSecret + " of " + vaultURL + ")", "character"},
	},
	{
		name: "spaces in ConsumerOrgNo", tells: atStart,
		plant: set("ConsumerOrgNo", "974 760 673"),
		names: []string{"ConsumerOrgNo (appsettings.json)", "nine digits"},
	},
	{
		name: "ConsumerOrgNo is a person", tells: atStart,
		plant: set("ConsumerOrgNo", "01017012345"),
		names: []string{"ConsumerOrgNo (appsettings.json)", "nine digits"}, never: []string{"01017012345"},
	},
	{
		name: "Environment is Altinn's", tells: atStart,
		plant: set("Environment", "tt02"),
		names: []string{"Environment (appsettings.json)", `"test"`, "TT02"},
	},
	{
		name: "Environment is ASP.NET's", tells: atStart,
		plant: set("Environment", "Production"),
		names: []string{"Environment (appsettings.json)", `"prod"`},
	},
	{
		name: "Environment is retired", tells: atRequest,
		plant: set("Environment", "ver2"),
		names: []string{"Environment (appsettings.json)"}, cures: []string{"ver2", `"test"`},
	},
	{
		name: "Environment is the token endpoint", tells: atStart,
		plant: set("Environment", "https://test.maskinporten.no/token"),
		names: []string{"Environment (appsettings.json)", "token endpoint", "https://test.maskinporten.no/"},
	},
	{
		name: "Authority is plain http", tells: atStart,
		plant: func(s *site) {
			delete(s.section, "Environment")
			s.section["Authority"] = "http://test.maskinporten.no/"
		},
		names: []string{"Authority (appsettings.json)", "https"},
	},
	{
		name: "Environment and Authority disagree", tells: atStart,
		plant: set("Authority", "https://maskinporten.no/"),
		names: []string{"Environment (appsettings.json)", "Authority (appsettings.json)", "keep one"},
	},
	{
		name: "TokenExchangeEnvironment misspelt", tells: atStart,
		plant: set("TokenExchangeEnvironment", "tt2"),
		names: []string{"TokenExchangeEnvironment (appsettings.json)", `"tt2"`, `"tt02"`},
	},
	{
		name: "a certificate of Windows' store", tells: atStart,
		plant: func(s *site) {
			s.vault.Delete(jwkSecret)
			s.section["CertificateStoreThumbprint"] = "0123456789ABCDEF0123456789ABCDEF01234567"
		},
		names: []string{"CertificateStoreThumbprint (appsettings.json)", "Windows"}, cures: []string{"CertificatePkcs12Path"},
	},
	{
		name: "an unknown setting", tells: inLog,
		plant: set("EnableDebugLogg", true),
		names: []string{"EnableDebugLogg (appsettings.json)", "EnableDebugLog"},
	},
	{
		name: "UseAltinnTestOrg without an exchange", tells: inLog,
		plant: func(s *site) { s.section["UseAltinnTestOrg"], s.section["ExhangeToAltinnToken"] = true, false },
		names: []string{"UseAltinnTestOrg (appsettings.json)", "ExhangeToAltinnToken"},
	},
}

var (
	secrets     map[string]string
	makeSecrets sync.Once
)

// secretsOnce is pastetest's secrets. They are made once, because that takes time.
func secretsOnce(t testing.TB) map[string]string {
	makeSecrets.Do(func() { secrets = pastetest.Secrets(t, "../testdata/keys") })
	return secrets
}

// pasted plants a secret in a place where it does not belong.
func pasted(kind string, plant func(*site, string)) func(*site) {
	return func(s *site) {
		secret := secretsOnce(s.t)[kind]
		if secret == "" {
			s.t.Fatalf("there is no secret %q", kind)
		}
		s.pasted[kind] = secret
		plant(s, secret)
	}
}

var pastes = []misconfiguration{
	{
		name: "the JWK as ClientId", tells: atStart,
		plant: pasted("JWK, compact", func(s *site, secret string) { s.vault.Set(clientIDSecret, secret) }),
		names: []string{"ClientId (secret " + clientIDSecret + " of " + vaultURL + ")", "private key", "EncodedJwk"},
	},
	{
		name: "the base64 of the JWK as Kid", tells: atStart,
		plant: pasted("base64 of the JWK, pretty", func(s *site, secret string) { s.section["Kid"] = secret }),
		names: []string{"Kid (appsettings.json)", "private key", "EncodedJwk"},
	},
	{
		name: "PEM in Scope", tells: atStart,
		plant: pasted("PEM on one line", func(s *site, secret string) { s.section["Scope"] = secret }),
		names: []string{"Scope (appsettings.json)", "private key (PEM)"},
	},
	{
		name: "a client secret of Entra as ClientId", tells: atStart,
		plant: pasted("Entra client secret", func(s *site, secret string) { s.vault.Set(clientIDSecret, secret) }),
		names: []string{"ClientId (secret " + clientIDSecret + " of " + vaultURL + ")", "client secret of Entra", "kvSetting"},
	},
	{
		name: "a token as ClientId", tells: atStart,
		plant: pasted("JWT with Bearer", func(s *site, secret string) {
			s.environ = []string{"MaskinportenSettings__ClientId=" + secret}
			s.vault.Delete(clientIDSecret)
		}),
		names: []string{"ClientId (environment variable MaskinportenSettings__ClientId)", "token"},
	},
	{
		name: "PKCS#12 in Environment", tells: atStart,
		plant: pasted("base64 of PKCS#12", func(s *site, secret string) { s.section["Environment"] = secret }),
		names: []string{"Environment (appsettings.json)", "EncodedX509"},
	},
	{
		name: "the JWK as Resource", tells: atStart,
		plant: pasted("JWK, pretty", func(s *site, secret string) { s.section["Resource"] = secret }),
		names: []string{"Resource (appsettings.json)", "private key", "EncodedJwk"},
	},
	{
		name: "the JWK as TokenExchangeEnvironment", tells: atStart,
		plant: pasted("base64url of the JWK", func(s *site, secret string) { s.section["TokenExchangeEnvironment"] = secret }),
		names: []string{"TokenExchangeEnvironment (appsettings.json)", "private key", "EncodedJwk"},
	},
	{
		name: "the client secret as kvSetting's TenantId", tells: atStart,
		plant: pasted("Entra client secret", func(s *site, secret string) { s.kv["TenantId"] = secret }),
		names: []string{"kvSetting:TenantId" + kvFile, "client secret", "ClientSecret"},
	},
	{
		name: "the client secret as kvSetting's ClientId", tells: atStart,
		plant: pasted("Entra client secret", func(s *site, secret string) { s.kv["ClientId"] = secret }),
		names: []string{"kvSetting:ClientId" + kvFile, "client secret", "ClientSecret"},
	},
	{
		name: "the key as kvSetting's SecretUri", tells: atStart,
		plant: pasted("base64 of the JWK, compact", func(s *site, secret string) { s.kv["SecretUri"] = secret }),
		names: []string{"kvSetting:SecretUri" + kvFile, "private key", "EncodedJwk"},
	},
	{
		name: "a password in the vault's address", tells: atStart,
		plant: func(s *site) {
			s.pasted["the password"] = "CANARY-0123456789"
			s.kv["SecretUri"] = "https://me:CANARY-0123456789@my-vault.vault.azure.net"
		},
		names: []string{"kvSetting:SecretUri" + kvFile, "user name"},
	},
	{
		name: "a password in the issuer's address", tells: atStart,
		plant: func(s *site) {
			s.pasted["the password"] = "CANARY-0123456789"
			s.section["Environment"] = "https://me:CANARY-0123456789@test.maskinporten.no/"
		},
		names: []string{"Environment (appsettings.json)", "user name or password"},
	},
	{
		name: "a password as ConsumerOrgNo", tells: atStart,
		plant: func(s *site) {
			s.pasted["the password"] = "Sommer-2026!CANARY"
			s.section["ConsumerOrgNo"] = "Sommer-2026!CANARY"
		},
		names: []string{"ConsumerOrgNo (appsettings.json)", "nine digits"},
	},
	{
		name: "the client secret in quotation marks", tells: atStart,
		plant: func(s *site) { s.kv["ClientSecret"] = `"` + s.vault.ClientSecret() + `"` },
		names: []string{"kvSetting:ClientSecret" + kvFile, "quotation marks", "remove"},
	},
	{
		name: "the key as the name of the environment", tells: atStart,
		plant: pasted("base64 of the JWK, compact", func(s *site, secret string) { s.environ = []string{"APP_ENVIRONMENT=" + secret} }),
		names: []string{"APP_ENVIRONMENT", "private key"},
	},
}
