package provider_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// TestRequestCounts is the price list: one challenge, Entra's two, a list for
// each 25 secrets begun, and a get for each secret.
func TestRequestCounts(t *testing.T) {
	t.Parallel()
	cases := []struct {
		secrets, lists int
		concurrency    int
	}{
		{0, 1, 0}, {1, 1, 0}, {25, 1, 0}, {26, 2, 0}, {60, 3, 0}, {60, 3, 1}, {60, 3, 2}, {60, 3, 5}, {250, 10, 0}, {250, 10, 8},
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("%d secrets by %d", c.secrets, c.concurrency), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := vaulttest.NewPipe(vaulttest.WithLatency(20 * time.Millisecond))
				defer srv.Close()
				// Lists a little slower than gets, so that a page's secrets are done
				// before the next page is there.
				const slower = time.Millisecond
				srv.Faults.Add(faulttest.Fault{Delay: slower, Times: -1, Match: func(r *http.Request) bool {
					return strings.TrimSuffix(r.URL.Path, "/") == "/secrets"
				}})
				want := tree{}
				for i := range c.secrets {
					srv.Set(fmt.Sprintf("Key%d", i), fmt.Sprint(i))
					want[fmt.Sprintf("Key%d", i)] = fmt.Sprint(i)
				}
				cfg := kvConfig(t, srv)
				cfg.Concurrency = c.concurrency
				start := time.Now()
				got := kvRead(t, cfg)
				took := time.Since(start)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
				limit := c.concurrency
				if limit == 0 {
					limit = provider.DefaultConcurrency
				}
				stats := srv.Stats()
				if most := min(limit, 25+1); stats.MaxConcurrent > most || (c.secrets > 50 && stats.MaxConcurrent != most) {
					t.Errorf("%d requests at once, want %d", stats.MaxConcurrent, most)
				}
				for name, n := range stats.GetsByName {
					if n != 1 {
						t.Errorf("%s: got %d reads, want 1", name, n)
					}
				}
				stats.MaxConcurrent, stats.GetsByName = 0, nil
				if diff := cmp.Diff(vaulttest.Stats{Challenges: 1, Lists: c.lists, Gets: c.secrets, Metadata: 1, Tokens: 1}, stats); diff != "" {
					t.Error(diff)
				}
				// Listing and reading overlap: what follows the last page is at
				// most the reading of it.
				if c.concurrency == 0 {
					rounds := 3 + c.lists + 1 // challenge, Entra's two, the pages, the last page's secrets
					if most := time.Duration(rounds)*20*time.Millisecond + time.Duration(c.lists+1)*slower; took > most {
						t.Errorf("took %v, want at most %v", took, most)
					}
				}
			})
		})
	}
}

