package httpclient

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/portnokkel/portnokkel/httpclient/internal/jose"
)

// Key is a private key, with its id or certificate and its algorithm. It does not
// change and may be shared. Nothing prints the private key.
//
// Settings hold a key. A program that has a [KeySource] makes one with [NewKey],
// [NewCertificateKey], [ParseJWK] or [ParsePKCS12]. The zero Key signs nothing.
type Key struct {
	// signer is a function, because reflection reads fields and calls nothing.
	signer func() crypto.Signer
	// verify checks the signatures of a signer that is not this program's. It is nil
	// for a *rsa.PrivateKey: package rsa checks its own signatures.
	verify              *rsa.PublicKey
	alg                 string
	kid                 string
	chain               []string  // x5c, leaf first; empty if kid identifies the key
	setting             string    // the source of the key, for hints
	kidSetting          string    // the source of its id, if that is another one
	notBefore, notAfter time.Time // of the leaf certificate
}

// KeyID is the id that the key is registered under. It is empty if a certificate
// identifies the key.
func (k *Key) KeyID() string {
	if k == nil {
		return ""
	}
	return k.kid
}

// String tells the key's id and algorithm, as in "key my-key (RS256)". For a
// certificate's key it is "certificate key (RS256)".
func (k *Key) String() string {
	if k == nil || k.signer == nil {
		return "no key"
	}
	if len(k.chain) > 0 {
		return "certificate key (" + k.alg + ")"
	}
	return "key " + k.kid + " (" + k.alg + ")"
}

// Format implements [fmt.Formatter]: every verb prints what String returns.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, k.String()) }

// LogValue implements [slog.LogValuer]: it returns what String returns.
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// namedBy is the setting that says what the key is registered under.
func (k *Key) namedBy() string {
	if k.kidSetting != "" {
		return k.kidSetting
	}
	return k.setting
}

// check refuses a certificate outside of its time.
func (k *Key) check(now time.Time) error {
	const day = "2006-01-02"
	switch {
	case k.notAfter.IsZero():
	case now.Before(k.notBefore):
		return fmt.Errorf("the certificate is not valid before %s", k.notBefore.Format(day))
	case now.After(k.notAfter):
		return fmt.Errorf("the certificate expired on %s: order a new one%w", k.notAfter.Format(day), quietly{ErrExpiredKey})
	}
	return nil
}

// warning tells that the certificate is about to expire, "" if it is not.
func (k *Key) warning(now time.Time) string {
	left := k.notAfter.Sub(now)
	if k.notAfter.IsZero() || left >= certificateWarning {
		return ""
	}
	return fmt.Sprintf("%s: the certificate expires on %s, in %d days: order a new one", k.setting, k.notAfter.Format("2006-01-02"), int(left.Hours()/24))
}

// quietly is an error that adds nothing to a text.
type quietly struct{ error }

func (quietly) Error() string   { return "" }
func (q quietly) Unwrap() error { return q.error }

// hasKey reports whether the settings hold a key of any kind.
func (s *MaskinportenSettings) hasKey() bool { return len(s.keySettings()) > 0 }

// keySettings names the settings that hold a key.
func (s *MaskinportenSettings) keySettings() []string {
	var given []string
	if !s.EncodedJWK.IsZero() || !s.JWK.IsZero() {
		given = append(given, s.jwkSetting())
	}
	if !s.EncodedX509.IsZero() {
		given = append(given, s.name("EncodedX509"))
	}
	if s.CertificatePKCS12Path != "" {
		given = append(given, s.name("CertificatePkcs12Path"))
	}
	return given
}

