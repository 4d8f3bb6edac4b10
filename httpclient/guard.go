package httpclient

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// guards counts the calls into code that is not ours: key sources, signers,
// transports.
type guards struct {
	log stepLog

	mu      sync.Mutex
	running int
	quiet   chan struct{} // closed when the last of them returns; nil if nothing runs
}

// guard runs such code and waits no longer than ctx: it may ignore its context, panic,
// or end its goroutine. What goes on after that is left behind. A panic is logged with
// its stack, but without its value, which may be a secret.
func guard[T any](ctx context.Context, g *guards, what string, call func() (T, error)) (T, error) {
	return guardWith(ctx, g, what, call, nil)
}

// guardWith is guard, except that a panic is only logged if mayLog says so. Nil says so.
func guardWith[T any](ctx context.Context, g *guards, what string, call func() (T, error), mayLog func() bool) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	g.enter()
	go func() {
		r := result{err: &misbehaved{what, "ended its goroutine"}}
		defer func() {
			if recover() != nil {
				if mayLog == nil || mayLog() {
					g.log.fail(ctx, what+" panicked", slog.String("stack", string(debug.Stack())))
				}
				r.err = &misbehaved{what, "panicked: the log has its stack"}
			}
			g.leave()
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

// misbehaved says what code that is not ours did instead of returning.
type misbehaved struct{ what, did string }

func (e *misbehaved) Error() string { return e.what + " " + e.did }

func (g *guards) enter() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running == 0 {
		g.quiet = make(chan struct{})
	}
	g.running++
}

func (g *guards) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running--; g.running == 0 {
		close(g.quiet)
		g.quiet = nil
	}
}

// wait returns when no such code is running, at the latest after closeTimeout.
func (g *guards) wait() {
	g.mu.Lock()
	quiet := g.quiet
	g.mu.Unlock()
	if quiet == nil {
		return
	}
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-quiet:
	case <-timer.C:
	}
}
