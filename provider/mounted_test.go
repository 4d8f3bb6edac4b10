package provider_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/provider"
)

// maskinportenFile is the file that Altinn's platform mounts, with n keys.
func maskinportenFile(client string, kids ...string) string {
	keys := []any{}
	for _, kid := range kids {
		keys = append(keys, tree{"kty": "RSA", "use": "sig", "kid": kid, "alg": "RS512", "n": kid, "d": canary + kid, "x5c": []any{"c" + kid}, "exp": 1})
	}
	settings := tree{"Jwks": tree{"keys": keys}, "Jwk": keys[0], "ClientId": client, "Authority": "https://maskinporten.no/"}
	data, _ := json.Marshal(tree{"MaskinportenSettings": settings}) // maps and texts only
	return string(data)
}

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The file is found by its two variables, and by AppConfig before them.
func TestMaskinportenFileIsFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "maskinporten-settings.json", maskinportenFile("by directory", "a"))
	other := write(t, dir, "other", maskinportenFile("by name", "a"))
	const dirVariable, nameVariable = "RUNTIME_APP_SECRETS_DIR=", "RUNTIME_APP_SECRETS_MASKINPORTEN_FILENAME="
	for name, test := range map[string]struct {
		environ []string
		field   string
		want    string // the client's id
		layer   string // "" if there is none
	}{
		"nothing names it":   {},
		"directory":          {environ: []string{dirVariable + dir}, want: "by directory", layer: filepath.Join(dir, "maskinporten-settings.json")},
		"directory and name": {environ: []string{dirVariable + " " + dir + "/ ", nameVariable + "other"}, want: "by name", layer: other},
		"whole path":         {environ: []string{nameVariable + other}, want: "by name", layer: other},
		"blank":              {environ: []string{dirVariable + " ", nameVariable}},
		"missing":            {environ: []string{dirVariable + dir, nameVariable + "none"}, layer: filepath.Join(dir, "none")},
		"no such directory":  {environ: []string{nameVariable + "none"}, layer: "/mnt/app-secrets/none"},
		"the field wins":     {environ: []string{dirVariable + dir}, field: other, want: "by name", layer: other},
		"missing field":      {environ: []string{dirVariable + dir}, field: "none", layer: "none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, _ := hermetic(t, nil)
			app.Environ, app.MaskinportenFile = list(test.environ...), test.field
			k, err := provider.LoadAppConfig(app)
			if err != nil {
				t.Fatal(err)
			}
			if got := k.String("MaskinportenSettings:ClientId"); got != test.want {
				t.Errorf("got the client %q, want %q", got, test.want)
			}
			layers := map[string]provider.Status{}
			for _, layer := range app.Origins.Layers() {
				layers[layer.Name] = layer.Status
			}
			status := provider.StatusMissing
			if test.want != "" {
				status = provider.StatusRead
			}
			if test.layer != "" && layers[test.layer] != status {
				t.Errorf("got the layers %v, want %s %s", layers, test.layer, status)
			}
			if test.layer == "" && strings.Contains(app.Origins.Summary(), "/mnt") {
				t.Errorf("got %s, want no word of a file that nothing names", app.Origins.Summary())
			}
			origin := app.Origins.Of("MaskinportenSettings:Jwks")
			if test.want != "" && (origin.Source != test.layer || origin.Layer != test.layer || origin.Mixed) {
				t.Errorf("got the source %+v, want %s", origin, test.layer)
			}
			if test.want != "" && app.Origins.Directory("MaskinportenSettings:ClientId") != filepath.Dir(test.layer) {
				t.Errorf("got the directory %q, want %q", app.Origins.Directory("MaskinportenSettings:ClientId"), filepath.Dir(test.layer))
			}
		})
	}
}

