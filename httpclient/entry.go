package httpclient

import (
	"context"
	"errors"
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
	done  chan struct{}
	token *Token
	err   error
}

// failure remembers that fetching failed, so that a broken set-up or a server
// in trouble is not asked on behalf of every caller.
type failure struct {
	err   error // nil: the last fetch succeeded
	count int
	since instant
	next  instant // nobody asks before
}

const (
	// firstPause and longestPause bound how long a failure is remembered, where
	// the server did not ask for longer, which longestWish bounds.
	firstPause   = time.Second
	longestPause = 5 * time.Second
	longestWish  = time.Minute
	// renewPause is how long after replacing a rejected token the next
	// rejection is believed, but no longer than half of the new token's life: an
	// API that says 401 to everything must not cause a token request for each.
	renewPause = 10 * time.Second
)

// record notes a failure. inUse is the token that there still is, if any.
func (f *failure) record(err error, now instant, inUse *Token) {
	if f.count == 0 {
		f.since = now
	}
	f.err = err
	pause := min(firstPause<<min(f.count, 8), longestPause)
	var failed *TokenError
	if errors.As(err, &failed) {
		pause = max(pause, min(failed.RetryAfter, longestWish))
	}
	f.count++
	f.next = now.add(pause)
	// Once that token is used up, callers wait: it is worth another try then.
	if inUse.usable(now) && f.next.after(inUse.stale) {
		f.next = inUse.stale
	}
}

// report is the remembered error, with when it began and when it ends.
func (f *failure) report() error {
	var known *TokenError
	if !errors.As(f.err, &known) {
		return f.err
	}
	dated := *known
	dated.Since, dated.RetryAt = f.since.time(), f.next.time()
	return &dated
}

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

func (f *failure) isOver(now instant) bool { return f.err == nil || f.next.reached(now) }

// mayAsk gives the error that stands in the way of a fetch: what is remembered of
// the entry's own, or of one that concerns all of the client's.
func (s *TokenSource) mayAsk(e *entry, now instant) error {
	if s.background.isClosed() {
		return ErrClosed
	}
	if !e.failure.isOver(now) {
		return e.failure.report()
	}
	s.trouble.Lock()
	defer s.trouble.Unlock()
	if !s.trouble.isOver(now) {
		return s.trouble.report()
	}
	return nil
}

// trouble is a failure that concerns every token of a client.
type trouble struct {
	sync.Mutex
	failure
	streak int // of fetches that failed for now, without any that succeeded
}

// manyFailures in a row, of different tokens, are no accident any more.
const manyFailures = 3

// note keeps a fetch's result, where it tells of more than its own token.
func (t *trouble) note(err error, now instant, inUse *Token) {
	t.Lock()
	defer t.Unlock()
	switch {
	case err == nil:
		t.failure, t.streak = failure{}, 0
		return
	case errors.Is(err, ErrTemporary):
		if t.streak++; t.streak < manyFailures {
			return
		}
	case !errors.Is(err, ErrUnknownClient) && !errors.Is(err, ErrUnknownKey) && !errors.Is(err, ErrExpiredKey) && !errors.Is(err, ErrClockSkew):
		return
	}
	t.record(err, now, inUse)
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
	f := &flight{done: make(chan struct{})}
	err := s.background.run(func(ctx context.Context) { s.fly(ctx, e, f, renew) })
	if err == nil {
		e.flight = f
	}
	return err
}

func (s *TokenSource) fly(ctx context.Context, e *entry, f *flight, renew bool) {
	ctx, done := s.telemetry.fetch(ctx, e.request)
	f.token, f.err = s.fetch(ctx, e, renew)
	done(f.token, f.err)

	closed := s.background.isClosed()
	if closed {
		f.token, f.err = nil, ErrClosed
	}

	e.mu.Lock()
	e.flight = nil
	now := s.clock()
	if !closed {
		s.trouble.note(f.err, now, e.current.Load())
	}
	switch {
	case f.err == nil:
		e.current.Store(f.token)
		e.failure = failure{}
		if renew {
			e.renewAt = now.add(min(renewPause, f.token.life/2))
		}
	case !closed:
		e.failure.record(f.err, now, e.current.Load())
		f.err = e.failure.report()
	}
	failing := e.failure
	e.mu.Unlock()
	close(f.done)

	if current := e.current.Load(); failing.err != nil && current.usable(now) {
		s.log.warn(ctx, "could not refresh the token; the one in use is kept", slog.String("client_id", s.clientID),
			slog.Any("token", current), slog.String("error", failing.err.Error()))
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
