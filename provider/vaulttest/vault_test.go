package vaulttest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

func TestVaultRefuses(t *testing.T) {
	t.Parallel()
	const list, one, versions = "/secrets?api-version=7.6", "/secrets/Name?api-version=7.6", "/secrets/Name/versions?api-version=7.6"
	noToken := func(*vaulttest.Server) string { return "" }
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
		{name: "no token", path: list, token: noToken, status: 401, code: "Unauthorized"},
		{name: "no token, outside the network", opts: []vaulttest.Option{vaulttest.WithFirewall()}, path: list, token: noToken, status: 401, code: "Unauthorized"},
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
		{name: "malformed api-version", path: "/secrets?api-version=latest", status: 400, code: "BadParameter", refused: 1},
		{name: "write", method: http.MethodPut, path: one, status: 405, code: "MethodNotAllowed", refused: 1},
		{name: "unknown route", path: "/secrets/Name/v/more?api-version=7.6", status: 404, code: "NotFound", refused: 1},
		{name: "page too large", path: list + "&maxresults=26", status: 400, code: "BadParameter", refused: 1},
		{name: "page of nothing", path: list + "&maxresults=0", status: 400, code: "BadParameter", refused: 1},
		{name: "foreign skip token", path: list + "&$skiptoken=YWJj", status: 400, code: "BadParameter", refused: 1},
		{name: "may not list", opts: []vaulttest.Option{vaulttest.WithoutList()}, path: list, status: 403, code: "Forbidden/ForbiddenByRbac", refused: 1},
		{name: "may not list versions", opts: []vaulttest.Option{vaulttest.WithoutList()}, path: versions, status: 403, code: "Forbidden/ForbiddenByRbac", refused: 1},
		{name: "may not get", opts: []vaulttest.Option{vaulttest.WithoutGet()}, path: one, status: 403, code: "Forbidden/ForbiddenByRbac", refused: 1},
		{name: "may not get a version", opts: []vaulttest.Option{vaulttest.WithoutGet()}, path: "/secrets/Name/123?api-version=7.6", status: 403, code: "Forbidden/ForbiddenByRbac", refused: 1},
		{name: "outside the network", opts: []vaulttest.Option{vaulttest.WithFirewall(), vaulttest.WithoutGet()}, path: one, status: 403, code: "Forbidden/ForbiddenByFirewall", refused: 1},
		{name: "disabled", path: "/secrets/Off?api-version=7.6", status: 403, code: "Forbidden/SecretDisabled", refused: 1},
		{name: "missing", path: "/secrets/Nope?api-version=7.6", status: 404, code: "SecretNotFound", refused: 1},
		{name: "deleted", path: "/secrets/Gone?api-version=7.6", status: 404, code: "SecretNotFound", refused: 1},
		{name: "unknown version", path: "/secrets/Name/123?api-version=7.6", status: 404, code: "SecretNotFound", refused: 1},
		{name: "malformed name", path: "/secrets/a_b?api-version=7.6", status: 400, code: "BadParameter", refused: 1},
		{name: "malformed name with versions", path: "/secrets/a_b/versions?api-version=7.6", status: 400, code: "BadParameter", refused: 1},
		{name: "test stores a bad name", opts: []vaulttest.Option{vaulttest.WithSecrets(map[string]string{"a:b": ""})}, path: list, status: 400, code: "BadParameter", refused: 1},
		{name: "test stores too much", opts: []vaulttest.Option{vaulttest.WithSecrets(map[string]string{"a": strings.Repeat("x", 25*1024+1)})}, path: list, status: 400, code: "BadParameter", refused: 1},
		{name: "fault", path: list, faults: []faulttest.Fault{{Status: 429, Body: "{}"}}, status: 429},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := vaulttest.NewServer(c.opts...)
			defer srv.Close()
			srv.Set("Name", "value")
			srv.SetSecret(vaulttest.Secret{Name: "Off", Disabled: true})
			srv.Set("Gone", "")
			srv.Delete("gone")
			srv.Faults.Add(c.faults...)
			token := srv.IssueToken(vaultResource, time.Hour)
			if c.token != nil {
				token = c.token(srv)
			}
			if c.method == "" {
				c.method = http.MethodGet
			}
			got := do(t, srv, c.method, c.path, token, nil)
			if code, _ := got.failure(); got.status != c.status || code != c.code {
				t.Errorf("got %d %q, want %d %q", got.status, code, c.status, c.code)
			}
			if n := srv.Stats().Refused; n != c.refused {
				t.Errorf("refused: got %d, want %d", n, c.refused)
			}
			challenge := got.header.Get("WWW-Authenticate")
			want := fmt.Sprintf(`Bearer authorization="%s/%s", resource="https://vault.azure.net"`, srv.AuthorityURL(), srv.TenantID())
			if (c.status == 401) != (challenge == want) {
				t.Errorf("challenge: got %q, want %q", challenge, want)
			}
		})
	}
}

