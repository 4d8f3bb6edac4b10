package httpclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// granter asks Maskinporten for tokens with the JWT bearer grant (RFC 7523).
type granter struct {
	client   *http.Client
	issuer   *issuer
	clientID string
	keys     KeySource
	own      tokenRequest      // the settings' own
	names    map[string]string // of settings, for hints
	clock    clock
	log      stepLog
	// skew is what to add to this machine's clock to get Maskinporten's, in
	// nanoseconds: 0 until a refusal showed otherwise.
	skew           atomic.Int64
	certificateEnd atomic.Int64 // of the last certificate, nanoseconds since 1970; 0 without one
	warned         atomic.Int64 // when its end was last warned about
}

const (
	grantType = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	// minSkew is a difference that cannot be the cause of a refusal: the
	// answer's Date has whole seconds and took some time to arrive.
	minSkew = 2 * time.Second
)

// grant gets a token, trying again what may pass by itself.
func (g *granter) grant(ctx context.Context, request tokenRequest) (*Token, error) {
	corrected := false
	return retry(ctx, func(ctx context.Context) (*Token, error) {
		keys, err := await(ctx, func() ([]*Key, error) { return g.keys.Keys(ctx) })
		if err == nil && len(keys) == 0 {
			err = errors.New("it gave no key")
		}
		if err != nil {
			return nil, g.keyError(err)
		}
		var first error
		for _, key := range keys {
			token, err := g.withKey(ctx, request, key, &corrected)
			if err == nil {
				return token, nil
			}
			if first == nil {
				first = err
			}
			// A key that was registered a moment ago is not known everywhere yet,
			// and the next may do where one has run out or does not sign.
			var failed *TokenError
			ownFault := errors.As(err, &failed) && failed.Step == stepKey
			if !ownFault && !errors.Is(err, ErrUnknownKey) && !errors.Is(err, ErrExpiredKey) {
				return nil, err
			}
		}
		return nil, first
	})
}

const stepKey = "signing key"

// keyError is a failure of the program's own keys.
func (g *granter) keyError(err error) *TokenError {
	failed := &TokenError{Step: stepKey, ClientID: g.clientID, Err: err, Temporary: true}
	if _, own := g.keys.(fixedKey); !own {
		failed.Hint = "check what WithKeySource was given"
	}
	return failed
}

// withKey asks with one key, and once more where the clock was to blame.
func (g *granter) withKey(ctx context.Context, request tokenRequest, key *Key, corrected *bool) (*Token, error) {
	if key == nil || key.signer == nil {
		return nil, g.keyError(errors.New("it gave a key that is none"))
	}
	if err := key.check(g.clock().time()); err != nil {
		return nil, &TokenError{Step: stepKey, ClientID: g.clientID, Err: fmt.Errorf("%s: %w", key.setting, err), wide: true}
	}
	g.warnOfCertificate(ctx, key)
	token, answered, err := g.attempt(ctx, request, key)
	if !*corrected && errors.Is(err, ErrClockSkew) && g.correct(ctx, answered) {
		*corrected = true
		token, _, err = g.attempt(ctx, request, key)
	}
	return token, err
}

// warnOfCertificate tells once a day that a certificate is about to expire, and
// keeps its end for whoever measures it.
func (g *granter) warnOfCertificate(ctx context.Context, key *Key) {
	if key.notAfter.IsZero() {
		return
	}
	g.certificateEnd.Store(key.notAfter.UnixNano())
	now := g.clock().time()
	if warning := key.warning(now); warning != "" {
		last := g.warned.Load()
		if now.UnixNano()-last >= int64(24*time.Hour) && g.warned.CompareAndSwap(last, now.UnixNano()) {
			g.log.warn(ctx, warning)
		}
	}
}

// certificateExpires is when the certificate in use ends, zero without one.
func (g *granter) certificateExpires() time.Time {
	if end := g.certificateEnd.Load(); end != 0 {
		return time.Unix(0, end)
	}
	return time.Time{}
}

