package azure

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
)

// lostError is why a request got no whole answer. Many of net/http's errors quote
// what a server sent, and that may be a secret. So neither its text nor what it
// unwraps to is anything but an error of a type that is known to quote nothing.
type lostError struct {
	kind  kind
	cause error // nil if the error is of no such type
}

func (e lostError) Error() string {
	if e.cause == nil {
		return meaningOf(e.kind)
	}
	return clean(e.cause.Error())
}

func (e lostError) Unwrap() error { return e.cause }

// readTransport reads the error of an *http.Client or another transport.
func readTransport(err error) lostError {
	var lost lostError
	if errors.As(err, &lost) {
		return lost
	}
	// url.Error repeats the method and address.
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	if lost = readTyped(err); lost.cause != nil {
		return lost
	}
	if refused := byReasonPhrase(err); refused != nil {
		return lostError{kindProxy, refused}
	}
	return lost
}

// readTyped goes by the types of errors only.
func readTyped(err error) lostError {
	var (
		refused *proxyError
		dns     *net.DNSError
		record  tls.RecordHeaderError
		op      *net.OpError
	)
	if cert := readCertificate(err); cert != nil {
		return lostError{kindCertificate, cert}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return lostError{kindCanceled, context.Canceled}
	case errors.As(err, &refused):
		return lostError{kindProxy, refused}
	case errors.As(err, &dns) && dns.IsNotFound:
		return lostError{kindHost, dns}
	case errors.As(err, &dns):
		return lostError{kindNetwork, dns}
	case errors.As(err, &record):
		return lostError{kindNotTLS, errors.New(record.Msg)}
	case errors.Is(err, http.ErrSchemeMismatch):
		return lostError{kindNotTLS, http.ErrSchemeMismatch}
	case errors.As(err, &op) && op.Op == "remote error":
		return lostError{kindAlert, op} // RFC 8446 section 6.2, as crypto/tls wraps it
	case errors.As(err, &op):
		if inner := readTyped(op.Err); inner.cause != nil {
			return lostError{inner.kind, op} // it adds only addresses
		}
	case errors.Is(err, errNothing):
		return lostError{kindNoAnswer, errNothing}
	}
	return readPlain(err)
}

// certificateError says what is wrong with a certificate, without a word of it: a
// server chooses its names. It unwraps to the kind, an error of crypto/x509 that
// holds no certificate.
type certificateError struct {
	text string
	kind error
}

func (e *certificateError) Error() string { return e.text }
func (e *certificateError) Unwrap() error { return e.kind }

// readCertificate is nil for an error that is not about a certificate.
func readCertificate(err error) *certificateError {
	var (
		known    *certificateError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		unknown  x509.UnknownAuthorityError
		failed   *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &hostname):
		return &certificateError{
			"the certificate is not for " + hostname.Host,
			x509.HostnameError{Certificate: &x509.Certificate{}, Host: hostname.Host},
		}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return &certificateError{"the certificate is expired or not yet valid", x509.CertificateInvalidError{Reason: x509.Expired}}
	case errors.As(err, &invalid), errors.As(err, &unknown), errors.As(err, &failed):
		return &certificateError{"the certificate is not trusted", x509.UnknownAuthorityError{}}
	}
	return nil
}

// readPlain reads errors that say one thing.
func readPlain(err error) lostError {
	var (
		errno   syscall.Errno
		timeout net.Error
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return lostError{kindDeadline, context.DeadlineExceeded}
	case errors.As(err, &errno):
		return lostError{kindNetwork, errno}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return lostError{kindNetwork, io.ErrUnexpectedEOF}
	case errors.Is(err, io.EOF):
		return lostError{kindNetwork, io.EOF}
	case errors.Is(err, net.ErrClosed):
		return lostError{kindNetwork, net.ErrClosed}
	}
	return lostError{kindNoAnswer, nil}
}
