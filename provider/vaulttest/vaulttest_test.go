package vaulttest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

const vaultResource = "https://vault.azure.net"

// answer is what the tests below look at in an answer.
type answer struct {
	status int
	header http.Header
	body   struct {
		Value    json.RawMessage
		NextLink string
		ID       string
		Attributes,
		Tags map[string]any
		ContentType string
		Managed     bool
		Error       json.RawMessage // an object from the vault, a string from Entra
		Description string          `json:"error_description"`
		Codes       []int           `json:"error_codes"`
		AccessToken string          `json:"access_token"`
		ExpiresIn   int             `json:"expires_in"`
	}
}

// code is the innermost code of the vault's error, with the outer ones before it.
func (a answer) code() string {
	var e struct {
		Code  string
		Inner struct{ Code string } `json:"innererror"`
	}
	_ = json.Unmarshal(a.body.Error, &e)
	return strings.TrimSuffix(e.Code+"/"+e.Inner.Code, "/")
}

func do(t *testing.T, srv *vaulttest.Server, method, target, token string, form url.Values) answer {
	t.Helper()
	if strings.HasPrefix(target, "/") {
		target = srv.VaultURL() + target
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := (&http.Client{Transport: srv.Transport()}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header}
	if err := json.Unmarshal(raw, &a.body); err != nil {
		t.Fatalf("%s is not JSON: %v", raw, err)
	}
	return a
}

func TestVaultRefuses(t *testing.T) {
	t.Parallel()
	const list, one = "/secrets?api-version=7.6", "/secrets/Name?api-version=7.6"
	cases := []struct {
		name    string
		opts    []vaulttest.Option
		method  string
		path    string
		token   func(*vaulttest.Server) string
		faults  []faulttest.Fault
		status  int
		code    string
		refused int
	}{
		{name: "no token", path: list, token: func(*vaulttest.Server) string { return "" }, status: 401, code: "Unauthorized"},
		{name: "made-up token", path: list, token: func(*vaulttest.Server) string { return "made-up" }, status: 401, code: "Unauthorized", refused: 1},
		{name: "another audience", path: list, token: func(s *vaulttest.Server) string {
			return s.IssueToken("https://graph.microsoft.com", time.Hour)
		}, status: 401, code: "Unauthorized", refused: 1},
		{name: "audience with a slash", path: list, token: func(s *vaulttest.Server) string {
			return s.IssueToken(vaultResource+"/", time.Hour)
		}, status: 401, code: "Unauthorized", refused: 1},
		{name: "expired token", path: list, token: func(s *vaulttest.Server) string {
			return s.IssueToken(vaultResource, 0)
		}, status: 401, code: "Unauthorized", refused: 1},
		{name: "no api-version", path: "/secrets", status: 400, code: "BadParameter", refused: 1},
		{name: "write", method: http.MethodPut, path: one, status: 405, code: "MethodNotAllowed", refused: 1},
		{name: "unknown route", path: "/secrets/Name/v/more?api-version=7.6", status: 404, code: "NotFound", refused: 1},
		{name: "page too large", path: list + "&maxresults=26", status: 400, code: "BadParameter", refused: 1},
		{name: "foreign skip token", path: list + "&$skiptoken=YWJj", status: 400, code: "BadParameter", refused: 1},
		{name: "may not list", opts: []vaulttest.Option{vaulttest.WithoutList()}, path: list, status: 403, code: "Forbidden/ForbiddenByRbac", refused: 1},
		{name: "may not get", opts: []vaulttest.Option{vaulttest.WithoutGet()}, path: one, status: 403, code: "Forbidden/ForbiddenByRbac", refused: 1},
		{name: "disabled", path: "/secrets/Off?api-version=7.6", status: 403, code: "Forbidden/SecretDisabled", refused: 1},
		{name: "disabled by attribute", path: "/secrets/Off2?api-version=7.6", status: 403, code: "Forbidden/SecretDisabled", refused: 1},
		{name: "missing", path: "/secrets/Nope?api-version=7.6", status: 404, code: "SecretNotFound", refused: 1},
		{name: "old version", path: "/secrets/Name/123?api-version=7.6", status: 404, code: "SecretNotFound", refused: 1},
		{name: "malformed name", path: "/secrets/a_b?api-version=7.6", status: 400, code: "BadParameter", refused: 1},
		{name: "test stores a bad name", opts: []vaulttest.Option{vaulttest.WithSecrets(map[string]string{"a:b": ""})}, path: list, status: 400, code: "BadParameter", refused: 1},
		{name: "test stores too much", opts: []vaulttest.Option{vaulttest.WithSecrets(map[string]string{"a": strings.Repeat("x", 25*1024+1)})}, path: list, status: 400, code: "BadParameter", refused: 1},
		{name: "fault", path: list, faults: []faulttest.Fault{{Status: 429, Body: "{}"}}, status: 429},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := vaulttest.NewServer(c.opts...)
			defer srv.Close()
			no := false
			srv.Set("Name", "value")
			srv.SetSecret(vaulttest.Secret{Name: "Off", Disabled: true})
			srv.SetSecret(vaulttest.Secret{Name: "Off2", Enabled: &no})
			srv.Faults.Add(c.faults...)
			token := srv.IssueToken(vaultResource, time.Hour)
			if c.token != nil {
				token = c.token(srv)
			}
			if c.method == "" {
				c.method = http.MethodGet
			}
			got := do(t, srv, c.method, c.path, token, nil)
			if got.status != c.status || got.code() != c.code {
				t.Errorf("got %d %q, want %d %q", got.status, got.code(), c.status, c.code)
			}
			if n := srv.Stats().Refused; n != c.refused {
				t.Errorf("refused %d, want %d", n, c.refused)
			}
			challenge := got.header.Get("WWW-Authenticate")
			want := fmt.Sprintf(`Bearer authorization="%s/%s", resource="https://vault.azure.net"`, srv.AuthorityURL(), srv.TenantID())
			if (c.status == 401) != (challenge == want) {
				t.Errorf("challenge %q", challenge)
			}
		})
	}
}

