package fxmodule

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"reflect"
	"regexp"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaultkey"
)

// vaultKeySetting is the setting that names a key in a vault.
const vaultKeySetting = "KeyVaultKey"

// KeyVaultKey lets the client sign with a key that never leaves Key Vault: the one that
// the setting KeyVaultKey names, by its name or by its address (Key Identifier).
//
//	"MaskinportenSettings": { "KeyVaultKey": "maskinporten", ... }
//
// What cfg leaves zero comes from the settings and from [Config]:
//
//   - Key is the setting KeyVaultKey. If that is not set, or if a later source has
//     another key, the client signs with that one, as without this option. So a
//     developer's own settings may hold a key.
//   - VaultURL, for a key without an address, is the vault that kvSetting names.
//   - Credential is the identity that reads that vault.
//   - ClientOptions are those of the vault's [provider.ConnectConfig].
//   - KeyID is the setting Kid. It is for a key with a version only: each version is
//     registered under an id of its own, and "{name}.{version}" is what it is without.
//   - Logger is the graph's.
//
// The newest two versions are used, and read again as [httpclient.ReloadingKeys] does,
// once they are 5 minutes old: the newest signs when Maskinporten knows it, and the
// previous one until then. Nothing is read before the first token.
//
// A program that does not call this function does not link Azure's client for keys.
func KeyVaultKey(cfg vaultkey.Config) Option {
	return func(m *module) {
		m.vaultKey = func(p moduleParams, settings httpclient.MaskinportenSettings) (*keySource, error) {
			return m.openVaultKey(cfg, p, settings)
		}
	}
}

// keySource is a source of keys, and how it is closed.
type keySource struct {
	httpclient.KeySource
	close func()
}

// openVaultKey is the source of the key that cfg or the settings name; nil if neither
// does.
func (m *module) openVaultKey(cfg vaultkey.Config, p moduleParams, settings httpclient.MaskinportenSettings) (*keySource, error) {
	name, origin := settings.KeySetting()
	setting := "Key of vaultkey.Config"
	switch named := name == vaultKeySetting; {
	case cfg.Key != "" && name != "" && !named:
		return nil, fmt.Errorf("fxmodule: remove %s, or %s: each is a key", sourced(name, origin), setting)
	case cfg.Key != "":
	case !named:
		return nil, nil
	default:
		cfg.Key, setting = settings.KeyVaultKey, sourced(vaultKeySetting, origin)
	}
	if kid := sourced("Kid", originOf(settings, "Kid")); cfg.KeyID == "" && settings.KeyID != "" {
		if !versioned.MatchString(cfg.Key) {
			return nil, fmt.Errorf("fxmodule: remove %s, or name a version in %s - each version of the key is registered under an id of its own", kid, setting)
		}
		cfg.KeyID = settings.KeyID
		setting += " and " + kid
	}
	if err := m.reach(&cfg, p); err != nil {
		return nil, err
	}
	source, err := vaultkey.Open(cfg)
	if err != nil {
		return nil, fmt.Errorf("fxmodule: check %s - %w", setting, err)
	}
	read := func(ctx context.Context) ([]*httpclient.Key, error) {
		return vaultkey.Keys(ctx, source, newestVersions, httpclient.NewKey)
	}
	return &keySource{httpclient.ReloadingKeys(read, vaultEvery), source.Close}, nil
}

// versioned is a key's name or address with a version.
var versioned = regexp.MustCompile(`/[0-9a-fA-F]{32}/?\s*$`)

// sourced is a setting with its source, if that is known.
func sourced(setting string, from httpclient.Origin) string {
	if from.Source == "" {
		return setting
	}
	return setting + " (" + from.Source + ")"
}

// originOf is where a setting came from. A program may have made the settings anew, which
// know no source.
func originOf(settings httpclient.MaskinportenSettings, key string) httpclient.Origin {
	if settings.Origin == nil {
		return httpclient.Origin{}
	}
	return settings.Origin(key)
}

// reach fills in which vault the key is in, and as whom to sign.
func (m *module) reach(cfg *vaultkey.Config, p moduleParams) error {
	connect := p.connect()
	if cfg.Logger == nil {
		cfg.Logger = connect.Logger
	}
	if reflect.ValueOf(cfg.ClientOptions).IsZero() {
		cfg.ClientOptions = azkeys.ClientOptions(connect.ClientOptions)
	}
	u, _ := url.Parse(cfg.Key)
	addressed := u != nil && u.Scheme != ""
	if cfg.Credential != nil && (addressed || cfg.VaultURL != "") {
		return nil
	}
	if addressed {
		connect.VaultURL = cmp.Or(cfg.VaultURL, "https://"+u.Host) // if kvSetting names none
	}
	vault, err := provider.VaultConfig(p.Koanf, connect)
	if err != nil {
		return err
	}
	if cfg.VaultURL == "" && !addressed {
		cfg.VaultURL = vault.VaultURL
	}
	if cfg.Credential == nil {
		cfg.Credential = vault.Credential
	}
	return nil
}
