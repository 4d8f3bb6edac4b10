package httpclient

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/portnokkel/portnokkel/httpclient/internal/jose"
)

// certificateWarning is how long before its end a certificate is warned about.
const certificateWarning = 30 * 24 * time.Hour

// certificateKey makes a signing key from a PKCS#12 archive. Its certificates
// go into the header x5c, the leaf first (RFC 7515 section 4.1.6).
func (s *MaskinportenSettings) certificateKey(now time.Time) (*signingKey, error) {
	setting, archive, err := s.archive()
	if err != nil {
		return nil, fmt.Errorf("%s %w", setting, err)
	}
	password := ""
	if s.CertificatePkcs12Path != "" {
		password = s.CertificatePkcs12Password
	}
	private, leaf, authorities, err := pkcs12.DecodeChain(archive, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword) && s.CertificatePkcs12Path != "":
		return nil, fmt.Errorf("%s does not open with %s", setting, s.name("CertificatePkcs12Password"))
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, fmt.Errorf("%s has a password: export it without one, or use CertificatePkcs12Path and CertificatePkcs12Password", setting)
	case err != nil:
		return nil, fmt.Errorf("%s is not a PKCS#12 archive (.p12, .pfx) of one certificate and its key", setting)
	}
	key, ok := private.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: the key %w", setting, jose.ErrNotRSA)
	}
	if err := jose.Check(key); err != nil {
		return nil, fmt.Errorf("%s: the key %w", setting, err)
	}
	const day = "2006-01-02"
	switch {
	case now.Before(leaf.NotBefore):
		return nil, fmt.Errorf("%s: the certificate is not valid before %s", setting, leaf.NotBefore.Format(day))
	case now.After(leaf.NotAfter):
		return nil, fmt.Errorf("%s: the certificate expired on %s: order a new one", setting, leaf.NotAfter.Format(day))
	}
	return &signingKey{
		signer: key, alg: jose.DefaultAlgorithm, chain: chainFrom(leaf, authorities),
		setting: setting, notAfter: leaf.NotAfter,
	}, nil
}

// archive reads the PKCS#12 archive from whichever setting holds it.
func (s *MaskinportenSettings) archive() (setting string, archive []byte, err error) {
	if s.EncodedX509 != "" {
		archive, err = decodeBase64(s.EncodedX509)
		if err != nil {
			err = errors.New("is not base64: set it to the base64 of a PKCS#12 archive (.p12, .pfx)")
		}
		return s.name("EncodedX509"), archive, err
	}
	archive, err = os.ReadFile(s.CertificatePkcs12Path)
	if err != nil {
		err = fmt.Errorf("cannot be read: %w", err)
	}
	return s.name("CertificatePkcs12Path"), archive, err
}

// chainFrom orders the archive's certificates from the leaf upwards, whatever
// their order in the archive, and leaves out those that do not belong.
func chainFrom(leaf *x509.Certificate, authorities []*x509.Certificate) []string {
	chain := []string{base64.StdEncoding.EncodeToString(leaf.Raw)}
	for current := leaf; len(chain) <= len(authorities); {
		issuer := issuerOf(current, authorities)
		if issuer == nil {
			break
		}
		chain = append(chain, base64.StdEncoding.EncodeToString(issuer.Raw))
		current = issuer
	}
	return chain
}

func issuerOf(cert *x509.Certificate, authorities []*x509.Certificate) *x509.Certificate {
	for _, candidate := range authorities {
		if !candidate.Equal(cert) && cert.CheckSignatureFrom(candidate) == nil {
			return candidate
		}
	}
	return nil
}
