package fxmodule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/provider"
)

const (
	// fileEvery and vaultEvery are how old keys become before they are read again.
	// Kubernetes takes about a minute to renew a mounted file. A vault bounds how often it
	// is read.
	fileEvery  = time.Minute
	vaultEvery = 5 * time.Minute
	// newestVersions is how many versions of a key are used: the newest, and the previous
	// one until Maskinporten knows the newest.
	newestVersions = 2
)

// ReloadKeys lets the client take over a new key while the application runs, as
// [httpclient.ReloadingKeys] does. The key of the settings is checked at the start as it
// is without this option, and it is the first one. It is read again where it came from:
//
//   - From a settings file, such as the maskinporten-settings.json that Altinn's platform
//     mounts: the files and variables are read again once they are 60 seconds old. Those
//     that the vault or a reference gave stay as they are.
//   - From a Key Vault secret: its newest two enabled versions are read once they are 5
//     minutes old. The identity needs the permission to list secrets.
//   - From the certificate's file that CertificatePkcs12Path names: that file is read.
//
// They are read when a token is fetched, and at once if Maskinporten does not accept the
// key. There is no timer. If reading fails, the log tells it once, and the last good keys
// stay. A changed ClientId is not taken over: the log says that it takes a restart.
//
// There is nothing to read again for a key from an environment variable, an argument or
// [EditSettings], or from a reference that names a version. Then a warning tells that.
// Functions of EditSettings are called with each reading of files.
//
// It needs [Config], which knows where the settings are.
func ReloadKeys() Option { return func(m *module) { m.reload = true } }

// reloading is an option of the client that reads its key again; nil if there is nothing
// to read.
func (m module) reloading(p moduleParams, settings httpclient.MaskinportenSettings) (httpclient.Option, error) {
	name, origin := settings.KeySetting()
	if !m.reload || name == "" || name == vaultKeySetting {
		return nil, nil
	}
	if p.Sources == nil {
		return nil, errors.New("fxmodule: add fxmodule.Config to the application, or remove ReloadKeys - only Config knows where the settings came from")
	}
	r := rereader{module: m, sources: *p.Sources, first: settings, setting: name, origin: origin}
	if name == "CertificatePkcs12Path" {
		return r.every(fileEvery, httpclient.KeysFromSettings(r.again)), nil
	}
	if why := fixed(origin); why != "" {
		usable(p.Roster.Logger).Warn(fmt.Sprintf("fxmodule: remove ReloadKeys, or keep the key in a mounted file or in Key Vault - client %q: %s%s", m.name, name, why))
		return nil, nil
	}
	if origin.Secret == "" {
		return r.every(fileEvery, httpclient.KeysFromSettings(r.files)), nil
	}
	vault, err := r.openVault(p)
	if err != nil {
		return nil, err
	}
	r.vault, r.delim = vault, p.Koanf.Delim()
	return r.every(vaultEvery, r.versions), nil
}

// fixed says why there is nothing to read again, in words that follow the setting; it is
// empty if there is.
func fixed(o httpclient.Origin) string {
	switch {
	case o.Source == "":
		return " is not from a file or a vault"
	case o.Layer == "environment", o.Layer == "arguments":
		return " (" + o.Source + ") does not change while the application runs"
	case strings.Contains(o.Secret, "/"):
		return " (" + o.Source + ") is a reference that names a version"
	case o.Mixed, o.Secret == "" && strings.HasPrefix(o.Layer, "https://"):
		return " is put together of several sources"
	}
	return ""
}

// rereader reads the key of one client again, where it came from.
type rereader struct {
	module  module
	sources sources
	first   httpclient.MaskinportenSettings // as they were at the start
	setting string                          // that has the key
	origin  httpclient.Origin               // of the key
	vault   *provider.Vault                 // that the key is from
	delim   string                          // of the koanf
}

func (r rereader) every(d time.Duration, read func(context.Context) ([]*httpclient.Key, error)) httpclient.Option {
	return httpclient.WithKeySource(httpclient.ReloadingKeys(read, d))
}

// again is the settings as they were. What they name may have changed.
func (r rereader) again(context.Context) (httpclient.MaskinportenSettings, error) {
	return r.first, nil
}

// files reads the settings of the first stage. What only the vault has stays.
func (r rereader) files(context.Context) (httpclient.MaskinportenSettings, error) {
	app, origins := r.sources.app, &provider.Origins{}
	app.Origins, app.Logger = origins, errorsOnly(app.Logger)
	k, err := provider.LoadAppConfig(app)
	if err != nil {
		return httpclient.MaskinportenSettings{}, err
	}
	settings, err := r.module.settings(k, origins)
	if err != nil {
		return httpclient.MaskinportenSettings{}, err
	}
	if _, from := settings.KeySetting(); from.Layer != r.origin.Layer {
		return httpclient.MaskinportenSettings{}, fmt.Errorf("fxmodule: put the key back into %s, or restart to take it from elsewhere - the key that is in use is not there any more", r.origin.Source)
	}
	for key, keep := range map[string]func(){
		"ClientId":                  func() { settings.ClientID = r.first.ClientID },
		"Kid":                       func() { settings.KeyID = r.first.KeyID },
		"CertificatePkcs12Password": func() { settings.CertificatePKCS12Password = r.first.CertificatePKCS12Password },
	} {
		if originOf(r.first, key).Secret != "" {
			keep()
		}
	}
	return settings, nil
}

