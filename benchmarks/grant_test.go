package benchmarks

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

const (
	issuer   = "https://test.maskinporten.no/"
	tokenURL = issuer + "token"
	clientID = "maskinportentest-client"
	scope    = "altinn:serviceowner/instances.read"
	keyID    = "benchmarks-only"
)

// key is everybody's signing key.
var key = sync.OnceValue(func() maskinportentest.Key { return maskinportentest.NewKey(keyID) })

func privateKey() *rsa.PrivateKey { return key().Signer().(*rsa.PrivateKey) }

// token is what the peers' own code keeps of an answer.
type token struct {
	value   string
	expires time.Time
}

// fetch asks for a token as a peer's user would write it: golang-jwt, a form, and
// expires_in.
func fetch(ctx context.Context, tokens http.RoundTripper) (token, error) {
	assertion, err := signWithGolangJWT(time.Now())
	if err != nil {
		return token{}, err
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, tokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return token{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	start := time.Now()
	resp, err := (&http.Client{Transport: tokens}).Do(req)
	if err != nil {
		return token{}, err
	}
	defer resp.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return token{}, err
	}
	if answer.AccessToken == "" {
		return token{}, fmt.Errorf("no token: %s", resp.Status)
	}
	return token{answer.AccessToken, start.Add(time.Duration(answer.ExpiresIn) * time.Second)}, nil
}

func signWithGolangJWT(now time.Time) (string, error) {
	unsigned := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"aud": issuer, "iss": clientID, "scope": scope, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
	})
	unsigned.Header["kid"] = keyID
	delete(unsigned.Header, "typ")
	return unsigned.SignedString(privateKey())
}

// cannedTokens is a token endpoint that answers at once, without looking: 52
// characters for an hour. (Maskinporten's own are several hundred, which would cost
// those more who copy them for each request.)
func cannedTokens() http.RoundTripper {
	answer := fmt.Sprintf(`{"access_token":%q,"token_type":"Bearer","expires_in":3600,"scope":%q}`,
		strings.Repeat("token", 11)[:52], scope)
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK,
			Header:     http.Header{"Content-Type": {"application/json"}},
			Body:       io.NopCloser(strings.NewReader(answer)),
			Request:    req,
		}, nil
	})
}
