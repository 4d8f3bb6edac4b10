package httpclient

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/portnokkel/portnokkel/httpclient/internal/tokencache"
	"github.com/portnokkel/portnokkel/internal/problems"
)

// TokenSource gets tokens with one set of settings, keeps them, and refreshes
// them ahead of their end. It is safe for concurrent use, starts nothing on its
// own, and makes no network call before the first token is asked for. Make one
// with [NewTokenSource]; nil and the zero value answer every call with [ErrClosed].
type TokenSource struct {
	// inner is a function so that no printer that works by reflection comes to the
	// tokens, keys and requests behind it.
	inner func() *source
}

// source is what a TokenSource is made of.
type source struct {
	clientID  string
	overwrite bool // a caller's own Authorization header is replaced
	hosts     map[string]bool
	allowHTTP bool
	base      http.RoundTripper // under the API's requests; nil: the default
	log       stepLog
	guards    guards

	transport http.RoundTripper // under the token requests
	clock     tokencache.Clock
	skew      skew // of this machine's clock
	upstream  upstream
	servers   string     // that tokens come from, for errors
	exchanger *exchanger // nil: Maskinporten's own tokens are used
	telemetry *telemetry // nil: nothing is recorded
	refusals  apiRefusals
	checks    apiChecks

	request tokenRequest // the settings' own
	noScope error        // of a request that names no scope if the settings do not either
	own     *tokencache.Item[tokenRequest, *Token]
	cache   *tokencache.Cache[tokenRequest, *Token]
}

// NewTokenSource checks the settings, all problems at once, and makes a token
// source of them. It makes no network call. Warnings, such as about a retired
// environment or an unknown key, go to the logger.
func NewTokenSource(settings MaskinportenSettings, opts ...Option) (*TokenSource, error) {
	o := newOptions(opts)
	p, err := settings.plan(o.clock().Time(), o.keys)
	if err := problems.Join(append(o.problems, err)...); err != nil {
		return nil, err
	}
	s := &source{
		clientID:  p.clientID,
		servers:   p.servers(),
		overwrite: settings.OverwriteAuthorizationHeader,
		hosts:     o.hosts,
		allowHTTP: o.allowHTTP,
		base:      o.base,
		log:       newStepLog(o.logger, settings.EnableDebugLog),
		transport: o.tokenTransport,
		clock:     o.clock,
		request:   p.request,
		noScope:   p.noScope,
	}
	if s.transport == nil {
		s.transport = newTokenTransport()
	}
	s.guards.log = s.log
	for _, warning := range p.warnings {
		s.log.warn(context.Background(), warning, slog.String("client_id", p.clientID))
	}
	s.cache = tokencache.New(p.request, tokencache.Config[tokenRequest, *Token]{
		Fetch: s.fetch, Classify: classify, Dated: dated, Shared: shared, Kept: s.kept, Clock: o.clock, Size: o.cacheSize,
	})
	s.own = s.cache.Pinned()
	s.upstream = newUpstream(s, &settings, p, o.clock)
	s.checks = apiChecks{
		environment: p.environment, exchanges: p.exchange != nil, names: settings.names("ExhangeToAltinnToken"),
		name: s.upstream.naming,
	}
	s.log.queue.wait() // a program that ends now has the warnings too
	if p.exchange != nil {
		s.exchanger = newExchanger(s, &settings, p.exchange, o.clock)
	}
	if s.telemetry, err = newTelemetry(o, s); err != nil {
		return nil, err
	}
	return &TokenSource{inner: func() *source { return s }}, nil
}

