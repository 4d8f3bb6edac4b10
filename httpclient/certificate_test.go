package httpclient_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/portnokkel/portnokkel/httpclient"
)

func chainText(certs ...*x509.Certificate) []any {
	var chain []any
	for _, c := range certs {
		chain = append(chain, base64.StdEncoding.EncodeToString(c.Raw))
	}
	return chain
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	leaf, authorities := enterprise(t, time.Now().Add(-200*24*time.Hour), time.Now().Add(20*24*time.Hour))
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cases := []struct {
		name    string
		changes map[string]any
	}{
		{"EncodedX509", map[string]any{"EncodedX509": base64.StdEncoding.EncodeToString(archive(t, pkcs12.Modern, leaf.key, leaf.cert, authorities, ""))}},
		{"a file, modern encryption", map[string]any{
			"CertificatePkcs12Path":     file("modern.p12", archive(t, pkcs12.Modern, leaf.key, leaf.cert, authorities, "pw")),
			"CertificatePkcs12Password": "pw",
		}},
		{"a file, triple DES", map[string]any{
			"CertificatePkcs12Path":     file("des.p12", archive(t, pkcs12.LegacyDES, leaf.key, leaf.cert, authorities, "pw")),
			"CertificatePkcs12Password": "pw",
		}},
		{"a file, RC2", map[string]any{
			"CertificatePkcs12Path":     file("rc2.p12", archive(t, pkcs12.LegacyRC2, leaf.key, leaf.cert, authorities, "pw")),
			"CertificatePkcs12Password": "pw",
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := newDouble(t)
			var out logs
			c.changes["EncodedJwk"] = ""
			c.changes["Kid"] = "ignored"
			source := sourceOf(t, srv, c.changes, httpclient.WithLogger(out.logger(0)))
			_, err := source.Token(t.Context())
			header := srv.Stats().LastAssertion.Header
			want := map[string]any{"alg": "RS256", "x5c": chainText(leaf.cert, authorities[1], authorities[0])}
			if diff := cmp.Diff(want, header); diff != "" {
				t.Errorf("got another header than the want: %s\nerror: %v", diff, err)
			}
			for _, warning := range []string{"the certificate expires on " + leaf.cert.NotAfter.Format("2006-01-02") + ", in 19 days", "Kid has no effect beside a certificate"} {
				if !strings.Contains(out.String(), warning) {
					t.Errorf("got no warning, want %q in\n%s", warning, out.String())
				}
			}
		})
	}
}

