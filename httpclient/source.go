package httpclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// TokenSource gets tokens with one set of settings, keeps them, and refreshes
// them ahead of their end. It is safe for concurrent use, starts nothing on its
// own, and makes no network call before the first token is asked for. Make one
// with [NewTokenSource]; the zero value answers every call with [ErrClosed].
type TokenSource struct {
	clientID  string
	overwrite bool // a caller's own Authorization header is replaced
	hosts     map[string]bool
	allowHTTP bool
	base      http.RoundTripper // under the API's requests; nil: the default
	log       stepLog
	clock     clock

	tokenClient *http.Client
	granter     *granter
	exchanger   *exchanger // nil: Maskinporten's own tokens are used

	own *entry // the token that the settings ask for
	// noScope is the error of a request that names no scope where the settings do not either.
	noScope error
	cache   *cache // those that requests ask for

	background *background
	trouble    trouble
	telemetry  *telemetry // nil: none
}

// NewTokenSource checks the settings, all problems at once, and makes a token
// source of them. It makes no network call. Warnings, such as about a retired
// environment, go to the logger.
func NewTokenSource(settings MaskinportenSettings, opts ...Option) (*TokenSource, error) {
	o := options{clock: systemClock(), cacheSize: defaultCacheSize}
	o.apply(opts)
	p, err := settings.plan(o.clock().time(), o.keys)
	if err := errors.Join(append(o.problems, err)...); err != nil {
		return nil, err
	}
	log := newStepLog(o.logger, settings.EnableDebugLog)
	for _, warning := range p.warnings {
		log.warn(context.Background(), warning, slog.String("client_id", p.clientID))
	}
	client := newTokenClient(o.tokenTransport)
	s := &TokenSource{
		clientID:  p.clientID,
		overwrite: settings.OverwriteAuthorizationHeader,
		hosts:     o.hosts,
		allowHTTP: o.allowHTTP,
		base:      o.base,
		log:       log,
		clock:     o.clock,

		tokenClient: client,
		own:         &entry{request: p.request},
		noScope:     p.noScope,
		cache:       newCache(o.cacheSize),
		background:  newBackground(o.cacheSize),
	}
	s.granter = &granter{
		client: client, issuer: newIssuer(p.environment, client, o.clock, log, s.background),
		clientID: p.clientID, keys: p.keys, clock: o.clock, log: log,
		own: p.request, names: settings.names("ClientId", "Environment", "Scope", "Resource", "ConsumerOrgNo"),
	}
	if !p.notAfter.IsZero() {
		s.granter.certificateEnd.Store(p.notAfter.UnixNano())
		s.granter.warned.Store(o.clock().wall) // it was, above
	}
	now := func() time.Time { return o.clock().time() }
	if s.telemetry, err = newTelemetry(o, p.clientID, p.request.scope, now, s.own.expires, s.granter.certificateExpires); err != nil {
		return nil, err
	}
	if p.exchange != nil {
		s.exchanger = &exchanger{
			client: client, plan: p.exchange, clientID: p.clientID, clock: o.clock, log: log,
			names: settings.names("TokenExchangeEnvironment", "Environment", "EnterpriseUserName", "EnterpriseUserPassword"),
		}
	}
	return s, nil
}

// New makes an [http.Client] whose requests carry a token of the given
// settings. It is [NewTokenSource] and [TokenSource.Client] in one; use those
// two where you want to close the source or read its tokens. A source that is
// not closed keeps idle connections to the token endpoints for 90 seconds, and
// nothing else.
func New(settings MaskinportenSettings, opts ...Option) (*http.Client, error) {
	source, err := NewTokenSource(settings, opts...)
	if err != nil {
		return nil, err
	}
	return source.Client(), nil
}

// Client makes an [http.Client] over [TokenSource.Transport] with the transport
// that [WithBaseTransport] named. It has no Timeout of its own: give each
// request a context with a deadline.
func (s *TokenSource) Client() *http.Client { return &http.Client{Transport: s.Transport(s.base)} }

