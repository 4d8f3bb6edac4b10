package provider_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/internal/roundtrip"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// tree is settings as koanf has them.
type tree = map[string]any

const canary = "CANARY-made-for-tests"

func newKoanf(t *testing.T, tree map[string]any, delim string) *koanf.Koanf {
	t.Helper()
	k := koanf.New(delim)
	if err := k.Load(confmap.Provider(tree, ""), nil); err != nil {
		t.Fatal(err)
	}
	return k
}

// connectConfig reaches srv the way that kvSetting does, retrying at once.
func connectConfig(srv *vaulttest.Server, log *logtest.Buffer) provider.ConnectConfig {
	cfg := provider.ConnectConfig{
		Config:            provider.Config{ClientOptions: srv.ClientOptions(), Logger: log.Logger()},
		CredentialOptions: srv.CredentialOptions(),
	}
	cfg.ClientOptions.Retry.RetryDelay = time.Millisecond
	cfg.CredentialOptions.Retry.RetryDelay = time.Millisecond
	return cfg
}

// with is the kvSetting of srv with changes; nil removes a field.
func with(srv *vaulttest.Server, changes map[string]any) map[string]any {
	kv := srv.KVSetting()
	maps.Copy(kv, changes)
	maps.DeleteFunc(kv, func(_ string, v any) bool { return v == nil })
	return kv
}

// files is settings files by their names.
type files map[string]string

func (f files) FS() fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, content := range f {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return fsys
}

// list is a source of texts, for AppConfig.Environ and Args.
func list(texts ...string) func() []string { return func() []string { return texts } }

// hermetic is an AppConfig that sees these files and nothing of the machine, and
// its log.
func hermetic(t testing.TB, f files) (provider.AppConfig, *logtest.Buffer) {
	t.Helper()
	var log logtest.Buffer
	return provider.AppConfig{
		FS:          f.FS(),
		Environ:     list(),
		MountedFile: "no such directory/absent.json",
		Logger:      log.Logger(),
		Origins:     new(provider.Origins),
	}, &log
}

// connecting is a ConnectConfig that reads srv as its own client.
func connecting(t *testing.T, srv *vaulttest.Server) provider.ConnectConfig {
	t.Helper()
	return provider.ConnectConfig{Config: kvConfig(t, srv)}
}

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

func misspell(random *rand.Rand, text string) string {
	return strings.Map(func(r rune) rune {
		if random.IntN(2) == 0 {
			return []rune(strings.ToUpper(string(r)))[0]
		}
		return []rune(strings.ToLower(string(r)))[0]
	}, text)
}

func find(v any, key string) (any, bool) {
	switch v := v.(type) {
	case tree:
		for k, value := range v {
			if strings.EqualFold(k, key) {
				return value, true
			}
		}
	case []any:
		var i int
		if json.Unmarshal([]byte(key), &i) == nil && i >= 0 && i < len(v) {
			return v[i], true
		}
	case anything:
		return v, true
	}
	return nil, false
}

type roundTripper = roundtrip.Func

type transporterFunc func(*http.Request) (*http.Response, error)

func (f transporterFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// staticCredential holds its secret by value, which %+v would print.
type staticCredential struct{ Secret string }

func (staticCredential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, errors.New("canary-refusal {\"secret\":\"canary-body\"}")
}

// tokenCredential gives a token.
type tokenCredential struct{}

func (tokenCredential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "token-for-tests-only", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func kvCredential(t *testing.T, tenant, client, secret string, options azidentity.ClientSecretCredentialOptions) azcore.TokenCredential {
	t.Helper()
	cred, err := azidentity.NewClientSecretCredential(tenant, client, secret, &options)
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

func kvLeaves(v any) int {
	n := 0
	switch v := v.(type) {
	case tree:
		for _, item := range v {
			n += kvLeaves(item)
		}
	case []any:
		for _, item := range v {
			n += kvLeaves(item)
		}
	default:
		n = 1
	}
	return n
}

type anything struct{}
