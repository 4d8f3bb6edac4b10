package httpclient_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/httpclient"
)

// Settings without a scope serve the requests that bring their own. The others get
// an error that names the setting and the function.
func TestNoScopeInTheSettings(t *testing.T) {
	t.Parallel()
	srv := supplier(t)
	for name, c := range map[string]struct {
		origin func(string) httpclient.Origin
		scope  any // in the section
		named  string
	}{
		"not there":            {nil, nil, "Scope"},
		"not there, of a file": {from(nil), nil, "Scope"},
		"blank, of a file":     {from(map[string]string{"Scope": "appsettings.json"}), " , ", "Scope (appsettings.json)"},
		"empty, of a file":     {from(map[string]string{"Scope": "appsettings.json"}), "", "Scope (appsettings.json)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := settingsOf(t, srv, map[string]any{"Scope": c.scope})
			settings.Origin = c.origin
			if err := settings.Validate(); err != nil {
				t.Errorf("Validate: got %v, want no error", err)
			}
			var sent atomic.Int64
			source, err := httpclient.NewTokenSource(settings, httpclient.WithTokenTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
				sent.Add(1)
				return srv.Transport().RoundTrip(r)
			})))
			if err != nil {
				t.Fatal(err)
			}
			defer source.Close()
			want := "httpclient: " + c.named + " is missing: list the scopes that the API asks for, or name them for each request with ContextWithScope"
			for request, ctx := range map[string]context.Context{
				"the settings' own": t.Context(),
				"with a resource":   httpclient.ContextWithResource(t.Context(), "https://a.example/"),
			} {
				if token, err := source.Token(ctx); message(err) != want || !errors.Is(err, httpclient.ErrMissing) || token != nil {
					t.Errorf("%s: got %v and error %v, want %s", request, token, err, want)
				}
			}
			if n := sent.Load(); n != 0 {
				t.Errorf("got %d requests without a scope, want 0", n)
			}
			token, err := source.Token(httpclient.ContextWithScope(t.Context(), "other:scope"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"other:scope"}, token.Scopes()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
