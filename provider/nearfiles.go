package provider

import (
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

const (
	maxEntries   = 1000 // of a directory, which may be anybody's
	maxNearFiles = 3
)

// tellNearFiles notes which files have almost the name of a settings file that is
// missing. It reads the directory once, and only if one is.
func (a AppConfig) tellNearFiles() {
	missing := a.Origins.missing(baseFile, a.environmentFile())
	if len(missing) == 0 {
		return
	}
	var near []string
	for _, entry := range a.entries() {
		for _, name := range missing {
			if isNearFile(name, entry) && len(near) < maxNearFiles {
				near = append(near, entry+" is there, but "+name+" is read")
			}
		}
	}
	if parent := filepath.Join(a.Dir, "..", baseFile); a.FS == nil && missing[0] == baseFile && exists(parent) {
		near = append(near, baseFile+" is in the parent directory")
	}
	if len(near) > 0 {
		a.logger().Debug("provider: other settings files", "near", near)
	}
	a.Origins.near(near)
}

// entries is the names of the files in the directory. What cannot be listed has none.
func (a AppConfig) entries() []string {
	dir, err := a.files().Open(".")
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	listing, ok := dir.(fs.ReadDirFile)
	if !ok {
		return nil
	}
	entries, _ := listing.ReadDir(maxEntries)
	var names []string
	for _, entry := range entries {
		if !entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names
}

// isNearFile reports whether a file was perhaps meant to be the settings file that is
// missing: its name differs in case or by a few characters, or is that of an
// environment whose name is near.
func isNearFile(missing, there string) bool {
	if strings.EqualFold(missing, there) {
		return true
	}
	asked, other := environmentOf(missing), environmentOf(there)
	switch {
	case strings.EqualFold(there, baseFile):
		return false // it is a layer of its own
	case other == "":
		return isNear([]rune(tree.Fold(missing)), []rune(tree.Fold(there)))
	case asked == "" || strings.EqualFold(other, environmentOf(localFile)):
		return false
	}
	a, b := []rune(tree.Fold(asked)), []rune(tree.Fold(other))
	return isNear(a, b) || isNear(b, a)
}

// environmentOf is the environment whose settings file has this name, "" if it is not
// such a name.
func environmentOf(file string) string {
	const prefix, suffix = "appsettings.", ".json"
	if n := len(prefix); len(file) > n+len(suffix) && strings.EqualFold(file[:n], prefix) && strings.EqualFold(file[len(file)-len(suffix):], suffix) {
		return file[n : len(file)-len(suffix)]
	}
	return ""
}
