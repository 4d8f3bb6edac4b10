package vaulttest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

func TestEntraRefuses(t *testing.T) {
	t.Parallel()
	const token = "/oauth2/v2.0/token"
	cases := []struct {
		name   string
		change func(*vaulttest.Server, url.Values)
		method string
		tenant string
		path   string
		status int
		kind   string
		code   int
	}{
		{name: "wrong client", change: func(_ *vaulttest.Server, f url.Values) { f.Set("client_id", "x") }, status: 400, kind: "unauthorized_client", code: 700016},
		{name: "wrong secret", change: func(_ *vaulttest.Server, f url.Values) { f.Set("client_secret", "x") }, status: 401, kind: "invalid_client", code: 7000215},
		{name: "expired secret", change: func(s *vaulttest.Server, _ url.Values) { s.ExpireClientSecret() }, status: 401, kind: "invalid_client", code: 7000222},
		{name: "wrong tenant", tenant: "00000000-0000-4000-8000-000000000001", status: 400, kind: "invalid_request", code: 90002},
		{name: "wrong tenant's metadata", method: http.MethodGet, tenant: "other.example", path: "/v2.0/.well-known/openid-configuration", status: 400, kind: "invalid_request", code: 90002},
		{name: "other resource", change: func(_ *vaulttest.Server, f url.Values) { f.Set("scope", "https://graph.microsoft.com/.default") }, status: 400, kind: "invalid_resource", code: 500011},
		{name: "bare scope", change: func(_ *vaulttest.Server, f url.Values) { f.Set("scope", vaultResource) }, status: 400, kind: "invalid_scope", code: 1002012},
		{name: "other grant", change: func(_ *vaulttest.Server, f url.Values) { f.Set("grant_type", "password") }, status: 400, kind: "unsupported_grant_type", code: 70003},
		{name: "missing parameter", change: func(_ *vaulttest.Server, f url.Values) { f.Del("scope") }, status: 400, kind: "invalid_request", code: 900144},
		{name: "get a token", method: http.MethodGet, status: 405, kind: "invalid_request", code: 900561},
		{name: "unknown route", path: "/oauth2/token", status: 404, kind: "invalid_request", code: 90100},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := vaulttest.NewServer()
			defer srv.Close()
			form := grantForm(srv)
			if c.change != nil {
				c.change(srv, form)
			}
			if c.method == "" {
				c.method = http.MethodPost
			}
			if c.path == "" {
				c.path = token
			}
			if c.tenant == "" {
				c.tenant = srv.TenantID()
			}
			got := do(t, srv, c.method, srv.AuthorityURL()+"/"+c.tenant+c.path, "", form)
			kind := strings.Trim(string(got.body.Error), `"`)
			if got.status != c.status || kind != c.kind || !cmp.Equal(got.body.Codes, []int{c.code}) {
				t.Errorf("got %d %s %v, want %d %s %d", got.status, kind, got.body.Codes, c.status, c.kind, c.code)
			}
			if !strings.HasPrefix(got.body.Description, fmt.Sprintf("AADSTS%d: ", c.code)) {
				t.Errorf("description %q", got.body.Description)
			}
			if strings.Contains(got.body.Description, srv.ClientSecret()) {
				t.Error("the description holds the secret")
			}
		})
	}
}

func grantForm(srv *vaulttest.Server) url.Values {
	return url.Values{
		"grant_type": {"client_credentials"}, "client_id": {srv.ClientID()},
		"client_secret": {srv.ClientSecret()}, "scope": {vaultResource + "/.default"},
	}
}

func TestTokenExpires(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	srv := vaulttest.NewServer(vaulttest.WithClock(func() time.Time { return now }), vaulttest.WithTokenLifetime(time.Minute))
	defer srv.Close()
	for _, tenant := range []string{srv.TenantID(), strings.ToUpper(srv.TenantID()), srv.TenantDomain()} {
		got := do(t, srv, http.MethodPost, srv.AuthorityURL()+"/"+tenant+"/oauth2/v2.0/token", "", grantForm(srv))
		if got.status != 200 || got.body.ExpiresIn != 60 {
			t.Fatalf("%s: got %d, expires_in %d", tenant, got.status, got.body.ExpiresIn)
		}
		for _, step := range []struct {
			pass   time.Duration
			status int
		}{{0, 200}, {59 * time.Second, 200}, {time.Second, 401}} {
			now = now.Add(step.pass)
			if a := do(t, srv, http.MethodGet, "/secrets?api-version=7.6", got.body.AccessToken, nil); a.status != step.status {
				t.Errorf("%s: %v later: got %d, want %d", tenant, step.pass, a.status, step.status)
			}
		}
	}
}
