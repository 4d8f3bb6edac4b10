package provider_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// fieldsOf lists the exported fields of a struct, those of an embedded one in its place.
func fieldsOf(v any) []string {
	var names []string
	for _, field := range reflect.VisibleFields(reflect.TypeOf(v)) {
		if !field.Anonymous && field.IsExported() {
			names = append(names, field.Name)
		}
	}
	slices.Sort(names)
	return names
}

// checkEffects fails for a field without a case, and for one that changes nothing:
// observe tells all that is seen, with the field set or not.
func checkEffects(t *testing.T, config any, cases []string, observe func(t *testing.T, field string, set bool) string) {
	t.Helper()
	for _, field := range fieldsOf(config) {
		if !slices.Contains(cases, field) {
			t.Errorf("%T.%s has no case here: show what it does", config, field)
		}
	}
	for _, field := range cases {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			if with, without := observe(t, field, true), observe(t, field, false); with == without {
				t.Errorf("got the same with %s set and without it: %s", field, with)
			}
		})
	}
}

// refusing is a transport that sends nothing.
func refusing(text string) *http.Client {
	return &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New(text) })}
}

// seen tells what a load did: its keys, its error's kind, and how often it asked.
func seen(srv *vaulttest.Server, k *koanf.Koanf, err error, log *logtest.Buffer) string {
	var e *provider.Error
	step := fmt.Sprint(err != nil)
	if errors.As(err, &e) {
		step = e.Step
	}
	keys := k.Keys()
	slices.Sort(keys)
	stats := srv.Stats()
	return fmt.Sprintf("keys %q, failed at %s, lists %d, gets %d, logged %v", keys, step, stats.Lists, stats.Gets, log.String() != "")
}

func TestEveryFieldOfConfigCounts(t *testing.T) {
	t.Parallel()
	changes := map[string]func(cfg *provider.Config, log *logtest.Buffer){
		"VaultURL":   func(cfg *provider.Config, _ *logtest.Buffer) { cfg.VaultURL = "" },
		"Credential": func(cfg *provider.Config, _ *logtest.Buffer) { cfg.Credential = nil },
		"Secrets":    func(cfg *provider.Config, _ *logtest.Buffer) { cfg.Secrets = []string{"A"} },
		"Sections":   func(cfg *provider.Config, _ *logtest.Buffer) { cfg.Sections = []string{"B"} },
		"Filter": func(cfg *provider.Config, _ *logtest.Buffer) {
			cfg.Filter = func(name string) bool { return name == "A" }
		},
		"Map": func(cfg *provider.Config, _ *logtest.Buffer) {
			cfg.Map = func(name, value string) (string, any) { return "X--" + name, value }
		},
		"Concurrency":   func(cfg *provider.Config, _ *logtest.Buffer) { cfg.Concurrency = -1 }, // its number: TestRequestCounts
		"Timeout":       func(cfg *provider.Config, _ *logtest.Buffer) { cfg.Timeout = 1 },
		"WatchEvery":    func(cfg *provider.Config, _ *logtest.Buffer) { cfg.WatchEvery = -1 }, // its time: TestWatchListsOnceAPeriod
		"ClientOptions": func(cfg *provider.Config, _ *logtest.Buffer) { cfg.ClientOptions.Transport = refusing("not sent") },
		"Logger":        func(cfg *provider.Config, log *logtest.Buffer) { cfg.Logger = log.Logger() },
	}
	cases := make([]string, 0, len(changes))
	for field := range changes {
		cases = append(cases, field)
	}
	checkEffects(t, provider.Config{}, cases, func(t *testing.T, field string, set bool) string {
		srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"A": "1", "B--C": "2"}))
		defer srv.Close()
		cfg := kvConfig(t, srv)
		cfg.ClientOptions.Retry.MaxRetries = -1
		var log logtest.Buffer
		if set {
			changes[field](&cfg, &log)
		}
		k := koanf.New(":")
		vault, err := provider.KeyVault(cfg)
		if err == nil {
			err = k.Load(vault, nil)
		}
		return seen(srv, k, err, &log)
	})
}

