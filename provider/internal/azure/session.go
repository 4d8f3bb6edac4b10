package azure

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// Client is the part of [azsecrets.Client] that reading a vault takes.
type Client interface {
	NewListSecretPropertiesPager(options *azsecrets.ListSecretPropertiesOptions) *runtime.Pager[azsecrets.ListSecretPropertiesResponse]
	GetSecret(ctx context.Context, name, version string, options *azsecrets.GetSecretOptions) (azsecrets.GetSecretResponse, error)
}

// Options say which vault a session is for, as whom, and how.
type Options struct {
	VaultURL   string
	Credential azcore.TokenCredential
	Client     azsecrets.ClientOptions
	Conns      int // the most connections that are kept idle
	// Setting is what to call the setting of VaultURL in a hint; "" means "VaultURL".
	Setting string
}

// Names are what to call the settings of an identity in a hint. An empty one is called
// by its field's name in kvSetting.
type Names struct{ TenantID, ClientID, ClientSecret string }

// Session is one load's way to one vault. Its first request meets the vault's
// challenge, so that what a load costs does not depend on the loads before it.
// Call [Session.Close] at its end.
type Session struct {
	client   Client
	vault    string // "" if unknown
	setting  string // see Options
	gate     *gate
	wire     *wire // nil if the client is the caller's
	foreign  bool  // the client is not the SDK's
	listed   bool
	closeAll func()
}

// Open makes a session with a client of its own. It sends nothing.
func Open(o Options) (*Session, error) {
	transport, closeAll := newTransport(o.Client.Transport, o.Conns)
	w := newWire(transport, &o.Client.Retry)
	w.vault = true
	o.Client.Transport = w
	s := &Session{vault: o.VaultURL, setting: o.Setting, gate: newGate(), wire: w, closeAll: closeAll}
	var err error
	s.client, err = azsecrets.NewClient(o.VaultURL, gatedCredential{o.Credential, s.gate}, &o.Client)
	return s, err
}

// Wrap makes a session that uses the caller's client. An empty vaultURL lets a
// listing go on at any host.
func Wrap(client Client, vaultURL string) *Session {
	_, sdk := client.(*azsecrets.Client)
	return &Session{client: client, vault: vaultURL, gate: newGate(), foreign: !sdk, closeAll: func() {}}
}

// Close closes the connections that the session made.
func (s *Session) Close() { s.closeAll() }

// Secret is what a vault tells of a secret.
type Secret struct {
	Name                                 string
	Version                              string // only in a listing of versions
	Value                                string // empty in a listing
	Disabled                             bool
	Created, Updated, NotBefore, Expires time.Time // zero if the vault does not say
}

// note takes over what attributes say. Without a word on it a secret is enabled.
func (s *Secret) note(a *azsecrets.SecretAttributes) {
	if a == nil {
		return
	}
	keep := func(to, from *time.Time) {
		if from != nil {
			*to = *from
		}
	}
	keep(&s.Created, a.Created)
	keep(&s.Updated, a.Updated)
	keep(&s.NotBefore, a.NotBefore)
	keep(&s.Expires, a.Expires)
	s.Disabled = a.Enabled != nil && !*a.Enabled
}

var (
	errNoValue = ownError{errors.New("the answer holds no value"), kindStranger}
	errEnded   = ownError{errors.New("the client ended its goroutine"), kindUnknown}
)

// Get reads one secret; an empty version means the latest. A failure does not let the
// others go: it ends the load, and whoever waits would send a request for nothing.
func (s *Session) Get(ctx context.Context, name, version string) (Secret, error) {
	answer, err := await(ctx, func() (azsecrets.GetSecretResponse, error) {
		return s.client.GetSecret(ctx, name, version, nil)
	})
	switch {
	case err != nil:
		return Secret{}, err
	case answer.Value == nil:
		return Secret{}, errNoValue
	}
	s.gate.open()
	got := Secret{Name: name, Value: *answer.Value}
	got.note(answer.Attributes)
	return got, nil
}

// Wait returns when the first request of the session has got a token or its secret,
// or with an error when ctx ends.
func (s *Session) Wait(ctx context.Context) error { return s.gate.wait(ctx) }

// PanicError says that code which is not this library's panicked. It does not hold
// what it panicked with, which may be a secret.
type PanicError struct{ Stack []byte }

func (*PanicError) Error() string { return meaningOf(kindPanic) }

// await makes a call and returns when ctx ends, even if the call goes on.
func await[T any](ctx context.Context, call func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: errEnded}
		defer func() {
			if recover() != nil {
				r.err = &PanicError{debug.Stack()}
			}
			done <- r
		}()
		r.value, r.err = call()
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
