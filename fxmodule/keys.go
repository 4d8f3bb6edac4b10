package fxmodule

import (
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/provider"
)

// keys is the option of a client whose keys are not, or not only, in the settings, and
// what closes them at last.
func (m module) keys(p moduleParams, settings httpclient.MaskinportenSettings) (opts []httpclient.Option, closeKeys func(), err error) {
	if m.vaultKey != nil {
		source, err := m.vaultKey(p, settings)
		if err != nil {
			return nil, nil, err
		}
		if source != nil {
			return []httpclient.Option{httpclient.WithKeySource(source.KeySource)}, source.close, nil
		}
	}
	opt, err := m.reloading(p, settings)
	return []httpclient.Option{opt}, func() {}, err
}

// connect is how the vault that kvSetting names is reached.
func (p moduleParams) connect() provider.ConnectConfig {
	if p.Sources != nil {
		return p.Sources.vault
	}
	connect := withCredential(p.Vault, p.Credential)
	connect.Origins = p.Origins
	if connect.Logger == nil {
		connect.Logger = p.Roster.Logger
	}
	return connect
}
