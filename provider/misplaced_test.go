package provider_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/internal/paste/pastetest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// Every kind of secret, pasted into any text that this package takes, is refused by the
// setting's name and source. Nothing of it is printed, kept or sent. The server's answers
// echo what they were asked.
func TestPastedSecrets(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer(vaulttest.WithSecrets(map[string]string{"A": "1"}))
	defer srv.Close()
	srv.Faults.Add(faulttest.Fault{Times: -1, Match: func(*http.Request) bool { t.Error("got a request, want nothing sent"); return false }})
	type inputs struct {
		app  provider.AppConfig
		cfg  provider.ConnectConfig
		name string // of a section
	}
	places := map[string]struct {
		put  func(in *inputs, secret string)
		want string // how the error begins; "" if it is a warning that begins so
		warn string
	}{
		"AppConfig.Environment": {func(in *inputs, secret string) { in.app.Environment = secret }, "provider: AppConfig.Environment looks like ", ""},
		"APP_ENVIRONMENT":       {func(in *inputs, secret string) { in.app.Environ = list("APP_ENVIRONMENT=" + secret) }, "provider: environment variable APP_ENVIRONMENT looks like ", ""},
		"AppConfig.Dir":         {func(in *inputs, secret string) { in.app.FS, in.app.Dir = nil, secret }, "provider: AppConfig.Dir looks like ", ""},
		"AppConfig.MountedFile": {func(in *inputs, secret string) { in.app.MountedFile = secret }, "provider: AppConfig.MountedFile looks like ", ""},
		"an argument's name":    {func(in *inputs, secret string) { in.app.Args = list("--"+secret+"=x", "--B", "y") }, "", "argument skipped: its name looks like "},
		"a variable's name":     {func(in *inputs, secret string) { in.app.Environ = list(secret + "=x") }, "", ""},
		"a key in a file": {func(in *inputs, secret string) {
			in.app.FS = files{"appsettings.json": `{` + quote(secret) + `: 1}`}.FS()
		}, "provider: appsettings.json: line 1, column 2: the key looks like ", ""},
		"VaultURL":                  {func(in *inputs, secret string) { in.cfg.VaultURL = secret }, "provider: VaultURL looks like ", ""},
		"VaultURL after its scheme": {func(in *inputs, secret string) { in.cfg.VaultURL = "https://" + secret }, "provider: VaultURL ", ""},
		"Secrets":                   {func(in *inputs, secret string) { in.cfg.Secrets = []string{secret} }, "provider: Secrets: give 1 to 127 letters, digits and dashes, with -- between the parts of a key - name 1 looks like ", ""},
		"Sections":                  {func(in *inputs, secret string) { in.cfg.Sections = []string{secret} }, "provider: Sections: give letters, digits and dashes, with -- between the parts of a key - name 1 looks like ", ""},
		"APIVersion":                {func(in *inputs, secret string) { in.cfg.ClientOptions.APIVersion = secret }, "provider: ClientOptions.APIVersion looks like ", ""},
		"ApplicationID":             {func(in *inputs, secret string) { in.cfg.ClientOptions.Telemetry.ApplicationID = secret }, "provider: ClientOptions.Telemetry.ApplicationID looks like ", ""},
		"a section's name":          {func(in *inputs, secret string) { in.name = secret }, `provider: section "a text of `, ""},
	}
	for _, field := range []string{"ClientId", "TenantId", "ClientSecret", "SecretUri"} {
		source := "environment variable kvSetting__" + field
		places["kvSetting:"+field] = struct {
			put  func(in *inputs, secret string)
			want string
			warn string
		}{func(in *inputs, secret string) {
			environ := []string{}
			for key, value := range with(srv, map[string]any{field: secret}) {
				environ = append(environ, fmt.Sprintf("kvSetting__%s=%v", key, value))
			}
			in.app.Environ = list(environ...)
		}, fmt.Sprintf("provider: kvSetting:%s (%s) ", field, source), ""}
	}
	secrets := pastetest.Secrets(t, "../testdata/keys")
	pasted := 0
	for place, p := range places {
		for _, name := range slices.Sorted(maps.Keys(secrets)) {
			switch {
			case place == "kvSetting:ClientSecret" && strings.HasPrefix(strings.ToLower(name), "entra client secret"):
				continue // that is its place
			case place == "an argument's name" || place == "a variable's name":
				if before, _, ok := strings.Cut(secrets[name], "="); ok && strings.Contains(secrets[name], "CANARY") && !strings.Contains(before, "CANARY") {
					continue // what is secret of it is not in the name
				}
			}
			pasted++
			app, log := hermetic(t, files{})
			in := inputs{app: app, cfg: connectConfig(srv, log), name: "A"}
			p.put(&in, secrets[name])
			k, err := provider.Load(t.Context(), in.app, in.cfg)
			if err == nil {
				_, err = provider.Section(k, in.name)
			}
			text := strings.Replace(fmt.Sprint(err), "is in quotation marks", "looks like one", 1)
			if p.want != "" && !strings.HasPrefix(text, p.want) || !strings.Contains(log.String(), p.warn) {
				t.Errorf("%s in %s: got %v, want %s", name, place, err, p.want+p.warn)
			}
			printed := fmt.Sprintf("%v %+v %#v %v %v %v", err, err, err, in.app, in.cfg, in.app.Origins.Summary()) + logtest.Reachable(err) + log.String()
			if k != nil {
				printed += fmt.Sprint(k.Keys(), in.app.Origins.Skipped())
			}
			for i := 0; i+16 <= len(secrets[name]); i += 8 {
				if strings.Contains(printed, secrets[name][i:i+16]) {
					t.Errorf("%s in %s is printed: %s", name, place, printed)
					break
				}
			}
		}
	}
	if stats := srv.Stats(); stats.Tokens+stats.Metadata+stats.Challenges > 0 {
		t.Errorf("got %+v, want nothing sent", stats)
	}
	t.Logf("%d pasted, 0 printed", pasted)
}

