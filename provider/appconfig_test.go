package provider_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/provider"
)

// Each layer sets its own key and every key of the layers before it.
func TestLayersInOrder(t *testing.T) {
	t.Parallel()
	mounted := filepath.Join(t.TempDir(), "altinn-appsettings-secret.json")
	if err := os.WriteFile(mounted, []byte(`{"s":{"C":"mounted","d":"mounted","e":"mounted","f":"mounted"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	app, _ := hermetic(t, files{
		"appsettings.json":             `{"S":{"A":"base","B":"base","C":"base","D":"base","E":"base","F":"base"}}`,
		"appsettings.Development.json": `{"s":{"b":"env file","c":"env file","d":"env file","e":"env file","f":"env file"}}`,
		"appsettings.Local.json":       `{"s":{"f":"local"}}`,
	})
	app.MountedFile = mounted
	app.Environ = list("ASPNETCORE_ENVIRONMENT=Development", "S__D=variable", "s__e=variable", "S__F=variable")
	app.Args = list("--S:E=argument", "--S:F=argument")
	k, err := provider.LoadAppConfig(app)
	if err != nil {
		t.Fatal(err)
	}
	got, err := provider.Section(k, "S")
	if err != nil {
		t.Fatal(err)
	}
	want := tree{"A": "base", "B": "env file", "C": "mounted", "D": "variable", "E": "argument", "F": "local"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if k.Delim() != ":" || k.String("S:A") != "base" {
		t.Errorf("got the delimiter %q and S:A %q, want : and base", k.Delim(), k.String("S:A"))
	}

	origins := map[string]string{}
	for path, source := range app.Origins.All() {
		if strings.HasPrefix(path, "S:") {
			origins[path] = source
		}
	}
	wantOrigins := map[string]string{
		"S:A": "appsettings.json", "S:B": "appsettings.Development.json", "S:C": mounted,
		"S:D": "environment variable S__D", "S:E": "argument --S:E", "S:F": "appsettings.Local.json",
	}
	if diff := cmp.Diff(wantOrigins, origins); diff != "" {
		t.Errorf("origins (-want +got):\n%s", diff)
	}
	var names []string
	for _, layer := range app.Origins.Layers() {
		names = append(names, layer.Name)
	}
	wantNames := []string{"appsettings.json", "appsettings.Development.json", mounted, "environment", "arguments", "appsettings.Local.json"}
	if diff := cmp.Diff(wantNames, names); diff != "" {
		t.Errorf("layers (-want +got):\n%s", diff)
	}
}

func TestEnvironmentName(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, field string
		environ     []string
		want        string
		development bool
	}{
		{"default", "", []string{}, "Production", false},
		{"field first", "Staging", []string{"APP_ENVIRONMENT=Development"}, "Staging", false},
		{"app's own variable", "", []string{"DOTNET_ENVIRONMENT=c", "ASPNETCORE_ENVIRONMENT=b", "APP_ENVIRONMENT=a"}, "a", false},
		{"then ASP.NET's", "", []string{"DOTNET_ENVIRONMENT=c", "ASPNETCORE_ENVIRONMENT=b"}, "b", false},
		{"then .NET's", "", []string{"DOTNET_ENVIRONMENT=c"}, "c", false},
		{"blank ones do not count", " ", []string{"APP_ENVIRONMENT= ", "ASPNETCORE_ENVIRONMENT=", "DOTNET_ENVIRONMENT= c "}, "c", false},
		{"the last of one name", "", []string{"APP_ENVIRONMENT=a", "APP_ENVIRONMENT=b"}, "b", false},
		{"any case", "", []string{"APP_ENVIRONMENT=development"}, "development", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app, _ := hermetic(t, files{"appsettings." + test.want + ".json": `{"found": true}`})
			app.Environment, app.Environ = test.field, list(test.environ...)
			k, err := provider.LoadAppConfig(app)
			if err != nil {
				t.Fatal(err)
			}
			if !k.Bool("found") {
				t.Errorf("appsettings.%s.json was not read: %s", test.want, app.Origins.Summary())
			}
			if app.IsDevelopment() != test.development {
				t.Errorf("got IsDevelopment %v, want %v", !test.development, test.development)
			}
		})
	}
	app, _ := hermetic(t, nil)
	app.Environment = "../etc"
	if _, err := provider.LoadAppConfig(app); err == nil || err.Error() != `provider: AppConfig.Environment: set a name of letters, digits, dots and dashes, such as Production - it is a text of 6 characters` {
		t.Errorf("a path as environment: got %v, want it refused", err)
	}
}

func TestLocalFileOutsideDevelopment(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, field, variable, hint string
	}{
		{"from a variable", "", "APP_ENVIRONMENT=Staging", `hint="set APP_ENVIRONMENT=Development"`},
		{"from the field", "Staging", "X=", `hint="AppConfig.Environment is set; leave it empty and set APP_ENVIRONMENT=Development"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			app, log := hermetic(t, files{"appsettings.json": `{"a":"base"}`, "appsettings.Local.json": `{"a":"canary"`})
			app.Environment, app.Environ = test.field, list(test.variable)
			k, err := provider.LoadAppConfig(app)
			if err != nil {
				t.Fatal(err)
			}
			if got := k.String("a"); got != "base" {
				t.Errorf("got a %q, want base", got)
			}
			want := `level=WARN msg="provider: appsettings.Local.json is there, but is read in Development only" environment=Staging ` + test.hint
			if strings.Count(log.String(), want) != 1 || strings.Count(log.String(), "level=WARN") != 1 {
				t.Errorf("log:\n%s\nwant once:\n%s", log, want)
			}
			if !strings.Contains(app.Origins.Summary(), "read with APP_ENVIRONMENT=Development only: appsettings.Local.json") {
				t.Error(app.Origins.Summary())
			}
			if err := provider.LoadLocal(app, k); err != nil || k.String("a") != "base" {
				t.Errorf("after loadLocal: got a %q, %v, want base", k.String("a"), err)
			}
		})
	}
}

