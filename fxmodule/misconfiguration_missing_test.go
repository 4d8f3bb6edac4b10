package fxmodule_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// readFor is what is said of a missing ClientId: every name that would have been read.
var readFor = []string{clientIDSecret, "MaskinportenSettings__ClientId"}

// rename gives a secret of the vault another name.
func (s *site) rename(from, to string) {
	value := map[string]string{clientIDSecret: s.porten.ClientID(), jwkSecret: testKey().EncodedJWK()}[from]
	s.vault.Delete(from)
	s.vault.Set(to, value)
}

// change stores a secret once more, with other attributes.
func (s *site) change(name string, change func(*vaulttest.Secret)) {
	secret := vaulttest.Secret{Name: name, Value: map[string]string{clientIDSecret: s.porten.ClientID(), jwkSecret: testKey().EncodedJWK()}[name]}
	change(&secret)
	s.vault.SetSecret(secret)
}

// missingSettings lack a setting, and nothing like it is there.
var missingSettings = []misconfiguration{
	{
		name: "no settings at all", tells: atStart,
		plant: func(s *site) {
			s.files = map[string]string{"appsettings.json": noFile, "appsettings.Production.json": noFile}
		},
		names: []string{"MaskinportenSettings"}, cures: []string{"appsettings.json", "kvSetting"},
	},
	{
		name: "no section", tells: atStart,
		plant: func(s *site) {
			s.files["appsettings.json"] = `{"Logging": {}}`
			s.vault.Delete(clientIDSecret)
			s.vault.Delete(jwkSecret)
		},
		names: []string{"MaskinportenSettings"}, cures: []string{"appsettings.json", vaultURL},
	},
	{
		name: "no ClientId", tells: atStart,
		plant: func(s *site) { s.vault.Delete(clientIDSecret) },
		names: []string{"ClientId", "missing"}, cures: readFor,
	},
	{
		name: "a blank ClientId", tells: atStart,
		plant: func(s *site) { s.vault.Set(clientIDSecret, "  ") },
		names: []string{"ClientId (secret " + clientIDSecret + " of " + vaultURL + ")", "missing"},
	},
	{
		name: "no key", tells: atStart,
		plant: func(s *site) { s.vault.Delete(jwkSecret) },
		names: []string{"EncodedJwk", "missing"}, cures: []string{jwkSecret, "MaskinportenSettings__EncodedJwk"},
	},
	{
		name: "no Scope", tells: atRequest,
		plant: func(s *site) { delete(s.section, "Scope") },
		names: []string{"Scope", "missing"}, cures: []string{"ContextWithScope"},
	},
	{
		name: "no Environment", tells: atStart,
		plant: func(s *site) { delete(s.section, "Environment") },
		names: []string{"Environment", `"test"`, `"prod"`},
	},
	{
		name: "kvSetting lacks TenantId", tells: atStart,
		plant: func(s *site) { delete(s.kv, "TenantId") },
		names: []string{"ClientId", "missing"}, cures: []string{"once kvSetting has TenantId, secret " + clientIDSecret, "EncodedJwk"},
	},
	{
		name: "kvSetting is left out", tells: atStart,
		plant: func(s *site) { clear(s.kv) },
		names: []string{"ClientId", "missing"}, cures: []string{"kvSetting", "SecretUri"},
	},
	{
		name: "a key source beside nothing: TokenExchangeEnvironment of an issuer of one's own", tells: atStart,
		plant: func(s *site) { s.section["Environment"] = "https://issuer.example/" },
		names: []string{"TokenExchangeEnvironment", "missing"}, cures: []string{"tt02", "prod"},
	},
	{
		name: "EnterpriseUserName without a password", tells: atStart,
		plant: func(s *site) { s.section["EnterpriseUserName"] = "ola.nordmann" },
		names: []string{"EnterpriseUserPassword", "missing"},
	},
}