// quote is a text as JSON writes it.
func quote(text string) string {
	quoted, _ := json.Marshal(text)
	return string(quoted)
}

// A text in the place of ClientSecret that cannot be one is refused, as are names with
// what is in no name.
func TestNoNames(t *testing.T) {
	t.Parallel()
	app, _ := hermetic(t, files{})
	app.Environment = "Sommer2026!"
	_, err := provider.LoadAppConfig(app)
	const want = "provider: AppConfig.Environment: set a name of letters, digits, dots and dashes, such as Production - it is a text of 11 characters"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	app.Environment = strings.Repeat("x", 65)
	if _, err := provider.LoadAppConfig(app); err == nil || !strings.HasPrefix(err.Error(), "provider: AppConfig.Environment is a text of 65 characters: ") {
		t.Errorf("got %v, want the length refused", err)
	}
	app.Environment = "Prøve 1.a_b-c"
	if _, err := provider.LoadAppConfig(app); err != nil {
		t.Errorf("got %v, want the name taken", err)
	}
}

// Directories and files that exist are no secrets, whatever they are called.
func TestDirectoriesThatLookLikeSecrets(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "abc8Q~CANARY0123456789abcdefghijklmnop.q")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "mounted.json")
	if err := os.WriteFile(file, []byte(`{"A": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	app, _ := hermetic(t, nil)
	app.FS, app.Dir, app.MountedFile = nil, dir, file
	if k, err := provider.LoadAppConfig(app); err != nil || k.Int("A") != 1 {
		t.Errorf("got %v, want the file read", err)
	}
}

// Long and unusual names of variables and arguments are taken as they are.
func TestOrdinaryNames(t *testing.T) {
	t.Parallel()
	names := []string{"MILJODIREKTORATET__CLIENT_ID_FOR_SAKSVARSEL", "MICROSOFT_PROVIDER_AUTHENTICATION_SECRET", "A_LONG_NAME_THAT_GOES_ON_FOR_A_WHILE__X", "ProgramFiles(x86)", "a/b", "nøkkel"}
	app, _ := hermetic(t, nil)
	var environ, args []string
	for _, name := range names {
		environ = append(environ, name+"=x")
		args = append(args, "--arg:"+name+"=x")
	}
	app.Environ, app.Args = list(environ...), list(args...)
	k, err := provider.LoadAppConfig(app)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := strings.ReplaceAll(name, "__", ":")
		if k.String(path) != "x" || k.String("arg:"+name) != "x" {
			t.Errorf("%s: got %q and %q, want x for both", name, k.String(path), k.String("arg:"+name))
		}
	}
}

// A client secret in quotation marks is refused too: they are not a part of it.
func TestQuotedClientSecret(t *testing.T) {
	t.Parallel()
	srv := vaulttest.NewServer()
	defer srv.Close()
	app, log := hermetic(t, files{})
	app.Environ = list(`kvSetting__ClientSecret="CANARY"`)
	_, err := provider.Load(t.Context(), app, connectConfig(srv, log))
	const want = "provider: kvSetting:ClientSecret (environment variable kvSetting__ClientSecret) is in quotation marks: remove them"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