// Token returns a token that may be sent now, from the cache where it holds
// one. It is for credentials that do not travel in an HTTP request of
// [TokenSource.Client]: gRPC metadata, a message queue.
//
// A caller waits only where there is no usable token, and no longer than its
// context allows; the fetch itself goes on for the others. The error is a
// [*TokenError] where Maskinporten or Altinn is the cause.
//
// The context may ask for another token than the settings do: see
// [ContextWithSystemUser], [ContextWithConsumerOrg], [ContextWithScope], [ContextWithResource], [ContextWithPerson]
// and [ContextWithConsent].
func (s *TokenSource) Token(ctx context.Context) (*Token, error) {
	e, err := s.entry(ctx)
	if err != nil {
		return nil, err
	}
	return s.token(ctx, e)
}

// entry is where the token that the context asks for is kept.
func (s *TokenSource) entry(ctx context.Context) (*entry, error) {
	if s == nil || s.own == nil {
		return nil, ErrClosed
	}
	o := overridesOf(ctx)
	if o == nil && s.own.request.scope != "" {
		return s.own, nil
	}
	request, err := o.apply(s.own.request, s.noScope)
	if err != nil {
		return nil, err
	}
	if request == s.own.request {
		return s.own, nil
	}
	return s.cache.entry(request), nil
}

// Close ends the fetches under way and waits for them, drops every token and
// closes the idle connections to the token endpoints, and those of the transport
// that [WithBaseTransport] named. Later calls fail with
// [ErrClosed], requests of its clients included. It may be called more than
// once. It waits for a transport of [WithTokenTransport] to heed the end of a
// request's context.
func (s *TokenSource) Close() {
	if s == nil || s.own == nil {
		return
	}
	s.background.close()
	for _, e := range append(s.cache.clear(), s.own) {
		e.drop()
	}
	s.tokenClient.CloseIdleConnections()
	closeIdle(s.base)
	s.telemetry.close()
}

// Format implements [fmt.Formatter]: every verb prints the client's id alone.
func (s *TokenSource) Format(f fmt.State, _ rune) {
	if s == nil {
		_, _ = fmt.Fprint(f, "<nil>")
		return
	}
	_, _ = fmt.Fprintf(f, "httpclient.TokenSource(%s)", s.clientID)
}

// fetch gets the token of an entry from the servers. renew asks for a new
// Maskinporten token too, though the one behind an Altinn token may still live.
func (s *TokenSource) fetch(ctx context.Context, e *entry, renew bool) (*Token, error) {
	if s.exchanger == nil {
		return s.grant(ctx, e)
	}
	grant := e.grant
	fresh := renew || !grant.usable(s.clock())
	if fresh {
		var err error
		if grant, err = s.grant(ctx, e); err != nil {
			return nil, err
		}
	}
	token, err := s.exchange(ctx, e, grant)
	var refused *TokenError
	if !errors.As(err, &refused) || refused.StatusCode != http.StatusUnauthorized {
		return token, err
	}
	if fresh && grant.usable(s.clock()) {
		return nil, err
	}
	// The grant was revoked, or it expired on the way: once more with a new one.
	if grant, err = s.grant(ctx, e); err != nil {
		return nil, err
	}
	return s.exchange(ctx, e, grant)
}

func (s *TokenSource) grant(ctx context.Context, e *entry) (*Token, error) {
	start := s.clock()
	token, err := s.granter.grant(ctx, e.request)
	s.telemetry.granted(ctx, s.clock().since(start), err)
	if err == nil && s.exchanger != nil {
		e.grant = token
	}
	return token, err
}

func (s *TokenSource) exchange(ctx context.Context, e *entry, grant *Token) (*Token, error) {
	start := s.clock()
	token, err := s.exchanger.exchange(ctx, grant, e.request.secrets())
	s.telemetry.exchanged(ctx, s.clock().since(start), err)
	var refused *TokenError
	if errors.As(err, &refused) && refused.StatusCode == http.StatusUnauthorized {
		e.grant = nil // it is not offered again
	}
	return token, err
}
