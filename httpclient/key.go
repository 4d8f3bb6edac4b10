package httpclient

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/portnokkel/portnokkel/httpclient/internal/jose"
	"github.com/portnokkel/portnokkel/internal/paste"
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
	bits                int       // of the RSA modulus
	notBefore, notAfter time.Time // of the leaf certificate
	end                 time.Time // of the registration, as far as is known; zero if it is not
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

// named tells a key from others within a sentence, if asked with its algorithm.
func (k *Key) named(algorithm bool) string {
	what := fmt.Sprintf("RSA %d", k.bits)
	if algorithm {
		what += ", " + k.alg
	}
	if len(k.chain) > 0 {
		return "the certificate's key (" + what + ")"
	}
	return "key " + k.kid + " (" + what + ")"
}

const day = "2006-01-02"

// ended tells when the key came to its end, if that is known and not still to come.
func (k *Key) ended(now time.Time) string {
	if k.end.IsZero() || !k.end.Before(now) {
		return ""
	}
	return " on " + k.end.Format(day)
}

// check refuses a certificate outside of its time. The cure follows the setting.
func (k *Key) check(now time.Time) (cure string, err error) {
	switch {
	case k.notAfter.IsZero():
	case now.Before(k.notBefore):
		return "wait, or use another certificate", fmt.Errorf("the certificate is not valid before %s", k.notBefore.Format(day))
	case now.After(k.notAfter):
		return "order a new certificate", fmt.Errorf("the certificate expired on %s%w", k.notAfter.Format(day), quietly{ErrExpiredKey})
	}
	return "", nil
}

// warning tells that the certificate is about to expire, "" if it is not.
func (k *Key) warning(now time.Time) string {
	left := k.notAfter.Sub(now)
	if k.notAfter.IsZero() || left >= certificateWarning {
		return ""
	}
	return fmt.Sprintf("%s: the certificate expires on %s, in %d days: order a new one", k.setting, k.notAfter.Format(day), int(left.Hours()/24))
}

// quietly is an error that adds nothing to a text.
type quietly struct{ error }

func (quietly) Error() string   { return "" }
func (q quietly) Unwrap() error { return q.error }

// keySettings are the canonical names of the settings that hold a key, those that win
// over others first.
var keySettings = []string{"EncodedJwk", "Jwk", "EncodedX509", "CertificatePkcs12Path"}

// keysGiven is which of the keySettings are used. A Jwk gives way to EncodedJwk.
func (s *MaskinportenSettings) keysGiven() (given []string) {
	switch {
	case !s.EncodedJWK.IsZero():
		given = append(given, "EncodedJwk")
	case !s.JWK.IsZero():
		given = append(given, "Jwk")
	}
	if !s.EncodedX509.IsZero() {
		given = append(given, "EncodedX509")
	}
	if s.CertificatePKCS12Path != "" {
		given = append(given, "CertificatePkcs12Path")
	}
	return given
}

// key makes the signing key that the settings hold.
func (s *MaskinportenSettings) key(now time.Time) (key *Key, wrong []error) {
	given := s.keysGiven()
	if err := s.checkThumbprint(); err != nil {
		wrong = append(wrong, err)
	} else if len(given) == 0 {
		wrong = append(wrong, s.missing(keySettings, "set it to the base64 of the client's private JWK (or set EncodedX509 or CertificatePkcs12Path)"))
	}
	if len(given) > 1 {
		wrong = append(wrong, fmt.Errorf("%s each hold a key: keep one of them", s.all(given)))
	}
	for _, setting := range given {
		var err error
		switch {
		case setting == "EncodedJwk" || setting == "Jwk":
			key, err = s.jwkKey()
		case setting == "EncodedX509" || s.EncodedX509.IsZero(): // one of the two is read
			key, err = s.certificateKey(now)
		}
		if err != nil {
			wrong = append(wrong, err)
		}
	}
	return key, wrong
}

// all are the names of settings, joined for a sentence.
func (s *MaskinportenSettings) all(canonical []string) string {
	var names []string
	for _, c := range canonical {
		names = append(names, s.name(c))
	}
	return strings.Join(names, " and ")
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
	if key.end.IsZero() {
		key.end = s.origin(s.keysGiven()[0]).Expires
	}
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
	if what := misplacedKeyID(keyID); what != "" {
		return nil, errors.New("has a key id that " + what)
	}
	return &Key{
		signer: func() crypto.Signer { return parsed.Key }, alg: parsed.Algorithm, kid: keyID,
		bits: parsed.Key.N.BitLen(), end: parsed.Expires,
	}, nil
}

// misplacedKeyID says why a text cannot be a key's id. It is empty if the text may be
// one.
func misplacedKeyID(id string) string {
	if what := paste.Problem(id, maxName); what != "" {
		return what
	}
	if printable(id) != id {
		return "has a character that is not printed"
	}
	return ""
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
	switch {
	case err != nil && isCut(string(data)):
		return nil, errors.New("is base64 that may have been cut: set it again, whole")
	case err != nil:
		return nil, errors.New("is not base64" + cure)
	}
	decoded = bytes.TrimSpace(bytes.TrimPrefix(decoded, utf8BOM))
	switch again, err := decodeBase64(string(decoded)); {
	case isJSONStart(decoded):
		return decoded, nil
	case isArchive(decoded):
		return nil, errors.New("is a PKCS#12 archive: set EncodedX509 to it instead")
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

// isCut reports whether a text is base64 but for a character too few at its end. A
// shorter text may be a word.
func isCut(text string) bool {
	whole := urlToStandard.Replace(text)
	if len(whole) < 100 || len(whole)%4 != 1 {
		return false
	}
	_, err := base64.RawStdEncoding.DecodeString(whole[:len(whole)-1])
	return err == nil
}

// isArchive recognises a PKCS#12 archive: it begins with its version 3 (RFC 7292
// section 4).
func isArchive(der []byte) bool {
	var archive struct {
		Version int
		Rest    asn1.RawValue
		Mac     asn1.RawValue `asn1:"optional"`
	}
	_, err := asn1.Unmarshal(der, &archive)
	return err == nil && archive.Version == 3
}

func isPEM(data []byte) bool { return bytes.HasPrefix(data, []byte("-----BEGIN")) }

func isJSONStart(data []byte) bool {
	return len(data) > 0 && (data[0] == '{' || data[0] == '[')
}

var urlToStandard = strings.NewReplacer("-", "+", "_", "/", "=", "", " ", "", "\t", "", "\r", "", "\n", "")

func decodeBase64(value string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(urlToStandard.Replace(value))
}
