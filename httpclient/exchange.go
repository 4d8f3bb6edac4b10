package httpclient

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
)

// exchanger turns Maskinporten tokens into Altinn tokens.
// https://docs.altinn.studio/authentication/guides/api/maskinporten/
type exchanger struct {
	client   *http.Client
	plan     *exchangePlan
	clientID string
	names    map[string]string // of settings, for hints
	clock    clock
	log      stepLog
}

const exchangePath = "/authentication/api/v1/exchange/maskinporten"

// exchange gets the Altinn token for a Maskinporten token, trying again what
// may pass by itself. secrets are what no error may show besides.
func (x *exchanger) exchange(ctx context.Context, grant *Token, secrets []string) (*Token, error) {
	return retry(ctx, func(ctx context.Context) (*Token, error) { return x.attempt(ctx, grant, secrets) })
}

func (x *exchanger) attempt(ctx context.Context, grant *Token, secrets []string) (*Token, error) {
	address := x.plan.platform + exchangePath
	if x.plan.testOrg {
		address += "?test=true"
	}
	failed := &TokenError{Step: "token exchange", URL: address, ClientID: x.clientID}
	start := x.clock()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("httpclient: token exchange: %w", err)
	}
	req.Header.Set("Authorization", grant.authorization())
	if x.plan.enterpriseUser != "" {
		req.Header.Set("X-Altinn-EnterpriseUser-Authentication", x.plan.enterpriseUser)
	}
	x.log.step(ctx, "exchanging it for an Altinn token", slog.String("url", address), slog.String("client_id", x.clientID))
	a, err := send(ctx, x.client, req)
	if err != nil {
		failed.unreachable(err)
		return nil, failed
	}
	if a.status != http.StatusOK {
		failed.refused(a, slices.Concat(x.plan.secrets, secrets, []string{grant.AccessToken()}), start.time())
		if cure := x.hint(a.status); cure != "" {
			failed.Hint = cure
		}
		return nil, failed
	}
	token, err := x.parse(a, grant.scope, start)
	if err == nil && !token.usable(x.clock()) {
		err = errUsedUp
	}
	if err != nil {
		failed.StatusCode, failed.Err, failed.Temporary = a.status, err, true
		failed.Hint = "something between here and Altinn answers in its place, or " + x.names["TokenExchangeEnvironment"] + " names another server"
		return nil, failed
	}
	x.log.step(ctx, "got an Altinn token", slog.Any("token", token), slog.Duration("lifetime", token.life))
	return token, nil
}

func (x *exchanger) hint(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "Altinn does not take this Maskinporten token: check that " + x.names["TokenExchangeEnvironment"] + " belongs to " + x.names["Environment"]
	case http.StatusGone:
		return "Altinn abolished enterprise users in 2026: remove " + x.names["EnterpriseUserName"] + " and " + x.names["EnterpriseUserPassword"] + ", and use a system user"
	}
	return ""
}

// parse reads the answer: the token as plain text, or as a JSON string.
func (x *exchanger) parse(a *answer, scope string, start instant) (*Token, error) {
	body := bytes.TrimSpace(a.body)
	value := string(body)
	if len(body) > 0 && body[0] == '"' && json.Unmarshal(body, &value) != nil {
		return nil, errors.New("the answer is neither a token nor a JSON string")
	}
	if !isTokenText(value) {
		return nil, errors.New("the answer holds no usable token")
	}
	life, err := jwtLife(value, a)
	if err != nil {
		return nil, err
	}
	// Its claims are in whole seconds, cut off, so that it began up to one earlier.
	token := newToken(value, scope, start.add(-time.Second), life, rand.Float64())
	token.altinn = true
	return token, nil
}

// jwtLife is a token's life by its own claims, whatever this machine's clock
// says: exp - iat, or exp minus the answer's Date where iat is missing.
func jwtLife(token string, a *answer) (time.Duration, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0, errors.New("the answer is not a JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Expires  float64 `json:"exp"`
		IssuedAt float64 `json:"iat"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return 0, errors.New("the answer is not a JWT")
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
