package provider_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/provider"
)

// Files with almost the name of one that is missing are told of, and no others.
func TestNearFiles(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		environment string
		there       string
		want        string
	}{
		{"another case", "", "AppSettings.json", "AppSettings.json is there, but appsettings.json is read"},
		{"another case, with an environment", "", "appsettings.json appsettings.production.json", "appsettings.production.json is there, but appsettings.Production.json is read"},
		{"a letter too few", "", "appsetings.json", "appsetings.json is there, but appsettings.json is read"},
		{"without app", "", "settings.json", "settings.json is there, but appsettings.json is read"},
		{"no ending", "", "appsettings", "appsettings is there, but appsettings.json is read"},
		{"a second ending", "", "appsettings.json.txt", "appsettings.json.txt is there, but appsettings.json is read"},
		{"an environment cut short", "Prod", "appsettings.json appsettings.Production.json", "appsettings.Production.json is there, but appsettings.Prod.json is read"},
		{"a file cut short", "", "appsettings.json appsettings.Prod.json", "appsettings.Prod.json is there, but appsettings.Production.json is read"},
		{"a letter too many", "Sttaging", "appsettings.json appsettings.Staging.json", "appsettings.Staging.json is there, but appsettings.Sttaging.json is read"},
		{"two", "", "Appsettings.json APPSETTINGS.JSON", "APPSETTINGS.JSON is there, but appsettings.json is read; Appsettings.json is there, but appsettings.json is read"},
		{"at most three", "", "Appsettings.json APPSETTINGS.JSON AppSettings.json appsettings.JSON", "APPSETTINGS.JSON is there, but appsettings.json is read; AppSettings.json is there, but appsettings.json is read; Appsettings.json is there, but appsettings.json is read"},

		{"other environments", "", "appsettings.json appsettings.Development.json appsettings.Staging.json appsettings.Test.json", ""},
		{"an environment's file for the first", "", "appsettings.Dev.json", ""},
		{"the developer's own file", "Loc", "appsettings.json appsettings.Local.json", ""},
		{"the app itself", "", "app main.go package.json", ""},
		{"all there", "", "appsettings.json appsettings.Production.json AppSettings.json", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			there := files{}
			for name := range strings.FieldsSeq(test.there) {
				there[name] = "{}"
			}
			app, _ := hermetic(t, there)
			app.Environment = test.environment
			if _, err := provider.LoadAppConfig(app); err != nil {
				t.Fatal(err)
			}
			line, _, _ := strings.Cut(app.Origins.Summary(), "\n")
			var told []string
			for clause := range strings.SplitSeq(line, "; ") {
				if strings.Contains(clause, " is there, but ") {
					told = append(told, clause)
				}
			}
			if diff := cmp.Diff(test.want, strings.Join(told, "; ")); diff != "" {
				t.Errorf("near files (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFileInTheParentDirectory(t *testing.T) {
	t.Parallel()
	const told = "appsettings.json is in the parent directory"
	parent := t.TempDir()
	dir := filepath.Join(parent, "cmd")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	origins := func(fsys fs.FS, dir string) *provider.Origins {
		t.Helper()
		app, _ := hermetic(t, nil)
		app.FS, app.Dir = fsys, dir
		if _, err := provider.LoadAppConfig(app); err != nil {
			t.Fatal(err)
		}
		return app.Origins
	}
	if got := origins(nil, dir).Summary(); strings.Contains(got, told) {
		t.Errorf("got %s before it is there", got)
	}
	if err := os.WriteFile(filepath.Join(parent, "appsettings.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := origins(nil, dir)
	if got := o.Summary(); !strings.Contains(got, "looked in "+dir+"; "+told+"\n") {
		t.Errorf("got %s, want that %s", got, told)
	}
	if got := o.Of("S:A").Instead; !strings.HasPrefix(got, told+"; looked for ") {
		t.Errorf("got %s, want that %s", got, told)
	}
	if got := origins(os.DirFS(dir), "").Summary(); strings.Contains(got, told) {
		t.Errorf("got %s of another file system, want nothing of a parent", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "appsettings.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := origins(nil, dir).Summary(); strings.Contains(got, told) {
		t.Errorf("got %s, want nothing of the parent if the file is there", got)
	}
}

// oddFS has no files, and directories that cannot be listed.
type oddFS struct{ open func() (fs.File, error) }

func (o oddFS) Open(name string) (fs.File, error) {
	if name == "." {
		return o.open()
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// noDir is a file that is no directory.
type noDir struct{ fs.File }

func (noDir) Close() error { return nil }

// noListing is a directory that fails, or has more entries than anybody asks for.
type noListing struct {
	noDir
	asked *int
}

func (d noListing) ReadDir(n int) ([]fs.DirEntry, error) {
	*d.asked = n
	return nil, errors.New("no")
}

// A file system that cannot be listed costs nothing but the near names.
func TestFilesThatCannotBeListed(t *testing.T) {
	t.Parallel()
	asked := 0
	for name, open := range map[string]func() (fs.File, error){
		"not opened":      func() (fs.File, error) { return nil, errors.New("no") },
		"not a directory": func() (fs.File, error) { return noDir{}, nil },
		"not listed":      func() (fs.File, error) { return noListing{noDir{}, &asked}, nil },
	} {
		app, _ := hermetic(t, nil)
		app.FS = oddFS{open}
		if _, err := provider.LoadAppConfig(app); err != nil || strings.Contains(app.Origins.Summary(), "is there") {
			t.Errorf("%s: got %v, %s, want no error and nothing told", name, err, app.Origins.Summary())
		}
	}
	if asked <= 0 {
		t.Errorf("got %d entries asked for, want a bound", asked)
	}
}

// A file that is there and cannot be read says so, with the cause once.
func TestFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for want, cause := range map[string]error{
		"provider: appsettings.json: let this process read the file - permission denied": fs.ErrPermission,
		"provider: appsettings.json: the file cannot be read - a disk's error":           errors.New("a disk's error"),
	} {
		app, _ := hermetic(t, nil)
		app.FS = failingFS{cause}
		_, err := provider.LoadAppConfig(app)
		line, _, _ := strings.Cut(err.Error(), "\n")
		if line != want || !errors.Is(err, cause) {
			t.Errorf("got %s, want %s with its cause", line, want)
		}
	}
}

type failingFS struct{ cause error }

func (f failingFS) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: f.cause}
}