// The texts are Key Vault's own, as its users have reported them.
func TestRefusalsInKeyVaultsWords(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		opts []vaulttest.Option
		path string
		want []string
	}{
		{
			name: "firewall", opts: []vaulttest.Option{vaulttest.WithFirewall()}, path: "/secrets?api-version=7.6",
			want: []string{"Client address is not authorized and caller is not a trusted service.\r\nClient address: 203.0.113.7\r\nCaller: appid="},
		},
		{
			name: "role", opts: []vaulttest.Option{vaulttest.WithoutGet()}, path: "/secrets/A?api-version=7.6",
			want: []string{"please observe propagation time.\r\nCaller: appid=", "Action: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'\r\n", "/secrets/a'\r\nAssignment: (not found)"},
		},
		{
			name: "role for a list", opts: []vaulttest.Option{vaulttest.WithoutList()}, path: "/secrets?api-version=7.6",
			want: []string{"Action: 'Microsoft.KeyVault/vaults/secrets/readMetadata/action'\r\n", "/vaults/vaulttest'\r\n"},
		},
		{
			name: "version", path: "/secrets?api-version=70",
			want: []string{"The specified version (70) is not recognized. Consider using the latest supported version (2025-07-01)."},
		},
		{
			name: "version of an old vault", opts: []vaulttest.Option{vaulttest.WithAPIVersions("7.0", "7.1")}, path: "/secrets?api-version=7.3",
			want: []string{"The specified version (7.3) is not recognized. Consider using the latest supported version (7.1)."},
		},
		{
			name: "missing", path: "/secrets/A?api-version=7.6",
			want: []string{"A secret with (name/id) A was not found in this key vault. If you recently deleted this secret"},
		},
		{
			name: "missing version", path: "/secrets/A/12?api-version=7.6",
			want: []string{"A secret with (name/id) A/12 was not found in this key vault."},
		},
		{
			name: "disabled", path: "/secrets/Off?api-version=7.6",
			want: []string{"Operation get is not allowed on a disabled secret."},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := vaulttest.NewServer(c.opts...)
			defer srv.Close()
			srv.SetSecret(vaulttest.Secret{Name: "Off", Disabled: true})
			_, message := get(t, srv, c.path).failure()
			for _, want := range c.want {
				if !strings.Contains(message, want) {
					t.Errorf("got %q, want %q in it", message, want)
				}
			}
		})
	}
}

func TestAPIVersions(t *testing.T) {
	t.Parallel()
	open := vaulttest.NewServer()
	defer open.Close()
	old := vaulttest.NewServer(vaulttest.WithAPIVersions("2016-10-01", "7.1"))
	defer old.Close()
	for version, want := range map[string][2]int{
		"7.1": {200, 200}, "2016-10-01": {200, 200},
		"7.6": {200, 400}, "7.4-preview.1": {200, 400}, "2025-06-01-preview": {200, 400}, "2026-04-01": {200, 400},
		"7": {400, 400}, "7.": {400, 400}, "v7.6": {400, 400}, "2025-7-1": {400, 400}, "7.6-beta": {400, 400}, "7.6%20": {400, 400},
	} {
		path := "/secrets?api-version=" + version
		if got := [2]int{get(t, open, path).status, get(t, old, path).status}; got != want {
			t.Errorf("%s: got %v, want %v", version, got, want)
		}
	}
}

func TestRoleTakesAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := vaulttest.NewPipe(vaulttest.WithRoleDelay(time.Minute), vaulttest.WithSecrets(map[string]string{"A": "a"}))
		defer srv.Close()
		paths := []string{"/secrets?api-version=7.6", "/secrets/A/versions?api-version=7.6", "/secrets/A?api-version=7.6"}
		for _, step := range []struct {
			pass   time.Duration
			status int
			code   string
		}{{0, 403, "Forbidden/ForbiddenByRbac"}, {time.Minute - 1, 403, "Forbidden/ForbiddenByRbac"}, {1, 200, ""}} {
			<-time.After(step.pass) // the bubble's time
			for _, path := range paths {
				got := get(t, srv, path)
				if code, _ := got.failure(); got.status != step.status || code != step.code {
					t.Errorf("%s after %v: got %d %q, want %d %q", path, step.pass, got.status, code, step.status, step.code)
				}
			}
		}
	})
}

