package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/knadh/koanf/v2"
)

// ConnectToKeyVault is the second stage of Altinn's guide. If the section kvSetting
// of k is complete, it loads the vault that the section names over k, by the rules
// of [Merge]. It reports whether it did.
//
// The section (kvSettings is accepted as well, both in any case) is complete
// when ClientId, TenantId, ClientSecret and SecretUri are all non-blank. With
// a Credential given, such as a managed identity's, SecretUri is enough, or
// VaultURL in its place. TenantId is a GUID in any case or one of the tenant's
// domains.
//
// When all of these are blank there is no vault to connect to: it returns false,
// which is logged at debug level. When some are set it returns false and warns,
// naming those that are missing. [ConnectConfig.Require] makes both an error.
//
// The load does network I/O, bounded by ctx and [Config.Timeout]. On an error,
// which never holds a value, k is as it was.
func ConnectToKeyVault(ctx context.Context, k *koanf.Koanf, cfg ConnectConfig) (bool, error) {
	if k == nil {
		return false, errors.New("provider: give ConnectToKeyVault the koanf with the settings - it is nil")
	}
	s := settingsOf(k, cfg.Origins)
	defer s.close()
	connected, err := s.connect(ctx, cfg)
	if err != nil || !connected {
		return false, err
	}
	return true, s.into(k)
}

// connect is ConnectToKeyVault on settings.
func (s *settings) connect(ctx context.Context, cfg ConnectConfig) (connected bool, err error) {
	checked, err := cfg.checked()
	if err != nil {
		return false, err
	}
	kv, err := bindKVSetting(s.tree)
	if err != nil {
		return false, err
	}
	if missing := kv.missingForVault(cfg); len(missing) > 0 {
		near := s.nearKVSetting(kv, missing)
		note := vaultNote{lacking: missing}
		if len(near) > 0 {
			note.instead = kv.instead(missing, near)
		}
		s.origins.connected(note)
		return false, kv.incomplete(ctx, cfg, missing, near)
	}
	if checked, err = s.reach(checked, kv, cfg); err != nil {
		return false, err
	}
	vault, err := openKeyVault(checked)
	if err != nil {
		return false, err
	}
	secrets, skipped, err := vault.load(ctx)
	if err != nil {
		return false, err
	}
	if err := s.apply(vault.url, secrets); err != nil {
		return false, err
	}
	s.skippedOf(vault.url, skipped)
	s.origins.connected(vaultNote{url: vault.url, named: len(cfg.Secrets) > 0, mapped: cfg.Map != nil})
	return true, nil
}

// reach is the checked Config with the vault that kv names, and as whom to read it.
func (s *settings) reach(checked Config, kv kvSetting, cfg ConnectConfig) (_ Config, err error) {
	if uri := kv.text(secretURI); uri != "" {
		if checked.VaultURL, err = cleanVaultURL(uri); err != nil {
			return Config{}, fmt.Errorf("provider: %s %w", kv.setting(secretURI), err)
		}
		checked.from = vaultSetting{checked.VaultURL, kv.setting(secretURI)}
	}
	checked.Credential, err = s.identity(kv, cfg)
	return checked, err
}

// identity is cfg's Credential, or else the one that kv describes, which is made
// once.
func (s *settings) identity(kv kvSetting, cfg ConnectConfig) (Credential, error) {
	if cfg.Credential != nil {
		return cfg.Credential, nil
	}
	if s.credential == nil {
		made, closeIdle, err := kv.credential(cfg.CredentialOptions)
		if err != nil {
			return nil, err
		}
		s.credential, s.closeIdle = made.GetToken, closeIdle
	}
	return s.credential, nil
}

func (s *settings) close() {
	if s.closeIdle != nil {
		s.closeIdle()
	}
}
