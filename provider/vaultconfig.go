package provider

import (
	"context"
	"errors"

	"github.com/knadh/koanf/v2"
)

// VaultConfig is the [Config] of the vault that the section kvSetting of k names, as
// whom that section says. [ConnectToKeyVault] tells what makes the section complete; here
// an incomplete one is an error. It sends nothing.
//
// It is for what a service does after it has loaded the vault:
//
//   - [KeyVault] makes a Vault of it, for [Vault.Watch] and [Vault.Versions]. [Config]'s
//     other fields are those of cfg, and may be changed before.
//   - A key that never leaves the vault needs its VaultURL and Credential. See package
//     vaultkey.
//
// The credential may be used as long as the service lives. It keeps its token until
// shortly before its end.
func VaultConfig(k *koanf.Koanf, cfg ConnectConfig) (Config, error) {
	if k == nil {
		return Config{}, errors.New("provider: give VaultConfig the koanf with the settings - it is nil")
	}
	checked, err := cfg.checked()
	if err != nil {
		return Config{}, err
	}
	s := settingsOf(k, cfg.Origins)
	kv, err := bindKVSetting(s.tree)
	if err != nil {
		return Config{}, err
	}
	if missing := kv.missingForVault(cfg); len(missing) > 0 {
		cfg.Require = true
		return Config{}, kv.incomplete(context.Background(), cfg, missing, s.nearKVSetting(kv, missing))
	}
	return s.reach(checked, kv, cfg)
}
