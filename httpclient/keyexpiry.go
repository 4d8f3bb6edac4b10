package httpclient

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// keyExpiry keeps which key is in use, and tells of its end: once a day, and at once when
// it becomes more urgent. No timer runs: a fetch of a token looks, and so does
// NewTokenSource. It is told only once that the end of a key is not known.
type keyExpiry struct {
	clientID string
	used     atomic.Pointer[Key]

	mu   sync.Mutex
	told []toldKey // the oldest first, at most maxTold
}

// toldKey is the last record about a key.
type toldKey struct {
	id    string // the key's id or certificate
	stage keyStage
	at    time.Time
}

// note looks at the key that is about to sign.
func (e *keyExpiry) note(ctx context.Context, log stepLog, key *Key, now time.Time) {
	e.used.Store(key)
	stage := key.stage(now)
	if !e.isDue(key.kid+key.leaf(), stage, now) {
		return
	}
	attrs := []slog.Attr{slog.String("client_id", e.clientID)}
	if key.kid != "" {
		attrs = append(attrs, slog.String("key_id", key.kid))
	}
	if end := key.Expires(); !end.IsZero() {
		attrs = append(attrs, slog.Time("expires", end.UTC()))
	}
	log.tell(ctx, stage.level(), key.notice(stage, now), attrs...)
}

// isDue reports whether a key's stage is to be told now, and remembers that it is.
func (e *keyExpiry) isDue(id string, stage keyStage, now time.Time) bool {
	if stage == stageGood {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.IndexFunc(e.told, func(t toldKey) bool { return t.id == id })
	if i >= 0 {
		last := e.told[i]
		// A clock that was set back a long way must not silence the records.
		isDaily := stage != stageUnknown && now.Sub(last.at).Abs() >= warnEvery
		if stage <= last.stage && !isDaily {
			return false
		}
		e.told = slices.Delete(e.told, i, i+1)
	}
	if len(e.told) == maxTold {
		e.told = slices.Delete(e.told, 0, 1)
	}
	e.told = append(e.told, toldKey{id, stage, now})
	return true
}

// time is when the key in use ends, zero if that is not known.
func (e *keyExpiry) time() time.Time { return e.used.Load().Expires() }
