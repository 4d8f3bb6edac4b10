package fxmodule_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/knadh/koanf/v2"
	"go.uber.org/fx"

	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
)

func TestGraphIsValid(t *testing.T) {
	t.Parallel()
	if err := fx.ValidateApp(fxmodule.Quiet(), fxmodule.Config(), fxmodule.Module("altinn"), fxmodule.Module("ks", fxmodule.Section("KsSettings")),
		fx.Invoke(func(altinn) {})); err != nil {
		t.Error(err)
	}
	err := fx.ValidateApp(fx.NopLogger, fxmodule.Module("altinn"), fx.Invoke(func(altinn) {}))
	if err == nil || !strings.Contains(err.Error(), "missing type: *koanf.Koanf") {
		t.Errorf("without a configuration: got %v, want the koanf missing", err)
	}
	err = fx.ValidateApp(fx.NopLogger, fxmodule.Config(), fxmodule.Module("other"), fx.Invoke(func(altinn) {}))
	if err == nil || !strings.Contains(err.Error(), `*http.Client[name="altinn"]`) {
		t.Errorf("with another name: got %v, want the client missing", err)
	}
}

// who is this package's functions in messages.
var who = regexp.MustCompile(`github\.com/portnokkel/portnokkel/fxmodule_test\.\S+ \(missing_test\.go:\d+\)`)

type named struct {
	fx.In

	Client *http.Client `name:"altin"`
}

// What no module provides is told by one record, with the names there are and what to
// do. Errors of fx say what is missing, and nothing of the rest.
func TestMissing(t *testing.T) {
	t.Parallel()
	both := fx.Options(fxmodule.Module("ks"), fxmodule.Module("altinn"))
	cases := []struct {
		name string
		opts fx.Option
		want string
	}{
		{
			"another name", fx.Options(fxmodule.Config(), both, fx.Invoke(func(named) {})),
			`fxmodule: ask for "altinn" or "ks", or add fxmodule.Module("altin") to the application - WHO asks for a *http.Client named "altin"`,
		},
		{
			"another name, of a constructor's",
			fx.Options(fxmodule.Config(), fxmodule.Module("altinn"), fx.Provide(func(named) *strings.Builder { return nil }), fx.Invoke(func(*strings.Builder) {})),
			`fxmodule: ask for "altinn", or add fxmodule.Module("altin") to the application - WHO asks for a *http.Client named "altin"`,
		},
		{
			"a name that needs quotes",
			fx.Options(fxmodule.Config(), fxmodule.Module("a;\"b"), fx.Invoke(fx.Annotate(func(*httpclient.TokenSource) {}, fx.ParamTags(`name:"c; \"d"`)))),
			`fxmodule: ask for "a;\"b", or add fxmodule.Module("c; \"d") to the application - the application asks for a *httpclient.TokenSource named "c; \"d"`,
		},
		{
			"no name", fx.Options(fxmodule.Config(), both, fx.Invoke(func(*http.Client) {})),
			"fxmodule: ask for the *http.Client by its name, with the field tag `name:\"altinn\"` in a struct with fx.In - WHO asks for one without a name; the names are \"altinn\", \"ks\"",
		},
		{
			"no module", fx.Options(fxmodule.Config(), fx.Invoke(func(altinn) {})),
			`fxmodule: add fxmodule.Module("altinn") to the application - WHO asks for a *http.Client of that name; there is no such module; ` +
				`add fxmodule.Module("altinn") to the application - WHO asks for a *httpclient.TokenSource of that name; there is no such module`,
		},
		{
			"no module and no name", fx.Options(fxmodule.Config(), fx.Invoke(func(*http.Client) {})),
			"fxmodule: add fxmodule.Module(\"altinn\") to the application, and ask for the *http.Client with the field tag `name:\"altinn\"` in a struct with fx.In - WHO asks for one without a name; there is no such module",
		},
		{
			"no Config", fx.Options(both, fx.Invoke(func(altinn) {})),
			`fxmodule: add fxmodule.Config() to the application, or provide a *koanf.Koanf of your own - client "altinn" needs it`,
		},
		{
			"no Config, for the user's own code", fx.Options(both, fx.Invoke(func(*provider.Origins, *koanf.Koanf) {})),
			`fxmodule: add fxmodule.Config() to the application, or provide a *provider.Origins of your own - WHO needs it; ` +
				`add fxmodule.Config() to the application, or provide a *koanf.Koanf of your own - WHO needs it`,
		},
		{
			"among others", fx.Options(fxmodule.Config(), fxmodule.Module("altinn"), fx.Invoke(func(map[string]*http.Client, *strings.Builder, named, func() *http.Client) {})),
			`fxmodule: ask for "altinn", or add fxmodule.Module("altin") to the application - WHO asks for a *http.Client named "altin"`,
		},
		{
			"before the modules", fx.Options(fx.Module("mine", fx.Invoke(func(named) {})), fxmodule.Module("altinn")),
			`fxmodule: ask for "altinn", or add fxmodule.Module("altin") to the application - WHO asks for a *http.Client named "altin"`,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			// One after the other: a hook knows the last application that has its Option.
			for logger, opt := range map[string]fx.Option{"none": fx.NopLogger, "Quiet": fxmodule.Quiet()} {
				var log logtest.Buffer
				app := fx.New(opt, fx.Supply(log.Logger()), c.opts)
				if err := app.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "missing type") {
					t.Errorf("%s: got %v, want fx's error", logger, err)
				}
				got := errorsOf(t, log.String())
				for i := range got {
					got[i] = who.ReplaceAllString(got[i], "WHO")
				}
				if diff := cmp.Diff([]string{c.want}, got); diff != "" {
					t.Errorf("%s: %s", logger, diff)
				}
			}
		})
	}
}

