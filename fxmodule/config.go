package fxmodule

import (
	"context"
	"reflect"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/knadh/koanf/v2"
	"go.uber.org/fx"

	"github.com/portnokkel/portnokkel/provider"
)

// ConfigOption changes what [Config] reads. A nil ConfigOption changes nothing.
type ConfigOption func(*config)

type config struct {
	app   provider.AppConfig
	vault provider.ConnectConfig
}

// AppConfig says where the application's own settings are. The default is the
// zero [provider.AppConfig]: the working directory's appsettings files and the
// process's environment, in tests too. If it is given twice, the last one counts.
func AppConfig(app provider.AppConfig) ConfigOption {
	return func(c *config) { c.app = app }
}

// KeyVault says how to reach the vault that the section kvSetting names, such as
// with a managed identity's credential. The default is the zero
// [provider.ConnectConfig]. If it is given twice, the last one counts.
func KeyVault(vault provider.ConnectConfig) ConfigOption {
	return func(c *config) { c.vault = vault }
}

// Config provides a [*koanf.Koanf] with the application's settings, read as
// [provider.Load] does, and a [*provider.Origins] that tells where each setting
// came from. It reads when the first of them is asked for, and only then.
//
// The graph may say more. What the options say wins over it, field by field.
//
//   - A [*slog.Logger] gets the warnings, and why the application cannot start.
//   - A [provider.AppConfig] and a [provider.ConnectConfig] fill the fields that
//     [AppConfig] and [KeyVault] leave zero. A test adds them with [fx.Supply] to point
//     a whole application to its files and its test servers.
//   - An [azcore.TokenCredential] reads the vault, unless one of the two above has a
//     Credential or CredentialOptions.
func Config(opts ...ConfigOption) fx.Option {
	var c config
	for _, opt := range opts {
		if opt != nil {
			opt(&c)
		}
	}
	return fx.Module("portnokkel.config", enrol(member{}), fx.Supply(c, fx.Private), fx.Provide(newKoanf))
}

type configParams struct {
	fx.In

	Config     config
	Roster     roster
	App        provider.AppConfig     `optional:"true"`
	Vault      provider.ConnectConfig `optional:"true"`
	Credential azcore.TokenCredential `optional:"true"`
}

type configResult struct {
	fx.Out

	Koanf   *koanf.Koanf
	Origins *provider.Origins
	Sources *sources
}

// sources is where the settings were read from, for what reads them again.
type sources struct {
	app   provider.AppConfig
	vault provider.ConnectConfig
}

func newKoanf(p configParams) (configResult, error) {
	app, vault := p.settings()
	vault = withCredential(vault, p.Credential)
	if app.Logger == nil {
		app.Logger = p.Roster.Logger
	}
	if vault.Logger == nil {
		vault.Logger = p.Roster.Logger
	}
	if app.Origins == nil {
		app.Origins = vault.Origins
	}
	if app.Origins == nil {
		app.Origins = &provider.Origins{}
	}
	k, err := provider.Load(context.Background(), app, vault)
	if err != nil {
		return configResult{}, p.Roster.failed(&startError{cause: err})
	}
	vault.Origins = app.Origins
	return configResult{Koanf: k, Origins: app.Origins, Sources: &sources{app, vault}}, nil
}

// withCredential is vault with the graph's credential, unless it says otherwise.
func withCredential(vault provider.ConnectConfig, credential azcore.TokenCredential) provider.ConnectConfig {
	if vault.Credential == nil && isZero(vault.CredentialOptions) && !isNil(credential) {
		vault.Credential = credential.GetToken
	}
	return vault
}

// settings are the options' with what the graph adds. Of two fields that exclude one
// another, the graph's is left out.
func (p configParams) settings() (provider.AppConfig, provider.ConnectConfig) {
	app, vault := p.Config.app, p.Config.vault
	if app.FS != nil || app.Dir != "" {
		p.App.FS, p.App.Dir = nil, ""
	}
	if vault.Credential != nil {
		p.Vault.CredentialOptions = azidentity.ClientSecretCredentialOptions{}
	}
	if !isZero(vault.CredentialOptions) {
		p.Vault.Credential = nil
	}
	vault.Config = filled(vault.Config, p.Vault.Config)
	return filled(app, p.App), filled(vault, p.Vault)
}

func isZero(v any) bool { return reflect.ValueOf(v).IsZero() }

// filled is a struct whose zero fields are those of another. What is not exported is not
// the graph's to fill.
func filled[T any](first, second T) T {
	to, from := reflect.ValueOf(&first).Elem(), reflect.ValueOf(second)
	for i := range to.NumField() {
		if to.Field(i).CanSet() && to.Field(i).IsZero() {
			to.Field(i).Set(from.Field(i))
		}
	}
	return first
}
