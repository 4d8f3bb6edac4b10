package provider

import (
	"context"

	"github.com/knadh/koanf/v2"
)

// Load is both stages in one: [LoadAppConfig], then [ConnectToKeyVault] when the
// settings say so, then in Development appsettings.Local.json once more, so that
// there the local file wins over the vault; outside Development that file is not
// read. Last, [ResolveReferences] resolves the Key Vault references that are left.
//
// What cfg leaves nil of Logger and Origins is taken from app. Errors are those
// of the two stages.
func Load(ctx context.Context, app AppConfig, cfg Config) (*koanf.Koanf, error) {
	if cfg.Logger == nil {
		cfg.Logger = app.Logger
	}
	if cfg.Origins == nil {
		cfg.Origins = app.Origins
	}
	k, err := LoadAppConfig(app)
	if err != nil {
		return nil, err
	}
	if _, err := ConnectToKeyVault(ctx, k, cfg); err != nil {
		return nil, err
	}
	if err := app.loadLocal(k); err != nil {
		return nil, err
	}
	if err := ResolveReferences(ctx, k, cfg); err != nil {
		return nil, err
	}
	return k, nil
}
