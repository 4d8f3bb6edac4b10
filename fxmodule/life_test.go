package fxmodule_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/provider"
	"go.uber.org/dig"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
)

// The whole way: the guide's appsettings.json and a vault become a named client
// whose request the API accepts.
func TestWholeWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var got altinn
	app := fxtest.New(t, w.app(w.config(), fxmodule.Module("altinn", w.servers()), fx.Invoke(func(p altinn) { got = p }))...)
	app.RequireStart()
	if n := w.porten.Stats().TokenRequests; n != 0 {
		t.Errorf("got %d token requests before the first use, want 0", n)
	}
	status, body := get(t, got.Client)
	if want := "altinn=true client=" + w.porten.ClientID(); status != 200 || body != want {
		t.Errorf("got %d %q, want %q", status, body, want)
	}
	token, err := got.Source.Token(t.Context())
	if err != nil || !token.IsAltinn() || token.Lifetime() != 30*time.Minute {
		t.Errorf("got %v, %v, want an Altinn token of 30 minutes", token, err)
	}
	app.RequireStop()
	if _, err := got.Source.Token(t.Context()); !errors.Is(err, httpclient.ErrClosed) {
		t.Errorf("after the stop: got %v, want ErrClosed", err)
	}

	log := w.log.String()
	if !strings.Contains(log, `Environment (appsettings.json) is \"ver2\", which was shut down on 2024-06-10: use \"test\" instead`) {
		t.Error("got no warning about ver2, want one")
	}
	for _, secret := range []string{testKey().EncodedJWK(), w.vault.ClientSecret(), token.AccessToken()} {
		if strings.Contains(log, secret) {
			t.Error("a secret was logged")
		}
	}
}

// The graph's Origins are those of the vault's config, if it has some.
func TestOriginsOfTheVaultsConfig(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var own provider.Origins
	var got *provider.Origins
	app := fxtest.New(t, w.app(w.config(func(c *provider.ConnectConfig) { c.Origins = &own }), fx.Populate(&got))...)
	app.RequireStart()
	app.RequireStop()
	if source := own.Of("MaskinportenSettings:ClientId").Source; got != &own || !strings.HasPrefix(source, "secret ") {
		t.Errorf("got %p, want %p; ClientId is from %q", got, &own, source)
	}
}

// Two clients, each with a section, settings and secrets of its own.
func TestTwoClients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.porten.AddClient(maskinportentest.Client{ID: "ks-client", Keys: []maskinportentest.Key{testKey()}, Scopes: []string{"ks:fiks"}, OrgNo: "974760673"})
	w.secrets("KsSettings", "ks-client")
	w.file(t, "appsettings.Production.json", map[string]any{
		"kvSetting":  w.vault.KVSetting(),
		"KsSettings": map[string]any{"Environment": "ver2", "Scope": "ks:fiks"},
	})
	var both struct {
		fx.In

		Altinn *http.Client `name:"altinn"`
		KS     *http.Client `name:"ks"`
	}
	app := fxtest.New(t, w.app(w.config(),
		fxmodule.Module("altinn", w.servers()),
		fxmodule.Module("ks", w.servers(), fxmodule.Section("kssettings")),
		fx.Populate(&both))...)
	app.RequireStart()
	defer app.RequireStop()
	if _, body := get(t, both.Altinn); body != "altinn=true client="+w.porten.ClientID() {
		t.Errorf("altinn: got %q, want an Altinn token of the client", body)
	}
	if _, body := get(t, both.KS); body != "altinn=false client=ks-client" {
		t.Errorf("ks: got %q, want a Maskinporten token of ks-client", body)
	}
	if n := w.vault.Stats().Lists; n != 1 {
		t.Errorf("got %d listings of the vault, want 1", n)
	}
}

// A client that is not asked for, or that a test replaces, reads nothing.
func TestUnusedCostsNothing(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]fx.Option{
		"unused": fx.Options(),
		"replaced": fx.Options(
			fx.Replace(fx.Annotate(&http.Client{Timeout: time.Hour}, fx.ResultTags(`name:"altinn"`))),
			fx.Invoke(fx.Annotate(func(c *http.Client) error {
				if c.Timeout != time.Hour {
					return errors.New("not the replacement")
				}
				return nil
			}, fx.ParamTags(`name:"altinn"`))),
		),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.files["appsettings.json"] = &fstest.MapFile{Data: []byte("not JSON")}
			app := fxtest.New(t, w.app(w.config(), fxmodule.Module("altinn", w.servers()), opt)...)
			app.RequireStart().RequireStop()
			if s := w.vault.Stats(); s.Challenges != 0 {
				t.Errorf("got %+v, want no request", s)
			}
		})
	}
}

func TestWarmUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var got altinn
	app := fxtest.New(t, w.app(w.config(), fxmodule.Module("altinn", w.servers(), fxmodule.WarmUp()), fx.Populate(&got))...)
	app.RequireStart()
	if s := w.porten.Stats(); s.TokenRequests != 1 || s.Exchanges != 1 {
		t.Errorf("got %+v, want one token request and one exchange", s)
	}
	app.RequireStop()

	w.porten.Faults.Add(faulttest.Fault{Status: 400, Times: -1, Body: `{"error":"invalid_scope"}`})
	failing := fx.New(w.app(w.config(), fxmodule.Module("altinn", w.servers(), fxmodule.WarmUp()), fx.Populate(&got))...)
	if err := failing.Start(context.Background()); !errors.Is(err, httpclient.ErrScopeNotGranted) || !strings.HasSuffix(err.Error(), "\nfxmodule: client \"altinn\": first token") {
		t.Errorf("got %v, want the first token's refusal", err)
	}
	if got := errorsOf(t, w.log.String()); len(got) != 1 || !strings.HasPrefix(got[0], "httpclient: ") || !strings.HasSuffix(got[0], `; fxmodule: client "altinn": first token`) {
		t.Errorf("got the records %q, want one of the refusal", got)
	}
	// The same application may try again.
	w.porten.Faults.Clear()
	if err := failing.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// The context of the start bounds the first token, and the record is made before the
// start returns: a program ends then.
func TestWarmUpIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.porten.Faults.Add(faulttest.Fault{Hang: true, Times: -1})
	var got altinn
	app := fx.New(w.app(w.config(), fxmodule.Module("altinn", w.servers(), fxmodule.WarmUp()), fx.Populate(&got))...)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := app.Start(ctx); !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		t.Errorf("got %v with the context's error %v, want the deadline a little earlier", err, ctx.Err())
	}
	if got := errorsOf(t, w.log.String()); len(got) != 1 || !strings.HasSuffix(got[0], `; fxmodule: client "altinn": first token`) {
		t.Errorf("got the records %q, want one", got)
	}
	got.Source.Close() // fx stops nothing that was not started
}

// An application that was stopped does not start again: its client could only fail.
func TestStartAfterStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app := fxtest.New(t, w.app(w.config(), fxmodule.Module("altinn", w.servers(), fxmodule.WarmUp()), fx.Invoke(func(altinn) {}))...)
	app.RequireStart().RequireStop()
	const want = `fxmodule: make the application anew with fx.New - client "altinn" was closed when the application stopped`
	if err := app.Start(t.Context()); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if diff := cmp.Diff([]string{want}, errorsOf(t, w.log.String())); diff != "" {
		t.Error(diff)
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var slow, patient struct {
		fx.In

		Client *http.Client `name:"slow"`
		Other  *http.Client `name:"patient"`
	}
	app := fxtest.New(t, w.app(w.config(), fxmodule.Module("slow", w.servers(), fxmodule.Timeout(100*time.Millisecond)), fxmodule.Module("patient", w.servers()),
		fx.Populate(&slow, &patient))...)
	app.RequireStart()
	defer app.RequireStop()
	if got := patient.Other.Timeout; got != 0 {
		t.Errorf("got %v without Timeout, want 0", got)
	}
	w.porten.Faults.Add(faulttest.Fault{Hang: true, Times: -1})
	_, err := slow.Client.Get("https://platform.tt02.altinn.no/storage/api/v1/instances")
	var timeout interface{ Timeout() bool }
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("got %v, want a timeout", err)
	}
}

// The graph's own koanf, without Config, and the default logger.
func TestOwnKoanf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := koanf.New(".")
	section := w.porten.Section()
	section["Unknown"] = 1
	if err := k.Load(confmap.Provider(map[string]any{"clients": map[string]any{"altinn": section}}, ""), nil); err != nil {
		t.Fatal(err)
	}
	var got altinn
	app := fxtest.New(t, fx.NopLogger, fx.Supply(k), fxmodule.Module("altinn", w.servers(), fxmodule.Section("Clients.Altinn")), fx.Populate(&got))
	app.RequireStart()
	defer app.RequireStop()
	if status, _ := get(t, got.Client); status != 200 {
		t.Errorf("got %d, want 200", status)
	}
}

// A koanf that is nil is told, whether the settings are edited or not.
func TestNilKoanf(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]fxmodule.Option{"as it is": nil, "edited": fxmodule.EditSettings(func(*httpclient.MaskinportenSettings) {})} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := fx.New(fx.NopLogger, fx.Supply(slog.New(slog.DiscardHandler)), fx.Provide(func() *koanf.Koanf { return nil }), fxmodule.Module("altinn", option), fx.Invoke(func(altinn) {}))
			const want = "fxmodule: provide a *koanf.Koanf that is not nil, or add fxmodule.Config() - the graph's is nil\nfxmodule: client \"altinn\", section MaskinportenSettings"
			if got := fmt.Sprint(dig.RootCause(app.Err())); got != want {
				t.Errorf("got %s\nwant %s", got, want)
			}
		})
	}
}

func TestUnknownSettingsAreWarnedAbout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.file(t, "appsettings.Production.json", map[string]any{"kvSetting": w.vault.KVSetting(), "MaskinportenSettings": map[string]any{"EnableDebugLogg": true}})
	var got altinn
	fxtest.New(t, w.app(w.config(), fxmodule.Module("altinn", w.servers()), fx.Populate(&got))...).RequireStart().RequireStop()
	if want := `httpclient: EnableDebugLogg (appsettings.Production.json): unknown setting, ignored; did you mean EnableDebugLog?" client_id=`; !strings.Contains(w.log.String(), want) {
		t.Errorf("got the log, want %s:\n%s", want, w.log.String())
	}
}
