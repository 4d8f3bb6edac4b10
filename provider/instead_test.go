package provider_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

const (
	clientIDPath = "MaskinportenSettings:ClientId"
	fromVault    = "looked for secret MaskinportenSettings--ClientId, variable MaskinportenSettings__ClientId and key MaskinportenSettings:ClientId"
	withoutVault = "looked for variable MaskinportenSettings__ClientId, key MaskinportenSettings:ClientId and, with a vault, secret MaskinportenSettings--ClientId"
)

// What is said of a missing setting: what is there in its place, from whatever was
// loaded, and which names would have been read.
func TestInstead(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		files   files
		environ []string
		args    []string
		secrets []string
		change  func(*provider.Config)
		path    string // clientIDPath if empty
		want    string
		long    bool // one finding and the exact names take 200 characters or more
	}{
		{name: "nothing like it", secrets: []string{"Other"}, want: fromVault},
		{name: "no vault", environ: []string{"HOME=x", "CLIENTID=" + canary, "CLIENT_ID=" + canary}, want: withoutVault},
		{
			name: "a vault that is named in part", environ: []string{"kvSetting__ClientId=" + canary, "kvSetting__SecretUri=https://my-vault.vault.azure.net"},
			want: "looked for variable MaskinportenSettings__ClientId, key MaskinportenSettings:ClientId and, once kvSetting has TenantId, ClientSecret, secret MaskinportenSettings--ClientId",
		},

		// The same letters.
		{name: "a secret with one dash", secrets: []string{"MaskinportenSettings-ClientId"}, want: "there is a secret MaskinportenSettings-ClientId; " + fromVault},
		{name: "a secret with dashes elsewhere", secrets: []string{"Maskinporten-Settings--ClientId"}, want: "there is a secret Maskinporten-Settings--ClientId; " + fromVault},
		{name: "a secret without dashes", secrets: []string{"maskinportensettingsclientid"}, want: "there is a secret maskinportensettingsclientid; " + fromVault},
		{name: "a variable with one underscore", environ: []string{"MaskinportenSettings_ClientId=" + canary}, secrets: []string{"A"}, want: "there is a variable MaskinportenSettings_ClientId; " + fromVault},
		{name: "no vault, one underscore", environ: []string{"MASKINPORTENSETTINGS_CLIENTID=" + canary}, want: "there is a variable MASKINPORTENSETTINGS_CLIENTID; " + withoutVault},
		{name: "a variable in capitals", environ: []string{"MASKINPORTENSETTINGS_CLIENTID=" + canary}, secrets: []string{"A"}, want: "there is a variable MASKINPORTENSETTINGS_CLIENTID; " + fromVault},
		{name: "a variable with underscores everywhere", environ: []string{"MASKINPORTEN_SETTINGS_CLIENT_ID=" + canary}, secrets: []string{"A"}, want: "there is a variable MASKINPORTEN_SETTINGS_CLIENT_ID; " + fromVault},
		{name: "a variable with three underscores", environ: []string{"MASKINPORTENSETTINGS___CLIENTID=" + canary}, secrets: []string{"A"}, want: "there is a variable MASKINPORTENSETTINGS___CLIENTID; " + fromVault},
		{name: "a variable with four underscores", environ: []string{"MASKINPORTENSETTINGS____CLIENTID=" + canary}, secrets: []string{"A"}, want: "the variable MASKINPORTENSETTINGS____CLIENTID is skipped: a part of its name is empty; " + fromVault, long: true},
		{name: "a key with a dot", files: files{"appsettings.json": `{"MaskinportenSettings.ClientId": "` + canary + `"}`}, secrets: []string{"A"}, want: "there is MaskinportenSettings.ClientId (appsettings.json); " + fromVault},
		{name: "a key in two sections", files: files{"appsettings.json": `{"Maskinporten": {"Settings": {"ClientId": "` + canary + `"}}}`}, secrets: []string{"A"}, want: "there is Maskinporten:Settings:ClientId (appsettings.json); " + fromVault},
		{name: "an argument", args: []string{"--MaskinportenSettings.ClientId=" + canary}, secrets: []string{"A"}, want: "there is an argument --MaskinportenSettings.ClientId; " + fromVault},
		{name: "a reference", files: files{"appsettings.json": `{"Maskinporten-Settings": {"ClientId": "@Microsoft.KeyVault(SecretUri=VAULT/secrets/A)"}}`}, secrets: []string{"A"}, want: "there is Maskinporten-Settings:ClientId (secret A of VAULT, by reference); " + fromVault, long: true},
		{name: "a blank one does not count", files: files{"appsettings.json": `{"Maskinporten.Settings.ClientId": " ", "MaskinportenSettings": {"ClientId": ""}}`}, secrets: []string{"A"}, want: fromVault},

		// The same last part in another section.
		{name: "a section with half the name", secrets: []string{"Maskinporten--ClientId"}, want: "there is a secret Maskinporten--ClientId; " + fromVault},
		{name: "a section with a letter too few", files: files{"appsettings.json": `{"MaskinportenSetings": {"ClientId": "` + canary + `"}}`}, secrets: []string{"A"}, want: "there is MaskinportenSetings:ClientId (appsettings.json); " + fromVault},
		{name: "a section in another", files: files{"appsettings.json": `{"App": {"MaskinportenSettings": {"ClientId": "` + canary + `"}}}`}, secrets: []string{"A"}, want: "there is App:MaskinportenSettings:ClientId (appsettings.json); " + fromVault},
		{name: "any other section", secrets: []string{"Other--ClientId"}, want: "there is a secret Other--ClientId; " + fromVault},
		{name: "the near section first", secrets: []string{"Abc--ClientId", "Maskinporten--ClientId"}, want: "there is a secret Maskinporten--ClientId; " + fromVault},
		{name: "no section", secrets: []string{"ClientId"}, want: "there is a secret ClientId; " + fromVault},
		{name: "another style", environ: []string{"MASKINPORTEN_CLIENT_ID=" + canary}, secrets: []string{"A"}, want: "there is a variable MASKINPORTEN_CLIENT_ID; " + fromVault},
		{name: "another style, in another section", environ: []string{"MYSERVICE_MASKINPORTENSETTINGS_CLIENT_ID=" + canary}, secrets: []string{"A"}, want: "there is a variable MYSERVICE_MASKINPORTENSETTINGS_CLIENT_ID; " + fromVault},
		{name: "another style, far section", environ: []string{"GITHUB_CLIENT_ID=" + canary}, secrets: []string{"A"}, want: fromVault},
		{name: "the same letters before another section", secrets: []string{"Maskinporten--ClientId", "MaskinportenSettings-ClientId"}, want: "there is a secret MaskinportenSettings-ClientId; " + fromVault},
		{name: "kvSetting has its own ClientId", secrets: []string{"A"}, want: fromVault},
		{name: "only the section", files: files{"appsettings.json": `{"MaskinportenSetings": {"Scope": "x"}}`}, secrets: []string{"A"}, want: "there is MaskinportenSetings; " + fromVault},

		// Skipped secrets.
		{name: "disabled", secrets: []string{"MaskinportenSettings--ClientId off"}, want: "the secret MaskinportenSettings--ClientId is disabled: enable it; looked for variable MaskinportenSettings__ClientId and key MaskinportenSettings:ClientId"},
		{name: "disabled, in another case", secrets: []string{"maskinportensettings--clientid off"}, want: "the secret maskinportensettings--clientid is disabled: enable it; looked for variable MaskinportenSettings__ClientId and key MaskinportenSettings:ClientId"},
		{name: "disabled and misspelt", secrets: []string{"MaskinportenSettings-ClientId off"}, want: "the secret MaskinportenSettings-ClientId is disabled: enable it; " + fromVault},
		{name: "left out by Sections", secrets: []string{"MaskinportenSettings--ClientId"}, change: func(c *provider.Config) { c.Sections = []string{"Other"} }, want: "the secret MaskinportenSettings--ClientId is left out by Sections; looked for variable MaskinportenSettings__ClientId and key MaskinportenSettings:ClientId"},
		{name: "left out by Filter", secrets: []string{"MaskinportenSettings--ClientId"}, change: func(c *provider.Config) { c.Filter = func(string) bool { return false } }, want: "the secret MaskinportenSettings--ClientId is left out by Filter; looked for variable MaskinportenSettings__ClientId and key MaskinportenSettings:ClientId"},
		{name: "dropped by Map", secrets: []string{"MaskinportenSettings--ClientId"}, change: func(c *provider.Config) { c.Map = func(string, string) (string, any) { return "", nil } }, want: "the secret MaskinportenSettings--ClientId is dropped by Map; looked for variable MaskinportenSettings__ClientId and key MaskinportenSettings:ClientId"},
		{name: "renamed by Map", secrets: []string{"MaskinportenSettings--ClientId"}, change: func(c *provider.Config) {
			c.Map = func(_, value string) (string, any) { return "App--Id", value }
		}, want: "the secret MaskinportenSettings--ClientId sets App:Id; looked for a secret that Map calls MaskinportenSettings--ClientId, variable MaskinportenSettings__ClientId and key MaskinportenSettings:ClientId"},
		{name: "not among Secrets", secrets: []string{"A", "MaskinportenSettings--ClientId"}, change: func(c *provider.Config) { c.Secrets = []string{"A"} }, want: strings.Replace(fromVault, "Settings--ClientId,", "Settings--ClientId (if Secrets names it),", 1)},

		// Files.
		{name: "a file in another case", files: files{"AppSettings.json": `{}`}, secrets: []string{"A"}, want: "AppSettings.json is there, but appsettings.json is read; " + fromVault},
		{name: "a file after all else", files: files{"AppSettings.json": `{}`}, secrets: []string{"MaskinportenSettings-ClientId"}, want: "there is a secret MaskinportenSettings-ClientId; " + fromVault},

		// Other paths.
		{name: "a section", secrets: []string{"MaskinportenSettings-ClientId", "MaskinportenSettingsX--ClientId"}, path: "MaskinportenSettings", want: "there is a secret MaskinportenSettings-ClientId; looked for secret MaskinportenSettings--..., variable MaskinportenSettings__... and key MaskinportenSettings"},
		{name: "a section with a letter too few", files: files{"appsettings.json": `{"MaskinportenSetings": {"Scope": "x"}}`}, secrets: []string{"A"}, path: "MaskinportenSettings", want: "there is MaskinportenSetings; looked for secret MaskinportenSettings--..., variable MaskinportenSettings__... and key MaskinportenSettings"},
		{name: "a name that only begins alike", secrets: []string{"AB--C"}, path: "A", want: "looked for secret A--..., variable A__... and key A"},
		{name: "two findings, if they are short", secrets: []string{"A-B", "A-b-"}, path: "A:B", want: "there is a secret A-B; there is a secret A-b-; looked for secret A--B, variable A__B and key A:B"},
		{name: "no more than two", secrets: []string{"A-B", "A-b-", "Ab"}, path: "A:B", want: "there is a secret A-B; there is a secret A-b-; looked for secret A--B, variable A__B and key A:B"},
		{name: "what cannot be a secret's name", secrets: []string{"A"}, path: "Nøkkel:B", want: "looked for variable Nøkkel__B and key Nøkkel:B"},
		{name: "kvSetting is not in the vault", secrets: []string{"A"}, path: "kvSetting:Other", want: "looked for variable kvSetting__Other and key kvSetting:Other"},
		{name: "what is set", secrets: []string{"A", "a-"}, path: "a"},
		{name: "a section with something set", secrets: []string{"S--A", "S-B"}, path: "s"},
		{name: "no path", secrets: []string{"A"}, path: ":"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			srv := vaulttest.NewServer()
			defer srv.Close()
			for _, secret := range test.secrets {
				name, off, _ := strings.Cut(secret, " ")
				srv.SetSecret(vaulttest.Secret{Name: name, Value: canary, Disabled: off != ""})
			}
			for name, content := range test.files {
				test.files[name] = strings.ReplaceAll(content, "VAULT", srv.VaultURL())
			}
			app, log := hermetic(t, test.files)
			app.Args = list(test.args...)
			cfg := connectConfig(srv, log)
			if test.secrets != nil {
				for key, value := range srv.KVSetting() {
					test.environ = append(test.environ, fmt.Sprintf("kvSetting__%s=%v", key, value))
				}
			}
			app.Environ = list(test.environ...)
			if test.change != nil {
				test.change(&cfg.Config)
			}
			if _, err := provider.Load(t.Context(), app, cfg); err != nil {
				t.Fatal(err)
			}
			path := test.path
			if path == "" {
				path = clientIDPath
			}
			got := app.Origins.Of(path).Instead
			if want := strings.ReplaceAll(test.want, "VAULT", srv.VaultURL()); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if n := utf8.RuneCountInString(got); n >= 200 && !test.long {
				t.Errorf("got %d characters, want under 200", n)
			}
			if strings.Contains(got+log.String()+app.Origins.Summary(), canary) {
				t.Errorf("a value is printed: %s\n%s", got, log)
			}
		})
	}
}

