package fxmodule_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/dig"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
)

// errorsOf is the messages of the records at level Error, which it reads from text.
func errorsOf(t *testing.T, log string) []string {
	t.Helper()
	var messages []string
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "level=ERROR ") {
			continue
		}
		_, quoted, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " msg=")
		var message string
		if err := json.Unmarshal([]byte(quoted), &message); !ok || err != nil {
			t.Fatalf("got the record %s: %v", line, err)
		}
		messages = append(messages, message)
	}
	return messages
}

// What a user reads when something is wrong: the problems, each with its prefix, and
// after them what part of the application they concern. The record is the same in one
// line. No secret is in it.
func TestBadInput(t *testing.T) {
	t.Parallel()
	const client = `fxmodule: client "altinn", section MaskinportenSettings`
	cases := []struct {
		name   string
		change func(t *testing.T, w *world)
		vault  func(*provider.ConnectConfig)
		begin  string // of the text
		says   string
		end    string // its last line, if it is not about the vault; %V is the vault's address
		is     error
	}{
		{
			name: "no file at all", change: func(_ *testing.T, w *world) { clear(w.files) },
			begin: "provider: ", says: "MaskinportenSettings", is: provider.ErrNoSection,
			end: client + ": no settings read; not found: appsettings.json, appsettings.Production.json, no-such-file" +
				"; no Key Vault connected: kvSetting lacks ClientId, TenantId, ClientSecret, SecretUri",
		},
		{
			name: "no section",
			change: func(_ *testing.T, w *world) {
				w.files["appsettings.json"] = &fstest.MapFile{Data: []byte(`{"Logging": {}}`)}
				w.vault.Delete("MaskinportenSettings--ClientId")
				w.vault.Delete("MaskinportenSettings--EncodedJwk")
			},
			begin: "provider: ", says: "MaskinportenSettings", is: provider.ErrNoSection,
			end: client + ": settings read from appsettings.json, appsettings.Production.json; not found: no-such-file; Key Vault connected: %V",
		},
		{
			name: "the vault was not connected",
			change: func(t *testing.T, w *world) {
				kv := w.vault.KVSetting()
				kv["ClientSecret"], kv["TenantId"] = "", nil
				w.file(t, "appsettings.Production.json", map[string]any{"kvSetting": kv})
			},
			begin: "httpclient: ", says: "ClientId (appsettings.json) is missing", is: httpclient.ErrMissing,
			end: client + ": settings read from appsettings.json, appsettings.Production.json; not found: no-such-file" +
				"; no Key Vault connected: kvSetting lacks TenantId, ClientSecret",
		},
		{
			name: "EncodedJwk is public only",
			change: func(_ *testing.T, w *world) {
				w.vault.Set("MaskinportenSettings--EncodedJwk", `{"kty":"RSA","kid":"CANARY","e":"AQAB","n":"CANARY"}`)
			},
			begin: "httpclient: ", says: "EncodedJwk (secret MaskinportenSettings--EncodedJwk of %V)", end: client,
		},
		{
			name: "a setting of a wrong type",
			change: func(t *testing.T, w *world) {
				w.file(t, "appsettings.Production.json", map[string]any{"kvSetting": w.vault.KVSetting(), "MaskinportenSettings": map[string]any{"UseAltinnTestOrg": "CANARY"}})
			},
			begin: "httpclient: ", says: "UseAltinnTestOrg (appsettings.Production.json)", end: client,
		},
		{
			name: "malformed JSON",
			change: func(_ *testing.T, w *world) {
				w.files["appsettings.json"] = &fstest.MapFile{Data: []byte("{\n  \"MaskinportenSettings\": { \"ClientId\": CANARY }\n}")}
			},
			begin: "provider: ", says: "appsettings.json",
		},
		{
			name: "a wrong client secret",
			change: func(t *testing.T, w *world) {
				kv := w.vault.KVSetting()
				kv["ClientSecret"] = "CANARY"
				w.file(t, "appsettings.Production.json", map[string]any{"kvSetting": kv})
			},
			begin: "provider: ", says: "ClientSecret",
		},
		{
			name: "an unreachable vault", is: context.DeadlineExceeded,
			change: func(_ *testing.T, w *world) { w.vault.Faults.Add(faulttest.Fault{Hang: true, Times: -1}) },
			vault:  func(c *provider.ConnectConfig) { c.Timeout = 500 * time.Millisecond },
			begin:  "provider: ", says: "500ms",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.change(t, w)
			change := func(*provider.ConnectConfig) {}
			if c.vault != nil {
				change = c.vault
			}
			err := fx.New(w.app(w.config(change), fxmodule.Module("altinn", w.servers()), fx.Invoke(func(altinn) {}))...).Err()
			if err == nil || c.is != nil && !errors.Is(err, c.is) {
				t.Fatalf("got %v, want an error that is %v", err, c.is)
			}
			cause := dig.RootCause(err)
			text := cause.Error()
			says, end := strings.ReplaceAll(c.says, "%V", w.vault.VaultURL()), strings.ReplaceAll(c.end, "%V", w.vault.VaultURL())
			if !strings.HasPrefix(text, c.begin) || !strings.Contains(text, says) || end != "" && !strings.HasSuffix(text, "\n"+end) {
				t.Errorf("got %s\nwant it to begin with %q, to say %q, and to end with the line\n%s", text, c.begin, says, end)
			}
			var problems, last string
			if problems, last = text, ""; end != "" {
				problems, last = strings.TrimSuffix(text, "\n"+end), end
			}
			got := errorsOf(t, w.log.String())
			if len(got) != 1 || strings.Contains(got[0], "\n") || !strings.HasPrefix(got[0], strings.SplitN(problems, "\n", 2)[0]) || !strings.HasSuffix(got[0], last) {
				t.Errorf("got the records %q, want one of the text in one line:\n%s", got, text)
			}
			if value := slog.AnyValue(cause).Resolve().String(); len(got) == 1 && value != got[0] {
				t.Errorf("as an attribute: got %q, want %q", value, got[0])
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err)+w.log.String(), "CANARY") {
				t.Error("a secret is printed")
			}
		})
	}
}