// A relative path is looked for in the working directory, and then in BaseDir.
func TestCertificatePaths(t *testing.T) {
	leaf, authorities := enterprise(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	good := archive(t, pkcs12.Modern, leaf.key, leaf.cert, authorities, "")
	working, base := t.TempDir(), t.TempDir()
	t.Chdir(working)
	for path, content := range map[string][]byte{
		filepath.Join(working, "both.p12"): good, filepath.Join(base, "both.p12"): []byte("not this one"), filepath.Join(base, "base.p12"): good,
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, works := range map[string]bool{
		"both.p12": true, "base.p12": true, filepath.Join(working, "both.p12"): true, filepath.Join(base, "both.p12"): false,
		"neither.p12": false, filepath.Join(working, "base.p12"): false,
	} {
		s := httpclient.MaskinportenSettings{Environment: "test", ClientID: "id", Scope: "s", CertificatePKCS12Path: path, BaseDir: base}
		if err := s.Validate(); (err == nil) != works {
			t.Errorf("%s: got %v, want it read: %v", path, err, works)
		}
	}
}

func TestRefusedCertificates(t *testing.T) {
	t.Parallel()
	now := time.Now()
	leaf, authorities := enterprise(t, now.Add(-time.Hour), now.Add(time.Hour))
	old, _ := enterprise(t, now.Add(-48*time.Hour), now.Add(-24*time.Hour))
	coming, _ := enterprise(t, now.Add(24*time.Hour), now.Add(48*time.Hour))
	ecKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ec := issue(t, "ec, for tests only", nil, ecKey, ecKey.Public(), now.Add(-time.Hour), now.Add(time.Hour))
	b64 := func(data []byte) string { return base64.StdEncoding.EncodeToString(data) }
	dir := t.TempDir()
	path := filepath.Join(dir, "locked.p12")
	if err := os.WriteFile(path, archive(t, pkcs12.Modern, leaf.key, leaf.cert, authorities, "right"), 0o600); err != nil {
		t.Fatal(err)
	}
	const day = "2006-01-02"
	cases := []struct {
		name     string
		settings httpclient.MaskinportenSettings
		want     string
	}{
		{"not base64", httpclient.MaskinportenSettings{EncodedX509: httpclient.NewSecret("%CANARY%")}, "EncodedX509 is not base64: set it to the base64 of a PKCS#12 archive (.p12, .pfx)"},
		{"not an archive", httpclient.MaskinportenSettings{EncodedX509: httpclient.NewSecret(encoded("CANARY"))}, "EncodedX509 is not a PKCS#12 archive (.p12, .pfx) of one certificate and its key"},
		{"a password that cannot be given", httpclient.MaskinportenSettings{EncodedX509: httpclient.NewSecret(b64(archive(t, pkcs12.Modern, leaf.key, leaf.cert, nil, "pw")))}, "EncodedX509 has a password: export it without one, or use CertificatePkcs12Path and CertificatePkcs12Password"},
		{"a wrong password", httpclient.MaskinportenSettings{CertificatePKCS12Path: path, CertificatePKCS12Password: httpclient.NewSecret("CANARY")}, "CertificatePkcs12Password is not the password of CertificatePkcs12Path: correct one of them"},
		{"no password", httpclient.MaskinportenSettings{CertificatePKCS12Path: path}, "CertificatePkcs12Password is missing: set it to the password of CertificatePkcs12Path"},
		{"no file", httpclient.MaskinportenSettings{CertificatePKCS12Path: filepath.Join("no", "such.p12")}, "CertificatePkcs12Path cannot be read: correct the path, which begins in the working directory or beside the settings file - no such file or directory"},
		{"expired", httpclient.MaskinportenSettings{EncodedX509: httpclient.NewSecret(b64(archive(t, pkcs12.Modern, old.key, old.cert, nil, "")))}, "EncodedX509: order a new certificate - the certificate expired on " + old.cert.NotAfter.Format(day)},
		{"not yet valid", httpclient.MaskinportenSettings{EncodedX509: httpclient.NewSecret(b64(archive(t, pkcs12.Modern, coming.key, coming.cert, nil, "")))}, "EncodedX509: wait, or use another certificate - the certificate is not valid before " + coming.cert.NotBefore.Format(day)},
		{"an elliptic curve", httpclient.MaskinportenSettings{EncodedX509: httpclient.NewSecret(b64(archive(t, pkcs12.Modern, ec.key, ec.cert, nil, "")))}, "EncodedX509 holds a key that is not an RSA key: Maskinporten takes RSA keys only"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.settings.Environment, c.settings.ClientID, c.settings.Scope = "test", "id", "s"
			err := c.settings.Validate()
			if want := "httpclient: " + c.want; message(err) != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if strings.Contains(prints(err), "CANARY") {
				t.Error("got an error that quotes a secret, want no quotation")
			}
		})
	}
}

// The certificate that belongs to the key is the leaf, wherever the archive has it,
// and an archive without one is refused.
func TestLeafIsTheKeysOwn(t *testing.T) {
	t.Parallel()
	leaf, authorities := enterprise(t, time.Now().Add(-time.Hour), time.Now().Add(24*365*time.Hour))
	turned := archive(t, pkcs12.Modern, leaf.key, authorities[0], []*x509.Certificate{leaf.cert, authorities[1]}, "")
	srv := newDouble(t)
	source := sourceOf(t, srv, map[string]any{"EncodedJwk": "", "EncodedX509": base64.StdEncoding.EncodeToString(turned)})
	_, _ = source.Token(t.Context())
	want := map[string]any{"alg": "RS256", "x5c": chainText(leaf.cert, authorities[1], authorities[0])}
	if diff := cmp.Diff(want, srv.Stats().LastAssertion.Header); diff != "" {
		t.Error(diff)
	}

	foreign := archive(t, pkcs12.Modern, leaf.key, authorities[0], authorities[1:], "")
	if _, err := httpclient.ParsePKCS12(foreign, ""); message(err) != "httpclient: the archive holds no certificate of its key" {
		t.Errorf("got %v, want an error about the missing certificate", err)
	}
	// A digest that nobody knows, in place of the MAC's SHA-256.
	odd := archive(t, pkcs12.Modern, leaf.key, leaf.cert, nil, "")
	sha256 := []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01}
	odd[bytes.LastIndex(odd, sha256)+len(sha256)-1] = 0x7f
	if _, err := httpclient.ParsePKCS12(odd, ""); message(err) != "httpclient: the archive is encrypted or protected in a way that is not supported: export it again with AES-256 and SHA-256" {
		t.Errorf("got %v, want an error about the way of protection", err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // it is to be refused
	if err != nil {
		t.Skip("this Go makes no small keys: ", err)
	}
	self := issue(t, "weak, for tests only", nil, weak, weak.Public(), time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	if _, err := httpclient.ParsePKCS12(archive(t, pkcs12.Modern, weak, self.cert, nil, ""), ""); !strings.Contains(message(err), "holds a key that is under 2048 bits") {
		t.Errorf("got %v, want an error about the size", err)
	}
}

// A key that is too large is refused by its length, because decoding it would take
// minutes. Nothing is read beyond the bound.
func TestArchivesTooLarge(t *testing.T) {
	t.Parallel()
	large, err := os.ReadFile("../testdata/keys/large.p12")
	if err != nil {
		t.Fatal(err)
	}
	// An encrypted key of 16,384 bits, as far as its length tells.
	keyBag := []byte{0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x02}
	bag, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: make([]byte, 9200)})
	if err != nil {
		t.Fatal(err)
	}
	const tooLarge = "holds a key that is over 8192 bits: make a new key of 2048 to 4096 bits"
	const tooLong = "is over 64 KB: a PKCS#12 archive of one key and its certificates is smaller"
	for name, c := range map[string]struct {
		archive []byte
		want    string
	}{
		"8,256 bits":              {large, tooLarge},
		"16,384 bits":             {append(append([]byte("x"), keyBag...), bag...), tooLarge},
		"16,384 bits, the second": {slices.Concat(keyBag, []byte{0xa0, 0}, keyBag, bag), tooLarge},
		"a name and no key":       {keyBag, "is not a PKCS#12 archive (.p12, .pfx) of one certificate and its key"},
		"64 KB":                   {make([]byte, 64<<10), "is not a PKCS#12 archive (.p12, .pfx) of one certificate and its key"},
		"more than 64 KB":         {make([]byte, 64<<10+1), tooLong},
	} {
		if _, err := httpclient.ParsePKCS12(c.archive, ""); message(err) != "httpclient: the archive "+c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	// A file without an end is not read to its end.
	s := httpclient.MaskinportenSettings{Environment: "test", ClientID: "id", Scope: "s", CertificatePKCS12Path: "/dev/zero"}
	if _, err := os.Stat(s.CertificatePKCS12Path); err != nil {
		t.Skip("this system has no endless file: ", err)
	}
	if err := s.Validate(); message(err) != "httpclient: CertificatePkcs12Path "+tooLong {
		t.Errorf("got %v, want %s", err, tooLong)
	}
}
