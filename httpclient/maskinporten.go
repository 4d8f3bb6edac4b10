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
	"time"

	"github.com/portnokkel/portnokkel/httpclient/internal/tokencache"
)

// maskinporten asks for Maskinporten tokens with the JWT bearer grant (RFC 7523).
type maskinporten struct {
	endpoint endpoint
	issuer   *issuer
	clientID string
	keys     *keyring
	own      tokenRequest      // the settings' own
	names    map[string]string // of settings, for errors
	mixed    string            // see plan
	clock    tokencache.Clock
	log      stepLog
	guards   *guards
	skew     *skew
	expiry   keyExpiry
}

func newMaskinporten(s *source, settings *MaskinportenSettings, p plan, clock tokencache.Clock) *maskinporten {
	names := settings.names("ClientId", "Environment", "Scope", "Resource", "ConsumerOrgNo")
	at := endpoint{
		step: "token request", clientID: p.clientID, address: names["Environment"],
		transport: s.transport, clock: clock, guards: &s.guards, audit: s.audit,
	}
	if p.environment.retired {
		at.address += fmt.Sprintf(", which is %q and was shut down (use \"test\")", p.environment.name)
	}
	metadata := at
	metadata.step, metadata.clientID = "issuer metadata", ""
	m := &maskinporten{
		endpoint: at, issuer: newIssuer(p.environment, metadata, s.log),
		clientID: p.clientID, clock: clock, log: s.log, guards: &s.guards, own: p.request, mixed: p.mixed,
		names: names, skew: &s.skew,
	}
	m.keys = newKeyring(p.keys, keyUser{clientID: p.clientID, log: s.log, guards: &s.guards}, clock)
	m.expiry.clientID = p.clientID
	if len(p.held) > 0 {
		now := clock().Time()
		m.expiry.note(context.Background(), s.log, p.held.first(now), now)
	}
	return m
}

const (
	grantType = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	stepKey   = "signing key"
)

var _ upstream = (*maskinporten)(nil)

// key implements [upstream].
func (m *maskinporten) key() *Key { return m.expiry.used.Load() }

// token implements [upstream]: it gets a new token, with a few tries if a failure is
// temporary.
func (m *maskinporten) token(ctx context.Context, request tokenRequest, _ *Token, _ bool) (token *Token, isNew bool, err error) {
	corrected := false
	ask := func(ctx context.Context, key *Key) (*Token, error) {
		return m.withKey(ctx, request, key, &corrected)
	}
	token, err = retry(ctx, func(ctx context.Context) (*Token, error) { return m.keys.token(ctx, ask) })
	return token, true, err
}

func (m *maskinporten) check(tokenRequest) error { return nil }

func (m *maskinporten) keyEnd() time.Time { return m.expiry.time() }

// close ends what goes on in the background.
func (m *maskinporten) close() {
	m.keys.close()
	m.issuer.close()
}

// withKey asks with one key, and once more if the clock was to blame.
func (m *maskinporten) withKey(ctx context.Context, request tokenRequest, key *Key, corrected *bool) (*Token, error) {
	if key.isZero() {
		return nil, m.keys.failed(errNilKey)
	}
	if cure, err := key.check(m.clock().Time()); err != nil {
		return nil, &TokenError{Step: stepKey, ClientID: m.clientID, Hint: "check " + key.setting + ": " + cure, Err: err, clientWide: true}
	}
	m.expiry.note(ctx, m.log, key, m.clock().Time())
	token, at, err := m.attempt(ctx, request, key)
	if err == nil {
		return token, nil
	}
	var failed *TokenError
	if *corrected || !errors.As(err, &failed) || failed.Code != "invalid_grant" && !errors.Is(err, ErrClockSkew) {
		return token, err
	}
	switch m.skew.correct(ctx, m.log, at, failed.date) {
	case skewTooLarge:
		return nil, m.tooSkewed(failed, at)
	case skewCorrected:
		*corrected = true
		token, _, err = m.attempt(ctx, request, key)
	}
	return token, err
}

