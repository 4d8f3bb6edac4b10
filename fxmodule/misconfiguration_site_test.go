package fxmodule_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/dig"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"

	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/internal/problems"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

const (
	vaultURL  = "https://my-vault.vault.azure.net"
	issuerURL = "https://test.maskinporten.no"
	apiURL    = "https://platform.tt02.altinn.no/storage/api/v1/instances"

	clientIDSecret = "MaskinportenSettings--ClientId"
	jwkSecret      = "MaskinportenSettings--EncodedJwk"
)

// site is a whole application with a vault and Maskinporten under their real names.
// All is in order until a misconfiguration is planted.
type site struct {
	t      *testing.T
	vault  *vaulttest.Server
	porten *maskinportentest.Server

	section  map[string]any // MaskinportenSettings in appsettings.json
	kv       map[string]any // kvSetting in appsettings.Production.json
	files    map[string]string
	app      provider.AppConfig
	environ  []string
	connect  provider.ConnectConfig
	options  []fxmodule.Option
	client   []httpclient.Option
	ask      fx.Option // the application's own code
	graph    func(config, module fx.Option) []fx.Option
	url      string
	header   http.Header
	api      func(http.ResponseWriter, *http.Request)
	timeout  time.Duration // of a request
	pasted   map[string]string
	got      *http.Client
	log, fx  logtest.Buffer
	realFile string // the directory, if the files are on a disk
}

func newSite(t *testing.T, c misconfiguration) *site {
	t.Helper()
	s := &site{
		t:     t,
		vault: vaulttest.NewServer(append([]vaulttest.Option{vaulttest.WithVaultHost("my-vault.vault.azure.net"), vaulttest.WithAuthorityHost("login.microsoftonline.com")}, c.vault...)...),
		porten: maskinportentest.NewServer(append([]maskinportentest.Option{
			maskinportentest.WithKey(testKey()), maskinportentest.WithIssuer(issuerURL + "/"), maskinportentest.WithPlatform("https://platform.tt02.altinn.no"),
		}, c.porten...)...),
		section: map[string]any{"Environment": "test", "Scope": scope, "ExhangeToAltinnToken": true},
		files:   map[string]string{},
		url:     apiURL,
		header:  http.Header{},
		timeout: time.Minute,
		pasted:  map[string]string{"the key": testKey().EncodedJWK()},
		api:     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "3 instances") },
		graph:   func(config, module fx.Option) []fx.Option { return []fx.Option{config, module} },
	}
	t.Cleanup(s.vault.Close)
	t.Cleanup(s.porten.Close)
	s.kv = s.vault.KVSetting()
	s.pasted["the vault's client secret"] = s.vault.ClientSecret()
	s.vault.Set(clientIDSecret, s.porten.ClientID())
	s.vault.SetSecret(vaulttest.Secret{Name: jwkSecret, Value: testKey().EncodedJWK(), Expires: time.Now().AddDate(1, 0, 0)})
	s.connect = provider.ConnectConfig{Config: provider.Config{ClientOptions: s.vault.ClientOptions()}, CredentialOptions: s.vault.CredentialOptions()}
	s.connect.ClientOptions.Retry.RetryDelay = time.Millisecond
	s.connect.CredentialOptions.Retry.RetryDelay = time.Millisecond
	s.client = []httpclient.Option{httpclient.WithTokenTransport(s.porten.Transport()), httpclient.WithBaseTransport(s.porten.Transport())}
	s.ask = fx.Invoke(func(p altinn) { s.got = p.Client })
	s.porten.Handle("/storage/api/v1/instances", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.api(w, r) }))
	c.plant(s)
	return s
}

// outcome is what a user sees of a misconfiguration.
type outcome struct {
	Tells   when
	Message string
	Printed string   // all of it, the log too
	Leaks   []string // the secrets in it
}

// run starts the application and makes its request, two if the API refuses the first.
func (s *site) run() outcome {
	app := fx.New(append(s.graph(s.config(), s.module()),
		fx.Supply(s.logger()), fx.WithLogger(func() fxevent.Logger { return &fxevent.ConsoleLogger{W: &s.fx} }), s.ask)...)
	var o outcome
	if err := app.Start(s.t.Context()); err != nil {
		o = s.failed(atStart, err)
	} else if err := s.request(); err != nil {
		o = s.failed(atRequest, err)
	}
	if err := app.Stop(context.Background()); err != nil {
		s.t.Errorf("got %v from the stop, want no error", err)
	}
	// The log is complete now.
	if o.Tells == silent {
		o = s.logged()
	}
	o.Message = s.stable(o.Message)
	o.Printed += o.Message + s.log.String() + s.fx.String()
	for _, what := range slices.Sorted(maps.Keys(s.pasted)) {
		if shows(o.Printed, s.pasted[what]) {
			o.Leaks = append(o.Leaks, what)
		}
	}
	return o
}

