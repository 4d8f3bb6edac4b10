package netcause

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"regexp"
	"time"
)

// readTLS knows what ends a TLS handshake. The texts of certificate errors may hold
// names that the server chose, so that only their kind is kept.
func readTLS(err error) *Error {
	if found := readCertificate(err); found != nil {
		return found
	}
	var (
		record tls.RecordHeaderError
		alert  *net.OpError
	)
	switch {
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/":
		return of(NotTLS, http.ErrSchemeMismatch.Error(), http.ErrSchemeMismatch)
	case errors.As(err, &record):
		return of(NotTLS, "tls: first record does not look like a TLS handshake", nil)
	case errors.As(err, &alert) && alert.Op == "remote error": // RFC 8446 section 6.2, as crypto/tls wraps it
		found := of(Alert, clean(alert.Error()), alert)
		if alert.Err.Error() == "tls: internal error" { // it may pass
			found.Permanent = false
		}
		return found
	}
	return nil
}

func readCertificate(err error) *Error {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &hostname):
		found := of(Name, "the certificate is not for "+clean(hostname.Host), x509.HostnameError{Certificate: &x509.Certificate{}, Host: hostname.Host})
		found.Host = hostname.Host
		if domain := vaultDomain(hostname.Certificate); domain != "" {
			found.What += ", but for key vaults"
			found.cure = curePrivate("NAME" + domain)
		}
		return found
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return of(Expired, expiry(invalid.Detail), x509.CertificateInvalidError{Reason: x509.Expired})
	case errors.As(err, &authority), errors.As(err, &invalid), errors.As(err, &verify):
		return of(Authority, "", x509.UnknownAuthorityError{})
	}
	return nil
}

// validity is how crypto/x509 tells that a certificate is not valid at a time.
var validity = regexp.MustCompile(`^current time (\S+) is (before|after) (\S+)$`)

// expiry says since or from when the certificate is not valid, and by which clock. It
// quotes nothing but two times.
func expiry(detail string) string {
	m := validity.FindStringSubmatch(detail)
	if m == nil {
		return whats[Expired]
	}
	now, err := time.Parse(time.RFC3339, m[1])
	limit, err2 := time.Parse(time.RFC3339, m[3])
	if err != nil || err2 != nil {
		return whats[Expired]
	}
	what := "the certificate expired at "
	if m[2] == "before" {
		what = "the certificate is not valid before "
	}
	const minute = "2006-01-02 15:04 UTC"
	return what + limit.UTC().Format(minute) + "; by this machine's clock it is " + now.UTC().Format(minute)
}
