package httpclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// entry is one kind of token: the one in use, the fetch under way, and what is
// known of the last failure. Reading a fresh token is one atomic load.
type entry struct {
	request tokenRequest
	current atomic.Pointer[Token]

	mu      sync.Mutex
	flight  *flight // nil: no fetch is under way
	failure failure
	renewAt instant // when a rejected token may be replaced again

	grant *Token // behind an Altinn token; owned by the fetch under way
}

// flight is a fetch that any number of callers wait for, each with its own
// context. The fetch itself is detached from all of them.
type flight struct {
	known int  // how often there was trouble when it was launched
	asked bool // it came to ask a server
	done  chan struct{}
	token *Token
	err   error
}

// renewPause is how long after replacing a rejected token the next rejection is
// believed, but no longer than half of the new token's life: an API that says 401 to
// everything must not cause a token request for each.
const renewPause = 10 * time.Second

// token returns the entry's token. Where it is merely due for a refresh, one
// caller starts that and nobody waits.
func (s *TokenSource) token(ctx context.Context, e *entry) (*Token, error) {
	token, fromCache, err := s.find(ctx, e)
	if s.telemetry != nil {
		s.telemetry.count(ctx, fromCache, err)
	}
	return token, err
}

func (s *TokenSource) find(ctx context.Context, e *entry) (token *Token, fromCache bool, err error) {
	now := s.clock()
	current := e.current.Load()
	switch {
	case current.fresh(now):
		if s.log.enabled(ctx) {
			s.log.step(ctx, "token from the cache", slog.String("client_id", s.clientID), slog.Any("token", current))
		}
		return current, true, nil
	case current.usable(now):
		s.refresh(e, now)
		return current, true, nil
	}
	if ctx.Err() != nil {
		return nil, false, ended(ctx)
	}
	f, err := s.join(e)
	if err != nil {
		return nil, false, err
	}
	token, err = f.wait(ctx)
	return token, false, err
}

func (f *flight) wait(ctx context.Context) (*Token, error) {
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		return nil, ended(ctx)
	}
}

// waitError says that a caller's context ended while it waited. It is what that
// context's error is: a time-out, for one.
type waitError struct{ err, cause error }

func ended(ctx context.Context) error { return &waitError{ctx.Err(), context.Cause(ctx)} }

func (e *waitError) Error() string   { return "httpclient: waiting for a token: " + e.cause.Error() }
func (e *waitError) Unwrap() []error { return []error{e.err, e.cause} }
func (e *waitError) Timeout() bool   { return errors.Is(e.err, context.DeadlineExceeded) }

// refresh starts a fetch ahead of need, unless one is under way or has just
// failed. It never waits, not even for the lock.
func (s *TokenSource) refresh(e *entry, now instant) {
	if !e.mu.TryLock() {
		return
	}
	defer e.mu.Unlock()
	// Whoever was here in the meantime may have refreshed it, or closed the source.
	current := e.current.Load()
	if e.flight == nil && current != nil && !current.fresh(now) && s.mayAsk(e, now) == nil {
		_ = s.launch(e, false)
	}
}

// mayAsk gives the error that stands in the way of a fetch: what is remembered of
// the entry's own, or of one that concerns all of the client's. Without one, a fetch
// must follow.
func (s *TokenSource) mayAsk(e *entry, now instant) error {
	if s.background.isClosed() {
		return ErrClosed
	}
	if !e.failure.isOver(now) {
		return e.failure.report()
	}
	if e.current.Load().hasJustRunOut(now) {
		return nil // one more try for those who now wait for it, whatever fails for others
	}
	return s.trouble.admit(e, e.failure.err != nil, now)
}

// join gives the fetch that will answer a caller without a usable token.
func (s *TokenSource) join(e *entry) (*flight, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := s.clock()
	if current := e.current.Load(); current.usable(now) {
		return landed(current), nil
	}
	if e.flight != nil {
		return e.flight, nil
	}
	if err := s.mayAsk(e, now); err != nil {
		return nil, err
	}
	if err := s.launch(e, false); err != nil {
		return nil, err
	}
	return e.flight, nil
}

