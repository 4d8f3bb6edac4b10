// Package jose reads private JSON Web Keys and signs JSON Web Tokens. It is the
// only package of this project that imports jwx, so that a move to another version
// of jwx touches this folder only.
//
// Jwx prints private key material under %v and in slog records. Nothing of jwx
// leaves this package: keys come out as *rsa.PrivateKey, and errors are our own.
package jose

import (
	"crypto"
	"crypto/rsa"
	_ "crypto/sha256" // for Verify
	_ "crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v2/cert"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// DefaultAlgorithm signs if the key does not say otherwise.
const DefaultAlgorithm = "RS256"

// Header is what a token's protected header says besides the algorithm. Exactly
// one of the two is set for Maskinporten.
type Header struct {
	KeyID string   // "kid"
	Chain []string // "x5c": standard base64 of DER, leaf first
}

// Sign returns the compact serialization (RFC 7515 section 7.1) of payload
// signed by signer, whose public key must be RSA.
func Sign(payload []byte, signer crypto.Signer, alg string, header Header) (string, error) {
	algorithm, err := algorithm(alg)
	if err != nil {
		return "", err
	}
	protected := jws.NewHeaders()
	if header.KeyID != "" {
		if err := protected.Set(jws.KeyIDKey, header.KeyID); err != nil {
			return "", errors.New("set kid")
		}
	}
	if len(header.Chain) > 0 {
		var chain cert.Chain
		for _, der := range header.Chain {
			if err := chain.AddString(der); err != nil {
				return "", errors.New("set x5c")
			}
		}
		if err := protected.Set(jws.X509CertChainKey, &chain); err != nil {
			return "", errors.New("set x5c")
		}
	}
	signed, err := jws.Sign(payload, jws.WithKey(algorithm, signer, jws.WithProtectedHeaders(protected)))
	if err != nil {
		return "", err
	}
	return string(signed), nil
}

// ErrSignature says that a signer signed with another key than its public key says,
// or by another algorithm.
var ErrSignature = errors.New("its signature does not fit its public key: check which key the signer uses")

// Verify checks the signature of a token that Sign made with a signer of somebody
// else's.
func Verify(token string, public *rsa.PublicKey, alg string) error {
	if _, err := algorithm(alg); err != nil {
		return err
	}
	i := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[i+1:])
	if i < 0 || err != nil {
		return ErrSignature
	}
	hash := map[string]crypto.Hash{"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512}[alg]
	digest := hash.New()
	_, _ = io.WriteString(digest, token[:i])
	if rsa.VerifyPKCS1v15(public, hash, digest.Sum(nil), signature) != nil {
		return ErrSignature
	}
	return nil
}

// CheckAlgorithm refuses what Maskinporten does not take.
func CheckAlgorithm(name string) error {
	_, err := algorithm(name)
	return err
}

// algorithm admits what Maskinporten's documentation lists.
func algorithm(name string) (jwa.SignatureAlgorithm, error) {
	switch alg := jwa.SignatureAlgorithm(name); alg {
	case jwa.RS256, jwa.RS384, jwa.RS512:
		return alg, nil
	}
	if slices.Contains(otherAlgorithms, name) {
		return "", fmt.Errorf("%w (it says %s)", ErrAlgorithm, name)
	}
	return "", ErrAlgorithm // which may be anything
}

// otherAlgorithms are the names of RFC 7518 and RFC 8037 for what Maskinporten does not
// take. An error may quote them.
var otherAlgorithms = []string{
	"PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512",
	"RSA1_5", "RSA-OAEP", "RSA-OAEP-256",
}
