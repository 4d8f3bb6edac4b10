package maskinportentest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
)

// Key is an RSA key that may be registered on a [Client]. The zero value holds
// no key and matches nothing. Printing, logging or JSON-encoding a Key shows its
// id and algorithm only.
type Key struct {
	// KeyID is the kid that an assertion's header must name.
	KeyID string
	// Algorithm is the only alg accepted with this key: RS256, RS384 or RS512.
	// Empty accepts all three.
	Algorithm string

	private *rsa.PrivateKey
}

// NewKey generates a 2048-bit key for RS256 with the given kid, for tests only.
func NewKey(kid string) Key {
	// crypto/rand cannot fail, and 2048 bits are always allowed.
	private, _ := rsa.GenerateKey(rand.Reader, 2048)
	return Key{KeyID: kid, Algorithm: "RS256", private: private}
}

// jwk lists the members in the order in which Maskinporten's users see them.
type jwk struct {
	P   string `json:"p"`
	Kty string `json:"kty"`
	Q   string `json:"q"`
	D   string `json:"d"`
	E   string `json:"e"`
	Use string `json:"use,omitempty"`
	Kid string `json:"kid"`
	Qi  string `json:"qi"`
	Dp  string `json:"dp"`
	Alg string `json:"alg,omitempty"`
	Dq  string `json:"dq"`
	N   string `json:"n"`
}

// ParseKey reads what [Key.EncodedJWK] writes: padded standard base64 of one
// private RSA JWK with a kid and at least 2048 bits. Errors never quote the
// input.
func ParseKey(encodedJWK string) (Key, error) {
	raw, err := base64.StdEncoding.DecodeString(encodedJWK)
	if err != nil {
		return Key{}, errors.New("maskinportentest: key: not standard base64")
	}
	var j jwk
	if json.Unmarshal(raw, &j) != nil {
		return Key{}, errors.New("maskinportentest: key: not a JSON object of strings")
	}
	if j.Kty != "RSA" || j.Kid == "" {
		return Key{}, errors.New("maskinportentest: key: not an RSA key with a kid")
	}
	if j.Alg != "" && hashes[j.Alg] == 0 {
		return Key{}, errors.New("maskinportentest: key: alg is not RS256, RS384 or RS512")
	}
	private, err := j.private()
	if err != nil {
		return Key{}, fmt.Errorf("maskinportentest: key: %w", err)
	}
	return Key{KeyID: j.Kid, Algorithm: j.Alg, private: private}, nil
}

func (j jwk) private() (*rsa.PrivateKey, error) {
	var bad error
	number := func(name, s string) *big.Int {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil || len(b) == 0 {
			bad = errors.Join(bad, fmt.Errorf("member %s is missing or not base64url", name))
		}
		return new(big.Int).SetBytes(b)
	}
	e := number("e", j.E)
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: number("n", j.N), E: int(e.Int64())},
		D:         number("d", j.D),
		Primes:    []*big.Int{number("p", j.P), number("q", j.Q)},
	}
	switch {
	case bad != nil:
		return nil, bad
	case key.N.BitLen() < 2048:
		return nil, errors.New("fewer than 2048 bits")
	case !e.IsInt64() || key.Validate() != nil:
		return nil, errors.New("its numbers do not belong together")
	}
	key.Precompute()
	return key, nil
}

// EncodedJWK is the private key as the setting EncodedJwk holds it: base64 of a
// JWK. It is empty for the zero Key.
func (k Key) EncodedJWK() string {
	if k.private == nil {
		return ""
	}
	b := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	p := k.private
	// Marshalling a struct of strings cannot fail.
	raw, _ := json.Marshal(jwk{
		P: b(p.Primes[0]), Kty: "RSA", Q: b(p.Primes[1]), D: b(p.D),
		E: b(big.NewInt(int64(p.E))), Use: "sig", Kid: k.KeyID, Qi: b(p.Precomputed.Qinv),
		Dp: b(p.Precomputed.Dp), Alg: k.Algorithm, Dq: b(p.Precomputed.Dq), N: b(p.N),
	})
	return base64.StdEncoding.EncodeToString(raw)
}

// Signer is the private key, for tests that sign by other means than the
// setting EncodedJwk. It is nil for the zero Key.
func (k Key) Signer() crypto.Signer {
	if k.private == nil {
		return nil
	}
	return k.private
}

// Format prints the id and the algorithm, whatever the verb.
func (k Key) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "maskinportentest.Key{KeyID:%q, Algorithm:%q, private:REDACTED}", k.KeyID, k.Algorithm)
}

// LogValue logs the id and the algorithm.
func (k Key) LogValue() slog.Value {
	return slog.GroupValue(slog.String("kid", k.KeyID), slog.String("alg", k.Algorithm))
}
