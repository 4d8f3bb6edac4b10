package fxmodule

import (
	"context"
	"net/http"
	"testing"

	"github.com/knadh/koanf/v2"
	"go.uber.org/fx"

	"github.com/portnokkel/portnokkel/httpclient"
)

// What a key keeps open is closed when the application stops, and at once if there is no
// client.
func TestKeysAreClosed(t *testing.T) {
	t.Parallel()
	none := httpclient.KeySourceFunc(func(context.Context) ([]*httpclient.Key, error) { return nil, nil })
	for name, c := range map[string]struct {
		clientID string
		starts   bool
	}{"at the stop": {"client", true}, "without a client": {"", false}} {
		closed := 0
		keys := func(m *module) {
			m.vaultKey = func(moduleParams, httpclient.MaskinportenSettings) (*keySource, error) {
				return &keySource{none, func() { closed++ }}, nil
			}
		}
		app := fx.New(fx.NopLogger, fx.Supply(koanf.New(":")),
			Module("altinn", keys, EditSettings(func(s *httpclient.MaskinportenSettings) { s.Environment, s.ClientID = "test", c.clientID })),
			fx.Invoke(fx.Annotate(func(*http.Client) {}, fx.ParamTags(`name:"altinn"`))))
		if c.starts {
			if err := app.Start(t.Context()); err != nil || closed != 0 {
				t.Errorf("%s: got %v and closed %d times after the start, want neither", name, err, closed)
			}
			if err := app.Stop(t.Context()); err != nil {
				t.Errorf("%s: got %v", name, err)
			}
		}
		if closed != 1 || (app.Err() == nil) != c.starts {
			t.Errorf("%s: got %v and closed %d times, want once", name, app.Err(), closed)
		}
	}
}
