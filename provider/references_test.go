package provider_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

const vaultHost = "my-vault.vault.azure.net"

func ref(inner string) string { return "@Microsoft.KeyVault(" + inner + ")" }

func TestResolveReferences(t *testing.T) {
	t.Parallel()
	// The real challenge check is on: the host is one of Key Vault's.
	srv := vaulttest.NewServer(vaulttest.WithVaultHost(vaultHost), vaulttest.WithSecrets(map[string]string{
		"one": "1", "two": "2", "nested": ref("VaultName=my-vault;SecretName=one"), "not--read": canary,
	}))
	t.Cleanup(srv.Close)
	settings := map[string]any{
		"ByName":    ref("VaultName=my-vault;SecretName=one"),
		"ByURI":     ref("SecretUri=https://" + vaultHost + "/secrets/one"),
		"Spelt":     " @microsoft.keyvault( secretName=ONE ; vaultname=MY-VAULT; ) ",
		"List":      []any{"a", ref("VaultName=my-vault;SecretName=two"), map[string]any{"In": ref("SecretUri=https://" + vaultHost + "/secrets/two/")}},
		"Typed":     []string{"b", ref("VaultName=my-vault;SecretName=two")},
		"Recursive": ref("VaultName=my-vault;SecretName=nested"),
		"Plain":     "@Microsoft.Other(x)",
		"Number":    7,
	}
	for _, delim := range []string{":", "."} {
		t.Run("delimiter "+delim, func(t *testing.T) {
			t.Parallel()
			var origins provider.Origins
			cfg := connecting(t, srv)
			cfg.VaultURL, cfg.Origins = "", &origins
			k := newKoanf(t, settings, delim)
			if err := provider.ResolveReferences(t.Context(), k, cfg); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{
				"ByName": "1", "ByURI": "1", "Spelt": "1",
				"List":      []any{"a", "2", map[string]any{"In": "2"}},
				"Typed":     []string{"b", "2"},
				"Recursive": ref("VaultName=my-vault;SecretName=one"),
				"Plain":     "@Microsoft.Other(x)",
				"Number":    7,
			}
			if diff := cmp.Diff(want, k.Raw()); diff != "" {
				t.Error(diff)
			}
			if k.String("ByURI") != "1" {
				t.Errorf("got %q through koanf, want 1", k.String("ByURI"))
			}
			source := origins.Of("list:2:in").Source
			if source != "secret two of https://"+vaultHost+", by reference" {
				t.Errorf("got it from %q, want the secret two", source)
			}
		})
	}
}

// A reference whose own source is unknown overrode nothing that is known.
func TestReferenceOfUnknownSource(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithVaultHost(vaultHost), vaulttest.WithSecrets(map[string]string{"one": "1"}))
	defer srv.Close()
	cfg := connecting(t, srv)
	cfg.Origins = new(provider.Origins)
	k := newKoanf(t, tree{"A": ref("VaultName=my-vault;SecretName=one")}, ":")
	if err := provider.ResolveReferences(t.Context(), k, cfg); err != nil {
		t.Fatal(err)
	}
	if got := cfg.Origins.Of("A").Overrode; len(got) != 0 {
		t.Errorf("got %q, want nothing", got)
	}
}

// Each secret is read once, however many settings refer to it, and no other.
func TestReferencesCost(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithoutList(), vaulttest.WithVaultHost(vaultHost), vaulttest.WithSecrets(map[string]string{"one": "1", "two": "2", "three": canary}))
	defer srv.Close()
	settings := map[string]any{"kvSetting": with(srv, map[string]any{"SecretUri": nil})}
	for i := range 20 {
		settings[fmt.Sprintf("A%d", i)] = ref("VaultName=my-vault;SecretName=" + []string{"one", "ONE", "two"}[i%3])
	}
	k := newKoanf(t, settings, ":")
	var log logtest.Buffer
	if err := provider.ResolveReferences(t.Context(), k, connectConfig(srv, &log)); err != nil {
		t.Fatal(err)
	}
	got := srv.Stats()
	if diff := cmp.Diff(map[string]int{"one": 1, "two": 1}, got.GetsByName); diff != "" || got.Lists != 0 || got.Tokens != 1 || got.Challenges != 1 {
		t.Errorf("got %+v, want one challenge, one token and each secret once (-want +got):\n%s", got, diff)
	}
	if strings.Contains(log.String(), canary) {
		t.Error("a secret was logged")
	}
}

