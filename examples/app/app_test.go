package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dir makes a directory of settings files.
func dir(t *testing.T, files map[string]string) string {
	t.Helper()
	path := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(path, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// outcomeOf runs the program, and gives its exit code and what it prints.
func outcomeOf(t *testing.T, in invocation) (code int, out, errs string) {
	t.Helper()
	var outBuffer, errBuffer logtest.Buffer
	in.out, in.errors = &outBuffer, &startLog{out: &errBuffer}
	if in.dir == "" {
		in.dir = t.TempDir()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	code = start(ctx, in)
	return code, outBuffer.String(), errBuffer.String()
}

var port = regexp.MustCompile(`127\.0\.0\.1:\d+`)

func TestDemo(t *testing.T) {
	t.Parallel()
	// PATH and the like are in every environment, and configure nothing.
	code, out, errs := outcomeOf(t, invocation{environ: []string{"PATH=/bin", "HOME=/"}})
	const want = `DEMO: nothing is configured. Settings are built in, and test servers on this machine play Key Vault, Entra, Maskinporten, Altinn and the API.
settings  appsettings.json read
settings  appsettings.Development.json missing
settings  /altinn-appsettings-secret/altinn-appsettings-secret.json missing
settings  environment read
vault     https://127.0.0.1:PORT gave secret MaskinportenSettings--ClientId, secret MaskinportenSettings--EncodedJwk
settings  appsettings.Local.json missing
client    "altinn" is built from section MaskinportenSettings
token     Altinn token for altinn:serviceowner/instances.read, living 30m0s
API       GET https://platform.tt02.altinn.no/storage/api/v1/instances answered 200 with 36 bytes
`
	if diff := cmp.Diff(want, port.ReplaceAllString(out, "127.0.0.1:PORT")); diff != "" {
		t.Error(diff)
	}
	if code != 0 || errs != "" {
		t.Errorf("got the code %d and the log %s, want 0 and nothing", code, errs)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	_, out, _ := outcomeOf(t, invocation{args: []string{"-explain"}, environ: []string{"PATH=/bin"}})
	var got []string
	for line := range strings.Lines(port.ReplaceAllString(out, "127.0.0.1:PORT")) {
		if explained, ok := strings.CutPrefix(line, "explain   "); ok {
			got = append(got, strings.TrimSpace(explained))
		}
	}
	want := []string{
		"ExampleApp:ApiUrl is from appsettings.json",
		"MaskinportenSettings:ClientId is from secret MaskinportenSettings--ClientId of https://127.0.0.1:PORT",
		"MaskinportenSettings:EnableDebugLog is from appsettings.json",
		"MaskinportenSettings:EncodedJwk is from secret MaskinportenSettings--EncodedJwk of https://127.0.0.1:PORT",
		"MaskinportenSettings:Environment is from appsettings.json",
		"MaskinportenSettings:ExhangeToAltinnToken is from appsettings.json",
		"MaskinportenSettings:Scope is from appsettings.json",
		"kvSetting:ClientId is from environment variable kvSetting__ClientId",
		"kvSetting:ClientSecret is from environment variable kvSetting__ClientSecret",
		"kvSetting:SecretUri is from environment variable kvSetting__SecretUri",
		"kvSetting:TenantId is from environment variable kvSetting__TenantId",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	// It is wanted most when what follows fails.
	code, out, _ := outcomeOf(t, invocation{args: []string{"-explain"}, environ: []string{"ExampleApp__ApiUrl=x"}})
	if want := "explain   ExampleApp:ApiUrl is from environment variable ExampleApp__ApiUrl\n"; code != 1 || out != want {
		t.Errorf("got %d, %q, want 1, %q", code, out, want)
	}
}

// The slightest sign of a configuration prevents the demo, misspelt or not. The first
// line says what is missing. How to run the demo is told only if nothing was set.
func TestNoDemoWithAnyConfiguration(t *testing.T) {
	t.Parallel()
	const missing = `provider: `
	cases := []struct {
		name  string
		files map[string]string
		in    invocation
		signs string // as the note names them; "" if there is no note
		want  string
	}{
		{name: "an environment's name", in: invocation{environ: []string{"APP_ENVIRONMENT=Production"}}, signs: "the environment variable APP_ENVIRONMENT"},
		{name: "an environment's name, .NET's", in: invocation{environ: []string{"aspnetcore_environment=Production"}}, signs: "the environment variable aspnetcore_environment"},
		{name: "an environment's name, the third", in: invocation{environ: []string{"DOTNET_ENVIRONMENT="}}, signs: "the environment variable DOTNET_ENVIRONMENT"},
		{name: "a vault's address, misspelt", in: invocation{environ: []string{"KvSeting__SecretUri=https://v.vault.azure.net"}}, signs: "the environment variable KvSeting__SecretUri"},
		{name: "a vault's address in another style", in: invocation{environ: []string{"KV_SETTING_SECRETURI=https://v.vault.azure.net"}}, signs: "the environment variable KV_SETTING_SECRETURI"},
		{name: "a name that is not a setting's", in: invocation{environ: []string{"MaskinportenSettings____ClientId=a"}}, signs: "the environment variable MaskinportenSettings____ClientId"},
		{name: "another section", in: invocation{environ: []string{"Logging__LogLevel__Default=Debug"}}, signs: "the environment variable Logging__LogLevel__Default"},
		{name: "a setting as NAIS writes it", in: invocation{environ: []string{"MASKINPORTEN_CLIENT_ID=a"}}, signs: "the environment variable MASKINPORTEN_CLIENT_ID"},
		{name: "an address that others reach", in: invocation{args: []string{"-serve", "-addr", "0.0.0.0:0"}}, signs: "the flag -addr, which lets other machines in"},
		{name: "an empty file", files: map[string]string{"appsettings.json": "{}"}, signs: "the file appsettings.json"},
		{name: "a file of another environment", files: map[string]string{"appsettings.Staging.json": "{}"}, signs: "the file appsettings.Staging.json"},
		{name: "a file in another case", files: map[string]string{"AppSettings.json": "{}"}, signs: "the file AppSettings.json"},
		{name: "a local file, which is warned about", files: map[string]string{"appsettings.Local.json": "{}"}, signs: "the file appsettings.Local.json"},
		{
			name: "several", files: map[string]string{"appsettings.Staging.json": "{}", "Maskinporten.jwk": ""}, in: invocation{environ: []string{"HOME=/", "DOTNET_ENVIRONMENT=Other", "A__B=c"}},
			signs: "the environment variable DOTNET_ENVIRONMENT, the environment variable A__B, the file Maskinporten.jwk, the file appsettings.Staging.json",
		},
		{name: "only a vault's address", in: invocation{environ: []string{"KVSETTING__SECRETURI=https://v.vault.azure.net"}}},
		{name: "only a setting", files: map[string]string{"appsettings.json": `{"MaskinportenSettings": {"Environment": "test"}}`}, want: "httpclient: "},
		{name: "the API's address", in: invocation{environ: []string{"ExampleApp__ApiUrl=https://a.example/"}}},
		{name: "an argument", in: invocation{args: []string{"--", "--A:B=c"}}},
		{name: "a broken file", files: map[string]string{"appsettings.json": "{"}, want: "provider: appsettings.json: line 1, column 2"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.in.dir = dir(t, c.files)
			if c.in.environ == nil {
				c.in.environ = []string{}
			}
			if c.want == "" {
				c.want = missing
			}
			code, out, errs := outcomeOf(t, c.in) // it would serve if it did not fail
			first, rest, _ := strings.Cut(errs, "\n")
			if code != 1 || !strings.Contains(first, ` level=ERROR msg="`+c.want) || strings.Contains(rest, "level=ERROR") || strings.Count("\n"+errs, "\napp: ") != min(1, len(c.signs)) {
				t.Errorf("got %d and\n%s\nwant 1 and the cause %q in the first line only", code, errs, c.want)
			}
			if out != "" || strings.Contains(errs, "127.0.0.1") {
				t.Errorf("got the test servers running, want them not started:\n%s", out)
			}
			_, note, _ := strings.Cut(errs, "app: to run the demo, remove ")
			if note = strings.TrimSuffix(note, "\n"); note != c.signs {
				t.Errorf("got the note of %q, want of %q", note, c.signs)
			}
		})
	}
}

// A link that leads nowhere, such as a mount that went wrong, is a sign too.
func TestNoDemoWithADanglingLink(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	if err := os.Symlink(filepath.Join(path, "gone"), filepath.Join(path, "appsettings.json")); err != nil {
		t.Skip(err)
	}
	for _, dir := range []string{path, filepath.Join(path, "gone")} {
		if code, out, errs := outcomeOf(t, invocation{dir: dir, environ: []string{}}); code != 1 || out != "" || errs == "" {
			t.Errorf("got %d, printed %s and %s, want only an error", code, out, errs)
		}
	}
}

// With settings of its own, the application does the same with them; a local file
// wins over the vault in Development and is ignored elsewhere.
func TestOwnSettings(t *testing.T) {
	t.Parallel()
	for _, environment := range []string{"Development", "Production"} {
		t.Run(environment, func(t *testing.T) {
			t.Parallel()
			d := startDemo()
			defer d.Close()
			d.vault.Set("MaskinportenSettings--Scope", "from:the-vault")
			s := d.setup()
			s.app = provider.AppConfig{Environment: environment, Environ: s.app.Environ, Dir: dir(t, map[string]string{
				"appsettings.json": `{"MaskinportenSettings": {"Environment": "test"},
					"ExampleApp": {"ApiUrl": "https://platform.tt02.altinn.no/storage/api/v1/instances"}}`,
				"appsettings.Local.json": `{"maskinportenSettings": {"scope": "altinn:serviceowner/instances.read"}}`,
			})}
			var out, errs logtest.Buffer
			log := &startLog{out: &errs}
			err := runApp(t.Context(), invocation{out: &out, errors: log}, s, mode{addr: anyPort})
			log.release()
			warned := strings.Contains(errs.String(), "appsettings.Local.json is there, but is read in Development only")
			if environment == "Development" {
				if err != nil || warned || !strings.Contains(out.String(), "a secret for MaskinportenSettings:scope, which appsettings.Local.json overrides") ||
					!strings.Contains(out.String(), "API       GET") {
					t.Errorf("got the error %v and the warning %v, want the API's answer:\n%s", err, warned, out.String())
				}
				return
			}
			if err == nil || !warned || !strings.Contains(err.Error(), "check Scope") || !strings.Contains(out.String(), "secret MaskinportenSettings--Scope") {
				t.Errorf("got the error %v and the warning %v, want both, about Scope:\n%s", err, warned, out.String())
			}
		})
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	const after = "settings go after --, as in: app -- --MaskinportenSettings:Scope=my:scope\n"
	for args, want := range map[string]string{
		"-x": "app: flag provided but not defined: -x (app -h lists the flags); " + after,
		"--MaskinportenSettings:EncodedJwk=CANARY": "app: flag provided but not defined: -MaskinportenSettings:EncodedJwk (app -h lists the flags); " + after,
		"CANARY":                        "app: argument 1 is unexpected: flags begin with a dash, and " + after,
		"-serve CANARY -x":              "app: argument 2 is unexpected: flags begin with a dash, and " + after,
		"-serve A:B=CANARY":             "app: argument 2 is unexpected: flags begin with a dash, and " + after,
		"A:B=CANARY":                    "app: argument 1 is unexpected: flags begin with a dash, and " + after,
		"-- CANARY":                     "app: argument 2 is unexpected: flags begin with a dash, and " + after,
		"-- --A:B CANARY --C:D":         "app: argument 4 is unexpected: flags begin with a dash, and " + after,
		"-- --A:B=CANARY CANARY=CANARY": "app: argument 3 is unexpected: flags begin with a dash, and " + after,
	} {
		code, out, errs := outcomeOf(t, invocation{args: strings.Split(args, " "), environ: []string{}})
		if code != 1 || out != "" || errs != want {
			t.Errorf("%s: got %d, %q, %q\nwant %q", args, code, out, errs, want)
		}
	}
	// These are settings: what is missing is another.
	code, _, errs := outcomeOf(t, invocation{args: []string{"--", "--MaskinportenSettings:Environment=test", "--MaskinportenSettings:Scope", "a:b", "/MaskinportenSettings:Resource=c", "MaskinportenSettings:Kid=d"}, environ: []string{}})
	if code != 1 || !strings.Contains(errs, "ClientId is missing") || strings.Contains(errs, "Environment is missing") {
		t.Errorf("got %d, %s, want the ClientId missing", code, errs)
	}
	if code, out, errs := outcomeOf(t, invocation{args: []string{"-h"}}); code != 0 || out != "" || !strings.HasPrefix(errs, "Usage of app") {
		t.Errorf("got %d, %s, %s, want the usage", code, out, errs)
	}
}

// What fails after the start is the first line too.
func TestFailingJob(t *testing.T) {
	t.Parallel()
	var out, errs logtest.Buffer
	log := &startLog{out: &errs}
	logger := slog.New(slog.NewTextHandler(log, nil))
	logger.Warn("early")
	logger.Error("cause")
	if got := errs.String(); !strings.Contains(got, "msg=cause") || strings.Contains(got, "early") {
		t.Errorf("got %s, want the error only", got)
	}
	log.release()
	logger.Warn("late")
	if got := errs.String(); !strings.Contains(got, "msg=early") || !strings.HasSuffix(got, "msg=late\n") {
		t.Errorf("got %s, want everything once it is released", got)
	}
	errs.Reset()

	d := startDemo()
	defer d.Close()
	d.porten.Faults.Add(faulttest.Fault{Status: 400, Body: `{"error":"invalid_scope"}`})
	s := d.setup()
	s.app.Environ = environWith(s.app.Environ, "MaskinportenSettings__Unknown=x") // a warning
	log = &startLog{out: &errs}
	err := runApp(t.Context(), invocation{out: &out, errors: log}, s, mode{addr: anyPort})
	if err == nil || errors.As(err, new(told)) || errs.String() != "" {
		t.Errorf("got %v and the log %s, want an error that start prints before the log", err, errs.String())
	}
	log.release()
	if !strings.Contains(errs.String(), "unknown setting") {
		t.Errorf("got the log %s, want the warning", errs.String())
	}
}

func environWith(environ func() []string, more string) func() []string {
	return func() []string { return append(environ(), more) }
}
