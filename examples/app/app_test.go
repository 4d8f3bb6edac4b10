package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/dig"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/goleak"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
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

var port = regexp.MustCompile(`127\.0\.0\.1:\d+`)

func TestDemo(t *testing.T) {
	t.Parallel()
	var out, errs logtest.Buffer
	// PATH and the like are in every environment, and configure nothing.
	err := run(t.Context(), invocation{dir: dir(t, nil), environ: []string{"PATH=/bin", "HOME=/"}, out: &out, errors: &errs})
	if err != nil {
		t.Fatal(err)
	}
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
	if diff := cmp.Diff(want, port.ReplaceAllString(out.String(), "127.0.0.1:PORT")); diff != "" {
		t.Error(diff)
	}
	if errs.String() != "" {
		t.Errorf("got the log %s, want nothing", errs.String())
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	var out, errs logtest.Buffer
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
	var failing logtest.Buffer
	err = run(t.Context(), invocation{args: []string{"-explain"}, dir: t.TempDir(), environ: []string{"ExampleApp__ApiUrl=x"}, out: &failing, errors: &errs})
	if want := "explain   ExampleApp:ApiUrl is from environment variable ExampleApp__ApiUrl\n"; err == nil || failing.String() != want {
		t.Errorf("got %q, %v, want %q and an error", failing.String(), err, want)
	}
}

// The slightest sign of a configuration prevents the demo, misspelt or not. What is
// missing is an error that says where the application looked for it.
func TestNoDemoWithAnyConfiguration(t *testing.T) {
	t.Parallel()
	const missing = `fxmodule: client "altinn" from section MaskinportenSettings: `
	cases := []struct {
		name  string
		files map[string]string
		in    invocation
		sign  string
		want  string
	}{
		{name: "an environment's name", in: invocation{environ: []string{"APP_ENVIRONMENT=Production"}}, sign: "the environment variable APP_ENVIRONMENT"},
		{name: "an environment's name, .NET's", in: invocation{environ: []string{"aspnetcore_environment=Production"}}, sign: "the environment variable aspnetcore_environment"},
		{name: "an environment's name, the third", in: invocation{environ: []string{"DOTNET_ENVIRONMENT="}}, sign: "the environment variable DOTNET_ENVIRONMENT"},
		{name: "only a vault's address", in: invocation{environ: []string{"KVSETTING__SECRETURI=https://v.vault.azure.net"}}, sign: "the environment variable KVSETTING__SECRETURI"},
		{name: "a vault's address, misspelt", in: invocation{environ: []string{"KvSeting__SecretUri=https://v.vault.azure.net"}}, sign: "the environment variable KvSeting__SecretUri"},
		{name: "a vault's address in another style", in: invocation{environ: []string{"KV_SETTING_SECRETURI=https://v.vault.azure.net"}}, sign: "the environment variable KV_SETTING_SECRETURI"},
		{name: "a name that is not a setting's", in: invocation{environ: []string{"MaskinportenSettings____ClientId=a"}}, sign: "the environment variable MaskinportenSettings____ClientId"},
		{name: "another section", in: invocation{environ: []string{"Logging__LogLevel__Default=Debug"}}, sign: "the environment variable Logging__LogLevel__Default"},
		{name: "a setting as NAIS writes it", in: invocation{environ: []string{"MASKINPORTEN_CLIENT_ID=a"}}, sign: "the environment variable MASKINPORTEN_CLIENT_ID"},
		{name: "the API's address", in: invocation{environ: []string{"ExampleApp_ApiUrl=https://a.example/"}}, sign: "the environment variable ExampleApp_ApiUrl"},
		{name: "an argument", in: invocation{args: []string{"--", "--A:B=c"}}, sign: "the arguments"},
		{name: "an address to serve on", in: invocation{args: []string{"-serve", "-addr", "0.0.0.0:0"}}, sign: "-addr"},
		{name: "an empty file", files: map[string]string{"appsettings.json": "{}"}, sign: "appsettings.json"},
		{name: "a file of another environment", files: map[string]string{"appsettings.Staging.json": "{}"}, sign: "appsettings.Staging.json"},
		{name: "a file in another case", files: map[string]string{"AppSettings.json": "{}"}, sign: "AppSettings.json"},
		{name: "a local file", files: map[string]string{"appsettings.Local.json": "{}"}, sign: "appsettings.Local.json"},
		{name: "a broken file", files: map[string]string{"appsettings.json": "{"}, sign: "appsettings.json", want: "fxmodule: configuration: provider: appsettings.json: line 1, column 2: the file ends too early"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out, errs logtest.Buffer
			c.in.dir, c.in.out, c.in.errors = dir(t, c.files), &out, &errs
			if c.in.environ == nil {
				c.in.environ = []string{}
			}
			if c.want == "" {
				c.want = missing
			}
			err := run(t.Context(), c.in)
			if err == nil || !strings.HasPrefix(dig.RootCause(err).Error(), c.want) {
				t.Errorf("got %v, want %s", dig.RootCause(err), c.want)
			}
			if out.String() != "" || strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("got the test servers running, want them not started:\n%s", out.String())
			}
			if !strings.HasSuffix(errs.String(), "app: this is not a demo, because of "+c.sign+": without it, the demo runs\n") {
				t.Errorf("got the log %s, want that %s prevents the demo", errs.String(), c.sign)
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
	var out, errs logtest.Buffer
	if err := run(t.Context(), invocation{dir: path, environ: []string{}, out: &out, errors: &errs}); err == nil || out.String() != "" {
		t.Errorf("got %v, printed %s, want only an error", err, out.String())
	}
	if err := run(t.Context(), invocation{dir: filepath.Join(path, "gone"), environ: []string{}, out: &out, errors: &errs}); err == nil || out.String() != "" {
		t.Errorf("got %v, printed %s, want only an error", err, out.String())
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
			err := runApp(t.Context(), invocation{out: &out, errors: &errs}, s, mode{addr: anyPort})
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

func TestAPIAddress(t *testing.T) {
	t.Parallel()
	const wrong = "ExampleApp:ApiUrl is not the URL of an API: it begins with https:// and a host"
	for setting, want := range map[string]string{
		``:                                      "ExampleApp:ApiUrl is missing: set it to the API to call",
		`, "ExampleApp": {"ApiUrl": ""}`:        "ExampleApp:ApiUrl is missing: set it to the API to call",
		`, "ExampleApp": 1`:                     `provider: section "ExampleApp": set keys below it - a single value is there`,
		`, "exampleapp": {"APIURL": 5}`:         wrong,
		`, "ExampleApp": {"ApiUrl": "a.no/x"}`:  wrong,
		`, "ExampleApp": {"ApiUrl": "ftp://a"}`: wrong,
		`, "ExampleApp": {"ApiUrl": "%"}`:       wrong,
		`, "exampleapp": {"apiurl": "https://platform.tt02.altinn.no/storage/api/v1/nothing?code=CANARY"}`:            "the API answered 404 Not Found to GET https://platform.tt02.altinn.no/storage/api/v1/nothing",
		`, "ExampleApp": {"ApiUrl": "http://a.example/x?code=CANARY"}`:                                                "GET http://a.example/x: httpclient: a token is not sent over plain http",
		`, "ExampleApp": {"ApiUrl": "https://u:CANARY@platform.tt02.altinn.no/storage/api/v1/instances?code=CANARY"}`: "the API answered 401 Unauthorized to GET https://platform.tt02.altinn.no/storage/api/v1/instances",
	} {
		d := startDemo()
		s := d.setup()
		s.app = provider.AppConfig{Environ: s.app.Environ, Dir: dir(t, map[string]string{
			"appsettings.json": `{"MaskinportenSettings": {"Environment": "test", "Scope": "altinn:serviceowner/instances.read"}` + setting + `}`,
		})}
		var out, errs logtest.Buffer
		err := runApp(t.Context(), invocation{out: &out, errors: &errs}, s, mode{addr: anyPort})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", setting, err, want)
		}
		if strings.Contains(fmt.Sprint(err)+out.String()+errs.String(), "CANARY") {
			t.Errorf("%s: a secret is printed", setting)
		}
		d.Close()
	}
}

// What the API says is passed on; an answer that is too large is not, in part.
func TestAnswers(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", maxBody+1)
	for body, want := range map[string]string{big[1:]: "", big: "the answer is over 1048576 bytes"} {
		d := startDemo()
		d.porten.Handle("/big", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
		client := &http.Client{Transport: d.porten.Transport()}
		token := grant(t, d)
		i := &instances{client: client, url: &url.URL{Scheme: "https", Host: "platform.tt02.altinn.no", Path: "/big"}}
		i.client.Transport = bearing{d.porten.Transport(), token}
		answer, err := i.get(t.Context())
		if want == "" && (err != nil || len(answer.body) != maxBody) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d bytes: got %d, %v, want %d and the error %q", len(body), len(answer.body), err, maxBody, want)
		}
		d.Close()
	}
}

// grant is a token of the demo's.
func grant(t *testing.T, d *demo) string {
	t.Helper()
	settings, err := httpclient.ParseSettings(d.porten.Section())
	if err != nil {
		t.Fatal(err)
	}
	source, err := httpclient.NewTokenSource(settings, httpclient.WithTokenTransport(d.porten.Transport()))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	token, err := source.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token.AccessToken()
}

type bearing struct {
	base  http.RoundTripper
	token string
}

func (b bearing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.base.RoundTrip(r)
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
			t.Errorf("GET %s: got %s, want %s", path, got, want)
		}
	}
	if rest, err := stop(); err != nil || rest != "stopping\n" {
		t.Errorf("got %q, %v, want only that it stops", rest, err)
	}
	if _, err := client.Get(url); err == nil {
		t.Error("got an answer after the stop, want no answer")
	}
}

// servingDemo serves with a demo that the test can reach.
func servingDemo(t *testing.T) (d *demo, url string, stop func() (string, error)) {
	t.Helper()
	d = startDemo()
	url, stop = serving(t, func(ctx context.Context, in invocation) error {
		return runApp(ctx, in, d.setup(), mode{serve: true, addr: anyPort})
	})
	return d, url, stop
}

// A stranger is told no more than that the API failed; the API's own answer is
// passed on.
func TestServeWhatTheAPISays(t *testing.T) {
	t.Parallel()
	d, url, stop := servingDemo(t)
	defer d.Close()
	toAPI := func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/storage") }
	d.porten.Faults.Add(
		faulttest.Fault{Match: toAPI, Status: 404, Body: "none", Header: http.Header{"Content-Type": {"text/x-api"}}},
		faulttest.Fault{Match: toAPI, Drop: true, Times: -1},
	)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	for _, want := range []string{"404 text/x-api none", "502 text/plain; charset=utf-8 Bad Gateway\n"} {
		resp, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if got := fmt.Sprintf("%d %s %s", resp.StatusCode, resp.Header.Get("Content-Type"), body); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if _, err := stop(); err != nil {
		t.Error(err)
	}
}

// A request that hangs does not keep the application from stopping.
func TestStopWithARequestUnderWay(t *testing.T) {
	t.Parallel()
	d, url, stop := servingDemo(t)
	defer d.Close()
	arrived := make(chan struct{})
	d.porten.Faults.Add(faulttest.Fault{Hang: true, Match: func(r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/storage") {
			close(arrived)
			return true
		}
		return false
	}})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		if resp, err := client.Get(url); err == nil {
			_ = resp.Body.Close()
		}
	}()
	<-arrived
	begin := time.Now()
	if rest, err := stop(); err != nil || !strings.HasPrefix(rest, "stopping\n") {
		t.Errorf("got %q, %v, want that it stops", rest, err)
	}
	<-ended
	if took := time.Since(begin); took < drainTime || took > 2*drainTime {
		t.Errorf("stopped after %v, want %v to %v", took, drainTime, 2*drainTime)
	}
}

// An interrupt while the application is at its job stops it in an orderly way.
func TestInterruptedJob(t *testing.T) {
	t.Parallel()
	d := startDemo()
	defer d.Close()
	arrived := make(chan struct{})
	d.porten.Faults.Add(faulttest.Fault{Hang: true, Match: func(*http.Request) bool { close(arrived); return true }})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	var out, errs logtest.Buffer
	if err := runApp(ctx, invocation{out: &out, errors: &errs}, d.setup(), mode{addr: anyPort}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's end", err)
	}
}

// A server that dies ends the application.
func TestServerThatDies(t *testing.T) {
	t.Parallel()
	d := startDemo()
	defer d.Close()
	lifecycle := fxtest.NewLifecycle(t)
	down := make(chan struct{})
	s := newServer(serverParams{
		Lifecycle: lifecycle, Shutdowner: shutdowner(func() { close(down) }), Address: anyPort, Logger: slog.New(slog.DiscardHandler),
		Instances: &instances{},
	})
	lifecycle.RequireStart()
	_ = s.listener.Close()
	<-down
	lifecycle.RequireStop()
}

type shutdowner func()

func (s shutdowner) Shutdown(...fx.ShutdownOption) error {
	s()
	return nil
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	d, url, stop := servingDemo(t)
	defer d.Close()
	inUse := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/instances")
	for addr, want := range map[string]string{inUse: "address already in use", "foo": "-addr: listen tcp: address foo: missing port in address"} {
		var out, errs logtest.Buffer
		if err := runApp(t.Context(), invocation{out: &out, errors: &errs}, d.setup(), mode{serve: true, addr: addr}); err == nil || !strings.Contains(err.Error(), want) || out.String() != "" {
			t.Errorf("got %v after %q, want %s before anything is printed", err, out.String(), want)
		}
	}
	if _, err := stop(); err != nil {
		t.Error(err)
	}
}

func TestUnknownFlag(t *testing.T) {
	t.Parallel()
	var out, errs logtest.Buffer
	err := run(t.Context(), invocation{args: []string{"-x"}, out: &out, errors: &errs})
	if err == nil || err.Error() != "flag provided but not defined: -x; settings go after --, as in: app -- --MaskinportenSettings:Scope=my:scope" ||
		!strings.HasPrefix(errs.String(), "Usage of app") {
		t.Errorf("got %v, %s, want the usage", err, errs.String())
	}
	if err := run(t.Context(), invocation{args: []string{"-h"}, out: &out, errors: &errs}); !errors.Is(err, flag.ErrHelp) || out.String() != "" {
		t.Errorf("got %v, want flag.ErrHelp", err)
	}
}