func TestReferencesAreOffWithoutAny(t *testing.T) {
	t.Parallel()
	k := newKoanf(t, map[string]any{"A": "b", "kvSetting": map[string]any{"ClientId": 5}}, ":")
	if err := provider.ResolveReferences(t.Context(), k, provider.ConnectConfig{Config: provider.Config{Concurrency: -1}}); err != nil {
		t.Error(err)
	}
	if err := provider.ResolveReferences(t.Context(), nil, provider.ConnectConfig{}); err == nil {
		t.Error("got no error without a koanf, want one")
	}
}

// A version that is named is the one that is read, and not the latest.
func TestReferenceToAVersion(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithVaultHost(vaultHost), vaulttest.WithSecrets(map[string]string{"one": "latest"}))
	defer srv.Close()
	cfg := connecting(t, srv)
	cfg.ClientOptions.Transport = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Path != "/secrets/one/0123abcd" || r.Header.Get("Authorization") == "" {
			return srv.Transport().RoundTrip(r)
		}
		body := `{"value":"older","id":"https://` + vaultHost + r.URL.Path + `"}`
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})}
	for text, want := range map[string]string{
		"VaultName=my-vault;SecretName=one;SecretVersion=0123abcd":   "older",
		"SecretUri=https://" + vaultHost + "/secrets/one/0123abcd":   "older",
		"VaultName=my-vault;SecretName=one":                          "latest",
		"VaultName=my-vault;SecretName=one;SecretVersion=0123456789": "",
	} {
		k := newKoanf(t, tree{"A": ref(text)}, ":")
		err := provider.ResolveReferences(t.Context(), k, cfg)
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), "provider: A: Key Vault reference: ") || !strings.Contains(err.Error(), "SecretNotFound") {
				t.Errorf("%s: got %v, want the version not found", text, err)
			}
			continue
		}
		if got := k.String("A"); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", text, got, err, want)
		}
	}
	// Both versions at once are two secrets.
	k := newKoanf(t, tree{"A": ref("VaultName=my-vault;SecretName=one;SecretVersion=0123abcd"), "B": ref("VaultName=my-vault;SecretName=One")}, ":")
	if err := provider.ResolveReferences(t.Context(), k, cfg); err != nil || k.String("A") != "older" || k.String("B") != "latest" {
		t.Errorf("got %v, %v, want older and latest", k.Raw(), err)
	}
}

// A secret's name is asked for, and told, as the reference spells it.
func TestReferencesKeepTheirSpelling(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithVaultHost(vaultHost), vaulttest.WithSecrets(map[string]string{"My-Secret": "1"}))
	defer srv.Close()
	var asked []string
	cfg := connecting(t, srv)
	cfg.Origins = new(provider.Origins)
	cfg.ClientOptions.Transport = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Authorization") != "" {
			asked = append(asked, r.URL.Path)
		}
		return srv.Transport().RoundTrip(r)
	})}
	k := newKoanf(t, tree{"A": ref("VaultName=my-vault;SecretName=My-Secret"), "B": ref("VaultName=my-vault;SecretName=MY-SECRET")}, ":")
	if err := provider.ResolveReferences(t.Context(), k, cfg); err != nil || k.String("A") != "1" || k.String("B") != "1" {
		t.Fatalf("got %v, %v, want 1 for both", k.Raw(), err)
	}
	if diff := cmp.Diff([]string{"/secrets/My-Secret/"}, asked); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	for path, name := range map[string]string{"A": "My-Secret", "B": "MY-SECRET"} {
		if got := cfg.Origins.Of(path).Source; got != "secret "+name+" of https://"+vaultHost+", by reference" {
			t.Errorf("%s came from %q, want the name spelt %s", path, got, name)
		}
	}
	missing := newKoanf(t, tree{"A": ref("VaultName=my-vault;SecretName=Not-There")}, ":")
	if err := provider.ResolveReferences(t.Context(), missing, cfg); err == nil || !strings.Contains(err.Error(), " - get Not-There from ") {
		t.Errorf("got %v, want the name spelt Not-There", err)
	}
}

