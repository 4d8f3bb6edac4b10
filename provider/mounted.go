package provider

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/portnokkel/portnokkel/internal/paste"
)

// Where Altinn's platform mounts the settings of the app's own Maskinporten client.
const (
	runtimeDirVariable  = "RUNTIME_APP_SECRETS_DIR"
	runtimeFileVariable = "RUNTIME_APP_SECRETS_MASKINPORTEN_FILENAME"
	defaultRuntimeDir   = "/mnt/app-secrets"
	defaultRuntimeFile  = "maskinporten-settings.json"
)

// maskinportenFile is the path of the mounted settings of the Maskinporten client. It
// is named if the AppConfig or a variable says so.
func (a AppConfig) maskinportenFile() (path string, named bool, err error) {
	if a.MaskinportenFile != "" {
		return a.MaskinportenFile, true, nil
	}
	dir, name := a.getenv(runtimeDirVariable), a.getenv(runtimeFileVariable)
	for _, v := range []struct{ variable, value string }{{runtimeDirVariable, dir}, {runtimeFileVariable, name}} {
		if what := paste.Problem(v.value, maxPath); what != "" {
			err = errors.Join(err, fmt.Errorf("provider: %s%s %s", variablePrefix, v.variable, what))
		}
	}
	path = cmp.Or(name, defaultRuntimeFile)
	if !filepath.IsAbs(path) {
		path = filepath.Join(cmp.Or(dir, defaultRuntimeDir), path)
	}
	return path, dir != "" || name != "", err
}

// loadMaskinportenFile applies that file. If nothing names it, an app outside Altinn's
// platform is not told that it is missing.
func (a AppConfig) loadMaskinportenFile(s *settings) error {
	path, named, err := a.maskinportenFile()
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); !named && errors.Is(err, fs.ErrNotExist) {
		a.logger().Debug("provider: no such settings file", "file", path)
		return nil
	}
	return a.loadFile(s, path, os.ReadFile)
}
