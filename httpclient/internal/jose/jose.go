// Package jose reads private JSON Web Keys and signs JSON Web Tokens. It is the
// only package of this project that imports jwx, so that a move to another version
// of jwx touches this folder only.
//
// Jwx prints private key material under %v and in slog records. Nothing of jwx
// leaves this package: keys come out as *rsa.PrivateKey, and errors are our own.
package jose

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	_ "crypto/sha256" // for Verify
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/cert"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// MinBits and MaxBits bound the RSA modulus, in bits. RFC 7518 section 3.3 requires
// at least 2048. Over 8192 bits a signature takes seconds, and a check of the key
// takes minutes.
const (
	MinBits = 2048
	MaxBits = 8192
)

// maxExponent is the largest public exponent that crypto/rsa takes. That of nearly
// every key is 65537.
const maxExponent = 1<<31 - 1

// DefaultAlgorithm signs if the key does not say otherwise.
const DefaultAlgorithm = "RS256"

// PrivateKey is a checked RSA key with what its JWK said about it.
type PrivateKey struct {
	Key       *rsa.PrivateKey
	KeyID     string // "kid"; may be empty
	Algorithm string // RS256, RS384 or RS512
	// Expires is the member "exp", in which Digdir tells when the registration ends. It
	// is zero without one.
	Expires time.Time
}

// The reasons for refusing a JWK. Their texts complete the sentence "the key …".
var (
	ErrNotJSON     = errors.New("is not whole JSON: it may have been cut; set it again")
	ErrMember      = errors.New("has a member that is not a text")
	ErrNoKey       = errors.New("holds no key")
	ErrPublicOnly  = errors.New(`is a public key (member "d" is missing): export the private key`)
	ErrSeveralKeys = errors.New("is a set with more than one private key: keep only the one to sign with")
	ErrNotRSA      = errors.New("is not an RSA key: Maskinporten takes RSA keys only")
	ErrTooSmall    = fmt.Errorf("is under %d bits: make a new key", MinBits)
	ErrTooLarge    = fmt.Errorf("is over %d bits: make a new key of 2048 to 4096 bits", MaxBits)
	ErrExponent    = errors.New("has a wrong public exponent (e), which must be odd, over 1 and under 2^31: make a new key")
	ErrNumbers     = errors.New("has numbers that do not fit together: export it again")
	ErrPrimes      = errors.New(`lacks its primes (members "p" and "q"): export the whole key`)
	ErrAlgorithm   = errors.New("asks for an algorithm that Maskinporten does not take: use RS256, RS384 or RS512")
)

// ParsePrivateKey reads a JWK, a JWK Set or a JSON array of JWKs that holds one
// private RSA key. It checks the key's numbers, which jwx does not. Its errors never
// quote the input.
func ParsePrivateKey(data []byte) (PrivateKey, error) {
	members, err := privateMember(data)
	if err != nil {
		return PrivateKey{}, err
	}
	var head struct {
		Kty string `json:"kty"`
		Kid string `json:"kid"`
		Alg string `json:"alg"`
		P   string `json:"p"`
		Q   string `json:"q"`

		Exp json.RawMessage `json:"exp"` // an odd one is no reason to refuse the key
	}
	if err := json.Unmarshal(members, &head); err != nil {
		return PrivateKey{}, ErrMember
	}
	switch {
	case head.Kty != "RSA":
		return PrivateKey{}, ErrNotRSA
	case head.P == "" || head.Q == "":
		return PrivateKey{}, ErrPrimes
	}
	alg := head.Alg
	if alg == "" {
		alg = DefaultAlgorithm
	}
	if err := CheckAlgorithm(alg); err != nil {
		return PrivateKey{}, err
	}
	parsed, err := jwk.ParseKey(members)
	if err != nil {
		return PrivateKey{}, ErrNumbers
	}
	// Raw would cut the exponent to an int.
	private, ok := parsed.(jwk.RSAPrivateKey)
	if !ok || len(bytes.TrimLeft(private.E(), "\x00")) > 4 {
		return PrivateKey{}, ErrExponent
	}
	var key rsa.PrivateKey
	if err := parsed.Raw(&key); err != nil {
		return PrivateKey{}, ErrNumbers
	}
	if err := Check(&key); err != nil {
		return PrivateKey{}, err
	}
	result := PrivateKey{Key: &key, KeyID: head.Kid, Algorithm: alg}
	if seconds, err := strconv.ParseInt(string(head.Exp), 10, 64); err == nil && seconds > 0 {
		result.Expires = time.Unix(seconds, 0).UTC()
	}
	return result, nil
}

// CheckPublic refuses an RSA key of a size or exponent that is not accepted. It
// looks at lengths only and calculates nothing.
func CheckPublic(key *rsa.PublicKey) error {
	switch {
	case key == nil || key.N == nil:
		return ErrNumbers
	case key.N.BitLen() < MinBits:
		return fmt.Errorf("%w (it has %d)", ErrTooSmall, key.N.BitLen())
	case key.N.BitLen() > MaxBits:
		return ErrTooLarge
	case key.E <= 1 || key.E > maxExponent || key.E%2 == 0:
		return ErrExponent
	}
	return nil
}

// Check refuses what CheckPublic does, and an RSA key whose numbers do not fit
// together. It prepares the key for fast signing.
func Check(key *rsa.PrivateKey) error {
	if key.N == nil || key.D == nil || len(key.Primes) < 2 {
		return ErrNumbers
	}
	if err := CheckPublic(&key.PublicKey); err != nil {
		return err
	}
	for _, number := range append([]*big.Int{key.D}, key.Primes...) {
		if number == nil || number.BitLen() > MaxBits {
			return ErrNumbers // before anything is calculated with it
		}
	}
	// The JWK's own CRT numbers are not trusted: they are computed anew.
	key.Precomputed = rsa.PrecomputedValues{}
	key.Precompute()
	if key.Validate() != nil {
		return ErrNumbers
	}
	return nil
}

// privateMember finds the one private key in a JWK, a set or an array.
func privateMember(data []byte) (json.RawMessage, error) {
	var all []json.RawMessage
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	switch {
	case !json.Valid(data):
		return nil, ErrNotJSON
	case json.Unmarshal(data, &all) == nil:
	case json.Unmarshal(data, &set) != nil:
		return nil, ErrNoKey
	case set.Keys != nil:
		all = *set.Keys
	default:
		all = []json.RawMessage{data}
	}
	var private []json.RawMessage
	for _, member := range all {
		var has struct {
			Kty *json.RawMessage `json:"kty"`
			D   *json.RawMessage `json:"d"`
		}
		if json.Unmarshal(member, &has) != nil || has.Kty == nil {
			return nil, ErrNoKey
		}
		if has.D != nil {
			private = append(private, member)
		}
	}
	switch {
	case len(all) == 0:
		return nil, ErrNoKey
	case len(private) == 0:
		return nil, ErrPublicOnly
	case len(private) > 1:
		return nil, ErrSeveralKeys
	}
	return private[0], nil
}

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