// await runs what is not ours, which may not heed a context, may panic, or may end
// its goroutine, and waits no longer than ctx. What goes on after that is left alone.
func await[T any](ctx context.Context, call func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: errors.New("it ended without a result")}
		defer func() {
			if recover() != nil {
				r.err = errors.New("it panicked") // with what, may be a secret
			}
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

// naming is what to call a setting in a hint about a request: where the request's
// context took its place, the function that did so.
func (g *granter) naming(request tokenRequest) func(setting string) string {
	return func(setting string) string {
		switch {
		case setting == "Scope" && request.scope != g.own.scope:
			return "ContextWithScope"
		case setting == "Resource" && request.resource != g.own.resource:
			return "ContextWithResource"
		case setting == "ConsumerOrgNo" && request.consumerOrg != g.own.consumerOrg:
			return "ContextWithConsumerOrg"
		}
		return g.names[setting]
	}
}

// clocks is the two clocks at an attempt that was answered.
type clocks struct {
	server time.Time     // its Date; zero where it told none
	skew   time.Duration // what the attempt had corrected for
}

// correct measures the clock's error by the server's clock at a refusal and
// reports whether that may have been its cause.
func (g *granter) correct(ctx context.Context, at clocks) bool {
	if at.server.IsZero() {
		return false
	}
	skew := at.server.Sub(g.clock().time())
	if (skew - at.skew).Abs() < minSkew {
		return false
	}
	if !g.skew.CompareAndSwap(int64(at.skew), int64(skew)) {
		return true // another request has corrected it in the meantime, and told
	}
	if skew.Abs() < minSkew {
		g.log.warn(ctx, "this machine's clock agrees with Maskinporten's again; assertions are no longer corrected")
		return true
	}
	direction := "behind"
	if skew < 0 {
		direction = "ahead of"
	}
	g.log.warn(ctx, "this machine's clock is "+skew.Abs().Round(time.Second).String()+" "+direction+
		" Maskinporten's; assertions are corrected for it, but synchronise the clock", slog.Duration("skew", skew))
	return true
}

// attempt makes one token request.
func (g *granter) attempt(ctx context.Context, request tokenRequest, key *Key) (token *Token, at clocks, err error) {
	endpoints, err := g.issuer.endpoints(ctx)
	if err != nil {
		return nil, at, err
	}
	failed := &TokenError{Step: "token request", URL: endpoints.token, ClientID: g.clientID}
	start := g.clock()
	at.skew = time.Duration(g.skew.Load())
	signed, err := await(ctx, func() (string, error) {
		return assertion(key, endpoints.issuer, g.clientID, request, start.time().Add(at.skew))
	})
	if err != nil {
		return nil, at, g.keyError(err)
	}
	form := url.Values{"grant_type": {grantType}, "assertion": {signed}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoints.token, strings.NewReader(form))
	if err != nil {
		return nil, at, fmt.Errorf("httpclient: token request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	g.log.step(ctx, "asking for a Maskinporten token", slog.String("url", endpoints.token), slog.String("issuer", endpoints.issuer),
		slog.String("client_id", g.clientID), slog.String("key", key.String()), slog.String("scope", request.scope))
	a, err := send(ctx, g.client, req)
	if err != nil {
		failed.unreachable(err)
		return nil, at, failed
	}
	at.server, _ = a.date()
	if a.status != http.StatusOK {
		failed.refused(a, append(request.secrets(), signed), start.time())
		failed.explain(key, g.naming(request))
		return nil, at, failed
	}
	token, err = parseGrant(a.body, request.scope, start)
	if err == nil && !token.usable(g.clock()) {
		err = errUsedUp
	}
	if err != nil {
		failed.StatusCode, failed.Err, failed.Temporary = a.status, err, true
		failed.Hint = "something between here and Maskinporten answers in its place, or the settings name another server"
		return nil, at, failed
	}
	g.log.step(ctx, "got a Maskinporten token", slog.Any("token", token), slog.Duration("lifetime", token.life))
	return token, at, nil
}

// errUsedUp stands for a token that nobody could use.
var errUsedUp = errors.New("the token lives no longer than the request for it took")

// parseGrant reads the answer to a token request (RFC 6749 section 5.1). Its
// errors never quote the body.
func parseGrant(body []byte, asked string, start instant) (*Token, error) {
	var fields struct {
		AccessToken string          `json:"access_token"`
		TokenType   string          `json:"token_type"`
		ExpiresIn   json.RawMessage `json:"expires_in"`
		Scope       string          `json:"scope"`
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, errors.New("the answer is empty")
	}
	if json.Unmarshal(body, &fields) != nil {
		return nil, errors.New("the answer is not the JSON of a token")
	}
	if !isTokenText(fields.AccessToken) {
		return nil, errors.New("the answer holds no usable access_token")
	}
	if fields.TokenType != "" && !strings.EqualFold(fields.TokenType, "Bearer") {
		return nil, errors.New("the answer's token_type is not Bearer")
	}
	life, err := parseLife(fields.ExpiresIn)
	if err != nil {
		return nil, err
	}
	scope := normalizeScope(fields.Scope)
	if scope == "" {
		scope = asked // RFC 6749 section 5.1: left out where it is as asked
	}
	return newToken(fields.AccessToken, scope, start, life, rand.Float64()), nil
}

// maxLife is longer than any token lives; it keeps arithmetic from overflowing.
const maxLife = 365 * 24 * time.Hour

// parseLife reads expires_in, seconds, as a number or as a number in a string.
func parseLife(raw json.RawMessage) (time.Duration, error) {
	text := strings.Trim(string(raw), `"`)
	if text == "" || text == "null" {
		return 0, errors.New("the answer has no expires_in")
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(seconds) {
		return 0, errors.New("the answer's expires_in is not a number")
	}
	if seconds <= 0 {
		return 0, errors.New("the answer's expires_in is not positive")
	}
	return time.Duration(min(seconds, maxLife.Seconds()) * float64(time.Second)), nil
}
