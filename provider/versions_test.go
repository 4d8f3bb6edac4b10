package provider_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// kvVersion is a version of the secret Key, made hours ago.
func kvVersion(value string, hours int, change ...func(*vaulttest.Secret)) vaulttest.Secret {
	s := vaulttest.Secret{Name: "Key", Value: value, Created: time.Now().Add(-time.Duration(hours) * time.Hour)}
	for _, c := range change {
		c(&s)
	}
	return s
}

func disabled(s *vaulttest.Secret) { s.Disabled = true }
func expired(s *vaulttest.Secret)  { s.Expires = time.Now() }
func future(s *vaulttest.Secret)   { s.NotBefore = time.Now().Add(time.Second) }
func inTime(s *vaulttest.Secret) {
	s.NotBefore, s.Expires = time.Now(), time.Now().Add(time.Second)
}

func TestVersions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		versions func() []vaulttest.Secret
		n        int
		want     []string
		warns    int
	}{
		{"newest first", func() []vaulttest.Secret {
			return []vaulttest.Secret{kvVersion("b", 2), kvVersion("c", 3), kvVersion("a", 1)}
		}, 2, []string{"a", "b"}, 0},
		{"fewer than asked for", func() []vaulttest.Secret { return []vaulttest.Secret{kvVersion("b", 2), kvVersion("a", 1, inTime)} }, 9, []string{"a", "b"}, 0},
		{"disabled", func() []vaulttest.Secret {
			return []vaulttest.Secret{kvVersion("c", 3), kvVersion("b", 2, disabled), kvVersion("a", 1)}
		}, 2, []string{"a", "c"}, 0},
		{"the latest is disabled", func() []vaulttest.Secret { return []vaulttest.Secret{kvVersion("b", 2), kvVersion("a", 1, disabled)} }, 2, []string{"b"}, 0},
		{"outside its time", func() []vaulttest.Secret {
			return []vaulttest.Secret{kvVersion("c", 3), kvVersion("b", 2, expired), kvVersion("a", 1, future)}
		}, 3, []string{"c"}, 0},
		{"all outside their time", func() []vaulttest.Secret {
			return []vaulttest.Secret{kvVersion("c", 3, expired), kvVersion("b", 2, expired), kvVersion("a", 1, future)}
		}, 2, []string{"a", "b"}, 2},
		{"made in one second", func() []vaulttest.Secret {
			later := func(s *vaulttest.Secret) { s.Updated = time.Now().Add(time.Second) }
			return []vaulttest.Secret{kvVersion("b", 1), kvVersion("a", 1, later)}
		}, 2, []string{"a", "b"}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := vaulttest.NewPipe()
				defer srv.Close()
				for _, s := range test.versions() {
					srv.SetSecret(s)
				}
				var log logtest.Buffer
				cfg := kvConfig(t, srv)
				cfg.Logger, cfg.Secrets = log.Logger(), []string{"Other"} // for loads
				got, err := kvVault(t, cfg).Versions(t.Context(), "key", test.n)
				if err != nil {
					t.Fatal(err)
				}
				values := []string{}
				for _, v := range got {
					values = append(values, v.Value())
				}
				if diff := cmp.Diff(test.want, values); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				if warns := strings.Count(log.String(), "level=WARN"); warns != test.warns {
					t.Errorf("got %d warnings, want %d: %s", warns, test.warns, log.String())
				}
				if stats := srv.Stats(); stats.Gets != len(test.want) || stats.VersionLists != 1 || stats.Lists != 0 {
					t.Errorf("got %+v, want one list of versions and %d gets", stats, len(test.want))
				}
			})
		})
	}
}

// One list in pages and n gets, at once, and each version with all of its times.
func TestVersionsArePaged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := vaulttest.NewPipe(vaulttest.WithLatency(time.Second))
		defer srv.Close()
		now := time.Now().Truncate(time.Second).UTC()
		for i := range 60 {
			srv.SetSecret(vaulttest.Secret{
				Name: "Key", Value: fmt.Sprint(i), Created: now.Add(time.Duration(i-60) * time.Hour), Updated: now.Add(time.Duration(i-60) * time.Minute),
				NotBefore: now.Add(-time.Hour), Expires: now.Add(time.Duration(i+1) * time.Hour),
			})
		}
		start := time.Now()
		got, err := kvVault(t, kvConfig(t, srv)).Versions(t.Context(), "Key", 5)
		if err != nil || len(got) != 5 {
			t.Fatalf("got %d versions, %v, want 5", len(got), err)
		}
		for i, v := range got {
			n := 59 - i
			want := provider.SecretVersion{
				Version: v.Version, Created: now.Add(time.Duration(n-60) * time.Hour), Updated: now.Add(time.Duration(n-60) * time.Minute),
				NotBefore: now.Add(-time.Hour), Expires: now.Add(time.Duration(n+1) * time.Hour),
			}
			same := v.Created.Equal(want.Created) && v.Updated.Equal(want.Updated) && v.NotBefore.Equal(want.NotBefore) && v.Expires.Equal(want.Expires)
			if v.Value() != fmt.Sprint(n) || !same || len(v.Version) != 32 {
				t.Errorf("%d: got %q, %+v, want %d, %+v", i, v.Value(), v, n, want)
			}
		}
		stats := srv.Stats()
		if stats.VersionLists != 3 || stats.Gets != 5 || stats.Challenges != 1 || stats.Tokens != 1 {
			t.Errorf("got %+v, want three pages, five gets, and one challenge and token", stats)
		}
		// The challenge, Entra's two, three pages, and the gets at once.
		if took := time.Since(start); took != 7*time.Second {
			t.Errorf("took %v, want 7s", took)
		}
	})
}