func TestExactNames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := vaulttest.NewPipe(vaulttest.WithoutList(), vaulttest.WithLatency(time.Second), vaulttest.WithSecrets(map[string]string{
			"S--ClientId": "id", "S--EncodedJwk": "jwk", "Other": "x",
		}))
		defer srv.Close()
		cfg := kvConfig(t, srv)
		cfg.Secrets = []string{"S--ClientId", "S--EncodedJwk", "s--clientid"}
		start := time.Now()
		got := kvRead(t, cfg)
		if diff := cmp.Diff(tree{"S": tree{"ClientId": "id", "EncodedJwk": "jwk"}}, got); diff != "" {
			t.Error(diff)
		}
		// The challenge, Entra's two, and both gets at once.
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("took %v, want 4s", took)
		}
		want := vaulttest.Stats{
			Challenges: 1, Gets: 2, Metadata: 1, Tokens: 1, MaxConcurrent: 2,
			GetsByName: map[string]int{"S--ClientId": 1, "S--EncodedJwk": 1},
		}
		if diff := cmp.Diff(want, srv.Stats()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestExactNamesAskForOneToken(t *testing.T) {
	t.Parallel()
	for _, works := range []bool{true, false} {
		t.Run(fmt.Sprintf("works %v", works), func(t *testing.T) {
			t.Parallel()
			srv := vaulttest.NewServer()
			defer srv.Close()
			if !works {
				srv.ExpireClientSecret()
			}
			cfg := kvConfig(t, srv)
			for i := range 100 {
				name := fmt.Sprintf("Key%d", i)
				srv.Set(name, "")
				cfg.Secrets = append(cfg.Secrets, name)
			}
			_, err := kvVault(t, cfg).Read()
			if (err == nil) != works {
				t.Fatal(err)
			}
			if stats := srv.Stats(); stats.Challenges != 1 || stats.Tokens != 1 {
				t.Errorf("got %d challenges and %d token requests, want one of each", stats.Challenges, stats.Tokens)
			}
		})
	}
}

func TestWhatIsLoaded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	fill := func(srv *vaulttest.Server) {
		srv.Set("On", "on")
		srv.SetSecret(vaulttest.Secret{Name: "Unsaid", Value: "unsaid"})
		srv.SetSecret(vaulttest.Secret{Name: "Off", Value: "off", Disabled: true})
		srv.SetSecret(vaulttest.Secret{Name: "Old--Key", Value: "old", Expires: now.Add(-time.Hour)})
		srv.SetSecret(vaulttest.Secret{Name: "Old--Young", Value: "young", NotBefore: now.Add(time.Hour)})
		srv.SetSecret(vaulttest.Secret{Name: "Older", Value: "cert", Managed: true, ContentType: "application/x-pkcs12"})
	}
	cases := []struct {
		name   string
		change func(*provider.Config)
		want   tree
		warns  []string

		unmatched string // one of Sections
	}{
		{
			name: "all", change: func(*provider.Config) {},
			want:  tree{"On": "on", "Unsaid": "unsaid", "Old": tree{"Key": "old", "Young": "young"}, "Older": "cert"},
			warns: []string{"Old--Key", "Old--Young"},
		},
		{
			name: "section", change: func(c *provider.Config) { c.Sections = []string{"oLD", "On", "Of"} },
			want:  tree{"On": "on", "Old": tree{"Key": "old", "Young": "young"}},
			warns: []string{"Old--Key", "Old--Young"}, unmatched: "Of",
		},
		{
			name: "deep section", change: func(c *provider.Config) { c.Sections = []string{"old--key"} },
			want: tree{"Old": tree{"Key": "old"}}, warns: []string{"Old--Key"},
		},
		{
			name: "filter", change: func(c *provider.Config) {
				c.Filter = func(name string) bool { return strings.HasPrefix(name, "O") && !strings.HasPrefix(name, "Old--") }
			},
			want: tree{"On": "on", "Older": "cert"},
		},
		{
			name: "both", change: func(c *provider.Config) {
				c.Sections = []string{"old", "on"}
				c.Filter = func(name string) bool { return name != "On" }
			},
			want: tree{"Old": tree{"Key": "old", "Young": "young"}}, warns: []string{"Old--Key", "Old--Young"}, unmatched: "on",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := vaulttest.NewServer()
			defer srv.Close()
			fill(srv)
			var log logtest.Buffer
			cfg := kvConfig(t, srv)
			cfg.Logger = log.Logger()
			c.change(&cfg)
			got := kvRead(t, cfg)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			// What is left out is never read.
			if gets := srv.Stats().Gets; gets != kvLeaves(got) {
				t.Errorf("got %d gets, want one for each of %d values", gets, kvLeaves(got))
			}
			text := log.String()
			warnings := len(c.warns)
			if c.unmatched != "" {
				warnings++
				if !strings.Contains(text, "check Sections: no secret of "+srv.VaultURL()+" is in ") || !strings.Contains(text, "section="+c.unmatched+"\n") {
					t.Errorf("got no warning about section %s, want one: %s", c.unmatched, text)
				}
			}
			if n := strings.Count(text, "level=WARN"); n != warnings {
				t.Errorf("%d warnings, want %d: %s", n, warnings, text)
			}
			for _, name := range c.warns {
				if !strings.Contains(text, "secret="+name+" ") {
					t.Errorf("got no warning about %s, want one: %s", name, text)
				}
			}
			if !strings.Contains(text, fmt.Sprintf("secrets=%d disabled=1", kvLeaves(got))) {
				t.Errorf("got no summary, want one: %s", text)
			}
		})
	}
}

