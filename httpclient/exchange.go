package httpclient

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portnokkel/portnokkel/httpclient/internal/tokencache"
)

// exchanger exchanges Maskinporten tokens for Altinn tokens.
// https://docs.altinn.studio/authentication/guides/api/maskinporten/
type exchanger struct {
	endpoint endpoint
	plan     *exchangePlan
	clientID string
	names    map[string]string // of settings, for errors
	log      stepLog
	skew     *skew     // of this machine's clock
	opaque   sync.Once // the warning about a token that is not a JWT
}

func newExchanger(s *source, settings *MaskinportenSettings, plan *exchangePlan, clock tokencache.Clock) *exchanger {
	names := settings.names("TokenExchangeEnvironment", "Environment", "EnterpriseUserName", "EnterpriseUserPassword")
	return &exchanger{
		endpoint: endpoint{
			step: "token exchange", clientID: s.clientID, address: names["TokenExchangeEnvironment"],
			transport: s.transport, clock: clock, guards: &s.guards, audit: s.audit,
		},
		plan: plan, clientID: s.clientID, names: names, log: s.log, skew: &s.skew,
	}
}

const exchangePath = "/authentication/api/v1/exchange/maskinporten"

// token gets the Altinn token for a Maskinporten token, which was requested so, with a
// few tries if a failure is temporary.
func (x *exchanger) token(ctx context.Context, from *Token, requested tokenRequest) (*Token, error) {
	return retry(ctx, func(ctx context.Context) (*Token, error) { return x.attempt(ctx, from, requested) })
}

func (x *exchanger) attempt(ctx context.Context, from *Token, requested tokenRequest) (*Token, error) {
	r := request{
		method: http.MethodGet, url: x.plan.platform + exchangePath,
		header:  http.Header{"Authorization": {from.authorization()}},
		secrets: slices.Concat(x.plan.secrets, requested.secrets(), []string{from.AccessToken()}),
		explain: x.explain,
		about:   audited{token: requested, exchange: true},
	}
	if x.plan.testOrg {
		r.url += "?test=true"
	}
	if x.plan.enterpriseUser != "" {
		r.header.Set("X-Altinn-EnterpriseUser-Authentication", x.plan.enterpriseUser)
	}
	x.log.step(ctx, "exchanging it for an Altinn token", slog.String("url", r.url), slog.String("client_id", x.clientID))
	token, err := x.endpoint.token(ctx, r, func(a *answer) (*Token, error) { return x.parse(ctx, a, from.scope) })
	if err != nil {
		return nil, err
	}
	x.log.step(ctx, "got an Altinn token", slog.Any("token", token), slog.Duration("lifetime", token.life))
	return token, nil
}

// explain says what to do about a status of the exchange.
func (x *exchanger) explain(r refused) verdict {
	switch r.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return verdict{cure: "check that " + x.names["TokenExchangeEnvironment"] + " belongs to " + x.names["Environment"] + ": Altinn does not take this Maskinporten token"}
	case http.StatusGone:
		return verdict{
			cure:       "remove " + x.names["EnterpriseUserName"] + " and " + x.names["EnterpriseUserPassword"] + ", and use a system user: Altinn abolished enterprise users in 2026",
			clientWide: true,
		}
	}
	return verdict{}
}

// parse reads the answer: the token as plain text, or as a JSON string.
func (x *exchanger) parse(ctx context.Context, a *answer, scope string) (*Token, error) {
	body := bytes.TrimSpace(a.body)
	value := string(body)
	if len(body) > 0 && body[0] == '"' && json.Unmarshal(body, &value) != nil {
		return nil, errors.New("the answer is neither a token nor a JSON string")
	}
	if !opaqueToken.MatchString(value) || len(value) < minOpaque {
		return nil, errors.New("the answer holds no usable token")
	}
	life, err := jwtLife(value, a)
	if errors.Is(err, errNotJWT) {
		x.opaque.Do(func() {
			x.log.warn(ctx, "the exchange gave a token that is not a JWT; it is taken to live as long as Altinn documents", slog.Duration("lifetime", altinnLife))
		})
		life, err = documentedLife(a, a.start.Time().Add(x.skew.now()))
	}
	if err != nil {
		return nil, err
	}
	// Its claims are in whole seconds, cut off, so that it began up to one earlier.
	token := newToken(value, scope, a.start.Add(-time.Second), life, rand.Float64())
	if !token.usable(a.end) {
		return nil, errSpent
	}
	token.altinn = true
	return token, nil
}

// opaqueToken is the syntax of a bearer token (RFC 6750 section 2.1): the answer of
// something else, such as HTML, has other characters.
var opaqueToken = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

var errNotJWT = errors.New("the answer is not a JWT")

// jwtLife is a token's life by its own claims, and not by this machine's clock. It is
// exp - iat, or exp minus the answer's Date if iat is missing.
func jwtLife(token string, a *answer) (time.Duration, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0, errNotJWT
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Expires  float64 `json:"exp"`
		IssuedAt float64 `json:"iat"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return 0, errNotJWT
	}
	from := claims.IssuedAt
	if date, ok := a.date(); from == 0 && ok {
		from = float64(date.Unix())
	}
	if claims.Expires == 0 || from == 0 {
		return 0, errors.New("the token does not say how long it lives")
	}
	seconds := claims.Expires - from
	if seconds <= 0 {
		return 0, errors.New("the token has already expired")
	}
	return time.Duration(min(seconds, maxLife.Seconds()) * float64(time.Second)), nil
}

// documentedLife is the life of a token that does not say it itself: the documented one
// less the age of the answer. An answer is old if a cache between gave it.
func documentedLife(a *answer, now time.Time) (time.Duration, error) {
	life := altinnLife
	if date, ok := a.date(); ok {
		life -= max(0, now.Sub(date))
	}
	if life <= 0 {
		return 0, errors.New("the answer's Date is older than a token lives")
	}
	return life, nil
}
