package provider_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// What is said of an incomplete kvSetting: which source gives the fields that are
// there, what is there in the place of the others, and what would have been read.
func TestIncompleteKVSettingSaysWhatIsThere(t *testing.T) {
	t.Parallel()
	const all = `"ClientId": "a", "TenantId": "contoso.no", "ClientSecret": "` + canary + `"`
	tests := []struct {
		name    string
		file    string
		environ []string
		want    string // with Require, after "provider: "
		level   string // without it
		hint    string
	}{
		{
			name: "one underscore", file: `{"kvSetting": {` + all + `}}`, environ: []string{"kvSetting_SecretUri=https://v.vault.azure.net"},
			want: "set kvSetting:SecretUri - no key vault was connected: kvSetting has ClientId, TenantId, ClientSecret from appsettings.json; " +
				"there is a variable kvSetting_SecretUri; looked for variable kvSetting__SecretUri and key kvSetting:SecretUri",
			level: "WARN", hint: "there is a variable kvSetting_SecretUri; looked for variable kvSetting__SecretUri and key kvSetting:SecretUri",
		},
		{
			name: "another field", file: `{"kvSetting": {` + all + `, "VaultUri": "https://v.vault.azure.net"}}`,
			want: "set kvSetting:SecretUri - no key vault was connected: kvSetting has ClientId, TenantId, ClientSecret from appsettings.json; " +
				"there is kvSetting:VaultUri (appsettings.json); looked for variable kvSetting__SecretUri and key kvSetting:SecretUri",
			level: "WARN", hint: "there is kvSetting:VaultUri (appsettings.json); looked for variable kvSetting__SecretUri and key kvSetting:SecretUri",
		},
		{
			name: "two sources", file: `{"kvSetting": {"ClientId": "a", "ClientSecret": ""}}`,
			environ: []string{"KVSETTING__TENANTID=contoso.no", "KVSETTING__SECRETURI=https://v.vault.azure.net"},
			want: "set kvSetting:ClientSecret (appsettings.json) - no key vault was connected: kvSetting has ClientId from appsettings.json, " +
				"TenantId from environment variable KVSETTING__TENANTID, SecretUri from environment variable KVSETTING__SECRETURI; " +
				"looked for variable kvSetting__ClientSecret and key kvSetting:ClientSecret",
			level: "WARN", hint: "looked for variable kvSetting__ClientSecret and key kvSetting:ClientSecret",
		},
		{
			name: "a misspelt section", file: `{"kvSeting": {` + all + `, "SecretUri": "https://v.vault.azure.net"}}`,
			want: "set kvSetting:ClientId, kvSetting:TenantId, kvSetting:ClientSecret, kvSetting:SecretUri - no key vault was connected; " +
				"there is kvSeting:ClientId (appsettings.json); there is kvSeting:TenantId (appsettings.json); " +
				"looked for variables such as kvSetting__ClientId and keys such as kvSetting:ClientId",
			level: "WARN",
			hint: "there is kvSeting:ClientId (appsettings.json); there is kvSeting:TenantId (appsettings.json); " +
				"looked for variables such as kvSetting__ClientId and keys such as kvSetting:ClientId",
		},
		{
			name: "another service's fields", file: `{"AzureAd": {` + all + `}, "MaskinportenSettings": {"ClientId": "b"}}`,
			want: "set kvSetting:ClientId, kvSetting:TenantId, kvSetting:ClientSecret, kvSetting:SecretUri - no key vault was connected; " +
				"looked for variables such as kvSetting__ClientId and keys such as kvSetting:ClientId",
			level: "DEBUG", hint: "looked for variables such as kvSetting__ClientId and keys such as kvSetting:ClientId",
		},
		{
			name: "another section with SecretUri", file: `{"KeyVault": {"SecretUri": "https://v.vault.azure.net"}}`,
			want: "set kvSetting:ClientId, kvSetting:TenantId, kvSetting:ClientSecret, kvSetting:SecretUri - no key vault was connected; " +
				"there is KeyVault:SecretUri (appsettings.json); looked for variables such as kvSetting__ClientId and keys such as kvSetting:ClientId",
			level: "DEBUG",
			hint:  "there is KeyVault:SecretUri (appsettings.json); looked for variables such as kvSetting__ClientId and keys such as kvSetting:ClientId",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app, log := hermetic(t, files{"appsettings.json": test.file})
			app.Environ = list(test.environ...)
			_, err := provider.Load(t.Context(), app, provider.ConnectConfig{Require: true})
			if err == nil || err.Error() != "provider: "+test.want {
				t.Errorf("got\n%v\nwant\nprovider: %s", err, test.want)
			}
			log.Reset()
			if _, err := provider.Load(t.Context(), app, provider.ConnectConfig{}); err != nil {
				t.Fatal(err)
			}
			record := ""
			for _, line := range log.Lines() {
				if strings.Contains(line, "missing=") {
					record += line
				}
			}
			if !strings.HasPrefix(record, "level="+test.level+" ") || !strings.HasSuffix(record, fmt.Sprintf("hint=%q", test.hint)) {
				t.Errorf("got the record\n%s\nwant level %s and the hint\n%s", record, test.level, test.hint)
			}
			if strings.Contains(log.String()+err.Error(), canary) {
				t.Error("the client secret is printed")
			}
		})
	}
}