// nearMisses lack a setting, and something like it is there.
var nearMisses = []misconfiguration{
	{
		name: "a secret with one dash", tells: atStart,
		plant: func(s *site) { s.rename(clientIDSecret, "MaskinportenSettings-ClientId") },
		names: []string{"ClientId", "missing"}, cures: append([]string{"MaskinportenSettings-ClientId"}, readFor...),
	},
	{
		name: "a secret with three dashes", tells: atStart,
		plant: func(s *site) { s.rename(jwkSecret, "MaskinportenSettings---EncodedJwk") },
		names: []string{"EncodedJwk", "missing"}, cures: []string{"MaskinportenSettings---EncodedJwk", jwkSecret},
	},
	{
		name: "a secret without a separator", tells: atStart,
		plant: func(s *site) { s.rename(clientIDSecret, "MaskinportenSettingsClientId") },
		names: []string{"ClientId", "missing"}, cures: append([]string{"MaskinportenSettingsClientId"}, readFor...),
	},
	{
		name: "a secret without its section", tells: atStart,
		plant: func(s *site) { s.rename(clientIDSecret, "ClientId") },
		names: []string{"ClientId", "missing"}, cures: append([]string{"secret ClientId"}, readFor...),
	},
	{
		name: "a secret of another section", tells: atStart,
		plant: func(s *site) { s.rename(jwkSecret, "Maskinporten--EncodedJwk") },
		names: []string{"EncodedJwk", "missing"}, cures: []string{"Maskinporten--EncodedJwk", jwkSecret},
	},
	{
		name: "a variable with one underscore", tells: atStart,
		plant: func(s *site) {
			s.vault.Delete(clientIDSecret)
			s.environ = []string{"MaskinportenSettings_ClientId=" + s.porten.ClientID()}
		},
		names: []string{"ClientId", "missing"}, cures: append([]string{"MaskinportenSettings_ClientId"}, readFor...),
	},
	{
		name: "a variable with a dot", tells: atStart,
		plant: func(s *site) {
			delete(s.section, "Environment")
			s.environ = []string{"MaskinportenSettings.Environment=test"}
		},
		names: []string{"Environment", "missing"}, cures: []string{"MaskinportenSettings.Environment", "MaskinportenSettings__Environment"},
	},
	{
		name: "a variable in capitals with words apart", tells: atStart,
		plant: func(s *site) {
			s.vault.Delete(clientIDSecret)
			s.environ = []string{"MASKINPORTEN_CLIENT_ID=" + s.porten.ClientID()}
		},
		names: []string{"ClientId", "missing"}, cures: readFor,
	},
	{
		name: "the section misspelt", tells: atStart,
		plant: func(s *site) {
			s.files["appsettings.json"] = `{"MaskinportSettings": {"Environment": "test", "Scope": "` + scope + `"}}`
		},
		names: []string{"Environment", "missing"}, cures: []string{"MaskinportSettings", "MaskinportenSettings__Environment"},
	},
	{
		name: "the section misspelt everywhere", tells: atStart,
		plant: func(s *site) {
			s.files["appsettings.json"] = `{"MaskinportenSetting": {"Environment": "test", "Scope": "` + scope + `"}}`
			s.rename(clientIDSecret, "MaskinportenSetting--ClientId")
			s.rename(jwkSecret, "MaskinportenSetting--EncodedJwk")
		},
		names: []string{"MaskinportenSettings"}, cures: []string{"MaskinportenSetting ", "fxmodule.Section"},
	},
	{
		name: "a setting at the top of the file", tells: atStart,
		plant: func(s *site) {
			s.files["appsettings.json"] = `{"Environment": "test", "MaskinportenSettings": {"Scope": "` + scope + `"}}`
		},
		names: []string{"Environment", "missing"}, cures: []string{"appsettings.json", "MaskinportenSettings:Environment"},
	},
	{
		name: "a setting's name misspelt", tells: atStart,
		plant: func(s *site) {
			s.vault.Delete(clientIDSecret)
			s.section["CleintId"] = s.porten.ClientID()
		},
		names: []string{"ClientId", "missing"}, cures: []string{"CleintId"},
	},
	{
		name: "a disabled secret", tells: atStart,
		plant: func(s *site) { s.change(clientIDSecret, func(v *vaulttest.Secret) { v.Disabled = true }) },
		names: []string{"ClientId", "missing"}, cures: []string{clientIDSecret, "disabled", "enable"},
	},
	{
		name: "a disabled secret that is not yet valid", tells: atStart,
		plant: func(s *site) {
			s.change(jwkSecret, func(v *vaulttest.Secret) { v.Disabled, v.NotBefore = true, time.Now().Add(48*time.Hour) })
		},
		names: []string{"EncodedJwk", "missing"}, cures: []string{jwkSecret, "disabled"},
	},
	{
		name: "an expired secret", tells: inLog,
		plant: func(s *site) {
			s.change(jwkSecret, func(v *vaulttest.Secret) { v.Expires = time.Date(2025, 1, 31, 12, 0, 0, 0, time.UTC) })
		},
		names: []string{jwkSecret, "expired"}, cures: []string{"2025-01-31"},
	},
	{
		name: "a secret that is not yet valid", tells: inLog,
		plant: func(s *site) {
			s.change(jwkSecret, func(v *vaulttest.Secret) { v.NotBefore = time.Date(2099, 1, 31, 12, 0, 0, 0, time.UTC) })
		},
		names: []string{jwkSecret, "not yet valid"}, cures: []string{"2099-01-31"},
	},
	{
		name: "a secret that Filter leaves out", tells: atStart,
		plant: func(s *site) {
			s.connect.Filter = func(name string) bool { return !strings.HasSuffix(name, "ClientId") }
		},
		names: []string{"ClientId", "missing"}, cures: []string{clientIDSecret, "Filter"},
	},
	{
		name: "a secret that Sections leaves out", tells: atStart,
		plant: func(s *site) {
			s.vault.Set("Maskinporten--Other", "x")
			s.connect.Sections = []string{"Maskinporten"}
		},
		names: []string{"ClientId", "missing"}, cures: []string{clientIDSecret, "Sections"},
	},
	{
		name: "kvSetting misspelt", tells: atStart,
		plant: func(s *site) {
			kv := maps.Clone(s.kv)
			s.files["appsettings.Production.json"] = text(map[string]any{"kvSeting": kv})
		},
		names: []string{"ClientId", "missing"}, cures: []string{"kvSeting", "kvSetting"},
	},
	{
		name: "kvSetting in a variable with one underscore", tells: atStart,
		plant: func(s *site) {
			delete(s.kv, "ClientSecret")
			s.environ = []string{"kvSetting_ClientSecret=" + s.vault.ClientSecret()}
		},
		names: []string{"ClientId", "missing"}, cures: []string{"kvSetting_ClientSecret", "kvSetting__ClientSecret"},
	},
}