func TestEveryFieldOfConnectConfigCounts(t *testing.T) {
	t.Parallel()
	changes := map[string]func(cfg *provider.ConnectConfig, srv *vaulttest.Server, log *logtest.Buffer){
		"VaultURL": func(cfg *provider.ConnectConfig, srv *vaulttest.Server, _ *logtest.Buffer) {
			cfg.VaultURL = srv.VaultURL()
		},
		"Credential": func(cfg *provider.ConnectConfig, _ *vaulttest.Server, _ *logtest.Buffer) {
			cfg.Credential, cfg.CredentialOptions = staticCredential{}.GetToken, provider.ConnectConfig{}.CredentialOptions
		},
		"Secrets": func(cfg *provider.ConnectConfig, _ *vaulttest.Server, _ *logtest.Buffer) { cfg.Secrets = []string{"A"} },
		"Sections": func(cfg *provider.ConnectConfig, _ *vaulttest.Server, _ *logtest.Buffer) {
			cfg.Sections = []string{"B"}
		},
		"Filter": func(cfg *provider.ConnectConfig, _ *vaulttest.Server, _ *logtest.Buffer) {
			cfg.Filter = func(name string) bool { return name == "A" }
		},
		"Map": func(cfg *provider.ConnectConfig, _ *vaulttest.Server, _ *logtest.Buffer) {
			cfg.Map = func(name, value string) (string, any) { return "X--" + name, value }
		},
		"Concurrency": func(cfg *provider.ConnectConfig, _ *vaulttest.Server, _ *logtest.Buffer) { cfg.Concurrency = -1 },
		"Timeout":     func(cfg *provider.ConnectConfig, _ *vaulttest.Server, _ *logtest.Buffer) { cfg.Timeout = 1 },
		"WatchEvery":  func(cfg *provider.ConnectConfig, _ *vaulttest.Server, _ *logtest.Buffer) { cfg.WatchEvery = time.Hour },
		"ClientOptions": func(cfg *provider.ConnectConfig, _ *vaulttest.Server, _ *logtest.Buffer) {
			cfg.ClientOptions.Transport = refusing("not sent")
		},
		"Logger": func(cfg *provider.ConnectConfig, _ *vaulttest.Server, log *logtest.Buffer) { cfg.Logger = log.Logger() },
		"CredentialOptions": func(cfg *provider.ConnectConfig, _ *vaulttest.Server, _ *logtest.Buffer) {
			cfg.CredentialOptions.Transport = refusing("not sent")
		},
		"Require": func(cfg *provider.ConnectConfig, _ *vaulttest.Server, _ *logtest.Buffer) { cfg.Require = true },
		"Origins": func(cfg *provider.ConnectConfig, _ *vaulttest.Server, _ *logtest.Buffer) {
			cfg.Origins = new(provider.Origins)
		},
	}
	cases := make([]string, 0, len(changes))
	for field := range changes {
		cases = append(cases, field)
	}
	checkEffects(t, provider.ConnectConfig{}, cases, func(t *testing.T, field string, set bool) string {
		srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"A": "1", "B--C": "2"}))
		defer srv.Close()
		var discarded, log logtest.Buffer
		cfg := connectConfig(srv, &discarded)
		cfg.ClientOptions.Retry.MaxRetries, cfg.CredentialOptions.Retry.MaxRetries = -1, -1
		settings := with(srv, nil)
		if field == "VaultURL" || field == "Require" {
			delete(settings, "SecretUri")
		}
		if set {
			changes[field](&cfg, srv, &log)
		}
		k := newKoanf(t, tree{"kvSetting": settings}, ":")
		connected, err := provider.ConnectToKeyVault(t.Context(), k, cfg)
		return fmt.Sprint(connected, seen(srv, k, err, &log), len(cfg.Origins.Layers()))
	})
}

