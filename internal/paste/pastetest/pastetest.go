// Package pastetest holds what people paste into the wrong setting, for tests.
package pastetest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Secrets is everything that people paste into settings, by what it is. keys is the
// folder testdata/keys. Each value is at least 16 characters, and made for tests.
func Secrets(t testing.TB, keys string) map[string]string {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	file := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(keys, name))
		check(err)
		return data
	}
	jwk := file("client.jwk.json")
	var compact bytes.Buffer
	check(json.Compact(&compact, jwk))
	var members map[string]any
	check(json.Unmarshal(jwk, &members))
	for _, name := range []string{"p", "q", "dp", "dq", "qi"} {
		delete(members, name)
	}
	withoutCRT, err := json.Marshal(members)
	check(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	sec1, err := x509.MarshalECPrivateKey(key)
	check(err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	check(err)
	pkcs1 := x509.MarshalPKCS1PrivateKey(rsaKey)
	std, unpadded := base64.StdEncoding.EncodeToString, base64.RawURLEncoding.EncodeToString
	pemText := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: pkcs1}))
	token := unpadded([]byte(`{"alg":"RS256","kid":"k"}`)) + "." + unpadded([]byte(`{"iss":"https://test.maskinporten.no/","scope":"a:b"}`)) + "." + unpadded(pkcs1[:256])
	archive := file("enterprise.p12")
	return map[string]string{
		"JWK, pretty":                       string(jwk),
		"JWK, compact":                      compact.String(),
		"JWK without CRT members":           string(withoutCRT),
		"JWK with a BOM":                    "\ufeff" + compact.String(),
		"JWK, cut at the start":             compact.String()[10:],
		"JWK, cut at the end":               compact.String()[:len(compact.String())-10],
		"JWK set":                           `{"keys":[` + compact.String() + `]}`,
		"JWK in a text":                     "EncodedJwk: " + compact.String(),
		"base64 of the JWK, compact":        std(compact.Bytes()),
		"base64 of the JWK, pretty":         std(jwk),
		"base64url of the JWK":              unpadded(compact.Bytes()),
		"base64 of it with line breaks":     strings.Join(chunks(std(jwk), 64), "\r\n"),
		"base64 of it, without its start":   std(compact.Bytes())[3:],
		"base64 of it, without its end":     std(compact.Bytes())[:1001],
		"base64 of base64 of it":            std([]byte(std(compact.Bytes()))),
		"PEM":                               pemText,
		"PEM on one line":                   strings.ReplaceAll(pemText, "\n", `\n`),
		"PEM of a certificate":              "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
		"base64 of PEM":                     std([]byte(pemText)),
		"base64 of DER":                     std(pkcs1),
		"base64 of DER, elliptic":           std(sec1),
		"base64 of PKCS#12":                 std(archive),
		"base64url of PKCS#12":              unpadded(archive),
		"JWT":                               token,
		"JWT with Bearer":                   "Bearer " + token,
		"base64 of a JWT":                   std([]byte(token)),
		"JSON of a service's configuration": `{"ClientSecret":"CANARY"}`,
		"Entra client secret":               "abc8Q~CANARY0123456789abcdefghijklmnop.q",
		"a JSON list":                       `["CANARY-0123456789", "x"]`,
		"a client secret in quotes":         `"abc8Q~CANARY0123456789abcdefghijklmnop"`,
		"a password in single quotes":       `'CANARY-0123456789'`,
		"a client secret in curly quotes":   "“CANARY-0123456789”",
		"JWK in single quotes":              strings.ReplaceAll(compact.String(), `"`, `'`),
		"JWK with escaped quotes":           strings.ReplaceAll(compact.String(), `"`, `\"`),
		"JWK as a query":                    url.QueryEscape(compact.String()),
		"JWK as YAML":                       "kty: RSA\nd: CANARY0123456789CANARY",
		"JWK as JavaScript":                 "{kty: 'RSA', d: 'CANARY0123456789CANARY'}",
		"base64 of the JWK in UTF-16":       std([]byte(strings.Join(strings.Split(compact.String(), ""), "\x00") + "\x00")),
		"XML of a key":                      "<RSAKeyValue><Modulus>AQAB</Modulus><D>CANARY0123456789CANARY</D></RSAKeyValue>",
		"PEM, encrypted":                    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nCANARY0123456789CANARY\n-----END ENCRYPTED PRIVATE KEY-----",
		"the body of an OpenSSH key":        std(append([]byte("openssh-key-v1\x00"), pkcs1...))[:180],
		"JWE without an encrypted key":      unpadded([]byte(`{"alg":"dir","enc":"A256GCM"}`)) + ".." + unpadded(pkcs1[20:32]) + "." + unpadded(pkcs1[32:90]) + ".CANARY0123456789CANARYQ",
		"Basic authorization":               "Basic " + std([]byte("user:CANARY-0123456789")),
		"Entra client secret, older":        "1.-3lz~CANARY0123456789_abcdefghij",
		"a storage account's connection":    "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=CANARY0123456789/CANARY==;EndpointSuffix=core.windows.net",
		"a database's connection":           "Server=tcp:db,1433;User ID=sa;Password=CANARY-0123456789;Encrypt=True",
		"a cache's connection":              "cache.redis.cache.windows.net:6380,password=CANARY0123456789=,ssl=True",
		"a shared access signature":         "sv=2022-11-02&sr=c&sp=rl&sig=CANARY0123456789%2FCANARY%3D",
		"a URL with a signature":            "https://a.blob.core.windows.net/c?sv=2022-11-02&sig=CANARY0123456789%2FCANARY%3D",
		"a token of GitHub":                 "ghp_CANARY0123456789CANARY0123456789CANA",
		"a token of Slack in a URL":         "https://hooks.slack.com/services/T00000000/B00000000/CANARY0123456789",
		"a token of Slack":                  "xoxb-123456789012-CANARY0123456789",
	}
}

func chunks(s string, n int) (parts []string) {
	for len(s) > n {
		parts, s = append(parts, s[:n]), s[n:]
	}
	return append(parts, s)
}
