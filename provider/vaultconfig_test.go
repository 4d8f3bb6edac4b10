package provider_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// After the load, a service reads the vault again as the settings say.
func TestVaultConfig(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"Key": "new"}))
	t.Cleanup(srv.Close)
	own := func(cfg *provider.ConnectConfig) {
		cfg.Credential, cfg.CredentialOptions = kvConfig(t, srv).Credential, provider.ConnectConfig{}.CredentialOptions
	}
	for name, c := range map[string]struct {
		kv     map[string]any
		change func(*provider.ConnectConfig)
	}{
		"as in the guide":            {kv: with(srv, nil)},
		"SecretUri before VaultURL":  {kv: with(srv, nil), change: func(cfg *provider.ConnectConfig) { cfg.VaultURL = "https://other.vault.azure.net" }},
		"a credential":               {kv: map[string]any{"SecretUri": srv.VaultURL() + "/"}, change: own},
		"a credential and VaultURL":  {change: func(cfg *provider.ConnectConfig) { own(cfg); cfg.VaultURL = srv.VaultURL() }},
		"no SecretUri, but VaultURL": {kv: with(srv, map[string]any{"SecretUri": nil}), change: func(cfg *provider.ConnectConfig) { cfg.VaultURL = srv.VaultURL() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := connectConfig(srv, &logtest.Buffer{})
			cfg.Secrets, cfg.Concurrency, cfg.Timeout = []string{"Key"}, 3, time.Hour
			if c.change != nil {
				c.change(&cfg)
			}
			got, err := provider.VaultConfig(newKoanf(t, tree{"KVSETTING": c.kv}, ":"), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if got.VaultURL != srv.VaultURL() || got.Concurrency != 3 || got.Timeout != time.Hour || !cmp.Equal(got.Secrets, []string{"Key"}) {
				t.Errorf("got %v, want the vault's address and the other fields of the ConnectConfig", got)
			}
			versions, err := kvVault(t, got).Versions(t.Context(), "Key", 1)
			if err != nil || len(versions) != 1 || versions[0].Value() != "new" {
				t.Errorf("got %v, %v, want the version of the secret", versions, err)
			}
		})
	}
}

// Nothing is sent until the Config is used, and its token serves several readings.
func TestVaultConfigKeepsItsToken(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"Key": "v"}))
	defer srv.Close()
	cfg, err := provider.VaultConfig(newKoanf(t, tree{"kvSetting": with(srv, nil)}, ":"), connectConfig(srv, &logtest.Buffer{}))
	if stats := srv.Stats(); err != nil || stats.Tokens+stats.Gets+stats.Lists != 0 {
		t.Fatalf("got %v and %+v, want nothing sent", err, stats)
	}
	vault := kvVault(t, cfg)
	for range 3 {
		if _, err := vault.Versions(t.Context(), "Key", 1); err != nil {
			t.Fatal(err)
		}
	}
	if got := srv.Stats().Tokens; got != 1 {
		t.Errorf("got %d tokens from Entra for 3 readings, want 1", got)
	}
}

// What goes wrong much later is still told by the settings' names.
func TestVaultConfigsErrorsNameTheSettings(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithoutGet())
	defer srv.Close()
	app, _ := hermetic(t, files{"appsettings.json": fmt.Sprintf(`{"kvSetting": {"ClientId": %q, "TenantId": %q, "ClientSecret": %q, "SecretUri": %q}}`,
		srv.ClientID(), srv.TenantID(), srv.ClientSecret(), srv.VaultURL())})
	k, err := provider.LoadAppConfig(app)
	if err != nil {
		t.Fatal(err)
	}
	connect := connectConfig(srv, &logtest.Buffer{})
	connect.Origins = app.Origins
	cfg, err := provider.VaultConfig(k, connect)
	if err != nil {
		t.Fatal(err)
	}
	srv.ExpireClientSecret()
	_, err = kvVault(t, cfg).Versions(t.Context(), "Key", 1)
	if text := fmt.Sprint(err); !strings.Contains(text, "kvSetting:ClientSecret (appsettings.json)") || !strings.Contains(text, "AADSTS7000222") || !strings.Contains(text, "as application "+srv.ClientID()) {
		t.Errorf("got %s, want the setting that is to blame", text)
	}
	cfg.ClientOptions.Transport = refusing("connection refused")
	_, err = kvVault(t, cfg).Versions(t.Context(), "Key", 1)
	if text := fmt.Sprint(err); !strings.Contains(text, "kvSetting:SecretUri (appsettings.json)") {
		t.Errorf("got %s, want the setting of the address", text)
	}
	cfg.VaultURL = "https://another.vault.azure.net" // of the program's own
	_, err = kvVault(t, cfg).Versions(t.Context(), "Key", 1)
	if text := fmt.Sprint(err); strings.Contains(text, "SecretUri") || !strings.Contains(text, "VaultURL") {
		t.Errorf("got %s, want the field of the Config", text)
	}
}

