package fxmodule

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/knadh/koanf/v2"
	"go.uber.org/fx"

	"github.com/portnokkel/portnokkel/provider"
)

// ConfigOption changes what [Config] reads.
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
func Config(opts ...ConfigOption) fx.Option {
	var c config
	for _, opt := range opts {
		if opt != nil {
			opt(&c)
		}
	}
	return fx.Module("portnokkel.config", fx.Supply(c, fx.Private), fx.Provide(newKoanf))
}

type configParams struct {
	fx.In

	Config config
	Logger *slog.Logger `optional:"true"`
}

type configResult struct {
	fx.Out

	Koanf   *koanf.Koanf
	Origins *provider.Origins
}

func newKoanf(p configParams) (configResult, error) {
	app, vault := p.Config.app, p.Config.vault
	if app.Logger == nil {
		app.Logger = p.Logger
	}
	if vault.Logger == nil {
		vault.Logger = p.Logger
	}
	if app.Origins == nil {
		app.Origins = vault.Origins
	}
	if app.Origins == nil {
		app.Origins = &provider.Origins{}
	}
	k, err := provider.Load(context.Background(), app, vault)
	if err != nil {
		return configResult{}, fmt.Errorf("fxmodule: configuration: %w", err)
	}
	return configResult{Koanf: k, Origins: app.Origins}, nil
}
