package provider_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// A secret's times travel with its value, however it was reached.
func TestOriginsTellWhenASecretEnds(t *testing.T) {
	t.Parallel()
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	srv := vaulttest.NewServer()
	defer srv.Close()
	set := func(name string, days int) {
		s := vaulttest.Secret{Name: name, Value: "v", Created: created.Add(time.Duration(days) * time.Minute)}
		if days > 0 {
			s.Expires = created.AddDate(0, 0, days)
		}
		srv.SetSecret(s)
	}
	set("S--Short", 30)
	set("S--Long", 300)
	set("S--Never", 0)
	set("Referred", 60)
	times := func(days int) provider.Origin {
		o := provider.Origin{Created: created.Add(time.Duration(days) * time.Minute)}
		if days > 0 {
			o.Expires = created.AddDate(0, 0, days)
		}
		return o
	}
	for name, change := range map[string]func(*provider.ConnectConfig){
		"listed": func(*provider.ConnectConfig) {},
		"named":  func(cfg *provider.ConnectConfig) { cfg.Secrets = []string{"S--Short", "S--Long", "S--Never"} },
		"mapped": func(cfg *provider.ConnectConfig) {
			cfg.Map = func(name, value string) (string, any) { return name, value }
		},
	} {
		t.Run(name, func(t *testing.T) {
			app, _ := hermetic(t, files{"appsettings.json": `{
				"S": {"Plain": "v", "Long": ""},
				"Ref": "@Microsoft.KeyVault(SecretUri=` + srv.VaultURL() + `/secrets/referred)"
			}`})
			cfg := connecting(t, srv)
			change(&cfg)
			if _, err := provider.Load(t.Context(), app, cfg); err != nil {
				t.Fatal(err)
			}
			for path, want := range map[string]provider.Origin{
				"s:short": times(30), "S:Long": times(300), "S:Never": times(0), "Ref": times(60),
				"S:Plain": {}, "S": times(30), "Other": {},
			} {
				got := app.Origins.Of(path)
				got = provider.Origin{Created: got.Created.UTC(), Expires: got.Expires.UTC()}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", path, diff)
				}
			}
		})
	}
}

// Of two secrets for one setting the times are those of the one in force.
func TestOriginsTellTheTimesOfTheSecretInForce(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	now := time.Now().Truncate(time.Second)
	for name, hours := range map[string]int{"B": 1, "a": 2} {
		srv.SetSecret(vaulttest.Secret{Name: name, Updated: now.Add(time.Duration(hours) * time.Hour), Expires: now.Add(time.Duration(hours) * time.Hour)})
	}
	var origins provider.Origins
	cfg := connecting(t, srv)
	cfg.VaultURL, cfg.Origins = srv.VaultURL(), &origins
	cfg.Map = func(_, value string) (string, any) { return "Key", value }
	if _, err := provider.ConnectToKeyVault(t.Context(), newKoanf(t, tree{}, ":"), cfg); err != nil {
		t.Fatal(err)
	}
	if got, want := origins.Of("Key").Expires, now.Add(2*time.Hour); !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The order says which of two settings is of the later layer, so that a key of one
// layer can give way to another setting with a key of a later one.
func TestOriginsTellTheOrderOfLayers(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"Vault": "v", "Referred": "v", "S--Vault": "v"}))
	defer srv.Close()
	reference := "@Microsoft.KeyVault(SecretUri=" + srv.VaultURL() + "/secrets/referred)"
	app, _ := hermetic(t, files{
		"appsettings.json":             `{"Base": 1, "S": {"Base": 1}, "Whole": {"a": 1, "b": [2]}}`,
		"appsettings.Development.json": `{"Refers": "` + reference + `", "Second": 1}`,
		"appsettings.Local.json":       `{"Local": 1}`,
	})
	app.Environment = "Development"
	app.Environ, app.Args = list("VARIABLE=1"), list("--Argument=1")
	cfg := connecting(t, srv)
	if _, err := provider.Load(t.Context(), app, cfg); err != nil {
		t.Fatal(err)
	}
	order := func(path string) int { return app.Origins.Of(path).Order }
	last := 0
	for _, path := range []string{"Base", "Second", "Variable", "Argument", "Vault", "Local"} {
		if order(path) <= last {
			t.Errorf("%s: got the order %d, want more than %d", path, order(path), last)
		}
		last = order(path)
	}
	if got := app.Origins.Of("Refers"); got.Order != order("Second") || got.Layer != srv.VaultURL() {
		t.Errorf("a reference: got %+v, want the order %d of its layer", got, order("Second"))
	}
	for path, want := range map[string]provider.Origin{
		"S":       {Order: order("Vault"), Mixed: true},
		"Whole":   {Order: order("Base")},
		"S:Base":  {Order: order("Base")},
		"Nothing": {},
	} {
		ignored := cmpopts.IgnoreFields(provider.Origin{}, "Source", "Layer", "Created", "Instead")
		if diff := cmp.Diff(want, app.Origins.Of(path), ignored); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}
