package httpclient

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/portnokkel/portnokkel/httpclient/internal/jose"
)

// claims is the assertion's payload. It has only the claims that Maskinporten
// documents, because Maskinporten answers others with 400.
// https://docs.digdir.no/docs/Maskinporten/maskinporten_protocol_jwtgrant
type claims struct {
	Audience    string `json:"aud"`
	Issuer      string `json:"iss"`
	Scope       string `json:"scope"`
	Resource    string `json:"resource,omitempty"`
	ConsumerOrg string `json:"consumer_org,omitempty"`
	Person      string `json:"pid,omitempty"`
	IssuedAt    int64  `json:"iat"`
	Expires     int64  `json:"exp"`
	ID          string `json:"jti"`

	Details json.RawMessage `json:"authorization_details,omitempty"`
}

// assertion signs a new assertion for every attempt: a jti works once. A signature ends
// with ctx if the signer can.
func assertion(ctx context.Context, key *Key, audience, clientID string, request tokenRequest, now time.Time) (string, error) {
	payload, err := json.Marshal(claims{
		Audience:    audience,
		Issuer:      clientID,
		Scope:       request.scope,
		Resource:    request.resource,
		ConsumerOrg: request.consumerOrg,
		Person:      request.person,
		Details:     json.RawMessage(request.details),
		IssuedAt:    now.Unix(),
		Expires:     now.Add(assertionLife).Unix(),
		ID:          rand.Text(),
	})
	if err != nil {
		return "", fmt.Errorf("assertion: %w", err)
	}
	signed, err := jose.Sign(payload, signerFor(ctx, key.signer()), key.alg, jose.Header{KeyID: key.kid, Chain: key.chain})
	if err == nil && key.verify != nil {
		err = jose.Verify(signed, key.verify, key.alg) // what does not fit is not sent
	}
	if err != nil {
		return "", fmt.Errorf("%s does not sign: %w", key, err)
	}
	return signed, nil
}

// contextSigner is a signer whose signatures a context can end. It is over a network, or
// in a device.
type contextSigner interface {
	SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

// signerFor is the signer within a context, if the signer takes one.
func signerFor(ctx context.Context, signer crypto.Signer) crypto.Signer {
	slow, ok := signer.(contextSigner)
	if !ok {
		return signer
	}
	return signerFunc{signer, func(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
		return slow.SignContext(ctx, digest, opts)
	}}
}

// signerFunc signs with a function.
type signerFunc struct {
	crypto.Signer
	sign func(digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

func (s signerFunc) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.sign(digest, opts)
}
