package provider_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

func TestConnectToKeyVault(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"MaskinportenSettings--ClientId": "from the vault"}))
	t.Cleanup(srv.Close)
	cases := []struct {
		name     string
		settings map[string]any
		delim    string
	}{
		{"as in the guide", map[string]any{"kvSetting": with(srv, nil)}, ":"},
		{"the other name", map[string]any{"kvSettings": with(srv, nil)}, ":"},
		{"another case", map[string]any{"KVSETTING": map[string]any{
			"clientid": srv.ClientID(), "TENANTID": srv.TenantID(), "clientSecret": srv.ClientSecret(), "secreturi": srv.VaultURL() + "/",
		}}, ":"},
		{"a dot between the parts of keys", map[string]any{"kvSetting": with(srv, nil)}, "."},
		{"blanks around", map[string]any{"kvSetting": with(srv, map[string]any{"SecretUri": " " + srv.VaultURL() + "\n"})}, ":"},
		{"the other name beside a blank template", map[string]any{
			"kvSetting": map[string]any{"ClientId": "", "TenantId": "", "ClientSecret": "", "SecretUri": ""}, "kvSettings": with(srv, nil),
		}, ":"},
		{"the first of two", map[string]any{"kvSetting": with(srv, nil), "kvSettings": map[string]any{"ClientId": "not this one"}}, ":"},
		{"a tenant in upper case", map[string]any{"kvSetting": with(srv, map[string]any{"TenantId": strings.ToUpper(srv.TenantID())})}, ":"},
		{"a tenant by its domain", map[string]any{"kvSetting": with(srv, map[string]any{"TenantId": srv.TenantDomain()})}, ":"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.settings["maskinportensettings"] = map[string]any{"clientID": "", "Scope": "kept"}
			k := newKoanf(t, c.settings, c.delim)
			var log logtest.Buffer
			var origins provider.Origins
			cfg := connectConfig(srv, &log)
			cfg.Origins = &origins
			connected, err := provider.ConnectToKeyVault(t.Context(), k, cfg)
			if !connected || err != nil {
				t.Fatalf("got connected %v, error %v, want it connected", connected, err)
			}
			got, err := provider.Section(k, "MaskinportenSettings")
			if diff := cmp.Diff(map[string]any{"clientID": "from the vault", "Scope": "kept"}, got); diff != "" || err != nil {
				t.Errorf("got %v, settings (-want +got):\n%s", err, diff)
			}
			source := origins.Of("MaskinportenSettings:ClientId").Source
			if want := "secret MaskinportenSettings--ClientId of " + srv.VaultURL(); source != want {
				t.Errorf("got it from %q, want %q", source, want)
			}
			if !strings.Contains(origins.Summary(), "Key Vault connected: "+srv.VaultURL()) {
				t.Errorf("got the summary %q, want it to name the vault", origins.Summary())
			}
			if strings.Contains(log.String(), srv.ClientSecret()) {
				t.Error("the client secret was logged")
			}
		})
	}
}

// The second stage keeps what the first knows of sources, and knows nothing of
// settings that came from elsewhere.
func TestConnectKeepsSources(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"S--A": "vault"}))
	defer srv.Close()
	app, log := hermetic(t, files{"appsettings.json": `{"S":{"A":"file","B":"file"},"L":["x"]}`})
	k, err := provider.LoadAppConfig(app)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Set("S:C", "the program's own"); err != nil {
		t.Fatal(err)
	}
	cfg := connecting(t, srv)
	cfg.Logger, cfg.Origins = log.Logger(), app.Origins
	if connected, err := provider.ConnectToKeyVault(t.Context(), k, cfg); !connected || err != nil {
		t.Fatalf("got connected %v, error %v, want it connected", connected, err)
	}
	got := map[string]string{}
	for path, source := range app.Origins.All() {
		got[path] = source
	}
	want := map[string]string{"S:A": "secret S--A of " + srv.VaultURL(), "S:B": "appsettings.json", "L:0": "appsettings.json"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"appsettings.json"}, app.Origins.Of("s:a").Overrode); diff != "" {
		t.Errorf("overrode (-want +got):\n%s", diff)
	}
	if k.String("S:A") != "vault" || k.String("S:C") != "the program's own" {
		t.Errorf("got %v, want S:A from the vault and S:C as it was", k.Raw())
	}
}

