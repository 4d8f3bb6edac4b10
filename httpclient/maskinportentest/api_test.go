package maskinportentest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

func TestHandle(t *testing.T) {
	t.Parallel()
	maskinporten := func(w *world) string { return w.token() }
	altinn := func(w *world) string { return w.get(w.exchangeURL(), w.token()).raw }
	const realm = `Bearer realm="maskinportentest"`
	for name, tc := range map[string]struct {
		path      string // "/one" if empty
		bearer    func(w *world) string
		pairs     []string
		prepare   func(w *world, token string)
		status    int
		challenge string
		listed    string // by Refusals
	}{
		"Maskinporten token":         {bearer: maskinporten, status: 200},
		"Altinn token":               {bearer: altinn, status: 200},
		"scheme in lower case":       {bearer: func(*world) string { return "" }, pairs: []string{"Authorization", "bearer none"}, status: 401, challenge: realm + `, error="invalid_token", error_description="unknown token"`, listed: "api: 401 unknown token"},
		"no scope wanted":            {path: "/none", bearer: maskinporten, status: 200},
		"before it expires":          {bearer: maskinporten, prepare: func(w *world, _ string) { w.advance(120*time.Second - 1) }, status: 200},
		"no token":                   {bearer: func(*world) string { return "" }, status: 401, challenge: realm, listed: "api: 401 no bearer token"},
		"basic":                      {bearer: func(*world) string { return "" }, pairs: []string{"Authorization", "Basic eDp5"}, status: 401, challenge: realm + `, error="invalid_token", error_description="not exactly one bearer token"`, listed: "api: 401 not exactly one bearer token"},
		"twice":                      {bearer: maskinporten, pairs: []string{"Authorization", "Bearer x"}, status: 401, challenge: realm + `, error="invalid_token", error_description="not exactly one bearer token"`, listed: "api: 401 not exactly one bearer token"},
		"expired":                    {bearer: maskinporten, prepare: func(w *world, _ string) { w.advance(120 * time.Second) }, status: 401, challenge: realm + `, error="invalid_token", error_description="token expired"`, listed: "api: 401 token expired"},
		"Altinn token after its exp": {bearer: altinn, prepare: func(w *world, _ string) { w.advance(1800*time.Second - 600*time.Millisecond) }, status: 401, challenge: realm + `, error="invalid_token", error_description="token expired"`, listed: "api: 401 token expired"},
		"Altinn outlives its source": {bearer: altinn, prepare: func(w *world, _ string) { w.advance(1799 * time.Second) }, status: 200},
		"revoked":                    {bearer: altinn, prepare: func(w *world, token string) { w.Revoke(token) }, status: 401, challenge: realm + `, error="invalid_token", error_description="token revoked"`, listed: "api: 401 token revoked"},
		"another one revoked":        {bearer: maskinporten, prepare: func(w *world, _ string) { w.Revoke(w.token()); w.Revoke("unknown") }, status: 200},
		"all revoked":                {bearer: maskinporten, prepare: func(w *world, _ string) { w.RevokeAll() }, status: 401, challenge: realm + `, error="invalid_token", error_description="token revoked"`, listed: "api: 401 token revoked"},
		"missing scope":              {path: "/two", bearer: maskinporten, status: 403, challenge: realm + `, error="insufficient_scope", scope="` + scope + ` other"`, listed: "api: 403 scope other is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Handle("GET /one", http.HandlerFunc(tell), scope)
			w.Handle("GET /two", http.HandlerFunc(tell), scope, "other")
			w.Handle("GET /none", http.HandlerFunc(tell))
			bearer := tc.bearer(w)
			if tc.prepare != nil {
				tc.prepare(w, bearer)
			}
			if tc.path == "" {
				tc.path = "/one"
			}
			got := w.get(w.PlatformURL()+tc.path, bearer, tc.pairs...)
			if got.status != tc.status || got.header.Get("WWW-Authenticate") != tc.challenge {
				t.Errorf("got %d %q, want %d %q", got.status, got.header.Get("WWW-Authenticate"), tc.status, tc.challenge)
			}
			var listed []string
			if tc.listed != "" {
				listed = []string{tc.listed}
			}
			if diff := cmp.Diff(listed, w.Refusals()); diff != "" {
				t.Errorf("refusals, -want +got:\n%s", diff)
			}
			if st := w.Stats(); st.APIRequests != 1 || st.Refused != len(listed) {
				t.Errorf("got %+v, want 1 request, %d refused", st, len(listed))
			}
		})
	}
}

func TestTokenFrom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var got maskinportentest.Token
	protected := w.RequireToken(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, _ = maskinportentest.TokenFrom(r.Context())
	}), scope)
	call := func(bearer string) int {
		rec := httptest.NewRecorder()
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example/x", http.NoBody)
		req.Header.Set("Authorization", "Bearer "+bearer)
		protected.ServeHTTP(rec, req)
		return rec.Code
	}
	claims := w.claims(set("pid", "12345678901"))
	token := w.post(sign(t, key(), header(), claims)).json["access_token"].(string)
	claims["iat"], claims["exp"] = json.Number("1893553445"), json.Number("1893553545")

	want := maskinportentest.Token{
		ClientID: w.ClientID(), Scopes: []string{scope}, Assertion: claims,
		IssuedAt: epoch, ExpiresAt: epoch.Add(2 * time.Minute),
	}
	if status := call(token); status != http.StatusOK {
		t.Fatalf("got %d for a Maskinporten token, want 200", status)
	}
	equal := cmp.Options{cmpopts.IgnoreUnexported(maskinportentest.Token{}), cmpopts.EquateApproxTime(0)}
	if diff := cmp.Diff(want, got, equal); diff != "" {
		t.Errorf("Maskinporten token, -want +got:\n%s", diff)
	}

	want.Altinn, want.IssuedAt, want.ExpiresAt = true, epoch.Truncate(time.Second), epoch.Truncate(time.Second).Add(30*time.Minute)
	if status := call(w.get(w.exchangeURL(), token).raw); status != http.StatusOK {
		t.Fatalf("got %d for an Altinn token, want 200", status)
	}
	if diff := cmp.Diff(want, got, equal); diff != "" {
		t.Errorf("Altinn token, -want +got:\n%s", diff)
	}
	if status := call("other"); status != http.StatusUnauthorized {
		t.Errorf("got %d for an unknown token, want 401", status)
	}
	if st := w.Stats(); st.APIRequests != 3 || st.Refused != 1 {
		t.Errorf("got %+v, want 3 requests, 1 refused", st)
	}
	if got, ok := maskinportentest.TokenFrom(t.Context()); ok {
		t.Errorf("got %v from a context of no handler, want no token", got)
	}
}
