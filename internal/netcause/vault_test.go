package netcause_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/internal/netcause"
)

// The name of a private endpoint, or another one that leads to a vault.
func TestPrivateEndpoint(t *testing.T) {
	t.Parallel()
	vault := faulttest.StartTLS(nil, "*.vault.azure.net")
	t.Cleanup(vault.Close)
	address := strings.TrimPrefix(vault.URL, "https://")
	transport := vault.Transport().Clone()
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	closed := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:1")
	}}
	cure := func(name string) string {
		return "set SecretUri to the vault's own name https://" + name + ".vault.azure.net, which DNS inside the network resolves to the private endpoint"
	}
	for name, c := range map[string]struct {
		transport        *http.Transport
		host, what, cure string
	}{
		"the private endpoint's name":     {transport, "My-Vault.privatelink.vaultcore.azure.net", "the certificate is not for My-Vault.privatelink.vaultcore.azure.net, but for key vaults", cure("my-vault")},
		"an alias":                        {transport, "vault.corp.example", "the certificate is not for vault.corp.example, but for key vaults", cure("NAME")},
		"an address":                      {transport, "10.0.0.4", "the certificate is not for 10.0.0.4, but for key vaults", cure("NAME")},
		"nothing listens at the endpoint": {closed, "my-vault.privatelink.vaultcore.azure.net", "dial tcp 127.0.0.1:1: connect: connection refused", cure("my-vault")},
	} {
		got := fetch(t, c.transport, "https://"+c.host+"/")
		if got.Error() != c.what || got.Cure("SecretUri") != c.cure {
			t.Errorf("%s:\ngot  %s\n     %s\nwant %s\n     %s", name, got, got.Cure("SecretUri"), c.what, c.cure)
		}
	}
}

func TestOwnName(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"my-vault.privatelink.vaultcore.azure.net":              "my-vault.vault.azure.net",
		"MY-VAULT.privatelink.vaultcore.azure.net":              "my-vault.vault.azure.net",
		"my-vault.vaultcore.azure.net":                          "my-vault.vault.azure.net",
		"my-vault.privatelink.vaultcore.azure.cn":               "my-vault.vault.azure.cn",
		"my-vault.privatelink.vaultcore.usgovcloudapi.net":      "my-vault.vault.usgovcloudapi.net",
		"my-vault.vault.azure.net":                              "",
		"my-vault.privatelink.vaultcore.azure.net.evil.example": "",
		"a.b.privatelink.vaultcore.azure.net":                   "",
		"":                                                      "",
	} {
		if got := netcause.OwnName(host); got != want {
			t.Errorf("%s: got %q, want %q", host, got, want)
		}
	}
	if got := netcause.CurePrivate("my-vault.vault.azure.net", "x"); got != "" {
		t.Errorf("a vault's own name: got %q, want no cure", got)
	}
}