// With any logger of fx there is one record of the cause, without fx's wrapping, before
// fx says anything about it.
func TestOneRecordWithAnyLogger(t *testing.T) {
	t.Parallel()
	const cause = `msg="httpclient: `
	text := func(b *logtest.Buffer) *slog.Logger { return b.Logger() }
	asJSON := func(b *logtest.Buffer) *slog.Logger { return slog.New(slog.NewJSONHandler(b, nil)) }
	ofSlog := fx.WithLogger(func(l *slog.Logger) fxevent.Logger { return &fxevent.SlogLogger{Logger: l} })
	cases := map[string]struct {
		logger func(*logtest.Buffer) *slog.Logger
		fx     func(*logtest.Buffer) fx.Option
		begin  string
		repeat int // how often fx says the cause after that
	}{
		"fx's own": {text, func(b *logtest.Buffer) fx.Option {
			return fx.WithLogger(func() fxevent.Logger { return &fxevent.ConsoleLogger{W: b} })
		}, "level=ERROR " + cause, 3},
		"slog, text": {text, func(*logtest.Buffer) fx.Option { return ofSlog }, "level=ERROR " + cause, 3},
		"slog, JSON": {asJSON, func(*logtest.Buffer) fx.Option { return ofSlog }, `"level":"ERROR","msg":"httpclient: `, 3},
		"none":       {text, func(*logtest.Buffer) fx.Option { return fx.NopLogger }, "level=ERROR " + cause, 0},
		"Quiet":      {text, func(*logtest.Buffer) fx.Option { return fxmodule.Quiet() }, "level=ERROR " + cause, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log logtest.Buffer
			w := newWorld(t)
			w.vault.Delete("MaskinportenSettings--EncodedJwk")
			app := fx.New(c.fx(&log), fx.Supply(c.logger(&log)), w.config(), fxmodule.Module("altinn", w.servers()), fx.Invoke(func(altinn) {}))
			if err := app.Start(t.Context()); err == nil {
				t.Fatal("got no error, want one")
			}
			said := "EncodedJwk (appsettings.json) is missing"
			var lines []string
			for _, line := range log.Lines() {
				if strings.Contains(line, said) && (name != "Quiet" || !strings.Contains(line, "level=DEBUG")) {
					lines = append(lines, line)
				}
			}
			if len(lines) != 1+c.repeat || !strings.Contains(lines[0], c.begin) || strings.Contains(lines[0], "could not build") || !strings.Contains(lines[0], `client \"altinn\"`) {
				t.Errorf("got\n%s\nwant a record that begins with %s, and %d lines of fx after it", strings.Join(lines, "\n"), c.begin, c.repeat)
			}
		})
	}
}

