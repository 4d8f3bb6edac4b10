package provider

import "github.com/knadh/koanf/v2"

// LoadLocal is loadLocal for the tests outside the package.
func LoadLocal(a AppConfig, k *koanf.Koanf) error { return a.loadLocal(k) }

// Record is Origins.record for the tests outside the package.
func Record(o *Origins, layer Layer, tree map[string]any, source func(string) string) {
	o.record(layer, tree, source)
}

// RecordVault is Origins.vault for the tests outside the package.
func RecordVault(o *Origins, url string, missing []string) { o.vault(url, missing) }