// logged is the outcome of an application that works.
func (s *site) logged() outcome {
	if message := s.records(slog.LevelWarn); message != "" {
		return outcome{Tells: inLog, Message: message}
	}
	if message := s.records(slog.LevelInfo); message != "" {
		return outcome{Tells: inSteps, Message: message}
	}
	return outcome{}
}

// failed is the outcome of an error, without what net/http and fx put before it. A
// start that fails is told by one record of the log. It is the error in one line, or
// what fx's own error means.
func (s *site) failed(tells when, err error) outcome {
	message := err.Error()
	var inURL *url.Error
	if errors.As(err, &inURL) && tells == atRequest {
		message = inURL.Err.Error()
	}
	if tells == atStart {
		cause := dig.RootCause(err)
		message = s.records(slog.LevelError)
		if strings.Contains(message, "\n") {
			s.t.Errorf("got several records of the start, want one:\n%s", message)
		}
		if problems.OneLine(cause) == message {
			message = cause.Error()
		}
	}
	return outcome{Tells: tells, Message: message, Printed: fmt.Sprintf("%v %+v %#v %q", err, err, err, err)}
}

func (s *site) request() error {
	ctx, cancel := context.WithTimeout(s.t.Context(), s.timeout)
	defer cancel()
	for range 2 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
		if err != nil {
			s.t.Fatal(err)
		}
		req.Header = s.header.Clone()
		resp, err := s.got.Do(req)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusForbidden {
			return nil
		}
	}
	return nil
}

func (s *site) config() fx.Option {
	contents := map[string]string{}
	for name, settings := range map[string]map[string]any{
		"appsettings.json":            {"MaskinportenSettings": s.section},
		"appsettings.Production.json": {"kvSetting": s.kv},
	} {
		data, err := json.Marshal(settings)
		if err != nil {
			s.t.Fatal(err)
		}
		contents[name] = string(data)
	}
	maps.Copy(contents, s.files)
	maps.DeleteFunc(contents, func(_, content string) bool { return content == noFile })
	app := s.app
	if s.realFile == "" {
		files := fstest.MapFS{}
		for name, content := range contents {
			files[name] = &fstest.MapFile{Data: []byte(content)}
		}
		app.FS = files
	}
	for name, content := range contents {
		if s.realFile != "" && os.WriteFile(filepath.Join(s.realFile, name), []byte(content), 0o600) != nil {
			s.t.Fatalf("%s cannot be written", name)
		}
	}
	app.Environ, app.MountedFile = func() []string { return s.environ }, "no-such-file"
	return fxmodule.Config(fxmodule.AppConfig(app), fxmodule.KeyVault(s.connect))
}

// noFile is the content of a file that is not there.
const noFile = "-"

func (s *site) module() fx.Option {
	return fxmodule.Module("altinn", append([]fxmodule.Option{fxmodule.ClientOptions(s.client...)}, s.options...)...)
}

func (s *site) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// records is the messages of the log's records of a level, one a line.
func (s *site) records(level slog.Level) string {
	var messages []string
	for _, line := range s.log.Lines() {
		var record struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			s.t.Fatal(err)
		}
		if record.Level == level.String() {
			messages = append(messages, record.Msg)
		}
	}
	return strings.Join(messages, "\n")
}

var (
	ports  = regexp.MustCompile(`\b127\.0\.0\.1:\d+`)
	spans  = regexp.MustCompile(`\b(\d+h)?\d+m\d+s\b`)
	times  = regexp.MustCompile(`\d\d:\d\d:\d\d`)
	traces = regexp.MustCompile(`trace_id: [0-9a-f-]+`)
)

// stable is a message without what differs from run to run.
func (s *site) stable(message string) string {
	if s.realFile != "" {
		message = strings.NewReplacer(s.realFile, "DIR", filepath.Dir(s.realFile), "PARENT").Replace(message)
	}
	message = ports.ReplaceAllString(message, "127.0.0.1:PORT")
	message = spans.ReplaceAllStringFunc(message, func(span string) string {
		d, err := time.ParseDuration(span)
		if err != nil {
			s.t.Fatal(err)
		}
		return d.Round(10 * time.Second).String() // clocks are compared in whole seconds
	})
	return traces.ReplaceAllString(times.ReplaceAllString(message, "TIME"), "trace_id: TRACE")
}

// shows reports whether a text holds a part of a secret, of 16 characters or all of it.
func shows(printed, secret string) bool {
	for i := 0; i+16 <= len(secret); i += 8 {
		if strings.Contains(printed, secret[i:i+16]) {
			return true
		}
	}
	return len(secret) < 16 && strings.Contains(printed, secret)
}