func TestWithoutLoggerWarningsReachTheDefault(t *testing.T) { // not parallel: it replaces the default
	var log logtest.Buffer
	old := slog.Default()
	slog.SetDefault(log.Logger())
	defer slog.SetDefault(old)
	fake := &kvFake{secrets: []kvSecret{{name: "A"}, {name: "a"}}}
	vault, err := provider.KeyVaultWithClient(fake, provider.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Read(); err != nil || !strings.Contains(log.String(), "ignored=a") {
		t.Errorf("got %v, log %s, want a warning that a is ignored", err, log.String())
	}
}

func TestEachLoadReadsAnew(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	vault := kvVault(t, kvConfig(t, srv))
	for i := range 3 {
		srv.Set("A", fmt.Sprint(i))
		k := koanf.New(".")
		if err := k.Load(vault, nil); err != nil || k.String("A") != fmt.Sprint(i) {
			t.Errorf("load %d: got %q, %v, want %d", i, k.String("A"), err, i)
		}
	}
	// The credential keeps its token; the vault's challenge is met each time.
	if stats := srv.Stats(); stats.Tokens != 1 || stats.Challenges != 3 || stats.Lists != 3 || stats.Gets != 3 {
		t.Errorf("got %+v, want one token and three of everything else", stats)
	}
}

func TestFailedLoadLeavesKoanfAlone(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"A": "new", "B": "new"}))
	defer srv.Close()
	srv.Faults.Add(faulttest.Fault{Status: 403, Body: "{}", Times: -1, Match: func(r *http.Request) bool { return r.URL.Path == "/secrets/B/" }})
	k := koanf.New(".")
	if err := k.Load(kvVault(t, kvConfig(t, srv)), nil); err == nil {
		t.Fatal("got no error, want one")
	}
	if len(k.Raw()) != 0 {
		t.Errorf("got %v, want nothing", k.Raw())
	}
}

// TestRecoversFromThrottling shows that azcore's retries are at work.
func TestRecoversFromThrottling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := vaulttest.NewPipe(vaulttest.WithSecrets(map[string]string{"A": "a"}))
		defer srv.Close()
		srv.Faults.Add(faulttest.Fault{
			Status: 429, Header: http.Header{"Retry-After": {"7"}}, Body: `{"error":{"code":"Throttled"}}`,
			Match: func(r *http.Request) bool { return r.URL.Path == "/secrets/A/" },
		})
		start := time.Now()
		got := kvRead(t, kvConfig(t, srv))
		if got["A"] != "a" || time.Since(start) != 7*time.Second {
			t.Errorf("got %v after %v, want a after 7s", got, time.Since(start))
		}
	})
}

func TestNothingSecretIsPrinted(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	cfg := kvConfig(t, srv)
	cfg.Credential = staticCredential{"canary-secret"}.GetToken
	vault := kvVault(t, cfg)
	_, err := vault.Read()
	var text strings.Builder
	for _, v := range []any{cfg, &cfg, vault, *vault, err, []any{cfg, vault, err}, struct{ v provider.Vault }{*vault}} {
		fmt.Fprintf(&text, "%v %+v %#v %s\n", v, v, v, v)
	}
	slog.New(slog.NewJSONHandler(&text, nil)).Info("x", "cfg", cfg, "vault", vault, "err", err)
	for _, canary := range []string{"canary-secret", "canary-body", srv.ClientSecret()} {
		if strings.Contains(text.String(), canary) {
			t.Errorf("got %s, want it nowhere:\n%s", canary, text.String())
		}
	}
	if !strings.Contains(fmt.Sprint(cfg), srv.VaultURL()) {
		t.Errorf("got %v, want the vault's address in it", cfg)
	}
}