// New makes an [http.Client] whose requests carry a token of the given
// settings. It is [NewTokenSource] and [TokenSource.Client] in one. It refuses what
// only [TokenSource.Close] ends, such as [WithMeterProvider]: use those two then, and
// to read tokens. Without Close, idle connections to the token endpoints are kept for
// 90 seconds, and nothing else.
func New(settings MaskinportenSettings, opts ...Option) (*http.Client, error) {
	o := newOptions(opts)
	if option := o.needsClose(); option != "" {
		return nil, fmt.Errorf("httpclient: New: only Close ends what %s begins: use NewTokenSource, Client and Close", option)
	}
	source, err := NewTokenSource(settings, opts...)
	if err != nil {
		return nil, err
	}
	return source.Client(), nil
}

// Client makes an [http.Client] over [TokenSource.Transport] with the transport
// that [WithBaseTransport] named. It has no Timeout of its own: give each
// request a context with a deadline.
func (s *TokenSource) Client() *http.Client {
	var base http.RoundTripper
	if open := s.open(); open != nil {
		base = open.base
	}
	return &http.Client{Transport: s.Transport(base)}
}

// Token returns a token that may be sent now, from the cache if it holds one. It is
// for credentials that do not travel in an HTTP request of [TokenSource.Client]: gRPC
// metadata, a message queue.
//
// A caller waits only if there is no usable token, and no longer than its context
// allows; the fetch itself goes on for the others. The error is a [*TokenError] if
// Maskinporten or Altinn is the cause.
//
// The context may ask for another token than the settings do: see
// [ContextWithSystemUser], [ContextWithConsumerOrg], [ContextWithScope],
// [ContextWithResource], [ContextWithPerson] and [ContextWithConsent].
func (s *TokenSource) Token(ctx context.Context) (*Token, error) {
	open := s.open()
	if open == nil {
		return nil, ErrClosed
	}
	var other tokenRequest
	request, err := open.requestOf(ctx, &other)
	if err != nil {
		return nil, err
	}
	return open.token(ctx, request)
}

// open is the source behind, nil for the zero value.
func (s *TokenSource) open() *source {
	if s == nil || s.inner == nil {
		return nil
	}
	return s.inner()
}

// requestOf is what the context asks for. It is the settings' own request, by its
// address, unless the context differs from the settings. Then it is written to other,
// which need not leave the caller's stack.
func (s *source) requestOf(ctx context.Context, other *tokenRequest) (_ *tokenRequest, err error) {
	o := overridesOf(ctx)
	if o == nil && s.request.scope != "" {
		return &s.request, nil
	}
	if *other, err = o.apply(s.request, s.noScope); err != nil {
		return nil, err
	}
	return other, s.upstream.check(*other)
}

// token gives the token for a request, and counts whether it was cached.
func (s *source) token(ctx context.Context, request *tokenRequest) (token *Token, err error) {
	var cached bool
	if request == &s.request {
		token, cached, err = s.own.Get(ctx)
	} else {
		token, cached, err = s.cache.Get(ctx, *request)
	}
	if err != nil {
		err = s.explained(err)
	}
	if s.telemetry != nil {
		s.telemetry.count(ctx, cached, err)
	}
	return token, err
}

// Close ends the fetches under way, waits for them, and drops every token. It closes
// the idle connections to the token endpoints and those of the transport that
// [WithBaseTransport] named. Later calls fail with [ErrClosed], requests of its
// clients included. Close may be called more than once. What ignores the end of its
// context, such as a transport of [WithTokenTransport], is left behind after 5 seconds.
func (s *TokenSource) Close() {
	open := s.open()
	if open == nil {
		return
	}
	open.cache.Close()
	open.upstream.close()
	open.guards.wait()
	closeIdle(open.transport)
	closeIdle(open.base)
	open.telemetry.close()
	open.log.queue.wait()
}

// Format implements [fmt.Formatter]: every verb prints the client's id only.
func (s *TokenSource) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, s.String()) }

// String names the client's id, or Texas if only Texas knows it.
func (s *TokenSource) String() string {
	open := s.open()
	if open == nil {
		return "httpclient.TokenSource(closed)"
	}
	return "httpclient.TokenSource(" + cmp.Or(open.clientID, "Texas") + ")"
}