func TestEveryFieldOfAppConfigCounts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mounted := filepath.Join(dir, "mounted.json")
	for path, content := range map[string]string{filepath.Join(dir, "appsettings.json"): `{"FromDir":1}`, mounted: `{"Mounted":1}`} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	changes := map[string]func(app *provider.AppConfig, log *logtest.Buffer){
		"FS": func(app *provider.AppConfig, _ *logtest.Buffer) {
			app.FS = files{"appsettings.json": `{"FromFS":1}`}.FS()
		},
		"Dir":              func(app *provider.AppConfig, _ *logtest.Buffer) { app.FS, app.Dir = nil, dir },
		"Environment":      func(app *provider.AppConfig, _ *logtest.Buffer) { app.Environment = "Staging" },
		"Environ":          func(app *provider.AppConfig, _ *logtest.Buffer) { app.Environ = list("A=1") },
		"Args":             func(app *provider.AppConfig, _ *logtest.Buffer) { app.Args = list("--A=1") },
		"MountedFile":      func(app *provider.AppConfig, _ *logtest.Buffer) { app.MountedFile = mounted },
		"MaskinportenFile": func(app *provider.AppConfig, _ *logtest.Buffer) { app.MaskinportenFile = mounted },
		"Logger":           func(app *provider.AppConfig, log *logtest.Buffer) { app.Logger = log.Logger() },
		"Origins":          func(app *provider.AppConfig, _ *logtest.Buffer) { app.Origins = new(provider.Origins) },
	}
	cases := make([]string, 0, len(changes))
	for field := range changes {
		cases = append(cases, field)
	}
	checkEffects(t, provider.AppConfig{}, cases, func(t *testing.T, field string, set bool) string {
		app, _ := hermetic(t, files{"appsettings.json": `{"Base":1}`, "appsettings.Staging.json": `{"Staging":1}`})
		var log logtest.Buffer
		app.Origins = nil
		app.Logger = slog.New(slog.DiscardHandler)
		if set {
			changes[field](&app, &log)
		}
		k, err := provider.LoadAppConfig(app)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(k.Keys(), log.String() != "", len(app.Origins.Layers()))
	})
}

// A field that would be ignored is refused.
func TestFieldsThatWouldBeIgnored(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	t.Cleanup(srv.Close)
	var one, two provider.Origins
	load := func(app provider.AppConfig, cfg provider.ConnectConfig) error {
		_, err := provider.Load(t.Context(), app, cfg)
		return err
	}
	resolve := func(cfg provider.ConnectConfig) error {
		return provider.ResolveReferences(t.Context(), koanf.New(":"), cfg)
	}
	withClient := func(cfg provider.Config) error {
		_, err := provider.KeyVaultWithClient(&kvFake{}, cfg)
		return err
	}
	const references = "provider: leave Secrets, Sections, Filter, Map and Require empty for ResolveReferences - the references say which secrets to read"
	const client = "provider: Credential and ClientOptions: leave them empty - the client has its own"
	both := connectConfig(srv, &logtest.Buffer{})
	both.Credential = staticCredential{}.GetToken
	tests := []struct {
		name string
		got  error
		want string
	}{
		{"a directory beside FS", load(provider.AppConfig{FS: files{}.FS(), Dir: "x"}, provider.ConnectConfig{}), "provider: AppConfig.FS and Dir are both set: leave one of them out"},
		{"two Origins", load(provider.AppConfig{FS: files{}.FS(), Origins: &one}, provider.ConnectConfig{Origins: &two}), "provider: Origins of AppConfig and ConnectConfig differ: set one of them, or the same in both"},
		{"CredentialOptions beside a Credential", load(provider.AppConfig{FS: files{}.FS(), Environ: list()}, both), "provider: CredentialOptions: leave them empty beside a Credential - they are for the one that kvSetting makes"},
		{"Secrets for references", resolve(provider.ConnectConfig{Config: provider.Config{Secrets: []string{"A"}}}), references},
		{"Sections for references", resolve(provider.ConnectConfig{Config: provider.Config{Sections: []string{"A"}}}), references},
		{"Filter for references", resolve(provider.ConnectConfig{Config: provider.Config{Filter: func(string) bool { return true }}}), references},
		{"Map for references", resolve(provider.ConnectConfig{Config: provider.Config{Map: func(n, v string) (string, any) { return n, v }}}), references},
		{"Require for references", resolve(provider.ConnectConfig{Require: true}), references},
		{"a credential beside a client", withClient(provider.Config{Credential: staticCredential{}.GetToken}), client},
		{"options beside a client", withClient(provider.Config{ClientOptions: srv.ClientOptions()}), client},
	}
	for _, test := range tests {
		if test.got == nil || test.got.Error() != test.want {
			t.Errorf("%s:\ngot  %v\nwant %s", test.name, test.got, test.want)
		}
	}
}