func TestVaultConfigErrors(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	t.Cleanup(srv.Close)
	for name, c := range map[string]struct {
		settings map[string]any
		change   func(*provider.ConnectConfig)
		want     string
	}{
		"nothing is set":       {tree{}, nil, "provider: set kvSetting:ClientId, kvSetting:TenantId, kvSetting:ClientSecret, kvSetting:SecretUri - "},
		"a field is missing":   {tree{"kvSetting": with(srv, tree{"TenantId": " "})}, nil, "provider: set kvSetting:TenantId - "},
		"an address is wrong":  {tree{"kvSetting": with(srv, tree{"SecretUri": "http://x"})}, nil, "provider: kvSetting:SecretUri does not begin with https://"},
		"a tenant is wrong":    {tree{"kvSetting": with(srv, tree{"TenantId": "no tenant"})}, nil, "provider: kvSetting:TenantId is neither"},
		"not a section":        {tree{"kvSetting": "x"}, nil, "provider: section"},
		"a field is wrong":     {tree{"kvSetting": with(srv, nil)}, func(cfg *provider.ConnectConfig) { cfg.Timeout = -1 }, "provider: Timeout"},
		"VaultURL is no vault": {tree{}, func(cfg *provider.ConnectConfig) { cfg.VaultURL = "x" }, "provider: VaultURL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log logtest.Buffer
			cfg := connectConfig(srv, &log)
			if c.change != nil {
				c.change(&cfg)
			}
			got, err := provider.VaultConfig(newKoanf(t, c.settings, ":"), cfg)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || got.Credential != nil || log.String() != "" {
				t.Errorf("got %v, error %v and the log %q, want only an error that begins with %s", got, err, log.String(), c.want)
			}
		})
	}
	if _, err := provider.VaultConfig(nil, provider.ConnectConfig{}); err == nil || errors.Is(err, provider.ErrNoSection) {
		t.Errorf("got %v for a nil koanf, want an error of its own", err)
	}
}

// A version becomes settings as a load makes them.
func TestVersionsSettings(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	srv.SetSecret(vaulttest.Secret{Name: "A--Key", Value: "old", Created: time.Now().Add(-time.Hour)})
	srv.SetSecret(vaulttest.Secret{Name: "A--Key", Value: "new"})
	for name, c := range map[string]struct {
		mapped func(name, value string) (string, any)
		want   []map[string]any
	}{
		"by the name": {nil, []map[string]any{{"A": tree{"Key": "new"}}, {"A": tree{"Key": "old"}}}},
		"by Map": {
			func(name, value string) (string, any) { return "B--" + name, tree{"x": []any{value}} },
			[]map[string]any{{"B": tree{"A": tree{"Key": tree{"x": []any{"new"}}}}}, {"B": tree{"A": tree{"Key": tree{"x": []any{"old"}}}}}},
		},
		"dropped": {func(string, string) (string, any) { return "", nil }, []map[string]any{{}, {}}},
	} {
		cfg := kvConfig(t, srv)
		cfg.Map = c.mapped
		versions, err := kvVault(t, cfg).Versions(t.Context(), "A--Key", 2)
		if err != nil {
			t.Fatal(err)
		}
		var got []map[string]any
		for _, version := range versions {
			settings, err := version.Settings()
			if err != nil {
				t.Errorf("%s: got %v", name, err)
			}
			got = append(got, settings)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if _, err := (provider.SecretVersion{}).Settings(); err == nil {
		t.Error("got no error of a zero SecretVersion")
	}
}

// Origins name the secret, so that it can be read again.
func TestOriginsNameTheSecret(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"Key": "v", "S--A": "v", "S--B": "v", "One--A": "v"}))
	defer srv.Close()
	srv.Set("Pinned", "v")
	pinned, err := kvVault(t, kvConfig(t, srv)).Versions(t.Context(), "Pinned", 1)
	if err != nil {
		t.Fatal(err)
	}
	version := pinned[0].Version
	at := "@Microsoft.KeyVault(SecretUri=" + srv.VaultURL() + "/secrets/"
	app, _ := hermetic(t, files{"appsettings.json": fmt.Sprintf(`{"File": "v", "Newest": "%skey)", "Fixed": "%[1]sPinned/%s)", "S": {"C": "v"}}`, at, version)})
	cfg := connecting(t, srv)
	if _, err := provider.Load(t.Context(), app, cfg); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"Key": "Key", "One": "One--A", "one:a": "One--A", "Newest": "key", "Fixed": "Pinned/" + version,
		"S": "", "S:A": "S--A", "S:C": "", "File": "", "Nothing": "",
	} {
		if got := app.Origins.Of(path).Secret; got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
		if got := app.Origins.Of(path).Layer; want != "" && got != srv.VaultURL() {
			t.Errorf("%s: got the layer %q, want the vault's address", path, got)
		}
	}
}