// Without a credential of the program's own, each of three fields is needed.
func TestReferencesNeedAWholeIdentity(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithVaultHost(vaultHost), vaulttest.WithSecrets(map[string]string{"one": "1"}))
	t.Cleanup(srv.Close)
	for _, field := range []string{"ClientId", "TenantId", "ClientSecret"} {
		for _, blank := range []any{nil, "", "  "} {
			k := newKoanf(t, tree{"kvSetting": with(srv, tree{field: blank, "SecretUri": nil}), "A": ref("VaultName=my-vault;SecretName=one")}, ":")
			err := provider.ResolveReferences(t.Context(), k, connectConfig(srv, &logtest.Buffer{}))
			others := strings.Join(slices.DeleteFunc([]string{"ClientId", "TenantId", "ClientSecret"}, func(other string) bool { return other == field }), ", ")
			want := "provider: set kvSetting:" + field + ", or Config.Credential - A is a Key Vault reference: kvSetting has " + others +
				"; looked for variable kvSetting__" + field + " and key kvSetting:" + field
			if err == nil || err.Error() != want {
				t.Errorf("%s %q: got %v, want %s", field, blank, err, want)
			}
		}
	}
	if n := srv.Stats(); n.Challenges+n.Metadata+n.Tokens > 0 {
		t.Errorf("got requests, want nothing sent: %+v", n)
	}
	k := newKoanf(t, tree{"kvSetting": with(srv, tree{"SecretUri": nil}), "A": ref("VaultName=my-vault;SecretName=one")}, ":")
	if err := provider.ResolveReferences(t.Context(), k, connectConfig(srv, &logtest.Buffer{})); err != nil || k.String("A") != "1" {
		t.Errorf("with all three: got %q, %v, want 1", k.String("A"), err)
	}
}