func TestAzureClientReadsSixtySecrets(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, srv *vaulttest.Server) {
		defer srv.Close()
		want := map[string]string{}
		for i := range 60 {
			name := fmt.Sprintf("Section--Key%02d", i)
			want[name] = fmt.Sprintf("value %d", i)
			srv.Set(name, want[name])
		}
		client := newClient(t, srv)
		got := map[string]string{}
		pages := 0
		pager := client.NewListSecretPropertiesPager(nil)
		for pager.More() {
			page, err := pager.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			pages++
			for _, p := range page.Value {
				secret, err := client.GetSecret(t.Context(), p.ID.Name(), "", nil)
				if err != nil {
					t.Fatal(err)
				}
				got[p.ID.Name()] = *secret.Value
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		stats := srv.Stats()
		for name, n := range stats.GetsByName {
			if n != 1 || want[name] == "" {
				t.Errorf("%s was read %d times", name, n)
			}
		}
		stats.GetsByName = nil
		if diff := cmp.Diff(vaulttest.Stats{Challenges: 1, Lists: 3, Gets: 60, Metadata: 1, Tokens: 1, MaxInFlight: 1}, stats); diff != "" || pages != 3 {
			t.Errorf("%d pages, %s", pages, diff)
		}
	}
	t.Run("tls", func(t *testing.T) {
		t.Parallel()
		run(t, vaulttest.NewServer())
	})
	t.Run("own hosts", func(t *testing.T) {
		t.Parallel()
		run(t, vaulttest.NewServer(vaulttest.WithVaultHost("my-vault.vault.azure.net"), vaulttest.WithAuthorityHost("login.microsoftonline.com")))
	})
	t.Run("pipe", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { run(t, vaulttest.NewPipe()) })
	})
}

func newClient(t *testing.T, srv *vaulttest.Server) *azsecrets.Client {
	t.Helper()
	cred, err := srv.Credential()
	if err != nil {
		t.Fatal(err)
	}
	options := srv.ClientOptions()
	client, err := azsecrets.NewClient(srv.VaultURL(), cred, &options)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestHostsAreApart(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithVaultHost("my-vault.vault.azure.net"), vaulttest.WithAuthorityHost("login.microsoftonline.com"))
	defer srv.Close()
	token := srv.IssueToken(vaultResource, time.Hour)
	if got := do(t, srv, http.MethodGet, srv.AuthorityURL()+"/secrets?api-version=7.6", token, nil); got.status != 404 {
		t.Errorf("secrets at Entra's host: %d", got.status)
	}
	if got := do(t, srv, http.MethodGet, "/"+srv.TenantID()+"/v2.0/.well-known/openid-configuration", "", nil); got.status != 404 {
		t.Errorf("metadata at the vault's host: %d", got.status)
	}
	options := srv.ClientOptions()
	if options.DisableChallengeResourceVerification {
		t.Error("the resource check is off for a host of Azure's")
	}
}

