package provider

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"github.com/knadh/koanf/v2"
)

var (
	_ koanf.Provider = (*Vault)(nil)
	_ Client         = (*azsecrets.Client)(nil)
)

// Client is the part of [azsecrets.Client] that reading a vault takes.
type Client interface {
	// NewListSecretPropertiesPager lists the secrets without their values.
	NewListSecretPropertiesPager(options *azsecrets.ListSecretPropertiesOptions) *runtime.Pager[azsecrets.ListSecretPropertiesResponse]
	// GetSecret reads one secret; an empty version means the latest.
	GetSecret(ctx context.Context, name, version string, options *azsecrets.GetSecretOptions) (azsecrets.GetSecretResponse, error)
}

// Vault is one Azure Key Vault as a koanf provider. Make it with [KeyVault] or
// [KeyVaultWithClient]; reading a zero or nil Vault is an error.
type Vault struct {
	url string
	// begin makes what one load takes. It also keeps the Config out of reach of
	// fmt, which looks into structs that hold a Vault.
	begin func() (*reading, error)
}

func newVault(cfg Config, open func() (session, error)) *Vault {
	return &Vault{url: cfg.VaultURL, begin: func() (*reading, error) {
		s, err := open()
		return &reading{cfg: cfg, session: s, slots: make(chan struct{}, cfg.Concurrency)}, err
	}}
}

// session is what one load works with.
type session struct {
	client Client
	gate   *gate
	wire   *wire // nil where the client is the user's
	entra  wiredCredential
	close  func()
}

// KeyVault makes a provider for the vault at [Config.VaultURL]. It checks cfg,
// reports all that is wrong at once, and sends nothing.
func KeyVault(cfg Config) (*Vault, error) {
	checked, err := cfg.checked(true)
	if cfg.Credential == nil {
		err = errors.Join(err, errors.New("provider: Credential is nil: set the GetToken of one, such as azidentity.NewDefaultAzureCredential's"))
	}
	if err != nil {
		return nil, err
	}
	return openKeyVault(checked, cfg.Credential)
}

// openKeyVault is KeyVault for a checked Config and any credential.
func openKeyVault(checked Config, credential azcore.TokenCredential) (*Vault, error) {
	base, closeIdle := transporter(checked.ClientOptions.Transport, checked.Concurrency)
	// Each load has its own client: its first request meets the challenge, so
	// that what a load costs does not depend on the loads before it.
	open := func() (session, error) {
		s := session{gate: newGate(), wire: newWire(base), close: closeIdle}
		s.entra, _ = credential.(wiredCredential)
		options := checked.ClientOptions
		options.Transport = s.wire
		client, err := azsecrets.NewClient(checked.VaultURL, gatedCredential{credential, s.gate}, &options)
		if err != nil {
			return session{}, fmt.Errorf("provider: ClientOptions: %w", err)
		}
		s.client = client
		return s, nil
	}
	if _, err := open(); err != nil {
		return nil, err
	}
	return newVault(checked, open), nil
}

// KeyVaultWithClient makes a provider that reads through a client of your own,
// such as an [azsecrets.Client] or a fake. Credential and ClientOptions of cfg
// have to be empty. VaultURL may be empty; set it, and errors name the vault, and the
// listing may not lead to another host.
func KeyVaultWithClient(client Client, cfg Config) (*Vault, error) {
	checked, err := cfg.checked(cfg.VaultURL != "")
	if isNil(client) {
		err = errors.Join(err, errors.New("provider: the client is nil"))
	}
	if cfg.Credential != nil || !reflect.ValueOf(cfg.ClientOptions).IsZero() {
		err = errors.Join(err, errors.New("provider: the client has a credential and options of its own: leave Credential and ClientOptions empty"))
	}
	if err != nil {
		return nil, err
	}
	return newVault(checked, func() (session, error) {
		return session{client: client, gate: newGate(), close: func() {}}, nil
	}), nil
}

// Read loads the secrets and nests them. It is [Vault.ReadContext] without a
// context of the caller's; [Config.Timeout] bounds it.
func (v *Vault) Read() (map[string]any, error) { return v.ReadContext(context.Background()) }

// ReadBytes is the half of koanf's interface that a vault does not have. It
// returns an error: load the vault without a parser.
func (v *Vault) ReadBytes() ([]byte, error) {
	return nil, errors.New("provider: a key vault is read without a parser: use k.Load(vault, nil)")
}

// ReadContext loads the secrets and nests them: sections are map[string]any,
// lists []any, values strings unless [Config.Map] made something else of them.
// It returns all of them or an error, mostly an [*Error]; ctx and
// [Config.Timeout] bound it.
func (v *Vault) ReadContext(ctx context.Context) (map[string]any, error) {
	secrets, err := v.load(ctx)
	return secrets.Map(), err
}

// Format prints the vault's address and nothing else of it.
func (v Vault) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "provider.Vault(%s)", v.url)
}