// What is malformed, or would send the credential elsewhere, is refused before
// anything is sent, all at once.
func TestRefusedReferences(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	t.Cleanup(srv.Close)
	const noVault = "set VaultName to 3 to 24 letters, digits and dashes, which begin and end with a letter or digit"
	const noName = "set the secret's name to 1 to 127 letters, digits and dashes"
	const form = "set SecretUri to https://VAULT/secrets/NAME - it has another form"
	const elsewhere = "name a host of Key Vault, or kvSetting's own vault - the credential is shown to no other"
	cases := map[string]string{
		"@Microsoft.KeyVault(VaultName=my-vault;SecretName=one": `end it with ")"`,
		ref(""):                         noVault,
		ref("VaultName=my-vault"):       noName,
		ref("SecretName=one"):           noVault,
		ref("VaultName=a;SecretName=b"): noVault,
		ref("VaultName=evil.example/x;SecretName=one"):                     noVault,
		ref("VaultName=evil--one;SecretName=one"):                          noVault,
		ref("VaultName=my-vault;SecretName=a/b"):                           noName,
		ref("VaultName=my-vault;SecretName=one;SecretVersion=.."):          "set a version that a secret can have, up to 64 letters and digits, or none",
		ref("VaultName=my-vault;VaultName=other;SecretName=one"):           "name each part once",
		ref("VaultName=my-vault;SecretName=one;X=" + canary):               "leave out the part that is not SecretUri, VaultName, SecretName or SecretVersion",
		ref("SecretUri=https://" + vaultHost + "/secrets/one;VaultName=x"): "leave out the parts beside SecretUri",
		ref("SecretUri=%zz"): "set SecretUri to https://VAULT/secrets/NAME - it is not a URL",
		ref("SecretUri=https://" + vaultHost + "/keys/one"):                     form,
		ref("SecretUri=https://" + vaultHost + "/secrets"):                      form,
		ref("SecretUri=https://" + vaultHost + "/secrets/one/v/x"):              form,
		ref("SecretUri=https://" + vaultHost + "/secrets/one?x=y"):              form,
		ref("SecretUri=http://" + vaultHost + "/secrets/one"):                   "SecretUri does not begin with https://: set the vault's address, such as https://my-vault.vault.azure.net",
		ref("SecretUri=https://u:" + canary + "@" + vaultHost + "/secrets/one"): "SecretUri holds a user name: set the vault's address only",
		ref("SecretUri=https://evil.example/secrets/one"):                       elsewhere,
		ref("SecretUri=https://evil.example/.vault.azure.net/secrets/one"):      form,
		ref("SecretUri=https://a.b.vault.azure.net/secrets/one"):                elsewhere,
		ref("SecretUri=https://vault.azure.net/secrets/one"):                    elsewhere,
		ref("SecretUri=https://" + vaultHost + ".evil.example/secrets/one"):     elsewhere,
		ref("SecretUri=https://127.0.0.1:1/secrets/one"):                        elsewhere,
	}
	for text, want := range cases {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			k := newKoanf(t, map[string]any{"A": map[string]any{"B": []any{text}}, "Z": ref("bad"), "kvSetting": srv.KVSetting()}, ":")
			before := k.Raw()
			err := provider.ResolveReferences(t.Context(), k, connecting(t, srv))
			all := "provider: A:B:0: Key Vault reference: " + want + "\n" +
				"provider: Z: Key Vault reference: leave out the part that is not SecretUri, VaultName, SecretName or SecretVersion"
			if err == nil || err.Error() != all {
				t.Errorf("got\n%v\nwant\n%s", err, all)
			}
			if diff := cmp.Diff(before, k.Raw()); diff != "" {
				t.Errorf("the settings changed: %s", diff)
			}
		})
	}
	t.Cleanup(func() {
		if s := srv.Stats(); s.Challenges+s.Tokens+s.Metadata > 0 {
			t.Errorf("got requests, want nothing sent: %+v", s)
		}
	})
}

// The settings' own vault is allowed whatever its host, and lends its cloud.
func TestReferencesToOwnVault(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"one": "1"}))
	defer srv.Close()
	k := newKoanf(t, map[string]any{"kvSetting": srv.KVSetting(), "A": ref("SecretUri=" + srv.VaultURL() + "/secrets/one")}, ":")
	var log logtest.Buffer
	if err := provider.ResolveReferences(t.Context(), k, connectConfig(srv, &log)); err != nil || k.String("A") != "1" {
		t.Errorf("got %q, %v, want 1", k.String("A"), err)
	}

	china := vaulttest.NewServer(vaulttest.WithVaultHost("other.vault.azure.cn"), vaulttest.WithSecrets(map[string]string{"one": "1"}))
	defer china.Close()
	cfg := connectConfig(china, &log)
	cfg.ClientOptions.DisableChallengeResourceVerification = true // the test server's challenge is the public cloud's
	k = newKoanf(t, map[string]any{"kvSetting": with(china, map[string]any{"SecretUri": "https://own.vault.azure.cn/"}), "A": ref("VaultName=other;SecretName=one")}, ":")
	if err := provider.ResolveReferences(t.Context(), k, cfg); err != nil || k.String("A") != "1" {
		t.Errorf("got %q, %v, want 1", k.String("A"), err)
	}
}

