package httpclient

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Token is an access token and what the server said about it. It does not
// change; a pointer to it may be shared. It prints itself without the token,
// through every verb of package fmt, log/slog and encoding/json.
type Token struct {
	// secret gives the Authorization header's value. It is a function because
	// package fmt prints whatever else a type holds, without asking its Format,
	// under a verb that does not fit, or in an unexported field.
	secret func() string
	scope  string
	altinn bool
	life   time.Duration

	issued  instant // when its life began, at the earliest
	refresh instant // from here on a newer one is fetched ahead
	stale   instant // from here on it is not used
}

const bearer = "Bearer "

// newToken makes a token of the given life, counted from issued. jitter, in [0, 1), places the refresh in its window.
func newToken(value, scope string, issued instant, life time.Duration, jitter float64) *Token {
	refresh, stale := schedule(life, jitter)
	header := bearer + value
	return &Token{
		secret: func() string { return header }, scope: scope, life: life,
		issued: issued, refresh: issued.add(refresh), stale: issued.add(stale),
	}
}

const (
	// refreshWindow is the longest time before a token's end in which it is
	// refreshed ahead; for short tokens it is 15 % of their life.
	refreshWindow = 5 * time.Minute
	// expiryMargin is the longest time before a token's end from which it is
	// not used any more, since a request takes time to arrive; for short
	// tokens it is 5 % of their life.
	expiryMargin = 10 * time.Second
)

// schedule says after how long a token is refreshed ahead, and after how long
// it is no longer used. The refresh falls into the first half of its window, at
// random, so that replicas started together do not ask together.
func schedule(life time.Duration, jitter float64) (refresh, stale time.Duration) {
	window := min(life*15/100, refreshWindow)
	refresh = life - window + time.Duration(jitter*float64(window)/2)
	return refresh, life - min(life/20, expiryMargin)
}

// fresh reports whether the token needs nothing done.
func (t *Token) fresh(now instant) bool { return t != nil && !t.refresh.reached(now) }

// usable reports whether the token may still be sent.
func (t *Token) usable(now instant) bool { return t != nil && !t.stale.reached(now) }

// hasJustRunOut reports whether the token was usable a moment ago.
func (t *Token) hasJustRunOut(now instant) bool {
	return t != nil && t.stale.reached(now) && !t.stale.add(firstPause).reached(now)
}

// authorization is the ready header's value, "" for the zero Token and for nil.
func (t *Token) authorization() string {
	if t == nil || t.secret == nil {
		return ""
	}
	return t.secret()
}

// AccessToken is the bearer token itself: opaque, and a secret. Send it in the
// header "Authorization: Bearer …" (RFC 6750), or as a gRPC or queue's
// credential, to the API that it is meant for, and nowhere else. It is empty for
// the zero Token.
func (t *Token) AccessToken() string { return strings.TrimPrefix(t.authorization(), bearer) }

// Expires is when the token's life ends by this machine's wall clock, at the
// earliest: an Altinn token may live up to a second longer, since its claims are in
// whole seconds. The source stops using it a little before.
func (t *Token) Expires() time.Time { return t.issued.add(t.life).time() }

// Lifetime is how long the server gave the token in all.
func (t *Token) Lifetime() time.Duration { return t.life }

// Scopes lists what the token was granted for.
func (t *Token) Scopes() []string { return strings.Fields(t.scope) }

// IsAltinn reports whether this is an exchanged Altinn token rather than
// Maskinporten's own.
func (t *Token) IsAltinn() bool { return t.altinn }

// String names the token's kind, scopes and end.
func (t *Token) String() string {
	kind := "Maskinporten token"
	if t.altinn {
		kind = "Altinn token"
	}
	return fmt.Sprintf("%s for %s until %s", kind, t.scope, t.Expires().UTC().Format(time.RFC3339))
}

// Format implements [fmt.Formatter]: every verb prints what String returns.
func (t *Token) Format(f fmt.State, _ rune) {
	if t == nil {
		_, _ = fmt.Fprint(f, "<nil>")
		return
	}
	_, _ = fmt.Fprint(f, t.String())
}

// LogValue implements [slog.LogValuer], without the token.
func (t *Token) LogValue() slog.Value {
	if t == nil {
		return slog.AnyValue(nil)
	}
	return slog.GroupValue(slog.String("scope", t.scope), slog.Bool("altinn", t.altinn), slog.Time("expires", t.Expires()))
}
