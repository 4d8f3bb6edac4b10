package httpclient_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// Each kind of token is told by what it was asked for, without the person.
func TestStatusOfTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		source := sourceOf(t, srv, map[string]any{"Resource": "https://api.example/own"})
		defer source.Close()
		ctx := t.Context()
		for _, c := range []context.Context{
			httpclient.ContextWithResource(ctx, "CANARY-in-the-wrong-place"),
			httpclient.ContextWithScope(ctx, scope, "CANARY-"+strings.Repeat("x", 30)),
			httpclient.ContextWithPerson(ctx, httpclient.NewSecret("01017012345")),
			httpclient.ContextWithConsent(ctx, httpclient.Consent{ID: consentID, From: httpclient.NewSecret("01017012345")}),
			httpclient.ContextWithSystemUser(ctx, httpclient.SystemUser{OrgNo: "889640782", ExternalRef: "ref-1"}),
			httpclient.ContextWithConsumerOrg(ctx, "0192:974760673"),
			ctx,
		} {
			_, _ = source.Token(c)
		}
		got := source.Status()
		want := []httpclient.TokenStatus{
			{Scope: scope, Resource: "https://api.example/own"},
			{Scope: scope, Resource: "https://api.example/own", ConsumerOrg: "974760673"},
			{Scope: scope, Resource: "https://api.example/own", SystemUserOrg: "889640782", SystemUserRef: "ref-1"},
			{Scope: scope, Resource: "https://api.example/own", ConsentNamed: true},
			{Scope: scope, Resource: "https://api.example/own", PersonNamed: true},
			{Scope: httpclient.Redacted + " " + scope, Resource: "https://api.example/own"},
			{Scope: scope, Resource: httpclient.Redacted},
		}
		if diff := cmp.Diff(want, got.Tokens, cmpopts.IgnoreFields(httpclient.TokenStatus{}, "State", "Expires", "NextRefresh", "Failure")); diff != "" {
			t.Errorf("got other tokens than wanted (-want +got):\n%s", diff)
		}
		if encoded, err := json.Marshal(got); err != nil || strings.Contains(string(encoded), "CANARY") || strings.Contains(string(encoded), consentID) {
			t.Errorf("got %s and error %v, want it without secrets", encoded, err)
		}
	})
}

// What a status is as JSON: its names are part of the API.
func TestStatusAsJSON(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true})
		defer source.Close()
		pass(1500 * time.Millisecond)
		if _, err := source.Token(httpclient.ContextWithSystemUser(t.Context(), httpclient.SystemUser{OrgNo: "889640782", ExternalRef: "ref-1"})); err != nil {
			t.Fatal(err)
		}
		srv.Faults.Add(faulttest.Fault{
			Match: toToken, Times: -1, Status: 401,
			Body: `{"error":"invalid_client","error_description":"MP-100 Ola Nordmann is unknown (trace_id: abc123)","error_uri":"https://a.example/Nordmann"}`,
		})
		_, _ = source.Token(t.Context())
		_, _ = source.Token(httpclient.ContextWithPerson(t.Context(), httpclient.NewSecret("01017012345")))
		_, _ = source.Token(httpclient.ContextWithConsumerOrg(t.Context(), "974760673"))
		status := source.Status()
		if next := status.Tokens[1].NextRefresh; next.Before(epoch.Add(25*time.Minute)) || next.After(epoch.Add(28*time.Minute)) {
			t.Errorf("got the next refresh at %v, want it in the window of 30 minutes", next)
		}
		status.Tokens[1].NextRefresh = epoch // it is random
		got, err := json.MarshalIndent(status, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		const failure = `"since": "2000-01-01T00:00:01Z",
        "count": 1,
        "next_try": "2000-01-01T00:00:02Z",
        "error": "httpclient: check ClientId: it is misspelt, or the client belongs to another environment than Environment - token request of client maskinportentest-client at https://test.maskinporten.no/token: 401 invalid_client",
        "status": 401,
        "error_code": "invalid_client",
        "mp_code": "MP-100",
        "trace_id": "abc123"`
		want := `{
  "state": "failing",
  "client_id": "maskinportentest-client",
  "time": "2000-01-01T00:00:01Z",
  "failure": {
    ` + strings.ReplaceAll(failure, "\n        ", "\n    ") + `
  },
  "key": {
    "id": "for-tests-only"
  },
  "breaker": {
    "state": "open",
    "failure": {
      ` + strings.ReplaceAll(failure, "\n        ", "\n      ") + `
    }
  },
  "tokens": [
    {
      "state": "failing",
      "scope": "altinn:serviceowner/instances.read",
      "exchange": true,
      "failure": {
        ` + failure + `
      }
    },
    {
      "state": "ready",
      "scope": "altinn:serviceowner/instances.read",
      "system_user_org": "889640782",
      "system_user_ref": "ref-1",
      "exchange": true,
      "expires": "2000-01-01T00:30:00Z",
      "next_refresh": "2000-01-01T00:00:00Z"
    }
  ],
  "more_tokens": 0
}`
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("got other JSON than wanted (-want +got):\n%s", diff)
		}
		var back httpclient.Status
		if err := json.Unmarshal(got, &back); err != nil || !cmp.Equal(back, status) {
			t.Errorf("got it back with error %v and differences:\n%s", err, cmp.Diff(status, back))
		}
	})
}