func TestUnresolvableReferences(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name     string
		settings map[string]any
		change   func(*provider.ConnectConfig)
		fault    faulttest.Fault
		want     string
	}{
		{
			name:   "no credential",
			change: func(c *provider.ConnectConfig) { c.Credential = nil },
			want: "provider: set kvSetting:ClientId, kvSetting:TenantId, kvSetting:ClientSecret, or Config.Credential - A is a Key Vault reference; " +
				"looked for variables such as kvSetting__ClientId and keys such as kvSetting:ClientId",
		},
		{
			name:     "a credential that is itself a reference",
			settings: map[string]any{"kvSetting": map[string]any{"ClientId": "a", "TenantId": "b", "ClientSecret": ref("VaultName=my-vault;SecretName=one")}},
			change:   func(c *provider.ConnectConfig) { c.Credential = nil },
			want:     "provider: kvSetting:ClientSecret: set it by other means - a Key Vault reference cannot be what reaches the vault",
		},
		{
			name: "no such secret",
			want: "provider: A, B: Key Vault reference: create the secret in the vault, or correct its name - get missing from https://" + vaultHost + ": 404 SecretNotFound (0 of 1 secrets read)",
		},
		{
			name:  "the vault is shut",
			fault: faulttest.Fault{Status: 403, Body: `{"error":{"code":"Forbidden","innererror":{"code":"ForbiddenByFirewall"}}}`, Match: func(r *http.Request) bool { return r.Header.Get("Authorization") != "" }},
			want: "provider: A, B: Key Vault reference: let this machine's address through the vault's firewall (Networking), or reach the vault by its private endpoint - " +
				"get missing from https://" + vaultHost + ": 403 ForbiddenByFirewall (0 of 1 secrets read)",
		},
		{
			name:   "a configuration that is wrong",
			change: func(c *provider.ConnectConfig) { c.Concurrency = -1 },
			want:   "provider: Concurrency: set 1 or more, or 0 for 32 - it is -1",
		},
		{
			name:     "a kvSetting that is wrong",
			settings: map[string]any{"kvSetting": map[string]any{"ClientId": 5}},
			want:     "provider: kvSetting:ClientId is not a text: put it in quotation marks",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := vaulttest.NewServer(vaulttest.WithVaultHost(vaultHost))
			defer srv.Close()
			if c.fault.Status != 0 {
				srv.Faults.Add(c.fault)
			}
			settings := map[string]any{"A": ref("VaultName=my-vault;SecretName=missing"), "B": ref("VaultName=my-vault;SecretName=Missing")}
			maps.Copy(settings, c.settings)
			cfg := connecting(t, srv)
			cfg.VaultURL = ""
			if c.change != nil {
				c.change(&cfg)
			}
			k := newKoanf(t, settings, ":")
			before := k.Raw()
			err := provider.ResolveReferences(t.Context(), k, cfg)
			if err == nil || err.Error() != c.want {
				t.Errorf("got\n%v\nwant\n%s", err, c.want)
			}
			if diff := cmp.Diff(before, k.Raw()); diff != "" {
				t.Errorf("the settings changed: %s", diff)
			}
		})
	}
}

func TestReferencesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := vaulttest.NewPipe()
		defer srv.Close()
		srv.Faults.Add(faulttest.Fault{Hang: true, Times: -1})
		cfg := connecting(t, srv)
		k := newKoanf(t, map[string]any{
			"A": ref("SecretUri=" + srv.VaultURL() + "/secrets/one"), "B": ref("SecretUri=https://" + vaultHost + "/secrets/one"),
		}, ":")
		start := time.Now()
		err := provider.ResolveReferences(t.Context(), k, cfg)
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != provider.DefaultTimeout || !strings.Contains(err.Error(), "no result within the Timeout of 30s") {
			t.Errorf("got %v after %v, want the end of the Timeout", err, took)
		}
		synctest.Wait()
	})
}

