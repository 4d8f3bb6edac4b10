package provider_test

import (
	"net/http"
	"testing"

	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
)

// Errors name the settings that gave the address and the identity.
func TestErrorsNameTheSettings(t *testing.T) {
	t.Parallel()
	client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) { return nil, notFound(r.URL.Hostname()) })}
	kv := map[string]any{
		"ClientId": "c", "ClientSecret": "s", "TenantId": "00000000-0000-4000-8000-000000000001", "SecretUri": "https://one.vault.azure.net",
	}
	cfg := provider.ConnectConfig{Config: provider.Config{ClientOptions: azsecretsOptions(client), Logger: (&logtest.Buffer{}).Logger()}}
	byURL := cfg
	byURL.VaultURL, byURL.Credential = "https://one.vault.azure.net", staticCredential{}.GetToken
	const dns = ": its host name is misspelt, or this machine's DNS does not know it - "
	connect := func(cfg provider.ConnectConfig, kv map[string]any) error {
		_, err := provider.ConnectToKeyVault(t.Context(), newKoanf(t, map[string]any{"kvSettings": kv}, ":"), cfg)
		return err
	}
	reference := newKoanf(t, map[string]any{"A": "@Microsoft.KeyVault(VaultName=two;SecretName=one)", "kvSetting": kv}, ":")
	for want, err := range map[string]error{
		"provider: check kvSettings:SecretUri" + dns + "list https://one.vault.azure.net: lookup one.vault.azure.net: no such host":                                                connect(cfg, kv),
		"provider: check VaultURL" + dns + "list https://one.vault.azure.net: lookup one.vault.azure.net: no such host":                                                            connect(byURL, nil),
		"provider: A: Key Vault reference: check the reference" + dns + "get one from https://two.vault.azure.net: lookup two.vault.azure.net: no such host (0 of 1 secrets read)": provider.ResolveReferences(t.Context(), reference, cfg),
	} {
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// Two secrets that cannot both be: no request is to blame.
func TestErrorOfNames(t *testing.T) {
	t.Parallel()
	vault, err := provider.KeyVaultWithClient(&kvFake{secrets: []kvSecret{{name: "A"}, {name: "A--B"}}}, provider.Config{})
	if err != nil {
		t.Fatal(err)
	}
	const want = "provider: remove or rename one of them, or leave it out with Config.Sections, Filter or Map - " +
		"map the key vault: the secrets A and A--B make a value and a section of the same key"
	if _, err := vault.Read(); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
