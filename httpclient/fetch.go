package httpclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/portnokkel/portnokkel/httpclient/internal/tokencache"
	"github.com/portnokkel/portnokkel/internal/problems"
)

// upstream gives Maskinporten tokens: Maskinporten itself, or Texas.
type upstream interface {
	// token gets a token, and another one than old, which is due; nil if there is none. If
	// renew is set, the last token was rejected and this must be a new one. isNew reports
	// that it was made for this call, and is not from a cache.
	token(ctx context.Context, request tokenRequest, old *Token, renew bool) (token *Token, isNew bool, err error)
	// check refuses a request that the upstream cannot make. It asks no server.
	check(request tokenRequest) error
	// naming is what to call a setting in an error about a request.
	naming(request tokenRequest) func(setting string) string
	// keyEnd is when the certificate in use ends; zero without one.
	keyEnd() time.Time
	// key is the signing key that was used last. Before that it is the settings' own; nil
	// if none is known.
	key() *Key
	close()
}

// newUpstream makes the upstream that the plan names.
func newUpstream(s *source, settings *MaskinportenSettings, p plan, clock tokencache.Clock) upstream {
	if p.texas != "" {
		return newTexas(s, settings, p, clock)
	}
	return newMaskinporten(s, settings, p, clock)
}

// fetch gets a token from the servers, for the cache. The result of the request's last
// fetch is last. Its Maskinporten token is used again while it lives, unless renew asks
// for a new one.
func (s *source) fetch(ctx context.Context, request tokenRequest, last *Token, renew bool) (*Token, tokencache.Life, error) {
	ctx, done := s.telemetry.fetch(ctx, request)
	token, err := s.steps(ctx, request, last, renew)
	done(token, err)
	if err != nil {
		return token, tokencache.Life{}, err
	}
	return token, token.cached, nil
}

// steps gets the Maskinporten token, and exchanges it if the settings say so. A token
// beside an error holds the Maskinporten token that the next fetch may exchange.
func (s *source) steps(ctx context.Context, request tokenRequest, last *Token, renew bool) (*Token, error) {
	if s.exchanger == nil {
		token, _, err := s.fromUpstream(ctx, request, last, renew)
		return token, err
	}
	var from *Token
	if last != nil && !renew && last.from.usable(s.clock()) {
		from = last.from
	}
	isNew := false
	for again := false; ; again = true {
		if from == nil {
			var err error
			if from, isNew, err = s.fromUpstream(ctx, request, nil, renew || again); err != nil {
				return nil, err
			}
		}
		token, err := s.fromAltinn(ctx, request, from)
		switch {
		case err == nil:
			token.from = from
			return token, nil
		case !isUnauthorized(err):
			return &Token{from: from}, err
		case again, isNew && from.usable(s.clock()):
			return nil, err
		}
		from = nil // it was revoked, or it expired on the way: once more with a new one
	}
}

func isUnauthorized(err error) bool {
	var failed *TokenError
	return errors.As(err, &failed) && failed.StatusCode == http.StatusUnauthorized
}

func (s *source) fromUpstream(ctx context.Context, request tokenRequest, old *Token, renew bool) (token *Token, isNew bool, err error) {
	start := s.clock()
	token, isNew, err = s.upstream.token(ctx, request, old, renew)
	s.telemetry.fetched(ctx, s.clock().Since(start), err)
	return token, isNew, err
}

func (s *source) fromAltinn(ctx context.Context, request tokenRequest, from *Token) (*Token, error) {
	start := s.clock()
	token, err := s.exchanger.token(ctx, from, request)
	s.telemetry.exchanged(ctx, s.clock().Since(start), err)
	return token, err
}

// kept tells that a token could not be refreshed ahead of its end.
func (s *source) kept(_ tokenRequest, token *Token, err error) {
	s.log.warn(context.Background(), "could not refresh the token; the one in use is kept", slog.String("client_id", s.clientID),
		slog.Any("token", token), slog.String("error", problems.OneLine(s.explained(err))))
}

// explained puts the cache's own errors into this package's words.
func (s *source) explained(err error) error {
	var failed *TokenError
	var left *tokencache.WaitError
	switch {
	case errors.As(err, &failed):
		return err
	case errors.As(err, &left):
		return &waitError{left, s}
	case errors.Is(err, tokencache.ErrClosed):
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrTemporary, err)
}

// waitError says that a caller's context ended while it waited. It is what that
// context's error is: a time-out, for one.
type waitError struct {
	*tokencache.WaitError
	of *source
}

// Error says what it waited for. If it was the time that ended, it says what to do.
func (e *waitError) Error() string {
	what := "waiting for a token"
	if e.of.clientID != "" {
		what += " of client " + e.of.clientID
	}
	what += ": " + e.WaitError.Error()
	if !e.Timeout() {
		return "httpclient: " + what
	}
	return "httpclient: give the context more time, or check the network to " + e.of.servers + " - " + what
}

// servers are the addresses that tokens come from.
func (p *plan) servers() string {
	servers := cmp.Or(p.texas, p.environment.tokenEndpoint, p.environment.issuer+"token")
	if p.exchange != nil {
		servers += " and " + p.exchange.platform
	}
	return servers
}

// Unwrap gives the cache's error, and with it the context's.
func (e *waitError) Unwrap() error { return e.WaitError }
