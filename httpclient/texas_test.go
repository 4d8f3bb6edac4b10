package httpclient_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// newTexas is Texas in front of a double.
func newTexas(t testing.TB, srv *maskinportentest.Server) *maskinportentest.Texas {
	t.Helper()
	texas := maskinportentest.NewTexas(srv)
	t.Cleanup(texas.Close)
	return texas
}

// variables are those of NAIS, with changes.
func variables(texas *maskinportentest.Texas, changes map[string]string) func(string) string {
	return func(name string) string {
		if value, changed := changes[name]; changed {
			return value
		}
		return texas.Getenv(name)
	}
}

// texasSettings are what FromNAIS makes of Texas's variables, with changes of the
// settings.
func texasSettings(t testing.TB, getenv func(string) string, changes map[string]any) httpclient.MaskinportenSettings {
	t.Helper()
	settings, err := httpclient.FromNAIS(getenv)
	if err == nil {
		err = settings.Parse(changes)
	}
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

// texasSource makes a source of FromNAIS's settings with changes; it reaches Texas and
// what is behind.
func texasSource(t testing.TB, texas *maskinportentest.Texas, changes map[string]any, opts ...httpclient.Option) *httpclient.TokenSource {
	t.Helper()
	opts = append([]httpclient.Option{
		httpclient.WithTokenTransport(texas.Transport()),
		httpclient.WithBaseTransport(texas.Transport()),
		httpclient.WithLogger(slog.New(slog.DiscardHandler)),
	}, opts...)
	source, err := httpclient.NewTokenSource(texasSettings(t, texas.Getenv, changes), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(source.Close)
	return source
}

// exchanged are the settings of the exchange at the double.
func exchanged(srv *maskinportentest.Server) map[string]any {
	return map[string]any{"ExhangeToAltinnToken": true, "TokenExchangeEnvironment": srv.PlatformURL()}
}

func TestTexas(t *testing.T) {
	t.Parallel()
	for name, isAltinn := range map[string]bool{"Maskinporten's token": false, "Altinn's": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newDouble(t)
			texas := newTexas(t, srv)
			var changes map[string]any
			if isAltinn {
				changes = exchanged(srv)
			}
			source := texasSource(t, texas, changes)
			for range 3 {
				if status, body := get(t, source.Client(), srv.PlatformURL()+"/api"); status != http.StatusOK || body != "hello " {
					t.Errorf("got %d %q, want 200 and the API's answer", status, body)
				}
			}
			token, err := source.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if token.IsAltinn() != isAltinn || !cmp.Equal(token.Scopes(), []string{scope}) {
				t.Errorf("got %v, want Altinn's: %t", token, isAltinn)
			}
			if diff := cmp.Diff(maskinportentest.TexasStats{Requests: 1, Issued: 1}, texas.Stats()); diff != "" {
				t.Errorf("Texas, -want +got:\n%s", diff)
			}
			if st := srv.Stats(); st.TokenRequests != 1 || st.Metadata != 0 {
				t.Errorf("got %d token requests and %d for metadata, want 1 of Texas and 0", st.TokenRequests, st.Metadata)
			}
		})
	}
}

// The default transport reaches Texas over plain http.
func TestTexasByTheDefaultTransport(t *testing.T) {
	t.Parallel()
	texas := newTexas(t, newDouble(t))
	source, err := httpclient.NewTokenSource(texasSettings(t, texas.Getenv, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if _, err := source.Token(t.Context()); err != nil {
		t.Error(err)
	}
}

// A rejected token comes back from Texas's cache, unless it is told to skip that.
func TestTexasRejectedToken(t *testing.T) {
	t.Parallel()
	for name, isAltinn := range map[string]bool{"Maskinporten's token": false, "Altinn's": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newDouble(t)
			texas := newTexas(t, srv)
			var changes map[string]any
			if isAltinn {
				changes = exchanged(srv)
			}
			client := texasSource(t, texas, changes).Client()
			get(t, client, srv.PlatformURL()+"/api")
			srv.RevokeAll()
			if status, _ := get(t, client, srv.PlatformURL()+"/api"); status != http.StatusOK {
				t.Errorf("got %d, want 200 with a newer token", status)
			}
			if diff := cmp.Diff(maskinportentest.TexasStats{Requests: 2, SkipCache: 1, Issued: 2}, texas.Stats()); diff != "" {
				t.Errorf("Texas, -want +got:\n%s", diff)
			}
		})
	}
}