// openVault is the vault that the key is from.
func (r rereader) openVault(p moduleParams) (*provider.Vault, error) {
	connect := r.sources.vault
	connect.VaultURL, connect.Origins = r.origin.Layer, p.Origins // if the settings name none
	cfg, err := provider.VaultConfig(p.Koanf, connect)
	if err != nil {
		return nil, err
	}
	cfg.VaultURL, cfg.Logger = r.origin.Layer, errorsOnly(cfg.Logger) // a reference may name another
	return provider.KeyVault(cfg)
}

// versions reads the newest versions of the secret that the key is from. A version before
// the newest that holds no key is passed over.
func (r rereader) versions(ctx context.Context) ([]*httpclient.Key, error) {
	versions, err := r.vault.Versions(ctx, r.origin.Secret, newestVersions)
	if err != nil {
		return nil, err
	}
	clientID, err := r.clientID(ctx)
	if err != nil {
		return nil, err
	}
	var keys []*httpclient.Key
	for i, version := range versions {
		of, err := httpclient.KeysFromSettings(func(context.Context) (httpclient.MaskinportenSettings, error) {
			settings, err := r.with(version)
			settings.ClientID = clientID
			return settings, err
		})(ctx)
		if err != nil && i == 0 {
			return nil, err
		}
		keys = append(keys, of...)
	}
	return keys, nil
}

// clientID is the client's id, as the vault has it now if it is from the same vault.
func (r rereader) clientID(ctx context.Context) (string, error) {
	origin := originOf(r.first, "ClientId")
	if origin.Secret == "" || origin.Layer != r.origin.Layer || fixed(origin) != "" {
		return r.first.ClientID, nil
	}
	newest, err := r.vault.Versions(ctx, origin.Secret, 1)
	if err != nil {
		return "", err
	}
	settings, err := r.section(newest[0])
	if err != nil || settings.ClientID == "" {
		return strings.TrimSpace(newest[0].Value()), err // of a reference
	}
	return settings.ClientID, nil
}

// with is the settings with the key of a version.
func (r rereader) with(version provider.SecretVersion) (httpclient.MaskinportenSettings, error) {
	settings := r.first
	settings.Origin = func(key string) httpclient.Origin {
		origin := originOf(r.first, key)
		if key == r.setting || origin.Secret == r.origin.Secret && origin.Layer == r.origin.Layer {
			origin = r.origin
			origin.Created, origin.Expires = version.Created, version.Expires
		}
		return origin
	}
	nested, err := r.nested(version)
	if err != nil {
		return settings, err
	}
	if found, err := httpclient.ParseSettings(nested); err == nil {
		if name, _ := found.KeySetting(); name == r.setting {
			return settings, settings.Parse(nested)
		}
	}
	return settings, settings.Parse(map[string]any{r.setting: version.Value()}) // of a reference
}

// section is what a version gives the client's section.
func (r rereader) section(version provider.SecretVersion) (httpclient.MaskinportenSettings, error) {
	nested, err := r.nested(version)
	if err != nil {
		return httpclient.MaskinportenSettings{}, err
	}
	return httpclient.ParseSettings(nested)
}

// nested is what a version gives the client's section, as a load nests it. It is empty
// for a secret that a reference names.
func (r rereader) nested(version provider.SecretVersion) (map[string]any, error) {
	all, err := version.Settings()
	if err != nil {
		return nil, err
	}
	k := koanf.New(r.delim)
	if err := k.Load(confmap.Provider(all, ""), nil); err != nil {
		return nil, err
	}
	section, err := provider.Section(k, r.module.section)
	if errors.Is(err, provider.ErrNoSection) {
		return nil, nil
	}
	return section, err
}

// errorsOnly is a logger for what is read again and again: what it warns about was told
// at the start.
func errorsOnly(logger *slog.Logger) *slog.Logger {
	return slog.New(errorHandler{usable(logger).Handler()})
}

type errorHandler struct{ slog.Handler }

func (h errorHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError && h.Handler.Enabled(ctx, level)
}

func (h errorHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return errorHandler{h.Handler.WithAttrs(attrs)}
}

func (h errorHandler) WithGroup(name string) slog.Handler {
	return errorHandler{h.Handler.WithGroup(name)}
}
