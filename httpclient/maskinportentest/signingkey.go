package maskinportentest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
)

// signingKeyID says what the key is for, wherever it turns up.
const signingKeyID = "maskinportentest-tokens-only-for-tests"

// The primes of the key that signs Maskinporten tokens. It was made for tests, is
// public and protects nothing: the server accepts a token because it remembers
// issuing it. Generating a key for each server would take a tenth of a second.
const (
	signingPrimeP = "cf40ffca95646fa39df46ff8043908a1aed6ffc8ce35a4d826db334209aa8737" +
		"a516136691419daf95e2fae39a7cd6d46eb1fcd1cf91850521932a9b92ccb29a" +
		"ea0e40f89118248f69035479e282d439a39f00a58e4aa453bd97b2338ef37d7c" +
		"e4fd4892b9bc48119437e01da927e0215564277af65ae5d79fe3e3964ee0fd2b"
	signingPrimeQ = "e602a68902cdc28155b8d157fb668162722cb18be290da21472cd23998df8870" +
		"82743488a6ecf04b1a418e79643670aa8eb3cccf1509e058a8609e4f006f334a" +
		"0c17545e2b22c33cdf2835ab43cd805046d4137239d8d481156b3938b68c595f" +
		"fc8ab3a10dfca561f48fcf420129aa6d0da114197f3818d0c4477aeb0600dbfb"
)

// newSigningKey makes the key of its primes.
func newSigningKey() *rsa.PrivateKey {
	number := func(hex string) *big.Int {
		n, _ := new(big.Int).SetString(hex, 16)
		return n
	}
	one := big.NewInt(1)
	p, q, e := number(signingPrimeP), number(signingPrimeQ), big.NewInt(65537)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: int(e.Int64())},
		D:         new(big.Int).ModInverse(e, phi),
		Primes:    []*big.Int{p, q},
	}
	key.Precompute()
	return key
}

// sign makes a JWT of claims. Its header is that of Maskinporten's tokens: kid and
// alg, and no typ.
func (s *Server) sign(claims map[string]any) string {
	raw, _ := json.Marshal(claims) // strings, numbers and decoded JSON always encode
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(`{"kid":"`+signingKeyID+`","alg":"RS256"}`)) + "." + b64(raw)
	digest := sha256.Sum256([]byte(signed))
	// A sound key of 2048 bits signs every digest.
	signature, _ := rsa.SignPKCS1v15(nil, s.signingKey(), crypto.SHA256, digest[:])
	return signed + "." + b64(signature)
}
