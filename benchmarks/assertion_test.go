package benchmarks

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/portnokkel/portnokkel/httpclient"
)

// BenchmarkAssertion is one assertion, built and signed with RSA 2048. This
// project makes none without asking for a token, so its figure is a whole fetch,
// from an endpoint that answers at once: the assertion and what surrounds it.
func BenchmarkAssertion(b *testing.B) {
	b.Run("by=portnokkel", func(b *testing.B) {
		source := newSource(b, cannedTokens(), httpclient.WithCacheSize(1))
		n := 0
		b.ReportAllocs()
		for b.Loop() {
			n++ // another token each time
			if _, err := source.Token(httpclient.ContextWithResource(context.Background(), strconv.Itoa(n))); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, signer := range signers {
		b.Run("by="+signer.name, func(b *testing.B) {
			privateKey()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := signer.sign(time.Now()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// signers make an assertion and nothing else.
var signers = []struct {
	name string
	sign func(time.Time) (string, error)
}{
	{"golang-jwt", signWithGolangJWT},
	{"limit", signByHand},
}

type handClaims struct {
	Audience string `json:"aud"`
	Issuer   string `json:"iss"`
	Scope    string `json:"scope"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	ID       string `json:"jti"`
}

// signByHand is the standard library alone, with nothing left out and nothing
// checked.
func signByHand(now time.Time) (string, error) {
	payload, err := json.Marshal(handClaims{
		Audience: issuer, Issuer: clientID, Scope: scope, ID: rand.Text(),
		IssuedAt: now.Unix(), Expires: now.Add(2 * time.Minute).Unix(),
	})
	if err != nil {
		return "", err
	}
	encoding := base64.RawURLEncoding
	text := encoding.AppendEncode(nil, []byte(`{"alg":"RS256","kid":"`+keyID+`"}`))
	text = encoding.AppendEncode(append(text, '.'), payload)
	sum := sha256.Sum256(text)
	signature, err := rsa.SignPKCS1v15(nil, privateKey(), crypto.SHA256, sum[:])
	if err != nil {
		return "", err
	}
	return string(encoding.AppendEncode(append(text, '.'), signature)), nil
}

// The peers' assertions say the same.
func TestAssertionsAreAlike(t *testing.T) {
	t.Parallel()
	for _, signer := range signers {
		signed, err := signer.sign(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		claims := jwt.MapClaims{}
		parsed, err := jwt.ParseWithClaims(signed, claims, func(*jwt.Token) (any, error) { return privateKey().Public(), nil },
			jwt.WithAudience(issuer), jwt.WithIssuer(clientID), jwt.WithExpirationRequired())
		if err != nil || parsed.Header["kid"] != keyID || claims["scope"] != scope || claims["jti"] == "" || len(claims) != 6 {
			t.Errorf("%s: %v %v, %v", signer.name, parsed, claims, err)
		}
	}
}
