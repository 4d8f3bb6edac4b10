package vaultkey

import (
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
)

var _ crypto.Signer = (*Key)(nil)

// Key is one version of a key in a vault. It does not change and may be shared. A
// [Source] makes it. The zero Key signs nothing.
type Key struct {
	id, algorithm, version string
	address                string
	public                 *rsa.PublicKey
	created, expires       time.Time
	// sign is a function, because reflection reads fields and calls nothing.
	sign func(ctx context.Context, algorithm string, digest []byte) ([]byte, error)
}

func (v *vault) key(found version, public *rsa.PublicKey) *Key {
	at := v.at.at(found.id)
	k := &Key{
		id: v.cfg.keyID(at.name, at.version), algorithm: v.cfg.Algorithm, version: at.version, address: at.String(),
		public: public, created: found.created, expires: found.expires,
	}
	k.sign = func(ctx context.Context, algorithm string, digest []byte) ([]byte, error) {
		return v.sign(ctx, k, algorithm, digest)
	}
	return k
}

// KeyID is the id that the version is to be registered under (kid).
func (k *Key) KeyID() string { return k.orZero().id }

// Algorithm is RS256, RS384 or RS512: what to sign with, by [Config.Algorithm].
func (k *Key) Algorithm() string { return k.orZero().algorithm }

// Version is the version's name in the vault, 32 hexadecimal digits.
func (k *Key) Version() string { return k.orZero().version }

// Created is when the version was made. It is zero if the vault did not say.
func (k *Key) Created() time.Time { return k.orZero().created }

// Expires is when the vault stops signing with the version. It is zero if the version
// has no expiry date. Digdir ends a registered key after a year at the latest, whatever
// the vault says.
func (k *Key) Expires() time.Time { return k.orZero().expires }

// Public is the public key, an [*rsa.PublicKey]. It is nil for the zero Key.
func (k *Key) Public() crypto.PublicKey {
	if k == nil || k.public == nil {
		return nil
	}
	return k.public
}

// PublicJWK is the public key as Digdir registers it: the JSON of a JWK with kty, use,
// kid, alg, n and e. It holds no secret. It is empty for the zero Key.
func (k *Key) PublicJWK() string {
	if k == nil || k.public == nil {
		return ""
	}
	encode := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	// Marshalling a struct of strings cannot fail.
	text, _ := json.Marshal(struct {
		Type      string `json:"kty"`
		Use       string `json:"use"`
		ID        string `json:"kid"`
		Algorithm string `json:"alg"`
		N         string `json:"n"`
		E         string `json:"e"`
	}{"RSA", "sig", k.id, k.algorithm, encode(k.public.N), encode(big.NewInt(int64(k.public.E)))})
	return string(text)
}

// String tells the key's id, its algorithm and its address.
func (k *Key) String() string {
	if k == nil || k.sign == nil {
		return "no key"
	}
	return fmt.Sprintf("key %s (%s) at %s", k.id, k.algorithm, k.address)
}

// Format implements [fmt.Formatter]: every verb prints what String returns.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, k.String()) }

// LogValue implements [slog.LogValuer]: it returns what String returns.
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

func (k *Key) orZero() *Key {
	if k == nil {
		return &Key{}
	}
	return k
}

// publicKey reads a version's public key, or says why Maskinporten cannot use it.
func (v *vault) publicKey(bundle azkeys.KeyBundle, id string) (key *rsa.PublicKey, why string, err error) {
	jwk := bundle.Key
	if jwk == nil || jwk.Kty == nil {
		return nil, "", errNoKey
	}
	if got, err := v.versionOf(jwk.KID); err != nil || got != id {
		return nil, "", errOtherKey
	}
	if *jwk.Kty != azkeys.KeyTypeRSA && *jwk.Kty != azkeys.KeyTypeRSAHSM {
		return nil, "is not an RSA key: Maskinporten takes no other, so make one of type RSA", nil
	}
	n, e := new(big.Int).SetBytes(jwk.N), new(big.Int).SetBytes(jwk.E)
	switch bits := n.BitLen(); {
	case bits < minBits:
		return nil, fmt.Sprintf("has %d bits: make one of %d bits or more", bits, minBits), nil
	case bits > maxBits || !e.IsInt64() || e.Int64() <= 1 || e.Int64() > maxExponent || e.Bit(0) == 0:
		return nil, "", errNoKey
	case !maySign(jwk.KeyOps):
		return nil, "may not be used to sign: permit the operation Sign for it in the vault", nil
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, "", nil
}

// maySign reports whether a version may be used for signatures. A vault that does not
// say what it may be used for decides at the signature.
func maySign(operations []*azkeys.KeyOperation) bool {
	for _, operation := range operations {
		if operation != nil && *operation == azkeys.KeyOperationSign {
			return true
		}
	}
	return len(operations) == 0
}