// Without a logger in the graph the record goes to slog.Default, and with fx's own
// logger it stands before all that fx says about the failure. The program is of its own,
// because both write to standard error.
func TestRecordByDefault(t *testing.T) {
	t.Parallel()
	if os.Getenv("FXMODULE_TEST_FAILS") != "" {
		k := fxmodule.Config(fxmodule.AppConfig(provider.AppConfig{FS: fstest.MapFS{}, Environ: func() []string { return nil }, MountedFile: "none"}))
		fx.New(k, fxmodule.Module("altinn"), fx.Invoke(func(altinn) {})).Run()
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestRecordByDefault$")
	cmd.Env = append(os.Environ(), "FXMODULE_TEST_FAILS=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err == nil {
		t.Error("got no error, want the program to fail")
	}
	_, after, _ := strings.Cut(stderr.String(), "BEFORE RUN\tprovide: github.com/portnokkel/portnokkel/fxmodule.newInstance()")
	_, after, _ = strings.Cut(after, "\n")
	first, rest, _ := strings.Cut(after, "\n")
	if !strings.Contains(first, ` ERROR provider: section "MaskinportenSettings"`) || strings.Count(rest, "MaskinportenSettings") < 3 {
		t.Errorf("got\n%s\nwant the record before fx's own lines", stderr.String())
	}
}

// A record is made once, whichever modules see the failure, and again if the
// application is started again.
func TestOneRecordAFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.files["appsettings.json"] = &fstest.MapFile{Data: []byte("{")}
	// Each of these asks for the settings by itself, and fx asks the constructor again.
	logger := fx.WithLogger(func(*provider.Origins) fxevent.Logger { return fxevent.NopLogger })
	err := fx.New(fx.Logger(log.New(io.Discard, "", 0)), logger, fx.Module("mine", logger), fx.Supply(w.log.Logger()), w.config(),
		fxmodule.Module("altinn", w.servers()), fxmodule.Module("ks", w.servers(), fxmodule.Section("KsSettings")),
		fx.Invoke(func(altinn) {})).Err()
	if err == nil || strings.Count(err.Error(), "appsettings.json") < 2 {
		t.Fatalf("got %v, want the error of two loggers", err)
	}
	if got := errorsOf(t, w.log.String()); len(got) != 1 || !strings.HasPrefix(got[0], "provider: appsettings.json") {
		t.Errorf("got the records %q, want one", got)
	}
}

// A failure of the user's own is not ours to log.
func TestForeignFailuresAreNotLogged(t *testing.T) {
	t.Parallel()
	spoof := errors.New(`missing dependencies for function "main".f (main.go:1): missing type: *koanf.Koanf`) // as of an application inside
	for name, opt := range map[string]fx.Option{
		"a constructor":        fx.Options(fx.Provide(func(altinn) (*bytes.Buffer, error) { return nil, spoof }), fx.Invoke(func(*bytes.Buffer) {})),
		"an invoked function":  fx.Invoke(func(altinn) error { return spoof }),
		"another missing type": fx.Invoke(func(altinn, *strings.Builder) {}),
	} {
		w := newWorld(t)
		if err := fx.New(fx.NopLogger, fx.Supply(w.log.Logger()), w.config(), fxmodule.Module("altinn", w.servers()), opt).Err(); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
		if got := errorsOf(t, w.log.String()); len(got) != 0 {
			t.Errorf("%s: got the records %q, want none", name, got)
		}
	}
}