// With a credential of the program's own, the address is enough.
func TestConnectWithACredential(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"A": "1"}))
	t.Cleanup(srv.Close)
	for name, settings := range map[string]map[string]any{
		"only SecretUri": {"kvSetting": map[string]any{"SecretUri": srv.VaultURL()}},
		"only VaultURL":  {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := provider.ConnectConfig{Config: kvConfig(t, srv)}
			if settings["kvSetting"] != nil {
				cfg.VaultURL = "https://not-this-one.vault.azure.net"
			}
			k := newKoanf(t, settings, ":")
			connected, err := provider.ConnectToKeyVault(t.Context(), k, cfg)
			if !connected || err != nil || k.String("A") != "1" {
				t.Errorf("got connected %v, error %v, A %q, want it connected and A 1", connected, err, k.String("A"))
			}
		})
	}
}

func TestConnectErrors(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		changes func(*vaulttest.Server) map[string]any
		want    string
	}{
		{"plain http", func(*vaulttest.Server) map[string]any { return map[string]any{"SecretUri": "http://v.example"} }, "provider: kvSetting:SecretUri does not begin with https://: set the vault's address, such as https://my-vault.vault.azure.net"},
		{"a page of the portal", func(*vaulttest.Server) map[string]any {
			return map[string]any{"SecretUri": "https://portal.azure.com/#view/x"}
		}, `provider: kvSetting:SecretUri is a page of the Azure portal: set the "Vault URI" that the vault's overview page shows`},
		{"a secret's own address", func(s *vaulttest.Server) map[string]any {
			return map[string]any{"SecretUri": "https://v.vault.azure.net/secrets/A"}
		}, "provider: kvSetting:SecretUri goes on after the host: set https://v.vault.azure.net"},
		{"a tenant that is neither a GUID nor a domain", func(*vaulttest.Server) map[string]any { return map[string]any{"TenantId": "not a tenant"} }, "provider: kvSetting:TenantId is neither a GUID nor a domain name: set the directory (tenant) ID of the app registration"},
		{"a field of another type", func(*vaulttest.Server) map[string]any { return map[string]any{"ClientSecret": 5, "TenantId": true} }, "provider: kvSetting:TenantId is not a text: put it in quotation marks\nprovider: kvSetting:ClientSecret is not a text: put it in quotation marks"},
		{"a wrong client secret", func(*vaulttest.Server) map[string]any { return map[string]any{"ClientSecret": canary} }, ": 401 AADSTS7000215: the client secret is wrong"},
		{"an unknown client", func(*vaulttest.Server) map[string]any { return map[string]any{"ClientId": canary} }, "400 AADSTS700016: there is no such application in the tenant"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"A": "1"}))
			defer srv.Close()
			k := newKoanf(t, map[string]any{"kvSetting": with(srv, c.changes(srv)), "A": "0"}, ":")
			before := k.Raw()
			var log logtest.Buffer
			connected, err := provider.ConnectToKeyVault(t.Context(), k, connectConfig(srv, &log))
			if connected || err == nil || !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("connected %v, error\n%v\nwant\n%s", connected, err, c.want)
			}
			if diff := cmp.Diff(before, k.Raw()); diff != "" {
				t.Errorf("the settings changed: %s", diff)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err)+logtest.Reachable(err)+log.String(), canary) {
				t.Errorf("got a secret in %v or in the log, want it nowhere:\n%s", err, log.String())
			}
		})
	}
	if _, err := provider.ConnectToKeyVault(t.Context(), nil, provider.ConnectConfig{}); err == nil {
		t.Error("got no error without a koanf, want one")
	}
	// A wrong Config is found in development too, where there is no vault.
	wrong := provider.ConnectConfig{Config: provider.Config{Secrets: []string{"not a name!"}, Concurrency: -1}}
	if _, err := provider.ConnectToKeyVault(t.Context(), newKoanf(t, nil, ":"), wrong); err == nil || !strings.Contains(err.Error(), "Secrets: give 1 to 127 letters, digits and dashes, with -- between the parts of a key - name 1 has other characters") || !strings.Contains(err.Error(), "Concurrency: set 1 or more, or 0 for 32 - it is -1") {
		t.Errorf("got %v, want both faults of the Config", err)
	}
	kvSettings := newKoanf(t, map[string]any{"kvSetting": map[string]any{"ClientId": ""}, "kvSettings": map[string]any{"ClientId": "a", "TenantId": "b", "ClientSecret": "c", "SecretUri": "x"}}, ":")
	if _, err := provider.ConnectToKeyVault(t.Context(), kvSettings, provider.ConnectConfig{}); err == nil || !strings.HasPrefix(err.Error(), "provider: kvSettings:SecretUri does not") {
		t.Errorf("got %v, want SecretUri of kvSettings refused", err)
	}
	// A VaultURL is checked even if SecretUri is used in its place: it may hold a password.
	for _, settings := range []tree{nil, {"kvSetting": tree{"SecretUri": "https://v.vault.azure.net"}}} {
		address := provider.ConnectConfig{Config: provider.Config{VaultURL: "https://me:" + canary + "@v.example", Credential: staticCredential{}.GetToken}}
		_, err := provider.ConnectToKeyVault(t.Context(), newKoanf(t, settings, ":"), address)
		if want := "provider: VaultURL holds a user name: set the vault's address only"; err == nil || err.Error() != want {
			t.Errorf("with the settings %v: got %v, want %s", settings, err, want)
		}
	}
	k := newKoanf(t, map[string]any{"kvSetting": "text"}, ":")
	if _, err := provider.ConnectToKeyVault(t.Context(), k, provider.ConnectConfig{}); err == nil || err.Error() != `provider: section "kvSetting": set keys below it - a single value is there` {
		t.Errorf("got %v, want an error that a single value is there", err)
	}
}

