package azure

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// Lasting is the way to a vault of a client that lives as long as its service, such
// as one for keys. The client keeps its token and its connections from call to call.
// What [Session] counts and tells belongs to one call: see [Lasting.Call].
type Lasting struct {
	vault    string
	setting  string
	wire     *wire // what each call's wire is made like
	token    *atomic.Pointer[string]
	asked    *atomic.Pointer[clientSecret] // that gave the token; nil for a credential of the caller's
	closeAll func()
}

// Keep prepares the options of a client of the SDK. It returns the way to the vault,
// and the credential with which to make the client. Client of o has no effect.
func Keep(o Options, options *azcore.ClientOptions) (*Lasting, azcore.TokenCredential) {
	transport, closeAll := newTransport(options.Transport, o.Conns)
	if client, ok := transport.(*http.Client); ok && IsNil(options.Transport) {
		last(client)
	}
	w := newPerCall(transport, &options.Retry)
	w.outside.vault = true
	l := &Lasting{
		vault: o.VaultURL, setting: o.Setting, wire: w.outside,
		token: new(atomic.Pointer[string]), asked: new(atomic.Pointer[clientSecret]), closeAll: closeAll,
	}
	options.Transport = w
	return l, lastingCredential{o.Credential, l}
}

// last makes the connections of a client that was made here fit for a long life.
func last(client *http.Client) {
	if transport, ok := client.Transport.(*http.Transport); ok {
		transport.IdleConnTimeout = lastingIdleTimeout
		// A connection that died in silence is noticed, and given up.
		transport.HTTP2 = &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout}
	}
}

// Close closes the connections that [Keep] made.
func (l *Lasting) Close() { l.closeAll() }

// callKey is the key of a call's *Session in its context.
type callKey struct{}

// Call begins a call. The client has to be called with the context that it returns.
// The session counts the call's tries, and diagnoses its errors.
func (l *Lasting) Call(ctx context.Context) (context.Context, *Session) {
	s := &Session{vault: l.vault, setting: l.setting, gate: newGate(), wire: l.wire.again(), closeAll: func() {}}
	s.gate.token = l.token
	if c := l.asked.Load(); c != nil {
		s.gate.asks(c) // the SDK keeps the token, and may ask for no other
	}
	return context.WithValue(context.WithValue(ctx, callKey{}, s), carrier{l.wire}, s.wire), s
}

// again is a wire like w that has carried nothing.
func (w *wire) again() *wire {
	return &wire{
		next: w.next, vault: w.vault, retries: w.retries, backOff: w.backOff, longest: w.longest,
		busy: map[string]int{}, tries: map[string]tries{},
	}
}

// perCall hands each request to the wire of its call, or to outside without a call.
type perCall struct{ outside *wire }

// carrier is the key of a call's *wire in its context. Each perCall has one of its own: a
// request to Entra is made in a call to a vault.
type carrier struct{ outside *wire }

// newPerCall is newWire for a client that lives long.
func newPerCall(next policy.Transporter, retry *policy.RetryOptions) perCall {
	p := perCall{newWire(next, retry)}
	if p.outside.retries {
		retry.ShouldRetry = p.shouldRetry
	}
	return p
}

func (p perCall) of(ctx context.Context) *wire {
	if w, ok := ctx.Value(carrier(p)).(*wire); ok {
		return w
	}
	return p.outside
}

// Do sends one request.
func (p perCall) Do(req *http.Request) (*http.Response, error) { return p.of(req.Context()).Do(req) }

func (p perCall) shouldRetry(resp *http.Response, err error) bool {
	if err != nil {
		return p.outside.shouldRetry(resp, err)
	}
	return p.of(resp.Request.Context()).shouldRetry(resp, err)
}

// lastingCredential tells each call that it waits for a token.
type lastingCredential struct {
	inner azcore.TokenCredential
	of    *Lasting
}

// GetToken returns when ctx ends, even if the credential ignores ctx.
func (c lastingCredential) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	g := newGate()
	g.token = c.of.token
	if s, ok := ctx.Value(callKey{}).(*Session); ok {
		g = s.gate
	}
	token, err := gatedCredential{c.inner, g}.GetToken(ctx, options)
	if asked := g.asked.Load(); asked != nil {
		c.of.asked.Store(asked.clientSecret)
	}
	return token, err
}

// Await makes a call of the SDK's client. It returns when ctx ends, even if the call
// goes on. A panic becomes a [*PanicError].
func Await[T any](ctx context.Context, call func() (T, error)) (T, error) { return await(ctx, call) }

// Strange is an error that says what is wrong with an answer that no vault gives.
func Strange(text string) error { return ownError{errors.New(text), kindStranger} }

// EachPage reads the pages of a listing in turn. read returns the page's nextLink. A
// listing that goes on at another host than the vault's, or without end, is an error.
func EachPage[T any](ctx context.Context, s *Session, pager *runtime.Pager[T], read func(page T) (nextLink *string, err error)) error {
	seen := map[string]bool{}
	for {
		var more bool
		page, err := await(ctx, func() (T, error) {
			page, err := pager.NextPage(ctx)
			more = err == nil && pager.More()
			return page, err
		})
		if err != nil {
			return err
		}
		link, err := read(page)
		if err == nil && link != nil {
			err = checkLink(*link, s.vault, seen)
		}
		if err != nil || !more {
			return err
		}
	}
}