// With a credential of the program's own only the address is missing.
func TestMissingAddressOnly(t *testing.T) {
	t.Parallel()
	cfg := provider.ConnectConfig{Require: true, Config: provider.Config{Credential: staticCredential{}.GetToken}}
	_, err := provider.ConnectToKeyVault(t.Context(), newKoanf(t, nil, ":"), cfg)
	const want = "provider: set kvSetting:SecretUri, or VaultURL of ConnectConfig - no key vault was connected; looked for variable kvSetting__SecretUri and key kvSetting:SecretUri"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// Errors about a reference name its source, and that of the client secret.
func TestReferencesNameTheirSource(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	app, log := hermetic(t, files{"appsettings.json": `{"A": {"B": "` + ref("bad") + `"}, "Fine": "x"}`})
	app.Environ = list("OTHER="+ref("SecretUri=https://evil.example/secrets/a"), "kvSetting__ClientId=a")
	_, err := provider.Load(t.Context(), app, connectConfig(srv, log))
	want := "provider: A:B (appsettings.json): Key Vault reference: leave out the part that is not SecretUri, VaultName, SecretName or SecretVersion\n" +
		"provider: OTHER (environment variable OTHER): Key Vault reference: name a host of Key Vault, or kvSetting's own vault - the credential is shown to no other"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	app, log = hermetic(t, files{"appsettings.json": `{"A": {"B": "` + ref("VaultName=my-vault;SecretName=one") + `"}}`})
	app.Environ = list("kvSetting__ClientId=a")
	_, err = provider.Load(t.Context(), app, connectConfig(srv, log))
	want = "provider: set kvSetting:TenantId, kvSetting:ClientSecret, or Config.Credential - A:B (appsettings.json) is a Key Vault reference: " +
		"kvSetting has ClientId from environment variable kvSetting__ClientId; looked for variables such as kvSetting__TenantId and keys such as kvSetting:TenantId"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	app, log = hermetic(t, files{"appsettings.json": `{"kvSetting": "x"}`})
	_, err = provider.Load(t.Context(), app, connectConfig(srv, log))
	want = `provider: section "kvSetting" (appsettings.json): set keys below it - a single value is there`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestIncompleteKVSetting(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	t.Cleanup(srv.Close)
	all := func(section string) string {
		return strings.ReplaceAll("SECTION:ClientId, SECTION:TenantId, SECTION:ClientSecret, SECTION:SecretUri - no key vault was connected; "+
			"looked for variables such as SECTION__ClientId and keys such as SECTION:ClientId", "SECTION", section)
	}
	cases := []struct {
		name     string
		settings map[string]any
		lacks    string
		level    string
		text     string // with Require, after "provider: set "
	}{
		{"nothing", map[string]any{}, "kvSetting lacks ClientId, TenantId, ClientSecret, SecretUri", "DEBUG", all("kvSetting")},
		{"null", map[string]any{"kvSetting": nil}, "kvSetting lacks ClientId, TenantId, ClientSecret, SecretUri", "DEBUG", all("kvSetting")},
		{"all blank", map[string]any{"KvSetting": map[string]any{"ClientId": " ", "SecretUri": ""}}, "KvSetting lacks ClientId, TenantId, ClientSecret, SecretUri", "DEBUG", all("KvSetting")},
		{
			"some here, the others there",
			map[string]any{
				"kvSetting":  map[string]any{"ClientId": srv.ClientID(), "ClientSecret": canary},
				"kvSettings": map[string]any{"TenantId": srv.TenantID(), "SecretUri": srv.VaultURL()},
			},
			"kvSetting lacks TenantId, SecretUri; there is kvSettings:TenantId; there is kvSettings:SecretUri; " +
				"looked for variables such as kvSetting__TenantId and keys such as kvSetting:TenantId", "WARN",
			"kvSetting:TenantId, kvSetting:SecretUri - no key vault was connected: kvSetting has ClientId, ClientSecret; there is kvSettings:TenantId; " +
				"there is kvSettings:SecretUri; looked for variables such as kvSetting__TenantId and keys such as kvSetting:TenantId",
		},
		{
			"one of four",
			map[string]any{"kvSetting": map[string]any{"ClientSecret": canary}},
			"kvSetting lacks ClientId, TenantId, SecretUri", "WARN",
			"kvSetting:ClientId, kvSetting:TenantId, kvSetting:SecretUri - no key vault was connected: kvSetting has ClientSecret; " +
				"looked for variables such as kvSetting__ClientId and keys such as kvSetting:ClientId",
		},
		{
			"three of four",
			map[string]any{"kvSettings": with(srv, map[string]any{"TenantId": "  "})},
			"kvSettings lacks TenantId", "WARN",
			"kvSettings:TenantId - no key vault was connected: kvSettings has ClientId, ClientSecret, SecretUri; looked for variable kvSettings__TenantId and key kvSettings:TenantId",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var log logtest.Buffer
			var origins provider.Origins
			cfg := connectConfig(srv, &log)
			cfg.Origins = &origins
			k := newKoanf(t, c.settings, ":")
			connected, err := provider.ConnectToKeyVault(t.Context(), k, cfg)
			if connected || err != nil {
				t.Errorf("got connected %v, error %v, want neither", connected, err)
			}
			if !strings.Contains(log.String(), "level="+c.level) || strings.Count(log.String(), "level=") != 1 {
				t.Errorf("got the log %s, want one line at %s", log.String(), c.level)
			}
			_, fields, _ := strings.Cut(c.lacks, " lacks ")
			if !strings.HasSuffix(origins.Summary(), "no Key Vault connected: kvSetting lacks "+fields) {
				t.Errorf("got the summary %q, want it to end with what kvSetting lacks: %s", origins.Summary(), fields)
			}
			cfg.Require = true
			_, err = provider.ConnectToKeyVault(t.Context(), k, cfg)
			if want := "provider: set " + c.text; err == nil || err.Error() != want {
				t.Errorf("with Require: %v, want %s", err, want)
			}
			if strings.Contains(log.String()+err.Error(), canary) {
				t.Error("the client secret is printed")
			}
		})
	}
	if n := srv.Stats(); n.Lists+n.Challenges+n.Metadata+n.Tokens > 0 {
		t.Errorf("got requests, want nothing sent: %+v", n)
	}
}

// Messages about kvSetting name the source of the field.
func TestKVSettingMessagesNameTheSource(t *testing.T) {
	t.Parallel()
	for field, test := range map[string]struct{ value, want string }{
		"SecretUri":    {`"http://v.example"`, "provider: kvSetting:SecretUri (appsettings.json) does not begin with https://: set the vault's address, such as https://my-vault.vault.azure.net"},
		"ClientId":     {`5`, "provider: kvSetting:ClientId (appsettings.json) is not a text: put it in quotation marks"},
		"ClientSecret": {`"@Microsoft.KeyVault(VaultName=my-vault;SecretName=one)"`, "provider: kvSetting:ClientSecret (appsettings.json): set it by other means - a Key Vault reference cannot be what reaches the vault"},
	} {
		settings := map[string]string{"ClientId": `"a"`, "TenantId": `"contoso.no"`, "ClientSecret": `"b"`, "SecretUri": `"https://v.vault.azure.net"`}
		settings[field] = test.value
		app, _ := hermetic(t, files{"appsettings.json": fmt.Sprintf(`{"kvSetting":{"ClientId":%s,"TenantId":%s,"ClientSecret":%s,"SecretUri":%s}}`,
			settings["ClientId"], settings["TenantId"], settings["ClientSecret"], settings["SecretUri"])})
		if _, err := provider.Load(t.Context(), app, provider.ConnectConfig{}); err == nil || err.Error() != test.want {
			t.Errorf("%s: got %v, want %s", field, err, test.want)
		}
	}
}