// replace gives the fetch of a newer token than the one that an API rejected.
// However many callers bring the same one, it is replaced once.
func (s *TokenSource) replace(e *entry, rejected *Token) (*flight, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := s.clock()
	current := e.current.Load()
	switch {
	case current != rejected && current.usable(now):
		return landed(current), nil
	case e.flight != nil:
		return e.flight, nil
	}
	// At its end a token is rejected when its request took long: that is no
	// renewal out of turn, but the refresh that was due.
	renew := current.fresh(now)
	if renew && !e.renewAt.reached(now) {
		return nil, errRejectedAgain
	}
	if err := s.mayAsk(e, now); err != nil {
		return nil, err
	}
	if err := s.launch(e, renew); err != nil {
		return nil, err
	}
	return e.flight, nil
}

var errRejectedAgain = errors.New("httpclient: the token was replaced a moment ago")

// landed is a flight that is over.
func landed(token *Token) *flight {
	f := &flight{done: make(chan struct{}), token: token}
	close(f.done)
	return f
}

// launch starts the entry's fetch. The caller holds the entry's lock.
func (s *TokenSource) launch(e *entry, renew bool) error {
	f := &flight{known: s.trouble.known(), done: make(chan struct{})}
	err := s.background.run(e == s.own, func(ctx context.Context) { s.fly(ctx, e, f, renew) })
	if err == nil {
		e.flight = f
	}
	return err
}

func (s *TokenSource) fly(ctx context.Context, e *entry, f *flight, renew bool) {
	defer s.land(ctx, e, f, renew) // also where a transport of the program's ends the goroutine
	f.err = errNoResult
	switch err := s.trouble.overtook(f.known); {
	case err != nil:
		f.err = err
	case ctx.Err() != nil:
		f.err = errNoTurn
	default:
		f.asked = true
		ctx, done := s.telemetry.fetch(ctx, e.request)
		f.token, f.err = s.fetch(ctx, e, renew)
		done(f.token, f.err)
	}
}

var (
	errNoResult = fmt.Errorf("%w: the fetch ended without a result", ErrTemporary)
	errNoTurn   = fmt.Errorf("%w: %d other tokens are being fetched, and none came in time", ErrTemporary, atOnce)
)

// land takes a fetch's result.
func (s *TokenSource) land(ctx context.Context, e *entry, f *flight, renew bool) {
	closed := s.background.isClosed()
	if closed {
		f.token, f.err = nil, ErrClosed
	}

	e.mu.Lock()
	e.flight = nil
	now := s.clock()
	if f.asked && !closed {
		s.trouble.learn(e, f.err, now)
	}
	switch {
	case f.err == nil:
		e.current.Store(f.token)
		e.failure = failure{}
		if renew {
			e.renewAt = now.add(min(renewPause, f.token.life/2))
		}
	case f.asked && !closed:
		e.failure.record(f.err, now, e.current.Load())
		f.err = e.failure.report()
	}
	current := e.current.Load()
	e.mu.Unlock()
	close(f.done)

	if f.err != nil && !closed && current.usable(now) {
		s.log.warn(ctx, "could not refresh the token; the one in use is kept", slog.String("client_id", s.clientID),
			slog.Any("token", current), slog.String("error", f.err.Error()))
	}
}

// isIdle reports whether no fetch is under way.
func (e *entry) isIdle() bool {
	if !e.mu.TryLock() {
		return false
	}
	defer e.mu.Unlock()
	return e.flight == nil
}

// expires is when the token in use ends, zero without one.
func (e *entry) expires() time.Time {
	if current := e.current.Load(); current != nil {
		return current.Expires()
	}
	return time.Time{}
}

// drop forgets the tokens, once no fetch is under way any more.
func (e *entry) drop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current.Store(nil)
	e.grant, e.failure = nil, failure{}
}