func TestEnvironmentCalledLocal(t *testing.T) {
	t.Parallel()
	app, log := hermetic(t, files{"appsettings.Local.json": `{"a":1}`})
	app.Environment = "Local"
	k, err := provider.LoadAppConfig(app)
	if err != nil || k.Int("a") != 1 || strings.Contains(log.String(), "WARN") {
		t.Errorf("got a %d, %v, log %s, want 1 and no warning", k.Int("a"), err, log)
	}
}

func TestLocalFileAgainAfterLaterLayers(t *testing.T) {
	t.Parallel()
	app, _ := hermetic(t, files{"appsettings.Local.json": `{"S":{"a":"local"}}`})
	app.Environment = "Development"
	k, err := provider.LoadAppConfig(app)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Set("S:a", "vault"); err != nil {
		t.Fatal(err)
	}
	if err := provider.LoadLocal(app, k); err != nil {
		t.Fatal(err)
	}
	if got := k.String("S:a"); got != "local" {
		t.Errorf("got S:a %q, want local", got)
	}
}

func TestDirAndProcess(t *testing.T) {
	dir := t.TempDir()
	for name, content := range (files{"appsettings.json": `{"a":1}`, "appsettings.Staging.json": `{"b":2}`}) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("APP_ENVIRONMENT", "Staging")
	t.Setenv("PORTNOKKEL_TEST__VALUE", "from the process")
	t.Run("Dir", func(t *testing.T) {
		k, err := provider.LoadAppConfig(provider.AppConfig{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if k.Int("a") != 1 || k.Int("b") != 2 || k.String("PORTNOKKEL_TEST:VALUE") != "from the process" {
			t.Errorf("got a %v, b %v and the variable %v, want 1, 2 and the process's", k.Get("a"), k.Get("b"), k.Get("PORTNOKKEL_TEST"))
		}
	})
	t.Run("working directory", func(t *testing.T) {
		t.Chdir(dir)
		var origins provider.Origins
		k, err := provider.LoadAppConfig(provider.AppConfig{Origins: &origins})
		if err != nil {
			t.Fatal(err)
		}
		here, _ := os.Getwd()
		if k.Int("a") != 1 || !strings.Contains(origins.Summary(), "looked in "+here) {
			t.Errorf("got a %v, %s, want 1 and the directory", k.Get("a"), origins.Summary())
		}
	})
}

func TestNothingThere(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "absent")
	app := provider.AppConfig{Dir: dir, Environ: list(), MountedFile: filepath.Join(dir, "mounted.json"), Origins: new(provider.Origins)}
	k, err := provider.LoadAppConfig(app)
	if err != nil || len(k.Keys()) != 0 {
		t.Fatalf("got %v, %v, want no settings and no error", k, err)
	}
	want := "no settings read; not found: appsettings.json, appsettings.Production.json, " + app.MountedFile + "; looked in " + dir + "\nno Key Vault connected"
	if got := app.Origins.Summary(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestUnreadableFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "appsettings.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := provider.LoadAppConfig(provider.AppConfig{Dir: dir, Environ: list(), MountedFile: dir})
	if err == nil || !strings.Contains(err.Error(), "provider: appsettings.json: ") || !strings.Contains(err.Error(), "provider: "+dir+": ") {
		t.Errorf("two directories for files: got %v, want an error that names both", err)
	}
}

func TestClashBetweenLayers(t *testing.T) {
	t.Parallel()
	app, _ := hermetic(t, files{
		"appsettings.json":            `{"Scopes":["a"],"Logging":{"Level":"x"}}`,
		"appsettings.Production.json": `{"Logging":"canary"}`,
	})
	app.Args = list("--Scopes:7=canary")
	_, err := provider.LoadAppConfig(app)
	want := `provider: Logging (appsettings.Production.json): set the keys below it, or remove it - a single value cannot replace the section that is there
provider: Scopes:7 (argument --Scopes:7): use the index 1 - this one leaves a gap in the array`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
	if app.Origins.Of("Scopes:7").Source != "" {
		t.Error("got a source of a refused layer, want it not recorded")
	}
}

// A variable that does not fit the settings is somebody else's: the start goes on
// without it, and with those that fit.
func TestVariablesThatDoNotFit(t *testing.T) {
	t.Parallel()
	app, log := hermetic(t, files{"appsettings.json": `{"Hosts":["a"],"Deep":[{"Names":["x"]}]}`})
	app.Environ = list(
		"HOSTS__7=canary", "HOSTS__1=b", "HOSTS__X=canary", "HOSTS__00=canary", "HOSTS__2=c", "HOSTS__9__Y=canary",
		"DEEP__0__NAMES__5=canary", "DEEP__0__NAMES__0=y")
	k, err := provider.LoadAppConfig(app)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"Hosts": []any{"a", "b", "c"}, "Deep": []any{map[string]any{"Names": []any{"y"}}}}
	if diff := cmp.Diff(want, k.Raw()); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"HOSTS__7", "HOSTS__X", "HOSTS__00", "HOSTS__9__Y", "DEEP__0__NAMES__5"} {
		if !strings.Contains(log.String(), "variable="+name+"\n") {
			t.Errorf("got no warning about %s, want one:\n%s", name, log.String())
		}
	}
	if strings.Contains(log.String(), "canary") || strings.Count(log.String(), "level=WARN") != 5 {
		t.Errorf("got the log, want five warnings without a value:\n%s", log.String())
	}
}

