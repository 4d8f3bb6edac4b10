package jose

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
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

// PrivateKey is a checked RSA key with what its JWK said about it.
type PrivateKey struct {
	Key       *rsa.PrivateKey
	KeyID     string // "kid"; may be empty
	Algorithm string // RS256, RS384 or RS512
	// Expires is the member "exp", in which Digdir tells when the registration ends. It
	// is zero without one.
	Expires time.Time
	// Created is when the key's own certificate begins, the first of the member "x5c".
	// It is zero without one.
	Created time.Time
}

// MaxKeys is how many private keys a set may hold: as many as Digdir registers on a
// client.
const MaxKeys = 5

// The reasons for refusing a JWK. Their texts complete the sentence "the key …".
var (
	ErrNotJSON    = errors.New("is not whole JSON: it may have been cut; set it again")
	ErrMember     = errors.New("has a member that is not a text")
	ErrNoKey      = errors.New("holds no key")
	ErrPublicOnly = errors.New(`is a public key (member "d" is missing): export the private key`)
	ErrTooMany    = fmt.Errorf("holds more than %d private keys: Maskinporten takes no more for a client, so remove the oldest", MaxKeys)
	ErrNotRSA     = errors.New("is not an RSA key: Maskinporten takes RSA keys only")
	ErrTooSmall   = fmt.Errorf("is under %d bits: make a new key", MinBits)
	ErrTooLarge   = fmt.Errorf("is over %d bits: make a new key of 2048 to 4096 bits", MaxBits)
	ErrExponent   = errors.New("has a wrong public exponent (e), which must be odd, over 1 and under 2^31: make a new key")
	ErrNumbers    = errors.New("has numbers that do not fit together: export it again")
	ErrPrimes     = errors.New(`lacks its primes (members "p" and "q"): export the whole key`)
	ErrAlgorithm  = errors.New("asks for an algorithm that Maskinporten does not take: use RS256, RS384 or RS512")
)

// ParsePrivateKey reads one private RSA key. It checks the key's numbers, which jwx
// does not. Its errors never quote the input.
func ParsePrivateKey(data []byte) (PrivateKey, error) {
	var head struct {
		Kty string `json:"kty"`
		Kid string `json:"kid"`
		Alg string `json:"alg"`
		P   string `json:"p"`
		Q   string `json:"q"`

		// Odd ones are no reason to refuse the key.
		Exp json.RawMessage `json:"exp"`
		X5c json.RawMessage `json:"x5c"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
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
	key, err := numbers(data)
	if err != nil {
		return PrivateKey{}, err
	}
	return PrivateKey{
		Key: key, KeyID: head.Kid, Algorithm: alg,
		Expires: expiry(head.Exp), Created: begin(head.X5c, &key.PublicKey),
	}, nil
}

// numbers reads and checks the key's numbers. Jwx sees no other member: it refuses a key
// for one that means nothing here.
func numbers(data []byte) (*rsa.PrivateKey, error) {
	var only struct {
		Kty json.RawMessage `json:"kty,omitempty"`
		N   json.RawMessage `json:"n,omitempty"`
		E   json.RawMessage `json:"e,omitempty"`
		D   json.RawMessage `json:"d,omitempty"`
		P   json.RawMessage `json:"p,omitempty"`
		Q   json.RawMessage `json:"q,omitempty"`
	}
	if json.Unmarshal(data, &only) != nil {
		return nil, ErrNoKey
	}
	members, err := json.Marshal(only)
	if err != nil {
		return nil, ErrNoKey
	}
	parsed, err := jwk.ParseKey(members)
	if err != nil {
		return nil, ErrNumbers
	}
	// Raw would cut the exponent to an int.
	private, ok := parsed.(jwk.RSAPrivateKey)
	if !ok || len(bytes.TrimLeft(private.E(), "\x00")) > 4 {
		return nil, ErrExponent
	}
	var key rsa.PrivateKey
	if err := parsed.Raw(&key); err != nil {
		return nil, ErrNumbers
	}
	if err := Check(&key); err != nil {
		return nil, err
	}
	return &key, nil
}

// expiry reads the member exp: seconds since 1970. A variable of the environment makes a
// text of it.
func expiry(member json.RawMessage) time.Time {
	seconds, err := strconv.ParseInt(strings.Trim(string(member), `"`), 10, 64)
	if err != nil || seconds <= 0 || seconds > lastSecond {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// lastSecond is the last one of the year 9999. What is later is no time of a key.
const lastSecond = 253402300799

// begin is when the first certificate of the member x5c begins, if it is the key's own.
func begin(member json.RawMessage, public *rsa.PublicKey) time.Time {
	var chain []string
	if json.Unmarshal(member, &chain) != nil || len(chain) == 0 {
		return time.Time{}
	}
	der, err := base64.StdEncoding.DecodeString(chain[0])
	if err != nil {
		return time.Time{}
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil || !public.Equal(leaf.PublicKey) {
		return time.Time{}
	}
	return leaf.NotBefore
}

// Modulus reads the number that tells a JWK from others. It checks nothing else, and
// ok is false without such a number.
func Modulus(data []byte) (n *big.Int, ok bool) {
	var only struct {
		N string `json:"n"`
	}
	if json.Unmarshal(data, &only) != nil {
		return nil, false
	}
	number, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(only.N, "="))
	return new(big.Int).SetBytes(number), err == nil && len(number) > 0
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

// PrivateMembers are the private keys in a JWK, a JWK Set or a JSON array of JWKs, in
// their order. There is at least one. Public keys among them are left out.
func PrivateMembers(data []byte) (private []json.RawMessage, err error) {
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
	case len(private) > MaxKeys:
		return nil, ErrTooMany
	}
	return private, nil
}
