package httpclient

import (
	"context"
	"sync/atomic"
	"time"
)

// keyExpiry keeps when the certificate in use ends, and warns about it once a day.
type keyExpiry struct {
	end    atomic.Int64 // nanoseconds since 1970; 0 without a certificate
	warned atomic.Int64 // when it was last warned about
}

// note looks at the key that is about to sign.
func (e *keyExpiry) note(ctx context.Context, log stepLog, key *Key, now time.Time) {
	if key.notAfter.IsZero() {
		return
	}
	e.end.Store(key.notAfter.UnixNano())
	warning := key.warning(now)
	if warning == "" {
		return
	}
	last := e.warned.Load()
	if now.UnixNano()-last >= int64(warnEvery) && e.warned.CompareAndSwap(last, now.UnixNano()) {
		log.warn(ctx, warning)
	}
}

// time is when the certificate ends, zero without one.
func (e *keyExpiry) time() time.Time {
	if end := e.end.Load(); end != 0 {
		return time.Unix(0, end)
	}
	return time.Time{}
}
