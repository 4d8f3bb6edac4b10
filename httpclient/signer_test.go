package httpclient_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

func TestRefusedSigners(t *testing.T) {
	t.Parallel()
	good := clientKey(t).Signer()
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	leaf, _ := enterprise(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	other, err := maskinportentest.ParseKey(encoded(keyFile(t, "other.jwk.json")))
	if err != nil {
		t.Fatal(err)
	}
	chain := []*x509.Certificate{leaf.cert}
	for want, make := range map[string]func() (*httpclient.Key, error){
		"httpclient: key: the signer is nil":                                                                                   func() (*httpclient.Key, error) { return httpclient.NewKey(nil, "k", "") },
		"httpclient: key: the key id is empty":                                                                                 func() (*httpclient.Key, error) { return httpclient.NewKey(good, "", "") },
		"httpclient: key: the signer is not an RSA key: Maskinporten takes RSA keys only":                                      func() (*httpclient.Key, error) { return httpclient.NewKey(ec, "k", "") },
		"httpclient: key: the signer is under 2048 bits: make a new key (it has 1024)":                                         func() (*httpclient.Key, error) { return httpclient.NewKey(resized{good, 1024}, "k", "") },
		"httpclient: key: it asks for an algorithm that Maskinporten does not take: use RS256, RS384 or RS512 (it says ES256)": func() (*httpclient.Key, error) { return httpclient.NewKey(good, "k", "ES256") },
		"httpclient: key: the certificate chain is empty, or a certificate of it is nil":                                       func() (*httpclient.Key, error) { return httpclient.NewCertificateKey(good, nil, "") },
		"httpclient: key: the first certificate is not the signer's":                                                           func() (*httpclient.Key, error) { return httpclient.NewCertificateKey(other.Signer(), chain, "") },
	} {
		if _, err := make(); message(err) != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	for name, chain := range map[string][]*x509.Certificate{"nil first": {nil, leaf.cert}, "nil last": {leaf.cert, nil}} {
		const want = "httpclient: key: the certificate chain is empty, or a certificate of it is nil"
		if _, err := httpclient.NewCertificateKey(good, chain, ""); message(err) != want {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	if _, err := httpclient.NewCertificateKey(nil, chain, ""); message(err) != "httpclient: key: the signer is nil" {
		t.Errorf("got %v, want an error about a nil signer", err)
	}
}

// resized says that its key has another number of bits.
type resized struct {
	crypto.Signer
	bits uint
}

func (s resized) Public() crypto.PublicKey {
	public := *s.Signer.Public().(*rsa.PublicKey)
	public.N = new(big.Int).Lsh(big.NewInt(1), s.bits-1)
	return &public
}

// Keys of sizes and exponents at the bounds.
func TestSignerBounds(t *testing.T) {
	t.Parallel()
	good := clientKey(t).Signer()
	const wrongExponent = "has a wrong public exponent (e), which must be odd, over 1 and under 2^31: make a new key"
	for name, c := range map[string]struct {
		signer crypto.Signer
		want   string
	}{
		"2,047 bits":      {resized{good, 2047}, "is under 2048 bits: make a new key (it has 2047)"},
		"2,048 bits":      {resized{good, 2048}, ""},
		"8,192 bits":      {resized{good, 8192}, ""},
		"8,193 bits":      {resized{good, 8193}, "is over 8192 bits: make a new key of 2048 to 4096 bits"},
		"exponent -3":     {exponent{good, -3}, wrongExponent},
		"exponent 1":      {exponent{good, 1}, wrongExponent},
		"exponent 2":      {exponent{good, 2}, wrongExponent},
		"exponent 3":      {exponent{good, 3}, ""},
		"exponent 65538":  {exponent{good, 65538}, wrongExponent},
		"exponent 2^31-1": {exponent{good, 1<<31 - 1}, ""},
	} {
		_, err := httpclient.NewKey(c.signer, "k", "")
		want := ""
		if c.want != "" {
			want = "httpclient: key: the signer " + c.want
		}
		if message(err) != want {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
		_, err = httpclient.NewCertificateKey(c.signer, []*x509.Certificate{{PublicKey: c.signer.Public()}}, "")
		if message(err) != want {
			t.Errorf("%s, with a certificate: got %v, want %q", name, err, want)
		}
	}
}

// A signature of somebody else's signer that does not fit its public key is not sent.
func TestSignatureOfAnotherKey(t *testing.T) {
	t.Parallel()
	good := clientKey(t).Signer()
	other, err := maskinportentest.ParseKey(encoded(keyFile(t, "other.jwk.json")))
	if err != nil {
		t.Fatal(err)
	}
	leaf, authorities := enterprise(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	chain := []*x509.Certificate{leaf.cert, authorities[1]}
	for name, signer := range map[string]crypto.Signer{
		"another key's":     swapped{other.Signer(), good},
		"of nothing":        fakeSigner{good},
		"of another digest": swapped{otherDigest{good}, good},
		"empty":             swapped{emptySignature{good}, good},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for kind, key := range map[string]func() (*httpclient.Key, error){
				"a key":         func() (*httpclient.Key, error) { return httpclient.NewKey(signer, "for-tests-only", "") },
				"a certificate": func() (*httpclient.Key, error) { return httpclient.NewCertificateKey(signer, chain, "RS512") },
			} {
				key, err := key()
				if err != nil {
					t.Fatal(err)
				}
				srv := newDouble(t)
				_, err = withoutKey(t, srv, keys(key)).Token(t.Context())
				if n := srv.Stats().TokenRequests; n != 0 || !strings.Contains(message(err), "its signature does not fit its public key: check which key the signer uses") {
					t.Errorf("%s: got %d requests and error %v, want none and an error about the signature", kind, n, err)
				}
			}
		})
	}
}

// swapped signs with one key and tells another's public key.
type swapped struct {
	crypto.Signer
	public crypto.Signer
}

func (s swapped) Public() crypto.PublicKey { return s.public.Public() }

// otherDigest signs something else than it was given.
type otherDigest struct{ crypto.Signer }

func (s otherDigest) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.Signer.Sign(r, make([]byte, len(digest)), opts)
}

type emptySignature struct{ crypto.Signer }

func (emptySignature) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, nil }
