package provider

import (
	"context"

	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

// Load is both stages in one:
//
//  1. [LoadAppConfig].
//  2. [ConnectToKeyVault], when the settings name a vault.
//  3. In Development appsettings.Local.json once more, so that there the local
//     file wins over the vault. Outside Development that file is not read.
//  4. [ResolveReferences], for the references that are left. A secret's value is
//     taken as it is, even if it looks like one.
//
// What cfg leaves nil of Logger and Origins is taken from app. Errors are those
// of the stages.
func Load(ctx context.Context, app AppConfig, cfg ConnectConfig) (*koanf.Koanf, error) {
	if cfg.Logger == nil {
		cfg.Logger = app.Logger
	}
	if cfg.Origins == nil {
		cfg.Origins = app.Origins
	}
	app.Origins = cfg.Origins
	s, err := app.load()
	if err != nil {
		return nil, err
	}
	_, closeIdle, err := s.connect(ctx, &cfg)
	defer closeIdle()
	if err != nil {
		return nil, err
	}
	if err := app.loadLocal(s); err != nil {
		return nil, err
	}
	if err := s.resolve(ctx, cfg, notSecrets); err != nil {
		return nil, err
	}
	k := koanf.New(tree.Delimiter)
	return k, s.into(k)
}
