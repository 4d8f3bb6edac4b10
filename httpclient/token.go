package httpclient

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/portnokkel/portnokkel/httpclient/internal/tokencache"
)

// Token is an access token and what the server said about it. It does not
// change; a pointer to it may be shared. It prints itself without the token,
// through every verb of package fmt, log/slog and encoding/json.
type Token struct {
	// secret gives the Authorization header's value. It is a function, because package
	// fmt prints whatever else a type holds in an unexported field, without its Format.
	secret func() string
	scope  string
	altinn bool
	life   time.Duration

	issued tokencache.Instant // when its life began, at the earliest
	cached tokencache.Life    // how long the cache uses it
	from   *Token             // an Altinn token: the Maskinporten token it was exchanged for
}

const bearer = "Bearer "

// newToken makes a token of the given life, counted from issued. jitter, in [0, 1),
// places the refresh in its window.
func newToken(value, scope string, issued tokencache.Instant, life time.Duration, jitter float64) *Token {
	refresh, end := schedule(life, jitter)
	header := bearer + value
	return &Token{
		secret: func() string { return header }, scope: scope, life: life,
		issued: issued, cached: tokencache.Life{Refresh: issued.Add(refresh), End: issued.Add(end)},
	}
}

// schedule says after how long a token is refreshed ahead, and after how long
// it is no longer used. The refresh falls into the first half of its window, at
// random, so that replicas started together do not ask together.
func schedule(life time.Duration, jitter float64) (refresh, end time.Duration) {
	window := min(life*15/100, refreshWindow)
	refresh = life - window + time.Duration(jitter*float64(window)/2)
	return refresh, life - min(life/20, safetyMargin)
}

// usable reports whether the token may still be sent.
func (t *Token) usable(now tokencache.Instant) bool { return t != nil && !t.cached.End.Reached(now) }

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

// Expires is when the token's life ends by this machine's wall clock. An Altinn token
// may live up to a second longer, since its claims are in whole seconds. The source
// stops using a token a little before. Expires is zero for the zero Token.
func (t *Token) Expires() time.Time {
	if t == nil || t.secret == nil {
		return time.Time{}
	}
	return t.issued.Add(t.life).Time()
}

// Lifetime is how long the server gave the token in all. Of a token that Texas had from
// before, it is what was left.
func (t *Token) Lifetime() time.Duration {
	if t == nil {
		return 0
	}
	return t.life
}

// Scopes lists what the token was granted for.
func (t *Token) Scopes() []string {
	if t == nil {
		return nil
	}
	return strings.Fields(t.scope)
}

// IsAltinn reports whether this is an exchanged Altinn token rather than
// Maskinporten's own.
func (t *Token) IsAltinn() bool { return t != nil && t.altinn }

// String names the token's kind, scopes and end.
func (t *Token) String() string {
	if t == nil || t.secret == nil {
		return "no token"
	}
	kind := "Maskinporten token"
	if t.altinn {
		kind = "Altinn token"
	}
	return fmt.Sprintf("%s for %s until %s", kind, t.scope, t.Expires().UTC().Format(time.RFC3339))
}

// Format implements [fmt.Formatter]: every verb prints what String returns.
func (t *Token) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, t.String()) }

// LogValue implements [slog.LogValuer], without the token.
func (t *Token) LogValue() slog.Value {
	if t == nil || t.secret == nil {
		return slog.StringValue(t.String())
	}
	return slog.GroupValue(slog.String("scope", t.scope), slog.Bool("altinn", t.altinn), slog.Time("expires", t.Expires()))
}