// Options may be used by several applications, of which each has a record of its own.
// What a constructor finds may be recorded at the same time.
func TestOptionsOfSeveralApplications(t *testing.T) {
	t.Parallel()
	config := fxmodule.Config(fxmodule.AppConfig(provider.AppConfig{FS: fstest.MapFS{}, Environ: func() []string { return nil }, MountedFile: "none"}))
	options := fx.Options(fx.NopLogger, config, fxmodule.Module("altinn"), fxmodule.Module("ks"))
	start := func(i int, ask fx.Option, begin string) {
		var log logtest.Buffer
		more := fx.Options()
		if i%2 == 1 {
			more = fxmodule.Module("another", fxmodule.Section("Another")) // is the first of its application
		}
		if err := fx.New(options, more, fx.Supply(log.Logger()), ask).Err(); err == nil {
			t.Error("got no error, want one")
		}
		got := errorsOf(t, log.String())
		if len(got) != 1 || !strings.HasPrefix(got[0], begin) || strings.Contains(begin, "ask") && strings.Contains(got[0], `"another"`) != (i%2 == 1) {
			t.Errorf("got the records %q, want one that begins with %q", got, begin)
		}
	}
	for i := range 4 {
		start(i, fx.Invoke(func(named) { t.Error("there is no such client") }), "fxmodule: ask for ")
	}
	var done sync.WaitGroup
	for i := range 8 {
		done.Go(func() { start(i, fx.Invoke(func(altinn) {}), "provider: section ") })
	}
	done.Wait()
}

// The zero Logger panics: it counts as nil.
func TestZeroLogger(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var got altinn
	app := fx.New(fxmodule.Quiet(), fx.Supply(&slog.Logger{}), w.config(), fxmodule.Module("altinn", w.servers()), fx.Populate(&got))
	if err := errors.Join(app.Start(t.Context()), app.Stop(t.Context())); err != nil {
		t.Error(err)
	}
}

// A token that is refused fails the call, with the setting and the cure.
func TestTokenRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.vault.Set("MaskinportenSettings--ClientId", "misspelt")
	var got altinn
	app := fx.New(w.app(w.config(), fxmodule.Module("altinn", w.servers()), fx.Populate(&got))...)
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = app.Stop(context.Background()) }()
	_, err := got.Client.Get("https://platform.tt02.altinn.no/storage/api/v1/instances")
	if !errors.Is(err, httpclient.ErrUnknownClient) ||
		!strings.Contains(err.Error(), "check ClientId (secret MaskinportenSettings--ClientId of "+w.vault.VaultURL()+"): it is misspelt, or the client belongs to another environment than Environment (appsettings.json)") {
		t.Errorf("got %v, want the sources of ClientId and Environment", err)
	}
	if diff := cmp.Diff([]string(nil), errorsOf(t, w.log.String())); diff != "" {
		t.Errorf("a request's error is its caller's to log:\n%s", diff)
	}
}

// A section that is not there is told with what to do, near names included.
func TestNoSection(t *testing.T) {
	t.Parallel()
	for section, want := range map[string]string{
		"Maskinporten":        `provider: section "Maskinporten": perhaps MaskinportenSettings is meant: rename it, or name it with fxmodule.Section - no such section`,
		"maskinportensetings": `provider: section "maskinportensetings": perhaps MaskinportenSettings is meant: rename it, or name it with fxmodule.Section - no such section`,
		"Other":               `provider: section "Other": add it to the settings, or name another with fxmodule.Section - no such section`,
	} {
		w := newWorld(t)
		err := fx.New(w.app(w.config(), fxmodule.Module("altinn", fxmodule.Section(section)), fx.Invoke(func(altinn) {}))...).Err()
		if first, _, _ := strings.Cut(dig.RootCause(err).Error(), "\n"); first != want || !errors.Is(err, provider.ErrNoSection) {
			t.Errorf("%s: got %s\nwant %s", section, first, want)
		}
	}
}
