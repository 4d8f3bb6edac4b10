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
	"time"

	"github.com/portnokkel/portnokkel/httpclient/internal/jose"
)

// keySourceName is what errors call a program's own KeySource.
const keySourceName = "the key source"

// KeySource gives the keys to sign with, newest first.
type KeySource interface {
	// Keys returns at least one key, or an error whose text holds no secret. Each
	// fetch of a token calls it, and several may do so at the same time. It should
	// keep what takes long to read. If it ignores the context, the fetch ends
	// without it.
	//
	// The next key is tried if the one before does not sign, has expired, or is not
	// known to Maskinporten. A new key takes up to two minutes to work. For that time a
	// key that was refused comes after the others, so that only one fetch tries it. A key
	// that has expired comes last. If no key works, Keys is called once more, and keys
	// that are new are tried.
	Keys(ctx context.Context) ([]*Key, error)
}

// KeySourceFunc lets a function be a [KeySource].
type KeySourceFunc func(ctx context.Context) ([]*Key, error)

// Keys calls f. A nil f gives an error.
func (f KeySourceFunc) Keys(ctx context.Context) ([]*Key, error) {
	if f == nil {
		return nil, errors.New("httpclient: key: the KeySourceFunc is nil")
	}
	return f(ctx)
}

// NewKey makes a key of any signer. A signer in an HSM or in Key Vault keeps its
// private key there. The key is registered at Maskinporten under keyID. The algorithm
// is RS256, RS384 or RS512, and empty means RS256.
//
// The public key must be RSA of 2048 to 8192 bits. Each signature is verified with
// it before it is sent.
//
// A signer may have more methods. A key of package vaultkey of this module has them all:
//
//   - SignContext(ctx, digest, opts) is called in the place of Sign. Its context ends with
//     the fetch of the token.
//   - Expires() and Created() return times: see [Key.Expires].
func NewKey(signer crypto.Signer, keyID, algorithm string) (*Key, error) {
	if keyID == "" {
		return nil, errors.New("httpclient: key: the key id is empty")
	}
	if what := misplacedKeyID(keyID); what != "" {
		return nil, errors.New("httpclient: key: the key id " + what)
	}
	key, err := newKey(signer, algorithm)
	if err != nil {
		return nil, err
	}
	key.kid = keyID
	key.livesAs(signer)
	return key, nil
}

// NewCertificateKey makes a key that its enterprise certificate identifies. Otherwise
// it is as [NewKey]. The chain goes into each assertion's header x5c: the certificate
// first, and then those that issued it, in their order (RFC 7515 section 4.1.6).
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
	key.lives(key.notBefore, key.notAfter, saysCertificate)
	key.livesAs(signer)
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
	key := &Key{signer: func() crypto.Signer { return signer }, alg: algorithm, bits: public.N.BitLen(), setting: keySourceName}
	if _, own := signer.(*rsa.PrivateKey); !own {
		key.verify = public
	}
	return key, nil
}

// publicKey asks a signer, which may panic. One that embeds nil does.
func publicKey(signer crypto.Signer) (public crypto.PublicKey) {
	defer func() { _ = recover() }()
	return signer.Public()
}

// ParsePKCS12 makes a key of a PKCS#12 archive (.p12, .pfx). The archive holds an
// enterprise certificate, its key, and the certificates that issued it. Errors never
// quote the password.
func ParsePKCS12(archive []byte, password string) (*Key, error) {
	key, err := parsePKCS12(archive, password)
	if err != nil {
		return nil, fmt.Errorf("httpclient: the archive %w", err)
	}
	key.setting = keySourceName
	return key, nil
}

// fixedKeys is the source of settings that hold keys, newest first.
type fixedKeys []*Key

func (f fixedKeys) Keys(context.Context) ([]*Key, error) { return slices.Clone(f), nil }

// first is the key that is likely to sign: the newest that has not ended. It is nil
// without keys.
func (f fixedKeys) first(now time.Time) *Key {
	for _, key := range f {
		if !key.expired(now) {
			return key
		}
	}
	if len(f) == 0 {
		return nil
	}
	return f[0]
}
