package fxmodule_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/fx"

	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/internal/logtest"
)

var place = regexp.MustCompile(`func\d+ \(\S+/quiet_test\.go:\d+\)`)

// Quiet tells each failure that no module tells, once, in one line and without fx's
// wrapping.
func TestQuiet(t *testing.T) {
	t.Parallel()
	mine := errors.New("mine: the disk is full\nmine: and slow")
	hook := func(start, stop error) fx.Option {
		return fx.Invoke(func(lc fx.Lifecycle) {
			lc.Append(fx.Hook{OnStart: func(context.Context) error { return start }, OnStop: func(context.Context) error { return stop }})
		})
	}
	for name, c := range map[string]struct {
		opt  fx.Option
		want []string
	}{
		"a constructor": {
			fx.Options(fx.Provide(func() (*strings.Builder, error) { return nil, mine }), fx.Invoke(func(*strings.Builder) {})),
			[]string{"mine: the disk is full; and slow"},
		},
		"an invoked function":  {fx.Invoke(func() error { return mine }), []string{"mine: the disk is full; and slow"}},
		"a hook of the start":  {hook(mine, nil), []string{"mine: the disk is full; and slow"}},
		"a hook of the stop":   {hook(nil, mine), []string{"mine: the disk is full; and slow"}},
		"both":                 {fx.Options(hook(nil, errors.New("stop")), hook(mine, nil)), []string{"mine: the disk is full; and slow; stop"}},
		"nothing":              {hook(nil, nil), nil},
		"fx's own, of a type":  {fx.Invoke(func(*strings.Builder) {}), []string{"missing dependencies for function \"github.com/portnokkel/portnokkel/fxmodule_test\".TestQuiet.funcN (quiet_test.go): missing type: *strings.Builder"}},
		"a client, no modules": {fx.Invoke(func(*http.Client) {}), []string{"missing dependencies for function \"github.com/portnokkel/portnokkel/fxmodule_test\".TestQuiet.funcN (quiet_test.go): missing type: *http.Client"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log logtest.Buffer
			app := fx.New(fxmodule.Quiet(), fx.Provide(log.Logger), c.opt)
			if err := app.Start(t.Context()); err == nil {
				_ = app.Stop(t.Context())
			}
			var got []string
			for _, message := range errorsOf(t, log.String()) {
				message = place.ReplaceAllString(message, "funcN (quiet_test.go)")
				got = append(got, message)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(log.String(), "level=DEBUG msg=provided") {
				t.Error("got no event at level Debug, want each")
			}
		})
	}
}

// An invoked function's error about a token is the function's, but what it says of a
// setting comes first.
func TestQuietAboutAToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.vault.Set("MaskinportenSettings--ClientId", "misspelt")
	var refused *httpclient.TokenError
	err := fx.New(fxmodule.Quiet(), fx.Supply(w.log.Logger()), w.config(), fxmodule.Module("altinn", w.servers()), fx.Invoke(func(p altinn) error {
		_, err := p.Client.Get("https://platform.tt02.altinn.no/storage/api/v1/instances")
		return fmt.Errorf("loading: %w", err)
	})).Start(t.Context())
	if !errors.As(err, &refused) {
		t.Fatalf("got %v, want the token refused", err)
	}
	want := []string{refused.Error() + ` - loading: Get "https://platform.tt02.altinn.no/storage/api/v1/instances"`}
	if diff := cmp.Diff(want, errorsOf(t, w.log.String())); diff != "" {
		t.Error(diff)
	}
}
