package httpclient

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/portnokkel/portnokkel/httpclient/internal/tokencache"
)

// skew is what to add to this machine's clock to get Maskinporten's: zero until a
// refusal showed otherwise. Assertions are made by the corrected clock.
type skew struct{ nanoseconds atomic.Int64 }

func (s *skew) now() time.Duration { return time.Duration(s.nanoseconds.Load()) }

// clocks is what an attempt was made by.
type clocks struct {
	start, end tokencache.Instant
	skew       time.Duration // what was corrected for
}

// off is how far the server's clock is from the corrected one. Its Date has whole
// seconds, cut off, and was written at some moment of the attempt.
func (c clocks) off(date time.Time) time.Duration {
	earliest, latest := c.start.Time().Add(c.skew-time.Second), c.end.Time().Add(c.skew)
	switch {
	case date.Before(earliest):
		return date.Sub(earliest)
	case date.After(latest):
		return date.Sub(latest)
	}
	return 0
}

// skewVerdict is what a refusal says about this machine's clock.
type skewVerdict int

const (
	skewInnocent  skewVerdict = iota // the clock was not the cause
	skewCorrected                    // it may have been: try again
	skewTooLarge                     // it was, and is not corrected for
)

// correct measures the clock by the Date of a refusal, zero without one.
func (s *skew) correct(ctx context.Context, log stepLog, at clocks, date time.Time) skewVerdict {
	if date.IsZero() || at.off(date).Abs() < minSkew {
		return skewInnocent
	}
	found := date.Sub(at.end.Time())
	if found.Abs() > maxSkew {
		return skewTooLarge
	}
	if !s.nanoseconds.CompareAndSwap(int64(at.skew), int64(found)) {
		return skewCorrected // another request corrected it in the meantime, and told
	}
	if found.Abs() < minSkew {
		log.warn(ctx, "this machine's clock agrees with Maskinporten's again; assertions are no longer corrected")
		return skewCorrected
	}
	log.warn(ctx, "this machine's clock is "+differs(found)+" Maskinporten's; assertions are corrected for it, but synchronise the clock",
		slog.Duration("skew", found))
	return skewCorrected
}

// clock words how this machine's clock differs by the answer's Date. It is empty if that
// is unknown, or too little to be the cause of a refusal.
func (a *answer) clock() string {
	date, known := a.date()
	if found := date.Sub(a.end.Time()); known && found.Abs() >= minSkew {
		return differs(found) + " Maskinporten's"
	}
	return ""
}

// differs words a difference of clocks.
func differs(skew time.Duration) string {
	if skew < 0 {
		return skew.Abs().Round(time.Second).String() + " ahead of"
	}
	return skew.Round(time.Second).String() + " behind"
}

// tooSkewed is the error of a clock that is too wrong to be corrected for.
func (m *maskinporten) tooSkewed(refused *TokenError, at clocks) *TokenError {
	return &TokenError{
		Step: refused.Step, URL: refused.URL, ClientID: refused.ClientID,
		Err:        fmt.Errorf("this machine's clock is %s Maskinporten's%w", differs(refused.date.Sub(at.end.Time())), quietly{ErrClockSkew}),
		Hint:       fmt.Sprintf("synchronise this machine's clock: a difference of up to %v is corrected for", maxSkew),
		clientWide: true,
	}
}
