package maskinportentest_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

func TestExchange(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		query string
		edits []func(map[string]any)
		org   any // urn:altinn:org
		owner string
		more  map[string]any // claims
	}{
		"plain":             {owner: org},
		"test organisation": {query: "?test=true", org: "ttd", owner: org},
		"test of another org": {
			query: "?test=true", edits: []func(map[string]any){set("consumer_org", "123456789")}, owner: "123456789",
			more: map[string]any{"supplier": organisation(org), "delegation_source": "https://www.altinn.no/"},
		},
		"resource": {edits: []func(map[string]any){set("resource", "https://api.example")}, owner: org},
		"pid":      {edits: []func(map[string]any){set("pid", "12345678901")}, owner: org, more: map[string]any{"pid": "12345678901"}},
		"consumer": {
			edits: []func(map[string]any){set("consumer_org", "123456789")}, owner: "123456789",
			more: map[string]any{"supplier": organisation(org), "delegation_source": "https://www.altinn.no/"},
		},
		"system user": {
			edits: []func(map[string]any){set("authorization_details", systemUser())}, owner: org,
			more: map[string]any{"authorization_details": answeredSystemUser()},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			got := w.get(w.exchangeURL()+tc.query, w.token(tc.edits...))
			want := map[string]any{
				"iss": w.PlatformURL() + "/authentication/api/v1/openid/",
				"iat": float64(epoch.Unix()), "nbf": float64(epoch.Unix()), "exp": float64(epoch.Unix() + 1800),
				"client_id": w.ClientID(), "scope": scope, "token_type": "Bearer",
				"consumer":             organisation(tc.owner),
				"urn:altinn:orgNumber": tc.owner, "urn:altinn:authenticatemethod": "maskinporten", "urn:altinn:authlevel": 3.0,
			}
			if tc.org != nil {
				want["urn:altinn:org"] = tc.org
			}
			maps.Copy(want, tc.more)
			if diff := cmp.Diff(want, payload(t, got.raw)); got.status != http.StatusOK || diff != "" {
				t.Errorf("got status %d, want 200; -want +got:\n%s", got.status, diff)
			}
			if ct := got.header.Get("Content-Type"); ct != "text/plain; charset=utf-8" {
				t.Errorf("got Content-Type %q, want plain text", ct)
			}
		})
	}
}

func TestExchangeAsJSON(t *testing.T) {
	t.Parallel()
	w := newWorld(t, maskinportentest.WithAltinnTestOrg("111111111"), maskinportentest.WithAltinnTokenLifetime(time.Minute))
	got := w.get(w.exchangeURL()+"?test=true", w.token(), "Accept", "text/html;q=0.5, application/json;q=0.9")
	var token string
	if err := json.Unmarshal([]byte(got.raw), &token); err != nil {
		t.Fatal(err)
	}
	claims := payload(t, token)
	if claims["exp"].(float64)-claims["iat"].(float64) != 60 {
		t.Errorf("got iat and exp of %v, want 60 s between them", claims)
	}
	if org, given := claims["urn:altinn:org"]; given {
		t.Errorf("got organisation %v, want none: test=true is for another one", org)
	}
}

func TestExchangeRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		query   string
		pairs   []string
		bearer  func(w *world) string
		prepare func(w *world)
		status  int
		detail  string
		listed  string // by Refusals
	}{
		"no token":      {bearer: func(*world) string { return "" }, status: 401, listed: "exchange: 401 no bearer token"},
		"unknown token": {bearer: func(*world) string { return "x" }, status: 401, listed: "exchange: 401 unknown token"},
		"Altinn token": {
			bearer: func(w *world) string { return w.get(w.exchangeURL(), w.token()).raw },
			status: 401, listed: "exchange: 401 not a Maskinporten token",
		},
		"expired":         {prepare: func(w *world) { w.advance(120 * time.Second) }, status: 401, listed: "exchange: 401 token expired"},
		"revoked":         {prepare: func(w *world) { w.RevokeAll() }, status: 401, listed: "exchange: 401 token revoked"},
		"other query":     {query: "?test=false", status: 400, detail: "The only query allowed is test=true", listed: "exchange: 400 The only query allowed is test=true"},
		"cookie":          {pairs: []string{"Cookie", "a=b"}, status: 400, detail: "Cookies must be absent", listed: "exchange: 400 Cookies must be absent"},
		"enterprise user": {pairs: []string{"X-Altinn-EnterpriseUser-Authentication", "dTpw"}, status: 410, detail: "Enterprise users are no longer supported", listed: "exchange: 410 Enterprise users are no longer supported"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if tc.bearer == nil {
				tc.bearer = func(w *world) string { return w.token() }
			}
			bearer := tc.bearer(w)
			if tc.prepare != nil {
				tc.prepare(w)
			}
			got := w.get(w.exchangeURL()+tc.query, bearer, tc.pairs...)
			if diff := cmp.Diff([]string{tc.listed}, w.Refusals()); diff != "" {
				t.Errorf("refusals, -want +got:\n%s", diff)
			}
			checkProblem(t, got, tc.status, tc.detail)
		})
	}
}

// checkProblem compares a whole answer with ProblemDetails.
func checkProblem(t *testing.T, got answer, status int, detail string) {
	t.Helper()
	trace, _ := got.json["traceId"].(string)
	if !regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-00$`).MatchString(trace) {
		t.Errorf("got traceId %q, want that of a W3C trace context", trace)
	}
	section := map[int]string{400: "15.5.1", 401: "15.5.2", 405: "15.5.6", 410: "15.5.11"}[status]
	want := map[string]any{
		"type": "https://tools.ietf.org/html/rfc9110#section-" + section, "title": http.StatusText(status),
		"status": float64(status), "traceId": trace,
	}
	if detail != "" {
		want["detail"] = detail
	}
	if diff := cmp.Diff(want, got.json); got.status != status || diff != "" {
		t.Errorf("got status %d, want %d; -want +got:\n%s", got.status, status, diff)
	}
	if ct := got.header.Get("Content-Type"); ct != "application/problem+json; charset=utf-8" {
		t.Errorf("got Content-Type %q, want application/problem+json", ct)
	}
}

func TestExchangeWantsGet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.do(http.NewRequestWithContext(t.Context(), http.MethodPost, w.exchangeURL(), http.NoBody))
	checkProblem(t, got, http.StatusMethodNotAllowed, "Method must be GET")
	if allow := got.header.Get("Allow"); allow != "GET" {
		t.Errorf("got Allow %q, want GET", allow)
	}
}