func TestAppConfigPrintsNoSecrets(t *testing.T) {
	t.Parallel()
	app := provider.AppConfig{Dir: "d", Environment: "e", Environ: list("A=canary"), Args: list("--B=canary")}
	encoded, err := json.Marshal(app)
	if err != nil {
		t.Fatal(err)
	}
	text := string(encoded)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		text += fmt.Sprintf(verb, app) + fmt.Sprintf(verb, &app) + fmt.Sprintf(verb, struct{ App provider.AppConfig }{app})
	}
	if strings.Contains(text, "canary") || strings.Contains(text, "63616e617279") {
		t.Error(text)
	}
	want := `provider.AppConfig{Dir:"" Environment:"" MountedFile:"" MaskinportenFile:""}`
	if got := fmt.Sprint(provider.AppConfig{}); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDefaultLogger(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	app, _ := hermetic(t, files{"appsettings.Local.json": `{}`})
	app.Logger = nil
	if _, err := provider.LoadAppConfig(app); err != nil || !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("got %v, log %q, want a warning", err, log.String())
	}
}

// A zero Logger, which panics when it is used, counts as nil.
func TestZeroLogger(t *testing.T) {
	t.Parallel()
	app, _ := hermetic(t, files{"appsettings.Local.json": "{}"})
	app.Logger = &slog.Logger{}
	cfg := provider.ConnectConfig{Config: provider.Config{Logger: &slog.Logger{}}}
	if k, err := provider.Load(t.Context(), app, cfg); err != nil || len(k.Keys()) != 0 {
		t.Errorf("got %v, %v, want no settings and no error", k, err)
	}
}