// A tenant that Entra cannot have is refused, with its setting and that one's source,
// before anything is sent.
func TestTenants(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"A": "1"}))
	t.Cleanup(srv.Close)
	const refusal = " is neither a GUID nor a domain name: set the directory (tenant) ID of the app registration"
	for _, tenant := range []string{
		"common", "consumers", "my tenant", "contoso", "contoso.", ".no", "-a.no", "a-.no", "a..no", "contoso.no/x", "https://contoso.no", "me@contoso.no",
		"1.2.3.4", "contoso.4", srv.TenantID()[:35], srv.TenantID() + "0", "{" + srv.TenantID() + "}", strings.ReplaceAll(srv.TenantID(), "-", ""), "ø.no",
	} {
		app, log := hermetic(t, files{"appsettings.json": "{}"})
		app.Environ = list("KVSETTING__CLIENTID=a", "KVSETTING__CLIENTSECRET="+canary, "KVSETTING__SECRETURI="+srv.VaultURL(), "KVSETTING__TENANTID="+tenant)
		_, err := provider.Load(t.Context(), app, connectConfig(srv, log))
		if want := "provider: KVSETTING:TenantId (environment variable KVSETTING__TENANTID)" + refusal; err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", tenant, err, want)
		}
	}
	if n := srv.Stats(); n.Challenges+n.Metadata+n.Tokens > 0 {
		t.Errorf("got requests, want nothing sent: %+v", n)
	}
	for _, tenant := range []string{"contoso.onmicrosoft.com", "CONTOSO.no", "a-b.c1.xn--p1ai", "1a.no"} {
		k := newKoanf(t, tree{"kvSetting": with(srv, tree{"TenantId": tenant})}, ":")
		if _, err := provider.ConnectToKeyVault(t.Context(), k, connectConfig(srv, &logtest.Buffer{})); err != nil && strings.Contains(err.Error(), refusal) {
			t.Errorf("%s: got %v, want it to be asked for", tenant, err)
		}
	}
}

// A vault that accepts and never answers, and Entra doing so, end in time.
func TestConnectIsBounded(t *testing.T) {
	t.Parallel()
	for name, vault := range map[string]bool{"the vault hangs": true, "Entra hangs": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := vaulttest.NewPipe()
				defer srv.Close()
				srv.Faults.Add(faulttest.Fault{Hang: true, Times: -1, Match: func(r *http.Request) bool {
					return strings.HasPrefix(r.URL.Path, "/secrets") == vault
				}})
				k := newKoanf(t, map[string]any{"kvSetting": srv.KVSetting()}, ":")
				var log logtest.Buffer
				start := time.Now()
				_, err := provider.ConnectToKeyVault(t.Context(), k, connectConfig(srv, &log))
				if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != provider.DefaultTimeout {
					t.Errorf("got %v after %v, want the deadline after %v", err, took, provider.DefaultTimeout)
				}
				synctest.Wait()
			})
		})
	}
}