func TestSecretAttributes(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 5e8, time.UTC)
	at := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	// Options hold in any order: secrets are stamped by the clock that comes after.
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"Plain": "p"}), vaulttest.WithClock(func() time.Time { return now }))
	defer srv.Close()
	srv.SetSecret(vaulttest.Secret{
		Name: "Full", Value: "f", NotBefore: at, Expires: at.Add(time.Second), Created: at.Add(2 * time.Second), Updated: at.Add(3 * time.Second),
		ContentType: "text/plain", Tags: map[string]string{"a": "b"}, Managed: true,
	})
	srv.SetSecret(vaulttest.Secret{Name: "Off", Disabled: true})
	attributes := func(enabled bool, created, updated time.Time) map[string]any {
		return map[string]any{
			"enabled": enabled, "created": float64(created.Unix()), "updated": float64(updated.Unix()),
			"recoveryLevel": "Recoverable+Purgeable", "recoverableDays": float64(90),
		}
	}
	full := attributes(true, at.Add(2*time.Second), at.Add(3*time.Second))
	full["nbf"], full["exp"] = float64(at.Unix()), float64(at.Unix()+1)

	got := get(t, srv, "/secrets/Full?api-version=7.6").body
	if diff := cmp.Diff(full, got.Attributes); diff != "" || got.ContentType != "text/plain" || got.Tags["a"] != "b" || !got.Managed || string(got.Value) != `"f"` {
		t.Errorf("got %+v, %s", got, diff)
	}
	plain := get(t, srv, "/secrets/Plain?api-version=7.6").body
	if diff := cmp.Diff(attributes(true, now, now), plain.Attributes); diff != "" || plain.ContentType != "" || plain.Managed {
		t.Errorf("got %+v, %s", plain, diff)
	}

	want := []listed{
		{ID: srv.VaultURL() + "/secrets/Full", Attributes: full, Tags: map[string]any{"a": "b"}, ContentType: "text/plain", Managed: true},
		{ID: srv.VaultURL() + "/secrets/Off", Attributes: attributes(false, now, now), Tags: map[string]any{}},
		{ID: srv.VaultURL() + "/secrets/Plain", Attributes: attributes(true, now, now), Tags: map[string]any{}},
	}
	if diff := cmp.Diff(want, get(t, srv, "/secrets?api-version=7.6").items(t)); diff != "" {
		t.Error(diff)
	}
}

// Key Vault gives out secrets outside their times: only disabled ones are refused.
func TestTimesDoNotKeepASecretBack(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	srv.SetSecret(vaulttest.Secret{Name: "Expired", Value: "e", Expires: time.Now().Add(-time.Hour)})
	srv.SetSecret(vaulttest.Secret{Name: "Early", Value: "y", NotBefore: time.Now().Add(time.Hour)})
	for name, want := range map[string]string{"Expired": `"e"`, "Early": `"y"`} {
		if got := get(t, srv, "/secrets/"+name+"?api-version=7.6"); got.status != 200 || string(got.body.Value) != want {
			t.Errorf("%s: got %d %s, want 200 %s", name, got.status, got.body.Value, want)
		}
	}
}

func TestSpellingAndDeletion(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	srv.Set("FULL", "v1")
	srv.Set("full", "v2")
	got := get(t, srv, "/secrets/fUlL/?api-version=7.6")
	if want := srv.VaultURL() + "/secrets/FULL/"; !strings.HasPrefix(got.body.ID, want) || string(got.body.Value) != `"v2"` {
		t.Errorf("got %s, value %s, want %s..., v2", got.body.ID, got.body.Value, want)
	}
	srv.Delete("Full")
	srv.Delete("never there")
	if got := get(t, srv, "/secrets?api-version=7.6").items(t); len(got) != 0 {
		t.Errorf("got %v listed after the deletion, want nothing", got)
	}
	if again := get(t, srv, strings.TrimPrefix(got.body.ID, srv.VaultURL())+"?api-version=7.6"); again.status != 404 {
		t.Errorf("the deleted version: got %d, want 404", again.status)
	}
	srv.Set("full", "v3")
	if got := get(t, srv, "/secrets/full/versions?api-version=7.6").items(t); len(got) != 1 {
		t.Errorf("got %v after storing it anew, want one version", got)
	}
}
