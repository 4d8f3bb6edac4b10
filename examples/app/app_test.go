package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/dig"
	"go.uber.org/goleak"

	"github.com/portnokkel/portnokkel/httpclient/faulttest"
	"github.com/portnokkel/portnokkel/provider"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

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

var port = regexp.MustCompile(`127\.0\.0\.1:\d+`)

func TestDemo(t *testing.T) {
	t.Parallel()
	var out, errs buffer
	// PATH and the like are in every environment, and configure nothing.
	err := run(t.Context(), invocation{dir: dir(t, nil), environ: []string{"PATH=/bin", "HOME=/"}, out: &out, errors: &errs})
	if err != nil {
		t.Fatal(err)
	}
	const want = `DEMO: nothing is configured, so stand-ins on this machine play Key Vault, Entra, Maskinporten, Altinn and the API.
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
	if diff := cmp.Diff(want, port.ReplaceAllString(out.String(), "127.0.0.1:PORT")); diff != "" {
		t.Error(diff)
	}
	if errs.String() != "" {
		t.Errorf("logged %s", errs.String())
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	var out, errs buffer
	err := run(t.Context(), invocation{args: []string{"-explain"}, dir: t.TempDir(), environ: []string{"PATH=/bin"}, out: &out, errors: &errs})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(port.ReplaceAllString(out.String(), "127.0.0.1:PORT")) {
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
	var failing buffer
	err = run(t.Context(), invocation{args: []string{"-explain"}, dir: t.TempDir(), environ: []string{"ExampleApp__ApiUrl=x"}, out: &failing, errors: &errs})
	if want := "explain   ExampleApp:ApiUrl is from environment variable ExampleApp__ApiUrl\n"; err == nil || failing.String() != want {
		t.Errorf("got %q, %v", failing.String(), err)
	}
}

// The slightest sign of a configuration prevents the demo, and what is missing
// is an error that says where it was looked for.
func TestNoDemoWithAnyConfiguration(t *testing.T) {
	t.Parallel()
	const missing = `fxmodule: client "altinn" from section MaskinportenSettings: `
	cases := []struct {
		name  string
		files map[string]string
		in    invocation
		want  string
	}{
		{name: "an environment's name", in: invocation{environ: []string{"ASPNETCORE_ENVIRONMENT=Production"}}, want: missing},
		{name: "a vault's address alone", in: invocation{environ: []string{"KVSETTING__SECRETURI=https://v.vault.azure.net"}}, want: missing},
		{name: "a setting of the client's", in: invocation{environ: []string{"MaskinportenSettings__ClientId=a"}}, want: missing},
		{name: "a setting as NAIS writes it", in: invocation{environ: []string{"MASKINPORTEN_CLIENT_ID=a"}}, want: missing},
		{name: "the API's address", in: invocation{environ: []string{"ExampleApp__ApiUrl=https://a.example/"}}, want: missing},
		{name: "an argument", in: invocation{args: []string{"--", "--A:B=c"}}, want: missing},
		{name: "an empty file", files: map[string]string{"appsettings.json": "{}"}, want: missing},
		{name: "a file for another environment", files: map[string]string{"appsettings.Local.json": "{}"}, want: missing},
		{name: "a broken file", files: map[string]string{"appsettings.json": "{"}, want: "provider: appsettings.json: line 1, column 2: the file ends too early"},
		{
			name: "everything but the API's address",
			files: map[string]string{"appsettings.json": `{"MaskinportenSettings": {"Environment": "test", "ClientId": "a", "Scope": "s",
				"CertificatePkcs12Path": "none.p12"}}`},
			want: missing,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out, errs buffer
			c.in.dir, c.in.out, c.in.errors = dir(t, c.files), &out, &errs
			if c.in.environ == nil {
				c.in.environ = []string{}
			}
			err := run(t.Context(), c.in)
			if err == nil || !strings.HasPrefix(dig.RootCause(err).Error(), c.want) {
				t.Errorf("got %v", dig.RootCause(err))
			}
			if strings.Contains(out.String(), "DEMO") || strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("the stand-ins run:\n%s", out.String())
			}
		})
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
			var out, errs buffer
			err := runApp(t.Context(), invocation{out: &out, errors: &errs}, s, mode{})
			warned := strings.Contains(errs.String(), "appsettings.Local.json is there, but is read in Development alone")
			if environment == "Development" {
				if err != nil || warned || !strings.Contains(out.String(), "a secret for MaskinportenSettings:scope, which appsettings.Local.json overrides") ||
					!strings.Contains(out.String(), "API       GET") {
					t.Errorf("error %v, warned %v:\n%s", err, warned, out.String())
				}
				return
			}
			if err == nil || !warned || !strings.Contains(err.Error(), "check Scope") || !strings.Contains(out.String(), "secret MaskinportenSettings--Scope") {
				t.Errorf("error %v, warned %v:\n%s", err, warned, out.String())
			}
		})
	}
}

func TestMissingAPIAddress(t *testing.T) {
	t.Parallel()
	d := startDemo()
	defer d.Close()
	s := d.setup()
	for content, want := range map[string]string{
		`{"MaskinportenSettings": {"Environment": "test", "Scope": "s"}}`:                                               "ExampleApp:ApiUrl is missing: set it to the API to call",
		`{"MaskinportenSettings": {"Environment": "test", "Scope": "s"}, "ExampleApp": 1}`:                              `provider: section "ExampleApp": a single value is there, not a section`,
		`{"MaskinportenSettings": {"Environment": "test", "Scope": "s"}, "ExampleApp": {"ApiUrl": "http://a.example"}}`: "check Scope",
	} {
		s.app = provider.AppConfig{Environ: s.app.Environ, Dir: dir(t, map[string]string{"appsettings.json": content})}
		var out, errs buffer
		if err := runApp(t.Context(), invocation{out: &out, errors: &errs}, s, mode{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// serving runs the application until the test ends it, and gives its address.
func serving(t *testing.T, start func(ctx context.Context, in invocation) error) (url string, stop func() (string, error)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := start(ctx, invocation{args: []string{"-serve"}, dir: t.TempDir(), environ: []string{}, out: write, errors: io.Discard})
		_ = write.Close()
		done <- err
	}()
	lines := bufio.NewScanner(read)
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), "serving   "); ok {
			url, _, _ = strings.Cut(address, " ")
			break
		}
	}
	return url, func() (string, error) {
		cancel()
		rest, _ := io.ReadAll(read)
		return string(rest), <-done
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	url, stop := serving(t, run)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	for path, want := range map[string]string{"": "200 " + `{"instances":[{"id":"50001/demo"}]}`, "/other": "404 404 page not found"} {
		resp, err := client.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if got := fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSpace(string(body))); got != want {
			t.Errorf("GET %s: %s", path, got)
		}
	}
	if rest, err := stop(); err != nil || rest != "stopping\n" {
		t.Errorf("stopped with %q, %v", rest, err)
	}
	if _, err := client.Get(url); err == nil {
		t.Error("still serving")
	}
}

// A stranger is told no more than that the API failed.
func TestServeWhenTheAPIFails(t *testing.T) {
	t.Parallel()
	d := startDemo()
	defer d.Close()
	url, stop := serving(t, func(ctx context.Context, in invocation) error {
		return runApp(ctx, in, d.setup(), mode{serve: true, addr: "127.0.0.1:0"})
	})
	d.porten.Faults.Add(faulttest.Fault{Drop: true, Times: -1})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusBadGateway || string(body) != "Bad Gateway\n" {
		t.Errorf("got %d %q", resp.StatusCode, body)
	}
	if _, err := stop(); err != nil {
		t.Error(err)
	}
	if _, _, err := (&instances{client: client, url: "%"}).get(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "ExampleApp:ApiUrl: ") {
		t.Errorf("got %v", err)
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	url, stop := serving(t, run)
	address := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/instances")
	var out, errs buffer
	err := run(t.Context(), invocation{args: []string{"-serve", "-addr", address}, dir: t.TempDir(), environ: []string{}, out: &out, errors: &errs})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
	if _, err := stop(); err != nil {
		t.Error(err)
	}
}

func TestUnknownFlag(t *testing.T) {
	t.Parallel()
	var out, errs buffer
	err := run(t.Context(), invocation{args: []string{"-x"}, out: &out, errors: &errs})
	if err == nil || !strings.Contains(errs.String(), "Usage of app") {
		t.Errorf("got %v, %s", err, errs.String())
	}
}