// Whatever prints or encodes a config that is accepted, also as an unexported field
// of somebody else's struct, shows no variable, argument or credential.
func TestConfigsPrintNoSecrets(t *testing.T) {
	t.Parallel()
	app := provider.AppConfig{Dir: "d", Environ: list("A=" + canary), Args: list("--B=" + canary)}
	cfg := provider.Config{VaultURL: "https://v.vault.azure.net", Credential: staticCredential{canary}.GetToken}
	connect := provider.ConnectConfig{Config: cfg}
	for _, v := range []any{
		app, &app,
		struct{ app provider.AppConfig }{app},
		struct{ App provider.AppConfig }{app},
		struct{ app *provider.AppConfig }{&app},
		cfg, &cfg,
		struct{ cfg provider.Config }{cfg},
		struct{ Cfg provider.Config }{cfg},
		[]provider.Config{cfg},
		connect, &connect,
		struct{ cfg provider.ConnectConfig }{connect},
		struct{ Cfg provider.ConnectConfig }{connect},
		map[string]any{"a": connect},
	} {
		shows(t, v)
	}
	for want, v := range map[string]any{fmt.Sprint(app): app, fmt.Sprint(cfg): cfg, fmt.Sprint(connect): connect} {
		encoded, err := json.Marshal(map[string]any{"config": v})
		quoted, _ := json.Marshal(want)
		if got := string(encoded); err != nil || got != `{"config":`+string(quoted)+`}` {
			t.Errorf("encoded as %s, %v, want what it prints as: %s", got, err, want)
		}
	}
	if got, want := fmt.Sprint(connect), `provider.ConnectConfig{Config: provider.Config{VaultURL: "https://v.vault.azure.net", Secrets: [], Sections: []}, Require: false}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(app), `provider.AppConfig{Dir:"d" Environment:"" MountedFile:"" MaskinportenFile:""}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A URL with a user name or password is refused, so no config that is accepted holds
// one. Its own methods do not print it before that either.
func TestConfigPrintsNoUserInfo(t *testing.T) {
	t.Parallel()
	cfg := provider.Config{VaultURL: "https://me:" + canary + "@v.vault.azure.net", Credential: staticCredential{}.GetToken}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		holdsNoCanary(t, verb, fmt.Sprintf(verb, cfg)+fmt.Sprintf(verb, provider.ConnectConfig{Config: cfg}))
	}
	encoded(t, cfg)
	encoded(t, provider.ConnectConfig{Config: cfg})
	if _, err := provider.KeyVault(cfg); err == nil {
		t.Error("got no error, want the URL refused")
	} else {
		holdsNoCanary(t, "the error", err.Error())
	}
}

// A nil Credential is an error wherever it is used.
func TestNilCredential(t *testing.T) {
	t.Parallel()
	_, err := provider.Credential(nil).GetToken(t.Context(), policy.TokenRequestOptions{})
	if want := "provider: the Credential is nil"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// shows fails when a verb of fmt or an encoder shows the canary of v.
func shows(t *testing.T, v any) {
	t.Helper()
	for verb := range strings.SplitSeq("%v %+v %#v %s %q %x %X %d %t %p %T %w %5v", " ") {
		holdsNoCanary(t, verb, fmt.Sprintf(verb, v))
		holdsNoCanary(t, verb, fmt.Errorf(verb, v).Error())
	}
	encoded(t, v)
	holdsNoCanary(t, "reflection", logtest.Reachable(v))
}

func encoded(t *testing.T, v any) {
	t.Helper()
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	// An encoder may refuse v: what it wrote until then counts, and its error.
	fmt.Fprintln(&out, json.NewEncoder(&out).Encode(v), xml.NewEncoder(&out).Encode(v), gob.NewEncoder(&out).Encode(v))
	holdsNoCanary(t, "an encoder", out.String())
}

func holdsNoCanary(t *testing.T, what, text string) {
	t.Helper()
	if strings.Contains(text, canary) || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", canary)) {
		t.Errorf("%s shows a secret: %s", what, text)
	}
}
