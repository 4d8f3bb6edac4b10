package httpclient

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/portnokkel/portnokkel/httpclient/internal/jose"
)

// certificateWarning is how long before its end a certificate is warned about.
const certificateWarning = 30 * 24 * time.Hour

// certificateKey makes a signing key of the PKCS#12 archive that the settings hold.
func (s *MaskinportenSettings) certificateKey(now time.Time) (*Key, error) {
	setting, archive, err := s.archive()
	if err != nil {
		return nil, fmt.Errorf("%s %w", setting, err)
	}
	password := ""
	if s.CertificatePKCS12Path != "" {
		password = s.CertificatePKCS12Password.Reveal()
	}
	key, err := parsePKCS12(archive, password)
	switch {
	case errors.Is(err, errPassword) && s.CertificatePKCS12Path != "":
		return nil, fmt.Errorf("%s does not open with %s", setting, s.name("CertificatePkcs12Password"))
	case errors.Is(err, errPassword):
		return nil, fmt.Errorf("%s has a password: export it without one, or use CertificatePkcs12Path and CertificatePkcs12Password", setting)
	case err != nil:
		return nil, fmt.Errorf("%s %w", setting, err)
	}
	key.setting = setting
	if err := key.check(now); err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return key, nil
}

var errPassword = errors.New("does not open with the password")

// parsePKCS12's errors complete a sentence that begins with where the archive is
// from. Its certificates go into the header x5c, the leaf first.
func parsePKCS12(archive []byte, password string) (*Key, error) {
	private, first, others, err := pkcs12.DecodeChain(archive, password)
	var unknown pkcs12.NotImplementedError
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, errPassword
	case errors.As(err, &unknown):
		return nil, errors.New("is encrypted or protected in a way that is not supported: export it again with AES-256 and SHA-256")
	case err != nil:
		return nil, errors.New("is not a PKCS#12 archive (.p12, .pfx) of one certificate and its key")
	}
	signer, ok := private.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("holds a key that %w", jose.ErrNotRSA)
	}
	if err := jose.Check(signer); err != nil {
		return nil, fmt.Errorf("holds a key that %w", err)
	}
	all := append([]*x509.Certificate{first}, others...)
	i := slices.IndexFunc(all, func(c *x509.Certificate) bool { return signer.PublicKey.Equal(c.PublicKey) })
	if i < 0 {
		return nil, errors.New("holds no certificate of its key")
	}
	leaf := all[i]
	return &Key{
		signer: func() crypto.Signer { return signer }, alg: jose.DefaultAlgorithm,
		chain: chainFrom(leaf, slices.Delete(all, i, i+1)), notBefore: leaf.NotBefore, notAfter: leaf.NotAfter,
	}, nil
}

// archive reads the PKCS#12 archive from whichever setting holds it.
func (s *MaskinportenSettings) archive() (setting string, archive []byte, err error) {
	if !s.EncodedX509.IsZero() {
		archive, err = decodeBase64(s.EncodedX509.Reveal())
		if err != nil {
			err = errors.New("is not base64: set it to the base64 of a PKCS#12 archive (.p12, .pfx)")
		}
		return s.name("EncodedX509"), archive, err
	}
	path := s.CertificatePKCS12Path
	archive, err = os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && s.BaseDir != "" && !filepath.IsAbs(path) {
		archive, err = os.ReadFile(filepath.Join(s.BaseDir, path))
	}
	var failed *fs.PathError
	if errors.As(err, &failed) {
		err = fmt.Errorf("cannot be read: %s %s: %w", failed.Op, brief(failed.Path), failed.Err)
	}
	return s.name("CertificatePkcs12Path"), archive, err
}

// chainFrom orders the archive's certificates from the leaf upwards, whatever
// their order in the archive, and leaves out those that do not belong.
func chainFrom(leaf *x509.Certificate, authorities []*x509.Certificate) []string {
	chain := []string{base64.StdEncoding.EncodeToString(leaf.Raw)}
	for current := leaf; len(chain) <= len(authorities); {
		issuer := signerOf(current, authorities)
		if issuer == nil {
			break
		}
		chain = append(chain, base64.StdEncoding.EncodeToString(issuer.Raw))
		current = issuer
	}
	return chain
}

func signerOf(cert *x509.Certificate, authorities []*x509.Certificate) *x509.Certificate {
	for _, candidate := range authorities {
		if !candidate.Equal(cert) && cert.CheckSignatureFrom(candidate) == nil {
			return candidate
		}
	}
	return nil
}
