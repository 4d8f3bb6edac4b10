package provider_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/portnokkel/portnokkel/provider"
)

func TestDirectory(t *testing.T) {
	t.Parallel()
	dir, mounted := t.TempDir(), filepath.Join(t.TempDir(), "mounted.json")
	for path, content := range map[string]string{
		filepath.Join(dir, "appsettings.json"): `{"A": {"File": "x"}, "B": "y"}`,
		mounted:                                `{"C": "z"}`,
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var origins provider.Origins
	app := provider.AppConfig{Dir: dir, MountedFile: mounted, Environ: list("D=v", "B=w"), Origins: &origins}
	if _, err := provider.LoadAppConfig(app); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"a:file": dir, "C": filepath.Dir(mounted), "B": "", "D": "", "E": ""} {
		if got := origins.Directory(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if got := (*provider.Origins)(nil).Directory("A"); got != "" {
		t.Errorf("got %q", got)
	}
}
