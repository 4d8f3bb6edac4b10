package fxmodule_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/knadh/koanf/v2"
	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/internal/paste/pastetest"
	"github.com/portnokkel/portnokkel/internal/problems"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"
	"go.uber.org/fx/fxtest"
)

// What is wrong with what a module is given stops the start, with one record for all of
// it.
func TestNames(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		opts fx.Option
		want string
	}{
		{"no name", fxmodule.Module(""), `fxmodule: Module needs a name, such as "altinn", under which it provides its client`},
		{"a blank name", fxmodule.Module("  "), `fxmodule: Module needs a name, such as "altinn", under which it provides its client`},
		{"a backquote", fxmodule.Module("a`b"), "fxmodule: remove the backquote from the name that Module is given - a field tag cannot hold one"},
		{"a blank section", fxmodule.Module("altinn", nil, fxmodule.Section(" ")), `fxmodule: Section needs a name, such as "MaskinportenSettings" (client "altinn")`},
		{"no time", fxmodule.Module("altinn", fxmodule.Timeout(0)), `fxmodule: give Timeout a duration over zero, or leave it out for no limit - it is 0s (client "altinn")`},
		{
			"all at once", fx.Options(fxmodule.Module("", fxmodule.Section(""), fxmodule.Timeout(-time.Second)), fxmodule.Module("ks"), fxmodule.Module("a`b")),
			`fxmodule: Module needs a name, such as "altinn", under which it provides its client; Section needs a name, such as "MaskinportenSettings"; ` +
				"give Timeout a duration over zero, or leave it out for no limit - it is -1s; remove the backquote from the name that Module is given - a field tag cannot hold one",
		},
		{"twice the same", fx.Options(fxmodule.Module("altinn"), fxmodule.Module("ks"), fxmodule.Module("altinn")), `fxmodule: give each client a name of its own: Module("altinn") is there twice`},
		{"Config twice", fxmodule.Config(), "fxmodule: give all options to one fxmodule.Config: it is there twice"},
	}
	for _, c := range cases {
		for logger, opt := range map[string]fx.Option{"none": fx.NopLogger, "Quiet": fxmodule.Quiet()} {
			t.Run(c.name+", "+logger, func(t *testing.T) {
				t.Parallel()
				var log logtest.Buffer
				app := fx.New(opt, fx.Supply(log.Logger()), fx.Module("mine", fx.Invoke(func() {})), fxmodule.Config(), c.opts, fx.Invoke(func(struct {
					fx.In

					Client *http.Client `name:"of no module"`
				}) {
				}))
				err := app.Start(t.Context())
				if err == nil {
					t.Fatal("got no error, want one")
				}
				got := errorsOf(t, log.String())
				slices.Sort(got)
				if diff := cmp.Diff([]string{c.want}, got); diff != "" {
					t.Error(diff)
				}
				if !strings.Contains(c.want, "twice") && problems.OneLine(err) != c.want {
					t.Errorf("got the error %v, want %s", err, c.want)
				}
			})
		}
	}
}

// A module that is wrong is told, not what is missing because of it.
func TestNamesComeFirst(t *testing.T) {
	t.Parallel()
	var log logtest.Buffer
	err := fx.New(fx.NopLogger, fx.Supply(log.Logger()), fx.Module("mine", fx.Invoke(func(altinn) {})), fxmodule.Module("")).Err()
	if got := errorsOf(t, log.String()); err == nil || len(got) != 1 || !strings.HasPrefix(got[0], "fxmodule: Module needs a name") {
		t.Errorf("got %v and the records %q, want one of the name", err, got)
	}
}

// Names of any kind.
func TestOddName(t *testing.T) {
	t.Parallel()
	odd := "a \"b\" ø"
	var client *http.Client
	k := koanf.New(":")
	err := fx.New(fx.NopLogger, fx.Supply(k), fxmodule.Module(odd, fxmodule.EditSettings(complete)),
		fx.Invoke(fx.Annotate(func(c *http.Client) { client = c }, fx.ParamTags(fmt.Sprintf("name:%q", odd))))).Err()
	if err != nil || client == nil {
		t.Errorf("an odd name: got %v, want a client", err)
	}
}

// A secret in place of a name is refused by the option's name, and not printed.
func TestPastedNames(t *testing.T) {
	t.Parallel()
	for kind, secret := range pastetest.Secrets(t, "../testdata/keys") {
		for option, opt := range map[string]fx.Option{
			"Module":  fxmodule.Module(secret, fxmodule.Section(secret), fxmodule.Timeout(-1)),
			"Section": fxmodule.Module("altinn", fxmodule.Section(secret)),
		} {
			var log logtest.Buffer
			err := fx.New(fx.WithLogger(func() fxevent.Logger { return &fxevent.ConsoleLogger{W: &log} }), fx.Supply(log.Logger()), fxmodule.Config(), opt).Err()
			if err == nil || !strings.HasPrefix(err.Error(), "fxmodule: give "+option+" a name, such as ") || !strings.Contains(strings.Replace(err.Error(), "is in quotation marks", "looks like one", 1), " - what it was given looks like ") {
				t.Errorf("%s in %s: got %v, want it refused", kind, option, err)
			}
			printed := fmt.Sprintf("%v %+v %#v %v", err, err, err, opt) + log.String()
			for i := 0; i+16 <= len(secret); i += 8 {
				if strings.Contains(printed, secret[i:i+16]) {
					t.Errorf("%s in %s is printed: %s", kind, option, printed)
					break
				}
			}
		}
	}
	if err := fx.New(fx.NopLogger, fxmodule.Module(strings.Repeat("n", 65))).Err(); err == nil || !strings.Contains(err.Error(), "65 characters") {
		t.Errorf("got %v of a long name, want it refused", err)
	}
}