// key makes the signing key that the settings hold.
func (s *MaskinportenSettings) key(now time.Time) (*Key, error) {
	thumbprint := s.checkThumbprint()
	hasJWK := !s.EncodedJWK.IsZero() || !s.JWK.IsZero()
	given := s.keySettings()
	switch {
	case len(given) == 0 && thumbprint != nil:
		return nil, thumbprint
	case len(given) == 0:
		return nil, missing("%s is missing: set it to the base64 of the client's private JWK (or set EncodedX509 or CertificatePkcs12Path)",
			s.name("EncodedJwk"))
	}
	problems := []error{thumbprint}
	if len(given) > 1 {
		problems = append(problems, fmt.Errorf("%s each hold a key: keep one of them", strings.Join(given, " and ")))
	}
	var key *Key
	if hasJWK {
		jwk, err := s.jwkKey()
		key, problems = jwk, append(problems, err)
	}
	if !s.EncodedX509.IsZero() || s.CertificatePKCS12Path != "" {
		certificate, err := s.certificateKey(now)
		key, problems = certificate, append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return key, nil
}

func (s *MaskinportenSettings) checkThumbprint() error {
	if s.CertificateStoreThumbprint == "" {
		return nil
	}
	return fmt.Errorf("%s works on Windows with .NET only: export the certificate with its key and set CertificatePkcs12Path or EncodedX509",
		s.name("CertificateStoreThumbprint"))
}

// jwkSetting is the setting that the JWK comes from.
func (s *MaskinportenSettings) jwkSetting() string {
	if !s.EncodedJWK.IsZero() {
		return s.name("EncodedJwk")
	}
	return s.name("Jwk")
}

func (s *MaskinportenSettings) jwkKey() (*Key, error) {
	setting, encoded := s.jwkSetting(), s.EncodedJWK
	if encoded.IsZero() {
		encoded = s.JWK
	}
	key, err := parseJWK(encoded.Reveal(), s.KeyID)
	if err != nil {
		return nil, fmt.Errorf("%s %w", setting, err)
	}
	key.setting = setting
	if s.KeyID != "" {
		key.kidSetting = s.name("Kid")
	}
	return key, nil
}

// parseJWK's errors complete a sentence that begins with the source of the JWK.
func parseJWK(encoded, keyID string) (*Key, error) {
	data, err := decodeJWK(encoded)
	if err != nil {
		return nil, err
	}
	parsed, err := jose.ParsePrivateKey(data)
	if err != nil {
		return nil, err
	}
	if keyID == "" {
		keyID = parsed.KeyID
	}
	if keyID == "" {
		return nil, errors.New(`has no key id (member "kid"): set Kid to the id that the key is registered under`)
	}
	return &Key{signer: func() crypto.Signer { return parsed.Key }, alg: parsed.Algorithm, kid: keyID}, nil
}

var utf8BOM = []byte("\xef\xbb\xbf")

// decodeJWK unwraps JSON from base64 of any alphabet, padded or not, broken
// into lines or not. Plain JSON is taken as it is.
func decodeJWK(value string) ([]byte, error) {
	data := bytes.TrimSpace(bytes.TrimPrefix([]byte(value), utf8BOM))
	if isJSONStart(data) {
		return data, nil
	}
	const cure = ": set it to the base64 of the client's private JWK"
	switch {
	case len(data) == 0:
		return nil, jose.ErrNoKey
	case isPEM(data):
		return nil, errPEM
	case isJWT.Match(data):
		return nil, errors.New("is a token (JWT), not a key" + cure)
	}
	decoded, err := decodeBase64(string(data))
	if err != nil {
		return nil, errors.New("is not base64" + cure)
	}
	decoded = bytes.TrimSpace(bytes.TrimPrefix(decoded, utf8BOM))
	switch again, err := decodeBase64(string(decoded)); {
	case isJSONStart(decoded):
		return decoded, nil
	case isPEM(decoded), len(decoded) > 0 && decoded[0] == asn1Sequence:
		return nil, errPEM
	case err == nil && isJSONStart(again):
		return nil, errors.New("is base64 twice: encode the JWK once")
	}
	return nil, errors.New("is base64, but not of JSON" + cure)
}

var (
	isJWT  = regexp.MustCompile(`^eyJ[\w-]+\.[\w-]+\.[\w-]*$`)
	errPEM = errors.New("is a key in PEM or DER form: convert it to a JWK")
)

// asn1Sequence is the first byte of a key in DER form.
const asn1Sequence = 0x30

func isPEM(data []byte) bool { return bytes.HasPrefix(data, []byte("-----BEGIN")) }

func isJSONStart(data []byte) bool {
	return len(data) > 0 && (data[0] == '{' || data[0] == '[')
}

var urlToStandard = strings.NewReplacer("-", "+", "_", "/", "=", "", " ", "", "\t", "", "\r", "", "\n", "")

func decodeBase64(value string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(urlToStandard.Replace(value))
}
