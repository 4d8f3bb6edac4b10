package httpclient

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// retry calls attempt until it succeeds, fails for good, or the attempts or the
// context's time are used up. It waits in between, doubling and jittered, or as
// long as the server asked. If that would take too long, it gives up at once.
func retry[T any](ctx context.Context, attempt func(context.Context) (T, error)) (T, error) {
	backoff := firstBackoff
	for n := 1; ; n++ {
		result, err := attempt(ctx)
		var failed *TokenError
		if err == nil || n == attempts || !errors.As(err, &failed) || !failed.Temporary || ctx.Err() != nil {
			return result, err
		}
		wait := max(failed.RetryAfter, backoff/2+rand.N(backoff/2))
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return result, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return result, err
		}
		backoff *= 2
	}
}
