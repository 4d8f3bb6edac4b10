package httpclient

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/portnokkel/portnokkel/httpclient/internal/jose"
)

// certificateKey makes a signing key of the PKCS#12 archive that a setting holds.
func (s *MaskinportenSettings) certificateKey(canonical string, now time.Time) (*Key, error) {
	setting, isPath := s.name(canonical), canonical == "CertificatePkcs12Path"
	archive, err := s.archive(isPath)
	if err != nil {
		return nil, fmt.Errorf("%s %w", setting, err)
	}
	password := ""
	if isPath {
		password = s.CertificatePKCS12Password.Reveal()
	}
	key, err := parsePKCS12(archive, password)
	switch {
	case errors.Is(err, errPassword) && !isPath:
		return nil, fmt.Errorf("%s has a password: export it without one, or use CertificatePkcs12Path and CertificatePkcs12Password", setting)
	case errors.Is(err, errPassword) && password == "":
		return nil, s.missing([]string{"CertificatePkcs12Password"}, "set it to the password of "+setting)
	case errors.Is(err, errPassword):
		return nil, fmt.Errorf("%s is not the password of %s: correct one of them", s.name("CertificatePkcs12Password"), setting)
	case err != nil:
		return nil, fmt.Errorf("%s %w", setting, err)
	}
	key.setting = setting
	if origin := s.origin(canonical); !isPath {
		key.lives(origin.Created, origin.Expires, saysSecret)
	}
	if cure, err := key.check(now); err != nil {
		return nil, fmt.Errorf("%s: %s - %w", setting, cure, err)
	}
	return key, nil
}

var errArchiveSize = fmt.Errorf("is over %d KB: a PKCS#12 archive of one key and its certificates is smaller", maxArchive>>10)

var errPassword = errors.New("does not open with the password")

// keyBag is the object identifier of an encrypted key in an archive, as DER.
var keyBag = []byte{0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x02}

// holdsLargeKey reports whether a key in the archive is too large by its length. To
// decode such a key takes minutes, because package x509 calculates with it.
func holdsLargeKey(archive []byte) bool {
	_, rest, found := bytes.Cut(archive, keyBag)
	for found {
		var bag asn1.RawValue
		if _, err := asn1.Unmarshal(rest, &bag); err == nil && len(bag.Bytes) > maxKeyBag {
			return true
		}
		_, rest, found = bytes.Cut(rest, keyBag)
	}
	return false
}

// parsePKCS12's errors complete a sentence that begins with the source of the
// archive. Its certificates go into the header x5c, the leaf first.
func parsePKCS12(archive []byte, password string) (*Key, error) {
	switch {
	case len(archive) > maxArchive:
		return nil, errArchiveSize
	case holdsLargeKey(archive):
		return nil, fmt.Errorf("holds a key that %w", jose.ErrTooLarge)
	}
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
	key := &Key{
		signer: func() crypto.Signer { return signer }, alg: jose.DefaultAlgorithm, bits: signer.N.BitLen(),
		chain: chainFrom(leaf, slices.Delete(all, i, i+1)), notBefore: leaf.NotBefore, notAfter: leaf.NotAfter,
	}
	key.lives(leaf.NotBefore, leaf.NotAfter, saysCertificate)
	return key, nil
}

// archive reads the PKCS#12 archive from the file that CertificatePkcs12Path names, or
// from EncodedX509.
func (s *MaskinportenSettings) archive(isPath bool) (archive []byte, err error) {
	if !isPath {
		archive, err = decodeBase64(s.EncodedX509.Reveal())
		if err != nil {
			err = errors.New("is not base64: set it to the base64 of a PKCS#12 archive (.p12, .pfx)")
		}
		return archive, err
	}
	path := s.CertificatePKCS12Path
	archive, err = readBounded(path, maxArchive)
	if errors.Is(err, fs.ErrNotExist) && s.BaseDir != "" && !filepath.IsAbs(path) {
		archive, err = readBounded(filepath.Join(s.BaseDir, path), maxArchive)
	}
	var failed *fs.PathError
	if errors.As(err, &failed) {
		// The path is not quoted: it may be a secret in the wrong place.
		cure := "let this program read the file"
		switch {
		case errors.Is(err, fs.ErrNotExist):
			cure = "correct the path, which begins in the working directory or beside the settings file"
		case errors.Is(err, syscall.EISDIR):
			cure = "name a file in the directory"
		}
		err = fmt.Errorf("cannot be read: %s - %w", cure, failed.Err)
	}
	return archive, err
}

// readBounded reads a file up to one byte more than most: the path may name anything.
func readBounded(path string, most int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(io.LimitReader(file, most+1))
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
