package provider

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/internal/problems"
	"github.com/portnokkel/portnokkel/provider/internal/azure"
)

var (
	_ koanf.Provider = (*Vault)(nil)
	_ Client         = (*azsecrets.Client)(nil)
	_ azure.Client   = Client(nil)
)

// Client is the part of [azsecrets.Client] that reading a vault takes.
type Client interface {
	// NewListSecretPropertiesPager lists the secrets without their values. A page's
	// Value is not nil, even if the page is empty.
	NewListSecretPropertiesPager(options *azsecrets.ListSecretPropertiesOptions) *runtime.Pager[azsecrets.ListSecretPropertiesResponse]
	// GetSecret reads one secret; an empty version means the latest.
	GetSecret(ctx context.Context, name, version string, options *azsecrets.GetSecretOptions) (azsecrets.GetSecretResponse, error)
}

// Vault is one Azure Key Vault as a koanf provider. Make it with [KeyVault] or
// [KeyVaultWithClient]; reading a zero or nil Vault is an error.
type Vault struct {
	url string
	// begin makes what one load takes. A function keeps the Config out of reach of
	// fmt, which looks into structs that hold a Vault.
	begin   func() (*reading, error)
	watches func() *watches
}

func newVault(cfg Config, open func() (*azure.Session, error)) *Vault {
	w := &watches{cfg: cfg}
	return &Vault{url: cfg.VaultURL, watches: func() *watches { return w }, begin: func() (*reading, error) {
		session, err := open()
		return &reading{cfg: cfg, session: session, slots: make(chan struct{}, cfg.Concurrency)}, err
	}}
}

// KeyVault makes a provider for the vault at [Config.VaultURL]. It checks cfg,
// reports all that is wrong at once, and sends nothing.
func KeyVault(cfg Config) (*Vault, error) {
	checked, err := cfg.checked(true)
	if cfg.Credential == nil {
		err = problems.Join(err, errors.New("provider: Credential is nil: set the GetToken of one, such as azidentity.NewDefaultAzureCredential's"))
	}
	if err != nil {
		return nil, err
	}
	return openKeyVault(checked)
}

// openKeyVault is KeyVault for a checked Config.
func openKeyVault(checked Config) (*Vault, error) {
	open := func() (*azure.Session, error) {
		session, err := azure.Open(azure.Options{
			VaultURL: checked.VaultURL, Credential: checked.Credential,
			Client: checked.ClientOptions, Conns: checked.Concurrency, Setting: checked.addressed(),
		})
		if err != nil {
			return nil, fmt.Errorf("provider: ClientOptions: %w", err)
		}
		return session, nil
	}
	session, err := open() // to find what is wrong with ClientOptions now
	if err != nil {
		return nil, err
	}
	session.Close()
	return newVault(checked, open), nil
}

// KeyVaultWithClient makes a provider that reads through a client of your own,
// such as an [azsecrets.Client] or a fake. Credential and ClientOptions of cfg
// have to be empty. VaultURL may be empty. If it is set, errors name the vault, and a
// listing that goes on at another host is an error. A load ends within
// [Config.Timeout] even if the client ignores its context.
func KeyVaultWithClient(client Client, cfg Config) (*Vault, error) {
	checked, err := cfg.checked(cfg.VaultURL != "")
	if azure.IsNil(client) {
		err = problems.Join(err, errors.New("provider: the client is nil: give an azsecrets.Client, or one of your own"))
	}
	if cfg.Credential != nil || !reflect.ValueOf(cfg.ClientOptions).IsZero() {
		err = problems.Join(err, errors.New("provider: Credential and ClientOptions: leave them empty - the client has its own"))
	}
	if err != nil {
		return nil, err
	}
	return newVault(checked, func() (*azure.Session, error) {
		return azure.Wrap(client, checked.VaultURL), nil
	}), nil
}

// Read loads the secrets and nests them. It is [Vault.ReadContext] without a
// context of the caller's; [Config.Timeout] bounds it.
func (v *Vault) Read() (map[string]any, error) { return v.ReadContext(context.Background()) }

// ReadBytes is the half of koanf's interface that a vault does not have. It
// returns an error: load the vault without a parser.
func (v *Vault) ReadBytes() ([]byte, error) {
	return nil, errors.New("provider: use k.Load(vault, nil) - a key vault is read without a parser")
}

// ReadContext loads the secrets and nests them: sections are map[string]any,
// lists []any, values strings unless [Config.Map] made something else of them.
// It returns all of them or an error, mostly an [*Error]; ctx and
// [Config.Timeout] bound it.
func (v *Vault) ReadContext(ctx context.Context) (map[string]any, error) {
	secrets, _, err := v.load(ctx)
	return secrets.Map(), err
}

// Format prints the vault's address and nothing else of it.
func (v *Vault) Format(f fmt.State, _ rune) {
	if v == nil {
		v = &Vault{}
	}
	_, _ = fmt.Fprintf(f, "provider.Vault(%s)", v.url)
}
