package httpclient

import (
	"bytes"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"regexp"
	"strings"

	"github.com/portnokkel/portnokkel/httpclient/internal/jose"
)

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

// isCut reports whether a text is base64 of which an end that is no whole byte was cut. A
// short text may be a word.
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
