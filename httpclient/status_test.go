package httpclient_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// outage has the token endpoint answer 503 from now on.
func outage(srv *maskinportentest.Server) {
	srv.Faults.Add(faulttest.Fault{Match: toToken, Times: -1, Status: http.StatusServiceUnavailable})
}

// ask asks for a token, whatever comes of it, and lets a refresh behind it end.
func ask(ctx context.Context, source *httpclient.TokenSource) {
	_, _ = source.Token(ctx)
	pass(5 * time.Second)
	synctest.Wait()
}

// The token of settingsOf lives 2 minutes. It is due after 1:42 to 1:51, and ends for
// the source after 1:54.
func TestStatusState(t *testing.T) {
	t.Parallel()
	const refusedOrg = "111111111"
	refuseOrg := faulttest.Fault{
		Match:  func(r *http.Request) bool { return toToken(r) && claimsOf(t, r)["consumer_org"] == refusedOrg },
		Times:  -1,
		Status: http.StatusForbidden, Body: `{"error":"forbidden","error_description":"MP-251 has not delegated access"}`,
	}
	other := func(t *testing.T, org string) context.Context {
		return httpclient.ContextWithConsumerOrg(t.Context(), org)
	}
	for name, tc := range map[string]struct {
		changes map[string]any
		play    func(*testing.T, *maskinportentest.Server, *httpclient.TokenSource)
		want    httpclient.State
		why     int // the failure's status
		breaker httpclient.BreakerState
		tokens  int
	}{
		"before the first request": {
			play: func(*testing.T, *maskinportentest.Server, *httpclient.TokenSource) {},
			want: httpclient.StateUnknown, tokens: 1,
		},
		"with a token": {
			play: func(t *testing.T, _ *maskinportentest.Server, s *httpclient.TokenSource) { ask(t.Context(), s) },
			want: httpclient.StateReady, tokens: 1,
		},
		"after an idle time": {
			play: func(t *testing.T, _ *maskinportentest.Server, s *httpclient.TokenSource) {
				ask(t.Context(), s)
				pass(2 * time.Minute)
			},
			want: httpclient.StateUnknown, tokens: 1,
		},
		"refused": {
			changes: map[string]any{"ClientId": "nobody"},
			play:    func(t *testing.T, _ *maskinportentest.Server, s *httpclient.TokenSource) { ask(t.Context(), s) },
			want:    httpclient.StateFailing, why: 401, breaker: httpclient.BreakerOpen, tokens: 1,
		},
		"an outage with a good token": {
			play: func(t *testing.T, srv *maskinportentest.Server, s *httpclient.TokenSource) {
				_, _ = s.Token(t.Context())
				outage(srv)
				pass(111*time.Second + 500*time.Millisecond)
				_, _ = s.Token(t.Context())
				pass(2 * time.Second)
				synctest.Wait()
			},
			want: httpclient.StateDegraded, why: 503, tokens: 1,
		},
		"an outage past the token's end": {
			play: func(t *testing.T, srv *maskinportentest.Server, s *httpclient.TokenSource) {
				ask(t.Context(), s)
				outage(srv)
				pass(2 * time.Minute)
				ask(t.Context(), s)
			},
			want: httpclient.StateFailing, why: 503, breaker: httpclient.BreakerClosed, tokens: 1,
		},
		"after the outage": {
			play: func(t *testing.T, srv *maskinportentest.Server, s *httpclient.TokenSource) {
				outage(srv)
				ask(t.Context(), s)
				srv.Faults.Clear()
				ask(t.Context(), s)
			},
			want: httpclient.StateReady, tokens: 1,
		},
		"long after a failure": {
			changes: map[string]any{"ClientId": "nobody"},
			play: func(t *testing.T, _ *maskinportentest.Server, s *httpclient.TokenSource) {
				_, _ = s.Token(t.Context())
				pass(61 * time.Second)
			},
			want: httpclient.StateUnknown, breaker: httpclient.BreakerOpen, tokens: 1,
		},
		"not so long after a failure": {
			changes: map[string]any{"ClientId": "nobody"},
			play: func(t *testing.T, _ *maskinportentest.Server, s *httpclient.TokenSource) {
				_, _ = s.Token(t.Context())
				pass(60 * time.Second)
			},
			want: httpclient.StateFailing, why: 401, breaker: httpclient.BreakerOpen, tokens: 1,
		},
		"only others, good": {
			play: func(t *testing.T, _ *maskinportentest.Server, s *httpclient.TokenSource) {
				ask(other(t, "222222222"), s)
			},
			want: httpclient.StateReady, tokens: 2,
		},
		"only others, one refused": {
			play: func(t *testing.T, _ *maskinportentest.Server, s *httpclient.TokenSource) {
				ask(other(t, refusedOrg), s)
			},
			want: httpclient.StateUnknown, tokens: 2,
		},
		"only others, one refused and one good": {
			play: func(t *testing.T, _ *maskinportentest.Server, s *httpclient.TokenSource) {
				ask(other(t, "222222222"), s)
				ask(other(t, refusedOrg), s)
			},
			want: httpclient.StateReady, tokens: 3,
		},
		"only others, client unknown": {
			changes: map[string]any{"ClientId": "nobody"},
			play: func(t *testing.T, _ *maskinportentest.Server, s *httpclient.TokenSource) {
				ask(other(t, "222222222"), s)
			},
			want: httpclient.StateFailing, why: 401, breaker: httpclient.BreakerOpen, tokens: 2,
		},
		"only others, one good and the client unknown since": {
			play: func(t *testing.T, srv *maskinportentest.Server, s *httpclient.TokenSource) {
				ask(other(t, "222222222"), s)
				srv.Faults.Add(faulttest.Fault{Match: toToken, Times: -1, Status: 400, Body: `{"error":"invalid_client"}`})
				ask(other(t, "333333333"), s)
			},
			want: httpclient.StateDegraded, why: 400, breaker: httpclient.BreakerOpen, tokens: 3,
		},
		"the settings' own good, another refused": {
			play: func(t *testing.T, _ *maskinportentest.Server, s *httpclient.TokenSource) {
				ask(t.Context(), s)
				ask(other(t, refusedOrg), s)
			},
			want: httpclient.StateReady, tokens: 2,
		},
		"the settings' own refused, another good": {
			play: func(t *testing.T, srv *maskinportentest.Server, s *httpclient.TokenSource) {
				ask(other(t, "222222222"), s)
				srv.Faults.Add(faulttest.Fault{Match: toToken, Times: -1, Status: 400, Body: `{"error":"invalid_scope"}`})
				ask(t.Context(), s)
			},
			want: httpclient.StateFailing, why: 400, breaker: httpclient.BreakerClosed, tokens: 2,
		},
		"the settings name no scope": {
			changes: map[string]any{"Scope": ""},
			play: func(t *testing.T, _ *maskinportentest.Server, s *httpclient.TokenSource) {
				ask(httpclient.ContextWithScope(t.Context(), scope), s)
			},
			want: httpclient.StateReady, tokens: 1,
		},
		"the settings name no scope, nothing asked": {
			changes: map[string]any{"Scope": ""},
			play:    func(*testing.T, *maskinportentest.Server, *httpclient.TokenSource) {},
			want:    httpclient.StateUnknown, tokens: 0,
		},
		"closed": {
			play: func(t *testing.T, _ *maskinportentest.Server, s *httpclient.TokenSource) {
				ask(t.Context(), s)
				s.Close()
			},
			want: httpclient.StateClosed, tokens: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn)
				defer srv.Close()
				srv.Faults.Add(refuseOrg)
				source := sourceOf(t, srv, tc.changes)
				defer source.Close()
				tc.play(t, srv, source)
				got := source.Status()
				if got.State != tc.want || len(got.Tokens) != tc.tokens || got.MoreTokens != 0 {
					t.Errorf("got %q with %d tokens and %d more, want %q with %d", got.State, len(got.Tokens), got.MoreTokens, tc.want, tc.tokens)
				}
				if ready := tc.want == httpclient.StateReady || tc.want == httpclient.StateDegraded; got.Ready() != ready {
					t.Errorf("got ready %v, want %v", got.Ready(), ready)
				}
				if why := got.Failure; (why != nil) != (tc.why != 0) || why != nil && why.StatusCode != tc.why {
					t.Errorf("got the failure %+v, want one of status %d", why, tc.why)
				}
				if want := tc.breaker; want != "" && got.Breaker.State != want || (got.Breaker.State == httpclient.BreakerClosed) != (got.Breaker.Failure == nil) {
					t.Errorf("got the breaker %+v, want it %q", got.Breaker, want)
				}
			})
		})
	}
}
