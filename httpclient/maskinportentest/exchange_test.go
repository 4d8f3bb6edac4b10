package maskinportentest_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

func payload(t *testing.T, jwt string) map[string]any {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %d parts", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	delete(claims, "jti")
	return claims
}

func TestExchange(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		query  string
		edits  []func(map[string]any)
		org    any // urn:altinn:org
		owner  string
		detail any
	}{
		"plain":               {owner: "991825827"},
		"test organisation":   {query: "?test=true", org: "ttd", owner: "991825827"},
		"test of another org": {query: "?test=true", edits: []func(map[string]any){set("consumer_org", "123456789")}, owner: "123456789"},
		"consumer":            {edits: []func(map[string]any){set("consumer_org", "123456789")}, owner: "123456789"},
		"system user":         {edits: []func(map[string]any){set("authorization_details", systemUser())}, owner: "991825827", detail: systemUser()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			got := w.get(w.exchangeURL()+tc.query, w.token(tc.edits...))
			want := map[string]any{
				"iss": w.PlatformURL() + "/authentication/api/v1/openid/",
				"iat": float64(epoch.Unix()), "nbf": float64(epoch.Unix()), "exp": float64(epoch.Unix() + 1800),
				"client_id": w.ClientID(), "scope": scope, "token_type": "Bearer",
				"consumer":             map[string]any{"authority": "iso6523-actorid-upis", "ID": "0192:" + tc.owner},
				"urn:altinn:orgNumber": tc.owner,
			}
			if tc.org != nil {
				want["urn:altinn:org"] = tc.org
			}
			if tc.detail != nil {
				want["authorization_details"] = tc.detail
			}
			if diff := cmp.Diff(want, payload(t, got.raw)); got.status != http.StatusOK || diff != "" {
				t.Errorf("%d\n%s", got.status, diff)
			}
			if ct := got.header.Get("Content-Type"); ct != "text/plain; charset=utf-8" {
				t.Errorf("Content-Type %q", ct)
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
		t.Errorf("life of %v", claims)
	}
	if _, given := claims["urn:altinn:org"]; given {
		t.Error("test=true had effect for an organisation that it is not for")
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
		told    string
	}{
		"no token":      {bearer: func(*world) string { return "" }, status: 401, told: "exchange: 401 no bearer token"},
		"unknown token": {bearer: func(*world) string { return "x" }, status: 401, told: "exchange: 401 unknown token"},
		"Altinn token": {
			bearer: func(w *world) string { return w.get(w.exchangeURL(), w.token()).raw },
			status: 401, told: "exchange: 401 not a Maskinporten token",
		},
		"expired":         {prepare: func(w *world) { w.advance(120 * time.Second) }, status: 401, told: "exchange: 401 token expired"},
		"revoked":         {prepare: func(w *world) { w.RevokeAll() }, status: 401, told: "exchange: 401 token revoked"},
		"other query":     {query: "?test=false", status: 400, told: "exchange: 400 The only query allowed is test=true"},
		"cookie":          {pairs: []string{"Cookie", "a=b"}, status: 400, told: "exchange: 400 Cookies must be absent"},
		"enterprise user": {pairs: []string{"X-Altinn-EnterpriseUser-Authentication", "dTpw"}, status: 410, told: "exchange: 410 Enterprise users are no longer supported"},
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
			if got.status != tc.status {
				t.Errorf("%d %s", got.status, got.raw)
			}
			if diff := cmp.Diff([]string{tc.told}, w.Refusals()); diff != "" {
				t.Error(diff)
			}
			if tc.status == http.StatusUnauthorized {
				if got.raw != "" || got.header.Get("WWW-Authenticate") != "Bearer" {
					t.Errorf("401 with %q and %v", got.raw, got.header)
				}
				return
			}
			if ct := got.header.Get("Content-Type"); ct != "application/problem+json" || got.json["status"] != float64(tc.status) {
				t.Errorf("%s %s", ct, got.raw)
			}
		})
	}
}

func TestExchangeWantsGet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.do(http.NewRequestWithContext(t.Context(), http.MethodPost, w.exchangeURL(), http.NoBody))
	if got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != "GET" {
		t.Errorf("%d %v", got.status, got.header)
	}
}
