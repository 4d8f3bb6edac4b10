package provider

import (
	"context"
	"errors"

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
// ctx bounds the whole, and [Config.Timeout] the second step and the fourth, each.
// A nil Logger of cfg is app's. Origins may be set in either of them. Errors are
// those of the stages.
func Load(ctx context.Context, app AppConfig, cfg ConnectConfig) (*koanf.Koanf, error) {
	if cfg.Logger == nil {
		cfg.Logger = app.Logger
	}
	switch {
	case cfg.Origins == nil:
		cfg.Origins = app.Origins
	case app.Origins != nil && app.Origins != cfg.Origins:
		return nil, errors.New("provider: Origins of AppConfig and ConnectConfig differ: set one of them, or the same in both")
	}
	app.Origins = cfg.Origins
	s, err := app.load()
	if err != nil {
		return nil, err
	}
	defer s.close()
	if _, err := s.connect(ctx, cfg); err != nil {
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