// A setting that is blank is missing as well, and a later layer mends it.
func TestInsteadOfABlankValue(t *testing.T) {
	t.Parallel()
	app, _ := hermetic(t, files{"appsettings.json": `{"S": {"A": " ", "B": "x"}, "S_A": "y"}`})
	k, err := provider.LoadAppConfig(app)
	if err != nil {
		t.Fatal(err)
	}
	const want = "there is S_A (appsettings.json); looked for variable S__A, key S:A and, with a vault, secret S--A"
	if got := app.Origins.Of("S:A"); got.Source != "appsettings.json" || got.Instead != want {
		t.Errorf("got %+v, want the file and\n%s", got, want)
	}
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"S--A": "1"}))
	defer srv.Close()
	cfg := connecting(t, srv)
	cfg.Origins = app.Origins
	if _, err := provider.ConnectToKeyVault(t.Context(), k, cfg); err != nil {
		t.Fatal(err)
	}
	if got := app.Origins.Of("S:A").Instead; got != "" {
		t.Errorf("got %q of what is set, want nothing", got)
	}
}

// What a later layer brings is told too.
func TestInsteadAfterALaterLayer(t *testing.T) {
	t.Parallel()
	var o provider.Origins
	const lookedFor = "looked for variable S__A, key S:A and, with a vault, secret S--A"
	for i, want := range []string{lookedFor, "there is S.A (b); " + lookedFor} {
		if err := provider.Record(&o, "ab"[i:], []tree{{"x": 1}, {"S.A": 1}}[i]); err != nil {
			t.Fatal(err)
		}
		if got := o.Of("S:A").Instead; got != want {
			t.Errorf("layer %d: got %s, want %s", i, got, want)
		}
	}
}

