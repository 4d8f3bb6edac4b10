package maskinportentest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// issue makes a certificate for tests. A nil parent makes it self-signed.
func issue(t *testing.T, k, parentKey maskinportentest.Key, parent *x509.Certificate, edit func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "for tests: " + k.KeyID},
		NotBefore:             epoch.Add(-time.Hour),
		NotAfter:              epoch.Add(time.Hour),
		IsCA:                  parent == nil,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if edit != nil {
		edit(template)
	}
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, k.Signer().Public(), parentKey.Signer())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func der(certs ...*x509.Certificate) []any {
	var chain []any
	for _, c := range certs {
		chain = append(chain, base64.StdEncoding.EncodeToString(c.Raw))
	}
	return chain
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	const failed = "Invalid assertion. Client authentication failed. "
	const org = "123456789"
	root := issue(t, other(), other(), nil, nil)
	bySerial := issue(t, key(), other(), root, func(c *x509.Certificate) { c.Subject.SerialNumber = org })
	byIdentifier := issue(t, key(), other(), root, func(c *x509.Certificate) {
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: "NTRNO-" + org}}
	})
	stranger := issue(t, key(), other(), root, func(c *x509.Certificate) { c.Subject.SerialNumber = "987654321" })
	old := issue(t, key(), other(), root, func(c *x509.Certificate) { c.NotAfter = epoch.Add(-time.Minute) })
	self := issue(t, key(), key(), nil, nil)

	for name, tc := range map[string]struct {
		x5c  any
		mp   string
		text string // empty: accepted
	}{
		"chain":                   {x5c: der(bySerial, root)},
		"leaf only":               {x5c: der(bySerial)},
		"organization identifier": {x5c: der(byIdentifier, root)},
		"another organisation":    {x5c: der(stranger, root), mp: "MP-122", text: failed + "Invalid JWT. Invalid organization number for client. Does not match certificate orgno"},
		"expired":                 {x5c: der(old, root), mp: "MP-120", text: failed + "The JWT is signed with an invalid certificate"},
		"of no known root":        {x5c: der(self), mp: "MP-120", text: failed + "The JWT is signed with an invalid certificate"},
		"root first":              {x5c: der(root, bySerial), mp: "MP-123", text: failed + "Invalid JWT header x5c"},
		"a string":                {x5c: der(bySerial)[0], mp: "MP-123", text: failed + "Invalid JWT header x5c"},
		"empty":                   {x5c: []any{}, mp: "MP-123", text: failed + "Invalid JWT header x5c"},
		"base64url":               {x5c: []any{base64.RawURLEncoding.EncodeToString(bySerial.Raw)}, mp: "MP-123", text: failed + "Invalid JWT header x5c"},
		"not a certificate":       {x5c: []any{"bm8="}, mp: "MP-123", text: failed + "Invalid JWT header x5c"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, maskinportentest.WithClient(maskinportentest.Client{OrgNo: org, Roots: []*x509.Certificate{root}}))
			h := map[string]any{"alg": "RS256", "x5c": tc.x5c}
			got := w.post(sign(t, key(), h, w.claims()))
			if tc.text != "" {
				checkRefusal(t, w, got, http.StatusBadRequest, "invalid_grant", tc.mp, tc.text)
			} else if got.status != http.StatusOK {
				t.Errorf("got %d %s, want 200", got.status, got.raw)
			}
		})
	}
}

func TestCertificateMustSign(t *testing.T) {
	t.Parallel()
	self := issue(t, key(), key(), nil, func(c *x509.Certificate) { c.Subject.SerialNumber = "991825827" })
	w := newWorld(t, maskinportentest.WithClient(maskinportentest.Client{Roots: []*x509.Certificate{self}}))
	h := map[string]any{"alg": "RS256", "x5c": der(self)}
	if got := w.post(sign(t, key(), h, w.claims())); got.status != http.StatusOK {
		t.Errorf("got %d %s, want 200", got.status, got.raw)
	}
	forged := newWorld(t, maskinportentest.WithClient(maskinportentest.Client{Roots: []*x509.Certificate{self}}))
	got := forged.post(sign(t, other(), h, forged.claims()))
	checkRefusal(t, forged, got, http.StatusBadRequest, "invalid_grant", "MP-124",
		"Invalid assertion. Client authentication failed. Invalid JWT signature")
	if _, ok := self.PublicKey.(*rsa.PublicKey); !ok {
		t.Errorf("got a certificate of %T, want RSA", self.PublicKey)
	}
}