// This pins what go.uber.org/fx v1.24.0 and go.uber.org/dig v1.19.0 say about missing
// types. An error hook gets nothing else. If this test fails after an update, read the
// new texts in dig's error.go, and adapt the expressions in missing.go.
func TestWhatFxSays(t *testing.T) {
	t.Parallel()
	var got hooked
	const fn = `missing dependencies for function "github.com/portnokkel/portnokkel/fxmodule_test"\.TestWhatFxSays\.func\d+ \(\S+/missing_test\.go:\d+\): `
	for want, opts := range map[string]fx.Option{
		fn + `missing type: \*http\.Client\[name="altin"\]`:                     fx.Invoke(func(named) {}),
		fn + `missing types: \*http\.Client\[name="altin"\]; \*strings.Builder`: fx.Invoke(func(named, *strings.Builder) {}),
		fn + `missing type: \*http\.Client \(did you mean http\.Client\?\)`:     fx.Options(fx.Supply(http.Client{}), fx.Invoke(func(*http.Client) {})),
		`could not build arguments for function "github.com/portnokkel/portnokkel/fxmodule_test"\.TestWhatFxSays\.func\d+ \(\S+\): ` +
			`failed to build \*http\.Client\[name="altinn"\]: could not build arguments for function "github.com/portnokkel/portnokkel/fxmodule"\.newClient \(\S+\): ` +
			`failed to build fxmodule\.instance: missing dependencies for function "github.com/portnokkel/portnokkel/fxmodule"\.newInstance \(\S+\): missing type: \*koanf\.Koanf`: fx.Options(
			fxmodule.Module("altinn"), fx.Invoke(func(altinn) {})),
		`could not build arguments .*: received non-nil error from function .*: http: Server closed`: fx.Options(
			fx.Provide(func() (*strings.Builder, error) { return nil, http.ErrServerClosed }), fx.Invoke(func(*strings.Builder) {})),
	} {
		var log logtest.Buffer
		_ = fx.New(fx.NopLogger, fx.Supply(log.Logger()), opts, fx.ErrorHook(&got)).Err()
		if got.err == nil || !regexp.MustCompile("^"+want+"$").MatchString(got.err.Error()) {
			t.Errorf("got %v\nwant %s", got.err, want)
		}
		if _, err := fx.VisualizeError(got.err); err != nil {
			t.Errorf("got %v of VisualizeError, want the graph: it tells fx's errors from a function's own", err)
		}
	}
}

type hooked struct{ err error }

func (h *hooked) HandleError(err error) { h.err = err }
