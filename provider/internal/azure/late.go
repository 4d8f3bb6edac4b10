package azure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/portnokkel/portnokkel/internal/netcause"
)

// LateError is the cause of a context that a load's own time ended.
type LateError struct{ After time.Duration }

func (e *LateError) Error() string {
	return fmt.Sprintf("no result within the Timeout of %v", e.After)
}

// late says whose time ended, and how far the load came by then: the server's last word,
// or why there was none. It returns what there is to do beside the cure.
func (s *Session) late(ctx context.Context, d *Diagnosis) (more string) {
	var own *LateError
	d.Reason, more = "the context's deadline passed", ", or allow it more time"
	if errors.As(context.Cause(ctx), &own) {
		d.Reason, more = own.Error(), ", or raise Timeout"
	}
	asked, entra := s.wire, s.entraWire()
	if d.Step == StepAuthenticate {
		asked = entra // nil for a credential of the caller's
	}
	for _, w := range []*wire{s.wire, entra} {
		if w != nil {
			d.StatusCode = max(d.StatusCode, w.busyStatus())
		}
	}
	switch {
	case d.StatusCode != 0:
		d.Reason += ", the last answer being " + statusText(d.StatusCode, "")
	case asked == nil:
	default:
		if last := asked.lost(); last != nil && last.Kind != netcause.Timeout && last.Kind != netcause.Canceled {
			d.net = last
			d.Reason += "; the last try: " + last.What
			return ""
		}
		d.Reason += asked.phase()
	}
	return more
}

func (s *Session) entraWire() *wire {
	if asked := s.gate.asked.Load(); asked != nil {
		return asked.wire
	}
	return nil
}
