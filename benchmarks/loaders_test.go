package benchmarks

import (
	"context"
	"log/slog"
	"net/http"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/portnokkel/portnokkel/provider"
)

// concurrency is how many secrets are read at once where more than one is: what
// this project does by default.
const concurrency = provider.DefaultConcurrency

// credential is Azure's own, with no token yet.
func (v vault) credential() (*azidentity.ClientSecretCredential, error) {
	options := v.CredentialOptions()
	options.Transport = &http.Client{Transport: v.transport}
	return azidentity.NewClientSecretCredential(v.TenantID(), v.ClientID(), v.ClientSecret(), &options)
}

func (v vault) clientOptions() azsecrets.ClientOptions {
	options := v.ClientOptions()
	options.Transport = &http.Client{Transport: v.transport}
	return options
}

func (v vault) client() (*azsecrets.Client, error) {
	credential, err := v.credential()
	if err != nil {
		return nil, err
	}
	options := v.clientOptions()
	return azsecrets.NewClient(v.VaultURL(), credential, &options)
}

func loadWithPortnokkel(ctx context.Context, at vault, names []string) (map[string]string, error) {
	credential, err := at.credential()
	if err != nil {
		return nil, err
	}
	kv, err := provider.KeyVault(provider.Config{
		VaultURL: at.VaultURL(), Credential: credential.GetToken, ClientOptions: at.clientOptions(),
		Secrets: names, Concurrency: at.concurrency, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	tree, err := kv.ReadContext(ctx)
	if err != nil {
		return nil, err
	}
	got := make(map[string]string, len(tree))
	for name, value := range tree {
		got[name], _ = value.(string)
	}
	return got, nil
}

// loadOneByOne is what one writes first: list, and get each secret in turn.
func loadOneByOne(ctx context.Context, at vault, names []string) (map[string]string, error) {
	client, err := at.client()
	if err != nil {
		return nil, err
	}
	if names == nil {
		if names, err = list(ctx, client); err != nil {
			return nil, err
		}
	}
	got := make(map[string]string, len(names))
	for _, name := range names {
		secret, err := client.GetSecret(ctx, name, "", nil)
		if err != nil {
			return nil, err
		}
		got[name] = *secret.Value
	}
	return got, nil
}

// loadWithGoroutines is what one writes when that is too slow: list, then get with
// as many goroutines as this project has.
func loadWithGoroutines(ctx context.Context, at vault, names []string) (map[string]string, error) {
	client, err := at.client()
	if err != nil {
		return nil, err
	}
	if names == nil {
		if names, err = list(ctx, client); err != nil {
			return nil, err
		}
	}
	var (
		mu    sync.Mutex
		first error
		wg    sync.WaitGroup
		got   = make(map[string]string, len(names))
		work  = make(chan string)
	)
	for range min(concurrency, len(names)) {
		wg.Go(func() {
			for name := range work {
				secret, err := client.GetSecret(ctx, name, "", nil)
				mu.Lock()
				if err == nil {
					got[name] = *secret.Value
				} else if first == nil {
					first = err
				}
				mu.Unlock()
			}
		})
	}
	for _, name := range names {
		work <- name
	}
	close(work)
	wg.Wait()
	return got, first
}

func list(ctx context.Context, client *azsecrets.Client) ([]string, error) {
	var names []string
	for pager := client.NewListSecretPropertiesPager(nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range page.Value {
			names = append(names, p.ID.Name())
		}
	}
	return names, nil
}
