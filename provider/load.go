package provider

import (
	"context"

	"github.com/knadh/koanf/v2"
)

// Load is both stages in one: [LoadAppConfig], then [ConnectToKeyVault] when the
// settings say so, then in Development appsettings.Local.json once more, so that
// there the local file wins over the vault; outside Development that file is not
// read. Last, the Key Vault references that are left are resolved, as
// [ResolveReferences] does, but for those in what the vault itself gave: a secret's
// value is taken as it is.
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
	c, err := connect(ctx, k, &cfg)
	defer c.close()
	if err != nil {
		return nil, err
	}
	if err := app.loadLocal(k); err != nil {
		return nil, err
	}
	if err := resolveReferences(ctx, k, cfg, c.got.values()); err != nil {
		return nil, err
	}
	return k, nil
}