// Nil for what an option takes changes nothing.
func TestNil(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var got altinn
	app := fxtest.New(t, w.app(w.config(), fxmodule.Module("altinn", nil, fxmodule.EditSettings(nil), fxmodule.ClientOptions(), fxmodule.ClientOptions(nil, nil), w.servers()),
		fx.Populate(&got))...)
	app.RequireStart()
	defer app.RequireStop()
	if status, _ := get(t, got.Client); status != 200 {
		t.Errorf("got %d, want 200", status)
	}
	// An edit makes up for a missing section: nil does not.
	err := fx.New(fx.NopLogger, fx.Supply(koanf.New(":"), w.log.Logger()), fxmodule.Module("altinn", fxmodule.EditSettings(nil)), fx.Invoke(func(altinn) {})).Err()
	if !errors.Is(err, provider.ErrNoSection) || !strings.HasSuffix(err.Error(), "\nfxmodule: client \"altinn\", section MaskinportenSettings") {
		t.Errorf("got %v, want the section missing, and nothing of where: no Origins know", err)
	}
}

func TestEditSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var got altinn
	app := fxtest.New(t, w.app(w.config(), fxmodule.Module("altinn", w.servers(), fxmodule.EditSettings(func(s *httpclient.MaskinportenSettings) {
		if s.ClientID != w.porten.ClientID() {
			t.Errorf("got the client %q, want the vault's: edits come later", s.ClientID)
		}
		s.ExchangeToAltinnToken = false
	}), fxmodule.EditSettings(func(s *httpclient.MaskinportenSettings) {
		if s.ExchangeToAltinnToken {
			t.Error("got the edit before lost, want both applied")
		}
	})), fx.Populate(&got))...)
	app.RequireStart()
	defer app.RequireStop()
	if _, body := get(t, got.Client); !strings.HasPrefix(body, "altinn=false") {
		t.Errorf("got %q, want a Maskinporten token", body)
	}
}

// A certificate's file is found beside the settings file that names it.
func TestFileBesideTheSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settings := `{"Clients": {"Altinn": {"Environment": "test", "ClientId": "id", "Scope": "s", "CertificatePkcs12Path": "client.p12"}}}`
	for name, content := range map[string]string{"appsettings.json": settings, "client.p12": "not an archive"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := fx.New(fx.NopLogger, fxmodule.Config(fxmodule.AppConfig(provider.AppConfig{Dir: dir, Environ: func() []string { return nil }, MountedFile: "none"})),
		fxmodule.Module("altinn", fxmodule.Section("clients:altinn")), fx.Invoke(func(altinn) {})).Err()
	// It was found, and read.
	if err == nil || !strings.Contains(err.Error(), "CertificatePkcs12Path (appsettings.json) is not a PKCS#12 archive") {
		t.Errorf("got %v, want the archive found and refused", err)
	}
}

// What is not a section is an error, with edits or without.
func TestWhatIsNotASection(t *testing.T) {
	t.Parallel()
	k := koanf.New(":")
	if err := k.Set("MaskinportenSettings", "text"); err != nil {
		t.Fatal(err)
	}
	err := fx.New(fx.NopLogger, fx.Supply(k), fxmodule.Module("altinn", fxmodule.EditSettings(complete)), fx.Invoke(func(altinn) {})).Err()
	if err == nil || !strings.Contains(err.Error(), "set keys below it - a single value is there") {
		t.Errorf("got %v, want that a single value is there", err)
	}
}

// ClientOptions add up, and the graph's logger reaches the vault's part too.
func TestOptionsAddUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.vault.SetSecret(vaulttest.Secret{Name: "Old", Value: "x", Expires: time.Now().Add(-time.Hour)})
	var got altinn
	app := fxtest.New(t, w.app(w.config(), fxmodule.Module("altinn",
		fxmodule.ClientOptions(httpclient.WithTokenTransport(w.porten.Transport())),
		fxmodule.ClientOptions(httpclient.WithBaseTransport(w.porten.Transport()))), fx.Populate(&got))...)
	app.RequireStart()
	defer app.RequireStop()
	if status, _ := get(t, got.Client); status != 200 {
		t.Errorf("got %d, want 200", status)
	}
	if !strings.Contains(w.log.String(), "renew secret Old of ") {
		t.Errorf("got the log, want a warning of the expired secret:\n%s", w.log.String())
	}
}
