package provider_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// kvConfig is a Config that reads srv as its own client, retrying at once.
func kvConfig(t *testing.T, srv *vaulttest.Server) provider.Config {
	t.Helper()
	cred, err := srv.Credential()
	if err != nil {
		t.Fatal(err)
	}
	options := srv.ClientOptions()
	options.Retry.RetryDelay = time.Millisecond
	return provider.Config{
		VaultURL: srv.VaultURL(), Credential: cred.GetToken, ClientOptions: options,
		Logger: slog.New(slog.DiscardHandler),
	}
}

func kvVault(t *testing.T, cfg provider.Config) *provider.Vault {
	t.Helper()
	vault, err := provider.KeyVault(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return vault
}

func kvRead(t *testing.T, cfg provider.Config) map[string]any {
	t.Helper()
	tree, err := kvVault(t, cfg).ReadContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// kvSecret is one secret of a kvFake.
type kvSecret struct {
	name, value string
	updated     time.Time
}

// kvFake is a Client without a network. It lists its secrets in their order, all
// on one page, and answers gets in any order.
type kvFake struct {
	secrets []kvSecret
	page    func() (azsecrets.ListSecretPropertiesResponse, error) // instead of the secrets
	get     func(name string) (azsecrets.GetSecretResponse, error) // likewise
	after   map[string]chan struct{}                               // a get waits for this
}

func (f *kvFake) NewListSecretPropertiesPager(*azsecrets.ListSecretPropertiesOptions) *runtime.Pager[azsecrets.ListSecretPropertiesResponse] {
	return runtime.NewPager(runtime.PagingHandler[azsecrets.ListSecretPropertiesResponse]{
		More: func(p azsecrets.ListSecretPropertiesResponse) bool { return p.NextLink != nil && *p.NextLink != "" },
		Fetcher: func(context.Context, *azsecrets.ListSecretPropertiesResponse) (azsecrets.ListSecretPropertiesResponse, error) {
			if f.page != nil {
				return f.page()
			}
			var page azsecrets.ListSecretPropertiesResponse
			for _, s := range f.secrets {
				page.Value = append(page.Value, kvListed(s.name, s.updated))
			}
			return page, nil
		},
	})
}

func kvListed(name string, updated time.Time) *azsecrets.SecretProperties {
	p := &azsecrets.SecretProperties{ID: to.Ptr(azsecrets.ID("https://v.vault.azure.net/secrets/" + name))}
	if !updated.IsZero() {
		p.Attributes = &azsecrets.SecretAttributes{Updated: &updated}
	}
	return p
}

func (f *kvFake) GetSecret(ctx context.Context, name, _ string, _ *azsecrets.GetSecretOptions) (azsecrets.GetSecretResponse, error) {
	if wait := f.after[name]; wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return azsecrets.GetSecretResponse{}, ctx.Err()
		}
	}
	if f.get != nil {
		return f.get(name)
	}
	for _, s := range f.secrets {
		if s.name == name {
			return azsecrets.GetSecretResponse{Secret: azsecrets.Secret{Value: &s.value}}, nil
		}
	}
	return azsecrets.GetSecretResponse{}, errors.New("kvFake: no such secret")
}

func azsecretsOptions(client *http.Client) azsecrets.ClientOptions {
	var options azsecrets.ClientOptions
	options.Transport = client
	return options
}

func notFound(host string) error {
	return &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// endless lists pages for ever, each after a second.
type endless struct{ *kvFake }

func (endless) NewListSecretPropertiesPager(*azsecrets.ListSecretPropertiesOptions) *runtime.Pager[azsecrets.ListSecretPropertiesResponse] {
	return runtime.NewPager(runtime.PagingHandler[azsecrets.ListSecretPropertiesResponse]{
		More: func(azsecrets.ListSecretPropertiesResponse) bool { return true },
		Fetcher: func(context.Context, *azsecrets.ListSecretPropertiesResponse) (azsecrets.ListSecretPropertiesResponse, error) {
			<-time.After(time.Second)
			return azsecrets.ListSecretPropertiesResponse{}, nil
		},
	})
}