// The list is bounded, and begins with the settings' own token.
func TestStatusIsBounded(t *testing.T) {
	t.Parallel()
	source, _ := instant(t)
	for i := range 60 {
		if _, err := source.Token(customer(t, i)); err != nil {
			t.Fatal(err)
		}
	}
	got := source.Status()
	if len(got.Tokens) != 50 || got.MoreTokens != 11 || got.Tokens[0].ConsumerOrg != "" || got.Tokens[1].ConsumerOrg != "000000059" {
		t.Errorf("got %d tokens, %d more, and first those of %q and %q; want 50, 11, the settings' own, and the last one",
			len(got.Tokens), got.MoreTokens, got.Tokens[0].ConsumerOrg, got.Tokens[1].ConsumerOrg)
	}
}

// The key is the settings' own before a request, and the accepted one later.
func TestStatusOfTheKey(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	first, err := httpclient.NewKey(maskinportentest.NewKey("new").Signer(), "new", "")
	if err != nil {
		t.Fatal(err)
	}
	second, err := httpclient.NewKey(clientKey(t).Signer(), "for-tests-only", "")
	if err != nil {
		t.Fatal(err)
	}
	end := time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second)
	leaf, authorities := enterprise(t, time.Now().Add(-time.Hour), end)
	for name, tc := range map[string]struct {
		source        *httpclient.TokenSource
		before, after *httpclient.KeyStatus
	}{
		"settings": {
			sourceOf(t, srv, nil),
			&httpclient.KeyStatus{ID: "for-tests-only"}, &httpclient.KeyStatus{ID: "for-tests-only"},
		},
		"settings, with an end": {
			sourceOf(t, srv, map[string]any{"EncodedJwk": jwkWith(t, map[string]any{"exp": end.Unix()})}),
			&httpclient.KeyStatus{ID: "for-tests-only", Expires: end}, &httpclient.KeyStatus{ID: "for-tests-only", Expires: end},
		},
		"certificate": {
			sourceOf(t, srv, map[string]any{"EncodedJwk": "", "EncodedX509": certificateSetting(t, leaf, authorities)}),
			&httpclient.KeyStatus{Certificate: true, Expires: end}, &httpclient.KeyStatus{Certificate: true, Expires: end},
		},
		"a key source, whose first key is unknown": {
			withoutKey(t, srv, keys(first, second)),
			nil, &httpclient.KeyStatus{ID: "for-tests-only"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.before, tc.source.Status().Key); diff != "" {
				t.Errorf("got another key before the first request than wanted (-want +got):\n%s", diff)
			}
			_, _ = tc.source.Token(t.Context())
			if diff := cmp.Diff(tc.after, tc.source.Status().Key); diff != "" {
				t.Errorf("got another key after a request than wanted (-want +got):\n%s", diff)
			}
		})
	}
}

// A status does not wait for a fetch, nor for code that hangs in it, and asks nobody.
func TestStatusDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		asked := 0
		source, err := httpclient.NewTokenSource(httpclient.MaskinportenSettings{Environment: "test", ClientID: "id", Scope: "s"},
			httpclient.WithKeySource(httpclient.KeySourceFunc(func(context.Context) ([]*httpclient.Key, error) {
				asked++
				<-release
				return nil, nil
			})))
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close()
		defer close(release)
		start := time.Now()
		if got := source.Status(); got.State != httpclient.StateUnknown || asked != 0 {
			t.Errorf("got %q after %d calls, want nothing known and no call", got.State, asked)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _ = source.Token(ctx)
		got := source.Status()
		if got.State != httpclient.StateUnknown || got.Tokens[0].State != httpclient.StateUnknown || time.Since(start) != time.Second {
			t.Errorf("got %q after %v, want it unknown after the caller's second", got.State, time.Since(start))
		}
	})
}

// Texas holds the key.
func TestStatusOfTexas(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	source := texasSource(t, newTexas(t, srv), nil)
	if _, err := source.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := source.Status(); got.State != httpclient.StateReady || got.Key != nil || len(got.Tokens) != 1 {
		t.Errorf("got %+v, want it ready, with a token and no key", got)
	}
}

func TestStatusOfNilAndZero(t *testing.T) {
	t.Parallel()
	var none *httpclient.TokenSource
	want := httpclient.Status{State: httpclient.StateClosed, Breaker: httpclient.BreakerStatus{State: httpclient.BreakerClosed}, Tokens: []httpclient.TokenStatus{}}
	for name, source := range map[string]*httpclient.TokenSource{"nil": none, "zero": {}} {
		for how, got := range map[string]httpclient.Status{"Status": source.Status(), "Readiness": source.Readiness(t.Context())} {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s of %s: got another status than wanted (-want +got):\n%s", how, name, diff)
			}
		}
	}
}