func TestSecretAttributes(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"Plain": "p"}))
	defer srv.Close()
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	srv.SetSecret(vaulttest.Secret{
		Name: "FULL", Value: "v1", NotBefore: at, Expires: at.Add(time.Second), Created: at, Updated: at,
		ContentType: "text/plain", Tags: map[string]string{"a": "b"}, Managed: true,
	})
	srv.SetSecret(vaulttest.Secret{Name: "full", Value: "v2", Updated: at})
	srv.Set("Gone", "")
	srv.Delete("gone")
	token := srv.IssueToken(vaultResource, time.Hour)

	got := do(t, srv, http.MethodGet, "/secrets/fUlL/?api-version=7.6", token, nil)
	if want := srv.VaultURL() + "/secrets/FULL/"; !strings.HasPrefix(got.body.ID, want) || string(got.body.Value) != `"v2"` {
		t.Errorf("got %s, value %s", got.body.ID, got.body.Value)
	}
	if again := do(t, srv, http.MethodGet, strings.TrimPrefix(got.body.ID, srv.VaultURL())+"?api-version=7.6", token, nil); again.body.ID != got.body.ID {
		t.Errorf("by version: %d %s", again.status, again.body.ID)
	}
	list := do(t, srv, http.MethodGet, "/secrets?api-version=7.6&maxresults=1", token, nil)
	if list.body.NextLink == "" {
		t.Fatal("no next page")
	}
	if !strings.Contains(string(list.body.Value), "/secrets/FULL\"") || strings.Contains(string(list.body.Value), "enabled") {
		t.Errorf("first page: %s", list.body.Value)
	}
	next := do(t, srv, http.MethodGet, list.body.NextLink, token, nil)
	if !strings.Contains(string(next.body.Value), "/secrets/Plain\"") || !strings.Contains(string(next.body.Value), `"enabled":true`) || next.body.NextLink != "" {
		t.Errorf("second page: %s, next %q", next.body.Value, next.body.NextLink)
	}

	srv.SetSecret(vaulttest.Secret{Name: "Full2", Expires: at, NotBefore: at, ContentType: "text/plain", Tags: map[string]string{"a": "b"}, Managed: true})
	full := do(t, srv, http.MethodGet, "/secrets/Full2?api-version=7.6", token, nil).body
	if full.Attributes["exp"] != float64(at.Unix()) || full.Attributes["nbf"] != float64(at.Unix()) ||
		full.ContentType != "text/plain" || full.Tags["a"] != "b" || !full.Managed {
		t.Errorf("got %+v", full)
	}
}

func TestCountsWhatIsInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := vaulttest.NewPipe(vaulttest.WithLatency(time.Second), vaulttest.WithSecrets(map[string]string{"A": ""}))
		defer srv.Close()
		token := srv.IssueToken(vaultResource, time.Hour)
		start := time.Now()
		for range 2 {
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() { do(t, srv, http.MethodGet, "/secrets/A?api-version=7.6", token, nil) })
			}
			wg.Wait()
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("took %v", took)
		}
		if stats := srv.Stats(); stats.MaxInFlight != 5 || stats.Gets != 10 || stats.GetsByName["A"] != 10 {
			t.Errorf("got %+v", stats)
		}
		srv.ResetStats()
		if diff := cmp.Diff(vaulttest.Stats{GetsByName: map[string]int{}}, srv.Stats()); diff != "" {
			t.Error(diff)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.VaultURL()+"/secrets", nil)
		if resp, err := srv.Transport().RoundTrip(req); err == nil {
			resp.Body.Close()
			t.Error("answered before its latency")
		}
	})
}

func TestKVSettingIsComplete(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	want := map[string]any{
		"ClientId": srv.ClientID(), "TenantId": srv.TenantID(),
		"ClientSecret": srv.ClientSecret(), "SecretUri": srv.VaultURL(),
	}
	if diff := cmp.Diff(want, srv.KVSetting()); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(srv.ClientSecret(), "test") {
		t.Error("the secret does not say that it is for tests")
	}
}