// A secret whose value would take a whole section's place is an error that names
// both.
func TestVaultValueOverASection(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"logging": canary, "Other": "1"}))
	defer srv.Close()
	k := newKoanf(t, map[string]any{"kvSetting": srv.KVSetting(), "Logging": map[string]any{"Level": "Info"}}, ":")
	var log logtest.Buffer
	_, err := provider.ConnectToKeyVault(t.Context(), k, connectConfig(srv, &log))
	want := "provider: Logging (secret logging of " + srv.VaultURL() + "): set the keys below it, or remove it - a single value cannot replace the section that is there"
	if err == nil || err.Error() != want || k.Exists("Other") {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"MaskinportenSettings--ClientId": "vault", "MaskinportenSettings--EncodedJwk": canary}))
	t.Cleanup(srv.Close)
	files := fstest.MapFS{
		"appsettings.json": {Data: []byte(fmt.Sprintf(`{
			"kvSetting": {"ClientId": %q, "TenantId": %q, "ClientSecret": %q, "SecretUri": %q},
			"MaskinportenSettings": {"ClientId": "", "Scope": "a"}}`, srv.ClientID(), srv.TenantID(), srv.ClientSecret(), srv.VaultURL()))},
		"appsettings.Local.json": {Data: []byte(`{"maskinportenSettings": {"clientId": "local"}}`)},
	}
	cases := []struct{ environment, clientID, source string }{
		{"Development", "local", "appsettings.Local.json"},
		{"Production", "vault", "secret MaskinportenSettings--ClientId of " + srv.VaultURL()},
	}
	for _, c := range cases {
		t.Run(c.environment, func(t *testing.T) {
			t.Parallel()
			var log logtest.Buffer
			var origins provider.Origins
			cfg := connectConfig(srv, &log)
			cfg.Logger = nil
			k, err := provider.Load(t.Context(), provider.AppConfig{
				FS: files, Environ: list("APP_ENVIRONMENT=" + c.environment), Logger: log.Logger(), Origins: &origins,
			}, cfg)
			if err != nil {
				t.Fatal(err)
			}
			section, err := provider.Section(k, "MaskinportenSettings")
			if err != nil || section["ClientId"] != c.clientID || section["EncodedJwk"] != canary || section["Scope"] != "a" {
				t.Errorf("got %v, %v, want ClientId %s and the rest merged", section, err, c.clientID)
			}
			if source := origins.Of("MaskinportenSettings:ClientId").Source; source != c.source {
				t.Errorf("came from %q, want %q", source, c.source)
			}
			ignored := strings.Contains(log.String(), "appsettings.Local.json is there, but is read in Development only") &&
				strings.Contains(log.String(), "APP_ENVIRONMENT=Development")
			if ignored != (c.environment == "Production") {
				t.Errorf("got the warning %v, want %v:\n%s", ignored, !ignored, log.String())
			}
			if strings.Contains(log.String()+origins.Summary(), canary) {
				t.Error("a secret is printed")
			}
		})
	}
}

// Origins may be set in either config, and tell about both stages.
func TestLoadTellsEitherOrigins(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"A": "1"}))
	defer srv.Close()
	for _, inApp := range []bool{true, false} {
		var origins provider.Origins
		app, log := hermetic(t, files{"appsettings.json": `{"B":2}`})
		cfg := connecting(t, srv)
		cfg.Logger = log.Logger()
		app.Origins, cfg.Origins = &origins, nil
		if !inApp {
			app.Origins, cfg.Origins = nil, &origins
		}
		if _, err := provider.Load(t.Context(), app, cfg); err != nil {
			t.Fatal(err)
		}
		fromVault := origins.Of("A").Source
		fromFile := origins.Of("B").Source
		if fromVault != "secret A of "+srv.VaultURL() || fromFile != "appsettings.json" {
			t.Errorf("in AppConfig %v: got A from %q and B from %q, want the vault and the file", inApp, fromVault, fromFile)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	var log logtest.Buffer
	broken := provider.AppConfig{FS: fstest.MapFS{"appsettings.json": {Data: []byte("{\n  \"A\": }")}}, Environ: list(), Logger: log.Logger()}
	if _, err := provider.Load(t.Context(), broken, provider.ConnectConfig{}); err == nil || !strings.Contains(err.Error(), "appsettings.json: line 2, column 8") {
		t.Errorf("got %v, want the place of the fault", err)
	}
	empty := provider.AppConfig{FS: fstest.MapFS{}, Environ: list(), Logger: log.Logger()}
	if _, err := provider.Load(t.Context(), empty, provider.ConnectConfig{Require: true}); err == nil || !strings.Contains(err.Error(), "provider: set kvSetting:ClientId, ") {
		t.Errorf("got %v, want what kvSetting lacks", err)
	}
	// A local file that fits the files, but not what the vault brings.
	srv.Set("Logging--Level", "Info")
	clash := provider.AppConfig{
		FS:          fstest.MapFS{"appsettings.Local.json": {Data: []byte(`{"Logging": "text"}`)}},
		Environment: "Development", Environ: list(), Logger: log.Logger(),
	}
	cfg := provider.ConnectConfig{Config: kvConfig(t, srv)}
	if _, err := provider.Load(t.Context(), clash, cfg); err == nil || !strings.Contains(err.Error(), "Logging (appsettings.Local.json): set the keys below it, or remove it - a single value cannot replace the section that is there") {
		t.Errorf("got %v, want the local file refused", err)
	}
}