// attempt makes one token request.
func (m *maskinporten) attempt(ctx context.Context, request tokenRequest, key *Key) (token *Token, at clocks, err error) {
	endpoints, err := m.issuer.endpoints(ctx)
	if err != nil {
		return nil, at, err
	}
	at.start, at.skew = m.clock(), m.skew.now()
	about := audited{token: request, key: key, jti: newID()}
	signed, err := guard(ctx, m.guards, "the signer", func() (string, error) {
		return assertion(ctx, key, endpoints.issuer, m.clientID, about.jti, request, at.start.Time().Add(at.skew))
	})
	if err != nil {
		return nil, at, m.keys.failed(err)
	}
	m.log.step(ctx, "asking for a Maskinporten token", slog.String("url", endpoints.token), slog.String("issuer", endpoints.issuer),
		slog.String("client_id", m.clientID), slog.String("key", key.String()), slog.String("scope", showScope(request.scope)))
	token, err = m.endpoint.token(ctx, tokenPost(endpoints.token, signed, about, func(r refused) verdict {
		return explain(r, hints{key: key, now: at.start.Time(), scope: request.scope, details: request.details, name: m.naming(request), mixed: m.mixed})
	}), func(a *answer) (*Token, error) { return parseToken(a, request.scope) })
	at.end = m.clock()
	if err != nil {
		return nil, at, err
	}
	m.log.step(ctx, "got a Maskinporten token", slog.Any("token", token), slog.Duration("lifetime", token.life))
	return token, at, nil
}

// tokenPost is a token request (RFC 7523 section 2.1).
func tokenPost(address, assertion string, about audited, explain func(refused) verdict) request {
	return request{
		method: http.MethodPost, url: address,
		header:  http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}},
		body:    url.Values{"grant_type": {grantType}, "assertion": {assertion}}.Encode(),
		secrets: append(about.token.secrets(), assertion),
		explain: explain,
		about:   about,
	}
}

func (m *maskinporten) naming(request tokenRequest) func(setting string) string {
	return naming(m.names, m.own, request)
}

// naming is what to call a setting in an error about a request: if the request's
// context took its place, the function that did so.
func naming(names map[string]string, own, request tokenRequest) func(setting string) string {
	return func(setting string) string {
		switch {
		case setting == "Scope" && request.scope != own.scope:
			return "ContextWithScope"
		case setting == "Resource" && request.resource != own.resource:
			return "ContextWithResource"
		case setting == "ConsumerOrgNo" && request.consumerOrg != own.consumerOrg:
			return "ContextWithConsumerOrg"
		}
		return names[setting]
	}
}

// errSpent says that a token is of no use.
var errSpent = errors.New("the token lives no longer than the request for it took")

// parseToken reads the answer to a token request (RFC 6749 section 5.1). Its errors
// never quote the body.
func parseToken(a *answer, scopeAsked string) (*Token, error) {
	var fields struct {
		AccessToken string          `json:"access_token"`
		TokenType   string          `json:"token_type"`
		ExpiresIn   json.RawMessage `json:"expires_in"`
		Scope       string          `json:"scope"`
	}
	if len(bytes.TrimSpace(a.body)) == 0 {
		return nil, errors.New("the answer is empty")
	}
	if json.Unmarshal(a.body, &fields) != nil {
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
		scope = scopeAsked // RFC 6749 section 5.1: left out if it is as asked
	}
	token := newToken(fields.AccessToken, scope, a.start, life, rand.Float64())
	if !token.usable(a.end) {
		return nil, errSpent
	}
	return token, nil
}

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

// isTokenText reports whether a server's token can stand in a header: without line
// breaks and spaces. RFC 6750 section 2.1 allows even less.
func isTokenText(token string) bool {
	if token == "" {
		return false
	}
	for _, c := range []byte(token) {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}
