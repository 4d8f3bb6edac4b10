package provider_test

import (
	"fmt"
	"strings"
	"testing"

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
				"there is a variable kvSetting_SecretUri; it is read from variable kvSetting__SecretUri or key kvSetting:SecretUri",
			level: "WARN", hint: "there is a variable kvSetting_SecretUri; it is read from variable kvSetting__SecretUri or key kvSetting:SecretUri",
		},
		{
			name: "two sources", file: `{"kvSetting": {"ClientId": "a", "ClientSecret": ""}}`,
			environ: []string{"KVSETTING__TENANTID=contoso.no", "KVSETTING__SECRETURI=https://v.vault.azure.net"},
			want: "set kvSetting:ClientSecret (appsettings.json) - no key vault was connected: kvSetting has ClientId from appsettings.json, " +
				"TenantId from environment variable KVSETTING__TENANTID, SecretUri from environment variable KVSETTING__SECRETURI; " +
				"it is read from variable kvSetting__ClientSecret or key kvSetting:ClientSecret",
			level: "WARN", hint: "it is read from variable kvSetting__ClientSecret or key kvSetting:ClientSecret",
		},
		{
			name: "a misspelt section", file: `{"kvSeting": {` + all + `, "SecretUri": "https://v.vault.azure.net"}}`,
			want: "set kvSetting:ClientId, kvSetting:TenantId, kvSetting:ClientSecret, kvSetting:SecretUri - no key vault was connected; " +
				"there is kvSeting:ClientId (appsettings.json); there is kvSeting:TenantId (appsettings.json); " +
				"they are read from variables such as kvSetting__ClientId and keys such as kvSetting:ClientId",
			level: "WARN",
			hint: "there is kvSeting:ClientId (appsettings.json); there is kvSeting:TenantId (appsettings.json); " +
				"they are read from variables such as kvSetting__ClientId and keys such as kvSetting:ClientId",
		},
		{
			name: "another service's fields", file: `{"AzureAd": {` + all + `}, "MaskinportenSettings": {"ClientId": "b"}}`,
			want: "set kvSetting:ClientId, kvSetting:TenantId, kvSetting:ClientSecret, kvSetting:SecretUri - no key vault was connected; " +
				"they are read from variables such as kvSetting__ClientId and keys such as kvSetting:ClientId",
			level: "DEBUG", hint: "they are read from variables such as kvSetting__ClientId and keys such as kvSetting:ClientId",
		},
		{
			name: "another section with SecretUri", file: `{"KeyVault": {"SecretUri": "https://v.vault.azure.net"}}`,
			want: "set kvSetting:ClientId, kvSetting:TenantId, kvSetting:ClientSecret, kvSetting:SecretUri - no key vault was connected; " +
				"there is KeyVault:SecretUri (appsettings.json); they are read from variables such as kvSetting__ClientId and keys such as kvSetting:ClientId",
			level: "DEBUG",
			hint:  "there is KeyVault:SecretUri (appsettings.json); they are read from variables such as kvSetting__ClientId and keys such as kvSetting:ClientId",
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
	const want = "provider: set kvSetting:SecretUri, or VaultURL of ConnectConfig - no key vault was connected; it is read from variable kvSetting__SecretUri or key kvSetting:SecretUri"
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
		"kvSetting has ClientId from environment variable kvSetting__ClientId; they are read from variables such as kvSetting__TenantId and keys such as kvSetting:TenantId"
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