func TestVersionsFail(t *testing.T) {
	t.Parallel()
	get := func(r *http.Request) bool {
		return strings.Count(r.URL.Path, "/") == 3 && !strings.HasSuffix(r.URL.Path, "/versions")
	}
	tests := []struct {
		name    string
		options []vaulttest.Option
		fill    func(srv *vaulttest.Server)
		step    string
		code    string
		says    []string
	}{
		{name: "no secret", step: "versions", says: []string{"no such secret", "create the secret"}},
		{
			name: "disabled only", fill: func(srv *vaulttest.Server) { srv.SetSecret(kvVersion(canary, 1, disabled)) },
			step: "versions", says: []string{"each of its versions (1) is disabled", "enable one"},
		},
		{
			name: "not allowed to list", options: []vaulttest.Option{vaulttest.WithoutList()},
			fill: func(srv *vaulttest.Server) { srv.Set("Key", canary) },
			step: "versions", code: "ForbiddenByRbac", says: []string{"Key Vault Secrets User"},
		},
		{
			name: "not allowed to get", options: []vaulttest.Option{vaulttest.WithoutGet()},
			fill: func(srv *vaulttest.Server) { srv.Set("Key", canary) },
			step: "get", code: "ForbiddenByRbac", says: []string{"Key Vault Secrets User"},
		},
		{
			name: "never answers", fill: func(srv *vaulttest.Server) {
				srv.Set("Key", canary)
				srv.Faults.Add(faulttest.Fault{Hang: true, Times: -1, Match: get})
			},
			step: "get", says: []string{"Timeout of 30s"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := vaulttest.NewPipe(test.options...)
				defer srv.Close()
				if test.fill != nil {
					test.fill(srv)
				}
				got, err := kvVault(t, kvConfig(t, srv)).Versions(t.Context(), "Key", 2)
				var e *provider.Error
				if !errors.As(err, &e) || got != nil {
					t.Fatalf("got %v, %v, want an *Error", got, err)
				}
				if e.Step != test.step || e.Code != test.code || e.Secret != "Key" {
					t.Errorf("got step %q, code %q, secret %q, want %q, %q, Key", e.Step, e.Code, e.Secret, test.step, test.code)
				}
				for _, part := range test.says {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("got %q, want %q in it", err, part)
					}
				}
				if strings.Contains(err.Error(), "name the secrets in Secrets") {
					t.Errorf("got %q, want no advice that does not help", err)
				}
			})
		})
	}
}

func TestVersionsAreAskedForProperly(t *testing.T) {
	t.Parallel()
	fake, err := provider.KeyVaultWithClient(&kvFake{}, provider.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		vault *provider.Vault
		name  string
		n     int
		says  string
	}{
		{nil, "Key", 1, "make the Vault with KeyVault"},
		{&provider.Vault{}, "Key", 1, "make the Vault with KeyVault"},
		{fake, "no name", 1, "the name is a text of 7 characters"},
		{fake, strings.Repeat("k", 200), 1, "1 to 127 letters"},
		{fake, "Key", 0, "n is 0"},
		{fake, "Key", -1, "n is -1"},
		{fake, "Key", 1, "NewListSecretPropertiesVersionsPager"},
	} {
		got, err := test.vault.Versions(t.Context(), test.name, test.n)
		if err == nil || got != nil || !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(err.Error(), "provider: ") {
			t.Errorf("%s, %d: got %v, %v, want an error with %q", test.name, test.n, got, err, test.says)
		}
	}
}

func TestVersionShowsNoValue(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"Key": canary}))
	defer srv.Close()
	versions, err := kvVault(t, kvConfig(t, srv)).Versions(t.Context(), "Key", 1)
	if err != nil || len(versions) != 1 || versions[0].Value() != canary {
		t.Fatalf("got %v, %v, want one version", versions, err)
	}
	var text strings.Builder
	for _, v := range []any{versions, versions[0], &versions[0], struct{ v provider.SecretVersion }{versions[0]}} {
		fmt.Fprintf(&text, "%v %+v %#v %s %q %x %d %p\n", v, v, v, v, v, v, v, v)
		for _, encode := range []func(any) ([]byte, error){json.Marshal, xml.Marshal} {
			encoded, _ := encode(v)
			text.Write(encoded)
		}
		slog.New(slog.NewJSONHandler(&text, nil)).Info("x", "v", v)
		if strings.Contains(logtest.Reachable(v), canary) {
			t.Errorf("reflection finds the value in %T", v)
		}
	}
	if strings.Contains(text.String(), canary) || strings.Contains(text.String(), fmt.Sprintf("%x", canary)) {
		t.Errorf("got the value in %s", text.String())
	}
	if got := (provider.SecretVersion{}).Value(); got != "" {
		t.Errorf("got %q of the zero value, want nothing", got)
	}
}