// It is laid over the other mounted file, and variables are laid over it.
func TestMaskinportenFileIsALayer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	app, _ := hermetic(t, files{"appsettings.json": `{"MaskinportenSettings": {"ClientId": "", "Scope": "a:b", "Authority": ""}}`})
	app.MountedFile = write(t, dir, "secret.json", `{"maskinportensettings": {"clientid": "mounted", "Kid": "mounted"}}`)
	app.MaskinportenFile = write(t, dir, "maskinporten.json", maskinportenFile("platform", "new", "old"))
	app.Environ = list("MASKINPORTENSETTINGS__AUTHORITY=variable")
	k, err := provider.LoadAppConfig(app)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, key := range []string{"ClientId", "Scope", "Kid", "Authority"} {
		got[key] = k.String("MaskinportenSettings:" + key)
	}
	want := map[string]string{"ClientId": "platform", "Scope": "a:b", "Kid": "mounted", "Authority": "variable"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := app.Origins.Of("MaskinportenSettings:ClientId").Overrode; !cmp.Equal(got, []string{app.MountedFile}) {
		t.Errorf("got overrode %q, want %q", got, app.MountedFile)
	}
}

// A later source's keys are never mixed with the file's, in whichever form they come.
func TestLaterKeysReplaceTheMaskinportenFiles(t *testing.T) {
	t.Parallel()
	const section = "MaskinportenSettings:"
	mounted := write(t, t.TempDir(), "maskinporten.json", maskinportenFile("platform", "new", "old"))
	for name, test := range map[string]struct {
		local   string
		environ []string
		at      string
		want    any
		source  string
	}{
		"a set": {
			local: `{"MaskinportenSettings": {"jwks": {"keys": [{"kty": "RSA", "kid": "mine"}]}}}`,
			at:    "Jwks", want: tree{"keys": []any{tree{"kty": "RSA", "kid": "mine"}}}, source: "appsettings.Local.json",
		},
		"a key": {
			local: `{"MaskinportenSettings": {"Jwk": {"KTY": "RSA", "kid": "mine"}}}`,
			at:    "Jwk", want: tree{"KTY": "RSA", "kid": "mine"}, source: "appsettings.Local.json",
		},
		"a text in a variable": {
			environ: []string{`MASKINPORTENSETTINGS__JWK={"kty":"RSA"}`},
			at:      "Jwk", want: `{"kty":"RSA"}`, source: "environment variable MASKINPORTENSETTINGS__JWK",
		},
		"a text in a file": {
			local: `{"MaskinportenSettings": {"Jwks": "base64"}}`,
			at:    "Jwks", want: "base64", source: "appsettings.Local.json",
		},
		"members in variables": {
			environ: []string{"MASKINPORTENSETTINGS__JWK__KTY=RSA"},
			at:      "Jwk", want: tree{"KTY": "RSA"}, source: "environment variable MASKINPORTENSETTINGS__JWK__KTY",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, log := hermetic(t, files{"appsettings.Local.json": test.local})
			if test.local == "" {
				app.FS = files{}.FS()
			}
			app.Environment, app.MaskinportenFile, app.Environ = "Development", mounted, list(test.environ...)
			k, err := provider.LoadAppConfig(app)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, k.Get(section+test.at)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			origin := app.Origins.Of(section + test.at)
			overrode := origin.Overrode
			if want, _ := test.want.(tree); want["keys"] != nil {
				overrode = app.Origins.Of(section + test.at + ":keys").Overrode
			}
			if origin.Source != test.source || origin.Mixed || !cmp.Equal(overrode, []string{mounted}) {
				t.Errorf("got %+v over %q, want the source %s over the file", origin, overrode, test.source)
			}
			if other := app.Origins.Of(section + "ClientId"); other.Order >= origin.Order {
				t.Errorf("got the order %d over %d, want the later one larger", origin.Order, other.Order)
			}
			if strings.Contains(log.String(), "skipped") || strings.Contains(log.String(), canary) {
				t.Errorf("got the log %s, want nothing skipped", log.String())
			}
		})
	}
}