// A token that Texas had from before may be one that the exchange no longer accepts.
func TestTexasGivesARevokedToken(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	texas := newTexas(t, srv)
	if _, err := texasSource(t, texas, nil).Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	srv.RevokeAll()
	if _, err := texasSource(t, texas, exchanged(srv)).Token(t.Context()); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(maskinportentest.TexasStats{Requests: 3, SkipCache: 1, Cached: 1, Issued: 2}, texas.Stats()); diff != "" {
		t.Errorf("Texas, -want +got:\n%s", diff)
	}
	if got := srv.Stats().Exchanges; got != 2 {
		t.Errorf("got %d exchanges, want 2", got)
	}
}

// An exchange that refuses a new token is not asked again.
func TestTexasNewTokenIsRefused(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	texas := newTexas(t, srv)
	srv.Faults.Add(faulttest.Fault{Match: toExchange, Times: -1, Status: http.StatusUnauthorized})
	if _, err := texasSource(t, texas, exchanged(srv)).Token(t.Context()); err == nil {
		t.Error("got a token, want an error")
	}
	if got := srv.Stats().Exchanges; got != 2 { // with what Texas had, which may be old, and with a new one
		t.Errorf("got %d exchanges, want 2", got)
	}
}

// A token is refreshed ahead of its end, though Texas keeps it longer than that.
func TestTexasRefresh(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		life, until time.Duration // and when every refresh is due
		want        maskinportentest.TexasStats
	}{
		"Texas still has it": {time.Hour, 58*time.Minute - 2*time.Second, maskinportentest.TexasStats{Requests: 3, SkipCache: 1, Cached: 1, Issued: 2}},
		"Texas has another":  {2 * time.Minute, 112 * time.Second, maskinportentest.TexasStats{Requests: 2, Issued: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, maskinportentest.WithTokenLifetime(c.life))
				defer srv.Close()
				texas := maskinportentest.NewTexas(srv)
				defer texas.Close()
				source := texasSource(t, texas, nil)
				defer source.Close()
				first, err := source.Token(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				pass(c.until)
				start := time.Now()
				if during, err := source.Token(t.Context()); err != nil || during != first || time.Since(start) != 0 {
					t.Errorf("got %v and error %v after %v, want the first token at once", during, err, time.Since(start))
				}
				synctest.Wait()
				if next, err := source.Token(t.Context()); err != nil || next == first {
					t.Errorf("got %v and error %v, want another token", next, err)
				}
				if diff := cmp.Diff(c.want, texas.Stats()); diff != "" {
					t.Errorf("Texas, -want +got:\n%s", diff)
				}
			})
		})
	}
}

// What Texas has from before counts with what is left of it.
func TestTexasTokenFromItsCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, maskinportentest.WithTokenLifetime(time.Hour))
		defer srv.Close()
		texas := maskinportentest.NewTexas(srv)
		defer texas.Close()
		early := texasSource(t, texas, nil)
		defer early.Close()
		if _, err := early.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(50 * time.Minute)
		late := texasSource(t, texas, nil)
		defer late.Close()
		token, err := late.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := time.Until(token.Expires()); got != 10*time.Minute {
			t.Errorf("got a token for %v, want 10m", got)
		}
	})
}

