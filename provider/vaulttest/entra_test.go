package vaulttest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

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
		{name: "discovery of nothing", method: http.MethodGet, tenant: "common", path: "/discovery/instance", status: 400, kind: "invalid_request", code: 900144},
		{name: "discovery by post", tenant: "common", path: "/discovery/instance", status: 405, kind: "invalid_request", code: 900561},
		{name: "discovery below a tenant", method: http.MethodGet, path: "/discovery/instance", status: 404, kind: "invalid_request", code: 90100},
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
				t.Errorf("got the description %q, want AADSTS%d at its beginning", got.body.Description, c.code)
			}
			if strings.Contains(got.body.Description, srv.ClientSecret()) {
				t.Error("the description holds the secret")
			}
		})
	}
}

func TestInstanceDiscovery(t *testing.T) {
	t.Parallel()
	ask := func(srv *vaulttest.Server, host string) (status int, kind, endpoint string, aliases []string) {
		t.Helper()
		query := url.Values{"api-version": {"1.1"}, "authorization_endpoint": {host + "/some-tenant/oauth2/v2.0/authorize"}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.AuthorityURL()+"/common/discovery/instance?"+query.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var body struct {
			Error    string
			Endpoint string `json:"tenant_discovery_endpoint"`
			Metadata []struct{ Aliases []string }
		}
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
			t.Fatal(err)
		}
		if len(body.Metadata) > 0 {
			aliases = body.Metadata[0].Aliases
		}
		return resp.StatusCode, body.Error, body.Endpoint, aliases
	}
	public := vaulttest.NewServer(vaulttest.WithAuthorityHost("login.microsoftonline.com"))
	defer public.Close()
	for _, host := range []string{"login.microsoftonline.com", "login.windows.net", "sts.windows.net", "LOGIN.microsoft.com"} {
		status, _, endpoint, aliases := ask(public, "https://"+host)
		if status != 200 || endpoint != "https://"+host+"/some-tenant/v2.0/.well-known/openid-configuration" || !slices.Contains(aliases, strings.ToLower(host)) {
			t.Errorf("%s: got %d %s %v, want 200, its metadata and its aliases", host, status, endpoint, aliases)
		}
	}
	private := vaulttest.NewServer()
	defer private.Close()
	if status, _, _, aliases := ask(private, private.AuthorityURL()); status != 200 || !slices.Equal(aliases, []string{strings.TrimPrefix(private.AuthorityURL(), "https://")}) {
		t.Errorf("its own address: got %d %v, want 200 and itself", status, aliases)
	}
	for _, c := range []struct {
		srv  *vaulttest.Server
		host string
	}{{public, "https://login.example"}, {public, "http://login.microsoftonline.com"}, {private, "https://login.microsoftonline.com"}, {private, "::"}} {
		if status, kind, _, _ := ask(c.srv, c.host); status != 400 || kind != "invalid_instance" {
			t.Errorf("%s: got %d %q, want 400 invalid_instance", c.host, status, kind)
		}
	}
}

// azidentity as production has it: instance discovery is on.
func TestAzureClientDiscoversTheInstance(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithAuthorityHost("login.microsoftonline.com"), vaulttest.WithSecrets(map[string]string{"A": "a"}))
	defer srv.Close()
	if options := srv.CredentialOptions(); options.DisableInstanceDiscovery {
		t.Error("instance discovery is off for Entra's own host")
	}
	for range 2 {
		if _, err := newClient(t, srv).GetSecret(t.Context(), "A", "", nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := srv.Stats(); got.Discoveries != 2 || got.Refused != 0 {
		t.Errorf("got %d discoveries and %d refusals, want 2 and 0: %q", got.Discoveries, got.Refused, srv.Refusals())
	}
	private := vaulttest.NewServer()
	defer private.Close()
	if options := private.CredentialOptions(); !options.DisableInstanceDiscovery {
		t.Error("instance discovery is on for a host that Entra does not know")
	}
}