// One member of a key can be set by itself. Origins tell that the key is of two layers.
func TestMixedKey(t *testing.T) {
	t.Parallel()
	app, _ := hermetic(t, nil)
	app.MaskinportenFile = write(t, t.TempDir(), "maskinporten.json", maskinportenFile("platform", "new"))
	app.Environ = list("MASKINPORTENSETTINGS__JWK__KID=mine")
	k, err := provider.LoadAppConfig(app)
	if err != nil {
		t.Fatal(err)
	}
	if got := k.String("MaskinportenSettings:Jwk:kid") + k.String("MaskinportenSettings:Jwk:n"); got != "minenew" {
		t.Errorf("got %q, want the variable's kid in the file's key", got)
	}
	for path, mixed := range map[string]bool{"Jwk": true, "Jwks": false, "Jwk:kid": false} {
		if got := app.Origins.Of("MaskinportenSettings:" + path).Mixed; got != mixed {
			t.Errorf("%s: got mixed %v, want %v", path, got, mixed)
		}
	}
}

// A file that is not whole is an error, wherever it ends, and no value is in it.
func TestHalfWrittenMaskinportenFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole := maskinportenFile("platform", "new", "old")
	for end := range len(whole) {
		app, _ := hermetic(t, nil)
		app.MaskinportenFile = write(t, dir, "maskinporten.json", whole[:end])
		k, err := provider.LoadAppConfig(app)
		if err == nil || k != nil || !strings.Contains(err.Error(), app.MaskinportenFile) || !strings.Contains(err.Error(), "line 1, column ") {
			t.Fatalf("%d bytes: got %v, want an error with the file and the place", end, err)
		}
		if strings.Contains(err.Error(), "CANARY") || len(app.Origins.Layers()) > 3 {
			t.Fatalf("%d bytes: got %v and %v, want no value and no layer of it", end, err, app.Origins.Layers())
		}
	}
}

// Kubernetes makes a new directory and then replaces the link to it: a reader sees the
// old file or the new one.
func TestMaskinportenFileIsReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link := func(target, name string) {
		t.Helper()
		temporary := filepath.Join(dir, name+"_tmp")
		if err := os.Symlink(target, temporary); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temporary, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, ".."+name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, ".."+name), "maskinporten-settings.json", maskinportenFile(name, name))
	}
	link("..a", "..data")
	link(filepath.Join("..data", "maskinporten-settings.json"), "maskinporten-settings.json")
	load := func() string {
		app, _ := hermetic(t, nil)
		app.Environ = list("RUNTIME_APP_SECRETS_DIR=" + dir)
		k, err := provider.LoadAppConfig(app)
		if err != nil {
			t.Error(err)
			return ""
		}
		return k.String("MaskinportenSettings:ClientId") + k.String("MaskinportenSettings:Jwk:kid")
	}
	if got := load(); got != "aa" {
		t.Errorf("got %q, want the first file", got)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 50 {
			if got := load(); got != "aa" && got != "bb" {
				t.Errorf("got %q, want one file or the other", got)
			}
		}
	})
	for range 25 {
		link("..b", "..data")
		link("..a", "..data")
	}
	link("..b", "..data")
	wg.Wait()
	if got := load(); got != "bb" {
		t.Errorf("got %q, want the new file", got)
	}
}

// A secret that was put into one of the variables is refused and not shown.
func TestMaskinportenVariablesHoldNoSecret(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{"RUNTIME_APP_SECRETS_DIR", "RUNTIME_APP_SECRETS_MASKINPORTEN_FILENAME"} {
		app, log := hermetic(t, nil)
		app.Environ = list(variable + `={"kty":"RSA","d":"` + canary + `"}`)
		_, err := provider.LoadAppConfig(app)
		if err == nil || !strings.Contains(err.Error(), "provider: environment variable "+variable+" looks like a private key") {
			t.Errorf("%s: got %v, want it refused", variable, err)
		}
		if err != nil && strings.Contains(err.Error()+log.String()+app.Origins.Summary(), canary) {
			t.Errorf("%s: got the value in %v, %s", variable, err, log.String())
		}
	}
}