func TestTexasOneCall(t *testing.T) {
	t.Parallel()
	srv := newDouble(t, maskinportentest.WithLatency(50*time.Millisecond))
	texas := newTexas(t, srv)
	source := texasSource(t, texas, nil)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if _, err := source.Token(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := texas.Stats().Requests; got != 1 {
		t.Errorf("got %d requests, want 1", got)
	}
}

// What Texas has a parameter for reaches Maskinporten.
func TestTexasRequests(t *testing.T) {
	t.Parallel()
	system := []any{map[string]any{"type": "urn:altinn:systemuser", "externalRef": "a", "systemuser_org": map[string]any{"authority": "iso6523-actorid-upis", "ID": "0192:889640782"}}}
	consent := []any{map[string]any{"type": "urn:altinn:consent", "id": consentID, "from": "urn:altinn:organization:identifier-no:889640782"}}
	for name, c := range map[string]struct {
		with func(context.Context) context.Context
		want map[string]any // claims
	}{
		"nothing": {func(ctx context.Context) context.Context { return ctx }, map[string]any{"scope": scope}},
		"scope":   {func(ctx context.Context) context.Context { return httpclient.ContextWithScope(ctx, "b", scope) }, map[string]any{"scope": scope + " b"}},
		"resource": {func(ctx context.Context) context.Context {
			return httpclient.ContextWithResource(ctx, "https://api.example/?a=b&c")
		}, map[string]any{"scope": scope, "resource": "https://api.example/?a=b&c"}},
		"system user": {func(ctx context.Context) context.Context {
			return httpclient.ContextWithSystemUser(ctx, httpclient.SystemUser{OrgNo: "889640782", ExternalRef: "a"})
		}, map[string]any{"scope": scope, "authorization_details": system}},
		"consent": {func(ctx context.Context) context.Context {
			return httpclient.ContextWithConsent(ctx, httpclient.Consent{ID: consentID, From: httpclient.NewSecret("889640782")})
		}, map[string]any{"scope": scope, "authorization_details": consent}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newDouble(t, maskinportentest.WithClient(maskinportentest.Client{Scopes: []string{scope, "b"}}))
			texas := newTexas(t, srv)
			source := texasSource(t, texas, map[string]any{"Scope": scope})
			for range 2 {
				if _, err := source.Token(c.with(t.Context())); err != nil {
					t.Fatalf("got %v, want no error; refusals %q", err, texas.Refusals())
				}
			}
			claims := srv.Stats().LastAssertion.Claims
			for _, usual := range []string{"aud", "iss", "iat", "exp", "jti"} {
				delete(claims, usual)
			}
			if diff := cmp.Diff(c.want, claims); diff != "" || texas.Stats().Requests != 1 {
				t.Errorf("got %d requests, want 1; -want +got:\n%s", texas.Stats().Requests, diff)
			}
		})
	}
}

// What Texas would ignore is an error before anything is sent, and holds nothing up.
func TestTexasCannot(t *testing.T) {
	t.Parallel()
	texas := newTexas(t, newDouble(t))
	source := texasSource(t, texas, nil)
	for name, ctx := range map[string]context.Context{
		"ContextWithConsumerOrg": httpclient.ContextWithConsumerOrg(t.Context(), "889640782"),
		"ContextWithPerson":      httpclient.ContextWithPerson(t.Context(), httpclient.NewSecret("01017012345")),
	} {
		_, err := source.Token(ctx)
		var failed *httpclient.TokenError
		want := "httpclient: remove " + name + ", or sign with a key of your own: Texas cannot pass it on"
		if message(err) != want || !errors.Is(err, errors.ErrUnsupported) || errors.As(err, &failed) {
			t.Errorf("got %v, want %s", err, want)
		}
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.example/", nil)
		if _, err := source.Client().Do(req); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("got %v of a request, want %s", err, want)
		}
	}
	if got := texas.Stats().Requests; got != 0 {
		t.Errorf("got %d requests, want 0", got)
	}
	if _, err := source.Token(t.Context()); err != nil {
		t.Errorf("then got %v, want a token", err)
	}
}