// Without a load there is nothing to tell.
func TestInsteadOfNothingLoaded(t *testing.T) {
	t.Parallel()
	for _, o := range []*provider.Origins{nil, {}} {
		if got := o.Of("A"); got.Instead != "" || len(o.Skipped()) > 0 {
			t.Errorf("got %+v and %v, want nothing", got, o.Skipped())
		}
	}
}

// What was skipped is listed with its reason, and that of an earlier load is forgotten.
func TestSkipped(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"Keep--A": "1", "Keep--Drop": "2", "Keep--Filtered": "3", "Other": "4"}))
	defer srv.Close()
	srv.SetSecret(vaulttest.Secret{Name: "Keep--Off", Value: canary, Disabled: true})
	app, _ := hermetic(t, files{"appsettings.json": `{"L": [1], "S": {"x": 1}}`})
	app.Environ = list("L__7=x", "S=x", "A____B=x", "Fine=x")
	k, err := provider.LoadAppConfig(app)
	if err != nil {
		t.Fatal(err)
	}
	cfg := connecting(t, srv)
	cfg.Origins, cfg.Sections = app.Origins, []string{"Keep"}
	cfg.Filter = func(name string) bool { return name != "Keep--Filtered" }
	cfg.Map = func(name, value string) (string, any) {
		if name == "Keep--Drop" {
			return "", nil
		}
		return name, value
	}
	of := " of " + srv.VaultURL()
	variables := []provider.Skipped{
		{Source: "environment variable A____B", Reason: "skipped: a part of its name is empty"},
		{Source: "environment variable S", Reason: "skipped: a section has its name"},
		{Source: "environment variable L__7", Reason: "skipped: this one leaves a gap in the array"},
	}
	for range 2 {
		if _, err := provider.ConnectToKeyVault(t.Context(), k, cfg); err != nil {
			t.Fatal(err)
		}
		want := append(slices.Clone(variables),
			provider.Skipped{Source: "secret Keep--Filtered" + of, Reason: "left out by Filter"},
			provider.Skipped{Source: "secret Keep--Off" + of, Reason: "disabled"},
			provider.Skipped{Source: "secret Other" + of, Reason: "left out by Sections"},
			provider.Skipped{Source: "secret Keep--Drop" + of, Reason: "dropped by Map"},
		)
		got := app.Origins.Skipped()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("skipped (-want +got):\n%s", diff)
		}
		got[0].Reason = "changed"
	}
	want := "Key Vault connected: " + srv.VaultURL() + "; skipped: Keep--Filtered (left out by Filter), Keep--Off (disabled), Other (left out by Sections), 1 more"
	if got := app.Origins.Summary(); !strings.HasSuffix(got, "\n"+want) {
		t.Errorf("got the summary\n%s\nwant it to end with\n%s", got, want)
	}
	if _, err := provider.LoadAppConfig(app); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(variables, app.Origins.Skipped()); diff != "" {
		t.Errorf("after another load (-want +got):\n%s", diff)
	}
}

// Of very many near misses only a part is looked at.
func TestVeryManyNearMisses(t *testing.T) {
	t.Parallel()
	var content strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&content, `"Section%d": {"ClientId": "x"}, "MaskinportenSettings_%d": "x",`, i, i)
	}
	app, _ := hermetic(t, files{"appsettings.json": "{" + content.String() + "}"})
	if _, err := provider.LoadAppConfig(app); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		clientIDPath:               "there is Section0:ClientId (appsettings.json)",
		"MaskinportenSettings:Key": "there is MaskinportenSettings_0",
		"MaskinportenSettings":     "there is MaskinportenSettings_0 (appsettings.json)",
	} {
		if got := app.Origins.Of(path).Instead; !strings.HasPrefix(got, want+"; ") {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
		if n := provider.NearMisses(app.Origins, path); n == 0 || n > 1000 {
			t.Errorf("%s: got %d near misses, want at most 1,000", path, n)
		}
	}
}