// wrongFiles have their settings in a file that is not read.
var wrongFiles = []misconfiguration{
	{
		name: "AppSettings.json in another case", tells: atStart,
		plant: func(s *site) {
			s.files["AppSettings.json"] = text(map[string]any{"MaskinportenSettings": s.section})
			s.files["appsettings.json"] = noFile
		},
		names: []string{"Environment", "missing"}, cures: []string{"AppSettings.json", "appsettings.json"},
	},
	{
		name: "a file in the parent directory", tells: atStart,
		plant: func(s *site) {
			parent := s.t.TempDir()
			s.realFile = filepath.Join(parent, "cmd")
			s.app.Dir = s.realFile
			if err := os.Mkdir(s.realFile, 0o700); err != nil {
				s.t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(parent, "appsettings.json"), []byte(text(map[string]any{"MaskinportenSettings": s.section})), 0o600); err != nil {
				s.t.Fatal(err)
			}
			s.files["appsettings.json"] = noFile
		},
		names: []string{"Environment", "missing"}, cures: []string{"parent directory", "DIR"},
	},
	{
		name: "a wrong name of the environment", tells: atStart,
		plant: func(s *site) { s.environ = []string{"APP_ENVIRONMENT=Prod"} },
		names: []string{"ClientId", "missing"}, cures: []string{"appsettings.Prod.json", "appsettings.Production.json"},
	},
	{
		name: "Development in production's variables", tells: atStart,
		plant: func(s *site) { s.environ = []string{"ASPNETCORE_ENVIRONMENT=Development"} },
		names: []string{"ClientId", "missing"}, cures: []string{"appsettings.Development.json", "kvSetting"},
	},
	{
		name: "appsettings.Local.json outside of Development", tells: atStart,
		plant: func(s *site) {
			s.files["appsettings.Local.json"] = text(map[string]any{"MaskinportenSettings": map[string]any{"ClientId": s.porten.ClientID()}})
			s.vault.Delete(clientIDSecret)
		},
		names: []string{"ClientId", "missing"}, cures: []string{"appsettings.Local.json", "APP_ENVIRONMENT=Development"},
	},
	{
		name: "a file that is not JSON", tells: atStart,
		plant: func(s *site) {
			s.files["appsettings.json"] = "{\n  \"MaskinportenSettings\": { \"ClientId\": CANARY }\n}"
		},
		names: []string{"appsettings.json", "line 2, column 41"}, never: []string{"CANARY"},
	},
	{
		name: "a file that ends too early", tells: atStart,
		plant: func(s *site) { s.files["appsettings.json"] = "{\n  \"MaskinportenSettings\": { \"ClientId\": \"x\"" },
		names: []string{"appsettings.json", "line 2", "ends too early"},
	},
	{
		name: "a comma forgotten", tells: atStart,
		plant: func(s *site) {
			s.files["appsettings.json"] = "{\"MaskinportenSettings\": {\n  \"ClientId\": \"CANARY-1\"\n  \"Scope\": \"a:b\"\n}}"
		},
		names: []string{"appsettings.json", "line 3", "','"}, never: []string{"CANARY"},
	},
	{
		name: "a file in UTF-16", tells: atStart,
		plant: func(s *site) { s.files["appsettings.json"] = "\xff\xfe{\x00}\x00" },
		names: []string{"appsettings.json", "UTF-16", "UTF-8"},
	},
	{
		name: "a key twice in a file", tells: atStart,
		plant: func(s *site) {
			s.files["appsettings.json"] = "{\"MaskinportenSettings\": {\"Scope\": \"CANARY:a\",\n \"scope\": \"CANARY:b\"}}"
		},
		names: []string{"appsettings.json", "line 2", "remove", "MaskinportenSettings:scope"}, never: []string{"CANARY"},
	},
	{
		name: "the file is a list", tells: atStart,
		plant: func(s *site) { s.files["appsettings.json"] = `["MaskinportenSettings"]` },
		names: []string{"appsettings.json", "one object"},
	},
	{
		name: "an environment that is a path", tells: atStart,
		plant: func(s *site) { s.app = provider.AppConfig{Environment: "../Production"} },
		names: []string{"Environment", "letters, digits"},
	},
}
