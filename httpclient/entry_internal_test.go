package httpclient

import (
	"log/slog"
	"testing"
	"time"
)

// Between the moment in which a request finds its token due for a refresh and
// the one in which it starts that, Close may have taken the token away, or
// another request may have refreshed it.
func TestRefreshThatComesTooLate(t *testing.T) {
	t.Parallel()
	s := &TokenSource{clock: systemClock(), log: newStepLog(slog.New(slog.DiscardHandler), false), own: &entry{}, background: newBackground(1)}
	s.refresh(s.own, s.clock())
	s.own.current.Store(newToken("for tests only", "s", s.clock(), time.Hour, 0))
	s.refresh(s.own, s.clock())
	if s.own.flight != nil || len(s.background.cancels) != 0 {
		t.Error("a fetch was started for nothing")
	}
}