// Load resolves only what survives the local file: a developer needs no vault.
func TestLoadResolvesReferencesLast(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithVaultHost(vaultHost), vaulttest.WithSecrets(map[string]string{"one": "1"}))
	t.Cleanup(srv.Close)
	files := fstest.MapFS{
		"appsettings.json":       {Data: []byte(`{"A": "` + ref("VaultName=my-vault;SecretName=one") + `"}`)},
		"appsettings.Local.json": {Data: []byte(`{"A": "mine"}`)},
	}
	for environment, want := range map[string]string{"Development": "mine", "Production": "1"} {
		t.Run(environment, func(t *testing.T) {
			t.Parallel()
			var log logtest.Buffer
			cfg := provider.ConnectConfig{}
			if environment == "Production" {
				cfg = connecting(t, srv)
				cfg.VaultURL = ""
			}
			k, err := provider.Load(t.Context(), provider.AppConfig{FS: files, Environment: environment, Environ: list(), Logger: log.Logger()}, cfg)
			if err != nil || k.String("A") != want {
				t.Errorf("got %v, %v, want the reference resolved or overridden", k, err)
			}
		})
	}
	var log logtest.Buffer
	_, err := provider.Load(t.Context(), provider.AppConfig{FS: files, Environ: list(), Logger: log.Logger()}, provider.ConnectConfig{})
	if err == nil || !strings.HasPrefix(err.Error(), "provider: set kvSetting:ClientId, ") {
		t.Errorf("got %v, want the reference refused", err)
	}
}

// What the vault itself gave is taken as it is, or whoever may write one secret
// could have the identity read others.
func TestLoadFollowsNoSecret(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithVaultHost(vaultHost), vaulttest.WithSecrets(map[string]string{
		"Note": ref("VaultName=my-vault;SecretName=Other"), "Broken--0": ref("is how"), "Other": canary, "Both": ref("VaultName=my-vault;SecretName=Other"),
	}))
	defer srv.Close()
	files := fstest.MapFS{
		"appsettings.json":       {Data: []byte(`{"kvSetting": {"SecretUri": "https://` + vaultHost + `"}, "Real": "` + ref("VaultName=my-vault;SecretName=Other") + `"}`)},
		"appsettings.Local.json": {Data: []byte(`{"Both": "` + ref("SecretUri=https://"+vaultHost+"/secrets/Other") + `"}`)},
	}
	var log logtest.Buffer
	var origins provider.Origins
	cfg := connecting(t, srv)
	cfg.VaultURL = ""
	k, err := provider.Load(t.Context(), provider.AppConfig{FS: files, Environment: "Development", Environ: list(), Logger: log.Logger(), Origins: &origins}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"kvSetting": map[string]any{"SecretUri": "https://" + vaultHost}, "Real": canary, "Both": canary, "Other": canary,
		"Note": ref("VaultName=my-vault;SecretName=Other"), "Broken": []any{ref("is how")},
	}
	if diff := cmp.Diff(want, k.Raw()); diff != "" {
		t.Error(diff)
	}
	if n := srv.Stats().Tokens; n != 1 {
		t.Errorf("got %d token requests, want 1", n)
	}
	secrets := map[string]string{"Note": "Note", "Broken:0": "Broken--0", "Other": "Other", "Both": "Other", "Real": "Other"}
	if diff := cmp.Diff(secrets, provider.Secrets(&origins)); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
}

// What chooses from the vault does not choose among references.
func TestLoadReadsOnlyWhatReferencesName(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithVaultHost(vaultHost), vaulttest.WithSecrets(map[string]string{"A": "1", "one": "2"}))
	t.Cleanup(srv.Close)
	for name, change := range map[string]func(*provider.ConnectConfig){
		"Secrets":  func(c *provider.ConnectConfig) { c.Secrets = []string{"A"} },
		"Sections": func(c *provider.ConnectConfig) { c.Sections = []string{"A"} },
		"Filter":   func(c *provider.ConnectConfig) { c.Filter = func(name string) bool { return name == "A" } },
	} {
		before := srv.Stats().GetsByName
		app, log := hermetic(t, files{"appsettings.json": `{"Real": "` + ref("VaultName=my-vault;SecretName=one") + `"}`})
		cfg := connecting(t, srv)
		cfg.Logger = log.Logger()
		change(&cfg)
		k, err := provider.Load(t.Context(), app, cfg)
		if err != nil || k.String("A") != "1" || k.String("Real") != "2" {
			t.Errorf("%s: got %v, %v, want both secrets", name, k, err)
			continue
		}
		after := srv.Stats().GetsByName
		if after["A"]-before["A"] != 1 || after["one"]-before["one"] != 1 || strings.Contains(log.String(), "level=WARN") {
			t.Errorf("%s: read before %v, after %v; logged %s", name, before, after, log)
		}
	}
}

