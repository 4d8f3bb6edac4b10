package httpclient

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/portnokkel/portnokkel/httpclient/internal/jose"
)

// KeySource gives the keys to sign with, newest first. It is asked at each fetch
// of a token, concurrently, and not in between; what takes long to read should be
// kept. While Maskinporten does not know the first key yet (a new one takes up to
// two minutes to work), when it has expired, or where it does not sign, the next is
// tried. At least one key, or an error, whose text must hold no secret. It should
// heed the context: a fetch ends without it otherwise, and leaves it behind.
type KeySource interface {
	Keys(ctx context.Context) ([]*Key, error)
}

// KeySourceFunc is a function as a [KeySource].
type KeySourceFunc func(ctx context.Context) ([]*Key, error)

// Keys calls f. A nil f gives an error.
func (f KeySourceFunc) Keys(ctx context.Context) ([]*Key, error) {
	if f == nil {
		return nil, errors.New("httpclient: key: the KeySourceFunc is nil")
	}
	return f(ctx)
}

// NewKey makes a key of any signer, such as one in an HSM or in Key Vault, whose
// private half never enters the process. Its public key must be RSA of at least
// 2048 bits. keyID is what the key is registered under at Maskinporten; algorithm
// is RS256, RS384 or RS512, and empty means RS256.
func NewKey(signer crypto.Signer, keyID, algorithm string) (*Key, error) {
	if keyID == "" {
		return nil, errors.New("httpclient: key: the key id is empty")
	}
	key, err := newKey(signer, algorithm)
	if err != nil {
		return nil, err
	}
	key.kid = keyID
	return key, nil
}

// NewCertificateKey makes a key that is known by its enterprise certificate. The
// chain goes into each assertion's header x5c: the certificate itself first, and
// then, in their order, those that issued it (RFC 7515 section 4.1.6).
func NewCertificateKey(signer crypto.Signer, chain []*x509.Certificate, algorithm string) (*Key, error) {
	if len(chain) == 0 || slices.Contains(chain, nil) {
		return nil, errors.New("httpclient: key: the certificate chain is empty, or a certificate of it is nil")
	}
	key, err := newKey(signer, algorithm)
	if err != nil {
		return nil, err
	}
	if public, ok := chain[0].PublicKey.(*rsa.PublicKey); !ok || !public.Equal(publicKey(signer)) {
		return nil, errors.New("httpclient: key: the first certificate is not the signer's")
	}
	for _, cert := range chain {
		key.chain = append(key.chain, base64.StdEncoding.EncodeToString(cert.Raw))
	}
	key.notBefore, key.notAfter = chain[0].NotBefore, chain[0].NotAfter
	return key, nil
}

func newKey(signer crypto.Signer, algorithm string) (*Key, error) {
	if isNil(signer) {
		return nil, errors.New("httpclient: key: the signer is nil")
	}
	public, ok := publicKey(signer).(*rsa.PublicKey)
	if !ok || public == nil || public.N == nil {
		return nil, fmt.Errorf("httpclient: key: the signer %w", jose.ErrNotRSA)
	}
	if err := jose.CheckPublic(public); err != nil {
		return nil, fmt.Errorf("httpclient: key: the signer %w", err)
	}
	if algorithm == "" {
		algorithm = jose.DefaultAlgorithm
	}
	if err := jose.CheckAlgorithm(algorithm); err != nil {
		return nil, fmt.Errorf("httpclient: key: it %w", err)
	}
	key := &Key{signer: func() crypto.Signer { return signer }, alg: algorithm, setting: "the key source"}
	if _, own := signer.(*rsa.PrivateKey); !own {
		key.verify = public
	}
	return key, nil
}

// publicKey asks a signer, which may panic, such as one that embeds nil.
func publicKey(signer crypto.Signer) (public crypto.PublicKey) {
	defer func() { _ = recover() }()
	return signer.Public()
}

// ParseJWK makes a key of what EncodedJwk may hold: the base64 of a private RSA
// JWK, in any alphabet, of a set or array with one private key, or the JSON
// itself. keyID overrides the JWK's own; empty does not. Errors never quote it.
func ParseJWK(encoded, keyID string) (*Key, error) {
	key, err := parseJWK(encoded, keyID)
	if err != nil {
		return nil, fmt.Errorf("httpclient: the JWK %w", err)
	}
	key.setting = "the key source"
	return key, nil
}

// ParsePKCS12 makes a key of a PKCS#12 archive (.p12, .pfx) of an enterprise
// certificate and its key, with the chain that the archive holds.
func ParsePKCS12(archive []byte, password string) (*Key, error) {
	key, err := parsePKCS12(archive, password)
	if err != nil {
		return nil, fmt.Errorf("httpclient: the archive %w", err)
	}
	key.setting = "the key source"
	return key, nil
}

// fixedKey is the source of settings that hold a key.
type fixedKey struct{ key *Key }

func (f fixedKey) Keys(context.Context) ([]*Key, error) { return []*Key{f.key}, nil }
