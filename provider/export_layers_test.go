package provider

import (
	"strings"

	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

// LoadLocal is loadLocal for the tests outside the package.
func LoadLocal(a AppConfig, k *koanf.Koanf) error {
	s := settingsOf(k, a.Origins)
	if err := a.loadLocal(s); err != nil {
		return err
	}
	return s.into(k)
}

// Record lays layers over what o knows, each named in its turn by a letter of
// names, and records them.
func Record(o *Origins, names string, layers ...map[string]any) error {
	s := settings{tree: tree.New(), origins: o}
	for i, layer := range layers {
		name := names[i : i+1]
		if err := s.apply(name, tree.FromMap(layer, tree.Origin{Source: name})); err != nil {
			return err
		}
	}
	return nil
}

// RecordLayer records one layer, whose settings all come from source.
func RecordLayer(o *Origins, name, source string, layer map[string]any) error {
	s := settings{tree: tree.New(), origins: o}
	if o.lock() {
		if o.settings != nil {
			s.tree = o.settings
		}
		o.mu.Unlock()
	}
	return s.apply(name, tree.FromMap(layer, tree.Origin{Source: source}))
}

// Values is what o holds of the settings' values, by path.
func Values(o *Origins) map[string]any {
	values := map[string]any{}
	o.settings.Walk(func(path []string, n *tree.Node) { values[strings.Join(path, ":")] = n.Value })
	return values
}

// Secrets is the paths of the values that o knows to be secrets, with their names.
func Secrets(o *Origins) map[string]string {
	secrets := map[string]string{}
	o.settings.Walk(func(path []string, n *tree.Node) {
		if n.Origin.Secret != "" {
			secrets[strings.Join(path, ":")] = n.Origin.Secret
		}
	})
	return secrets
}

// RecordMissing records a layer that does not exist.
func RecordMissing(o *Origins, name string) { o.record(Layer{Name: name, Status: StatusMissing}, nil) }

// RecordVault is Origins.connected for the tests outside the package.
func RecordVault(o *Origins, url string, missing []string) {
	o.connected(vaultNote{url: url, lacking: missing})
}

// NearMisses is how many near misses of a setting were looked at.
func NearMisses(o *Origins, path string) int {
	return len(newNameIndex(o.settings, o.skipped).near(path))
}