// One credential serves both the vault and the references.
func TestLoadMakesOneCredential(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"Other": "1"}))
	defer srv.Close()
	settings := map[string]any{"kvSetting": srv.KVSetting(), "Real": ref("SecretUri=" + srv.VaultURL() + "/secrets/Other")}
	data, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	var log logtest.Buffer
	k, err := provider.Load(t.Context(), provider.AppConfig{FS: fstest.MapFS{"appsettings.json": {Data: data}}, Environ: list(), Logger: log.Logger()}, connectConfig(srv, &log))
	if err != nil || k.String("Real") != "1" || srv.Stats().Tokens != 1 {
		t.Errorf("got %v and %d token requests, want one", err, srv.Stats().Tokens)
	}
}

// An expired secret is warned about here as well.
func TestReferenceToAnExpiredSecret(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithVaultHost(vaultHost))
	defer srv.Close()
	srv.SetSecret(vaulttest.Secret{Name: "old", Value: "1", Expires: time.Now().Add(-time.Hour)})
	var log logtest.Buffer
	cfg := connecting(t, srv)
	cfg.Logger, cfg.VaultURL = log.Logger(), ""
	if err := provider.ResolveReferences(t.Context(), newKoanf(t, map[string]any{"A": ref("VaultName=my-vault;SecretName=old")}, ":"), cfg); err != nil || !strings.Contains(log.String(), "renew secret old of https://"+vaultHost+": it expired on ") {
		t.Errorf("got %v, log %s, want a warning of the expired secret", err, log.String())
	}
}

// No text makes the parser panic, or lead anywhere but to a vault.
func FuzzReferences(f *testing.F) {
	for _, seed := range []string{
		ref("VaultName=my-vault;SecretName=one"), ref("SecretUri=https://" + vaultHost + "/secrets/one/v"),
		ref("SecretUri=https://evil.example#.vault.azure.net/secrets/one"), ref(";;=;"), "@Microsoft.KeyVault(", ref("SecretUri=https://[::1]%25/secrets/a"),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		reached := ""
		cfg := provider.ConnectConfig{Config: provider.Config{Credential: staticCredential{}.GetToken, Logger: (&logtest.Buffer{}).Logger(), Timeout: time.Minute}}
		cfg.ClientOptions.Retry.MaxRetries = -1
		cfg.ClientOptions.Transport = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			reached = r.URL.Scheme + "://" + r.URL.Host
			return nil, errors.New("reached")
		})}
		k := koanf.New(":")
		if err := k.Set("A", text); err != nil {
			t.Skip(err)
		}
		err := provider.ResolveReferences(t.Context(), k, cfg)
		isRef := len(strings.TrimSpace(text)) >= 20 && strings.EqualFold(strings.TrimSpace(text)[:20], "@Microsoft.KeyVault(")
		if (err != nil) != isRef || k.String("A") != text {
			t.Errorf("%q: %v, now %q", text, err, k.String("A"))
		}
		if reached == "" {
			return
		}
		host, https := strings.CutPrefix(reached, "https://")
		name, known := strings.CutSuffix(host, ".vault.azure.net")
		for _, other := range []string{".vault.azure.cn", ".vault.usgovcloudapi.net", ".vault.microsoftazure.de"} {
			if !known {
				name, known = strings.CutSuffix(host, other)
			}
		}
		if !https || !known || strings.ContainsAny(name, "./@:#?\\") {
			t.Errorf("%q reached %s", text, reached)
		}
	})
}
