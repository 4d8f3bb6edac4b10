package fxmodule_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// certified is a certificate of a key, issued by the older key, and its archive. Without
// an issuer it is the issuer's own.
func certified(t *testing.T, key maskinportentest.Key, issuer *x509.Certificate) (cert *x509.Certificate, archive []byte) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "for tests only: " + key.KeyID, SerialNumber: "991825827"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
		IsCA: issuer == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if issuer == nil {
		issuer = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Signer().Public(), olderKey().Signer())
	if err == nil {
		cert, err = x509.ParseCertificate(der)
	}
	if err == nil {
		archive, err = pkcs12.Modern.Encode(key.Signer(), cert, nil, "pw")
	}
	if err != nil {
		t.Fatal(err)
	}
	return cert, archive
}

// A certificate's file is read again, wherever its path and its password came from.
func TestReloadKeysOfACertificatesFile(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		root, _ := certified(t, olderKey(), nil)
		first, archive := certified(t, newerKey(), root)
		<-time.After(time.Second)
		second, renewed := certified(t, newerKey(), root)
		b.porten.Close()
		b.porten = maskinportentest.NewPipe(maskinportentest.WithTokenLifetime(10*time.Second),
			maskinportentest.WithClient(maskinportentest.Client{Roots: []*x509.Certificate{root}, Keys: []maskinportentest.Key{olderKey()}}))
		defer b.porten.Close()
		write := func(archive []byte) {
			if err := os.WriteFile(filepath.Join(b.dir, "certificate.p12"), archive, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(archive)
		b.section(t, map[string]any{"ClientId": b.porten.ClientID(), "CertificatePkcs12Path": "certificate.p12"})
		b.vault.Set("MaskinportenSettings--CertificatePkcs12Password", "pw")
		source := b.start(t, fxmodule.ReloadKeys())

		var serials []string
		start := time.Now()
		for range 180 {
			if time.Since(start) == time.Minute {
				write(renewed)
			}
			if _, err := source.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if chain, ok := b.porten.Stats().LastAssertion.Header["x5c"].([]any); ok && !slices.Contains(serials, chain[0].(string)) {
				serials = append(serials, chain[0].(string))
			}
			<-time.After(time.Second)
		}
		if len(serials) != 2 || first.SerialNumber.Cmp(second.SerialNumber) == 0 {
			t.Errorf("got signatures by %d certificates, want by the first and then by the second", len(serials))
		}
	})
}
