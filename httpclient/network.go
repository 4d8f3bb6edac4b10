package httpclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
)

// network is what the failure of a request without an answer means.
type network struct {
	err       error // its text quotes nothing that a server sent
	cure      string
	permanent bool // trying again cannot help
}

// networkError is an error whose text is known: that of net/http may quote what a
// server sent, which may be a token.
type networkError struct {
	text string
	err  error // of a known type, or nil
}

func (e *networkError) Error() string { return e.text }
func (e *networkError) Unwrap() error { return e.err }

const (
	cureElsewhere = "something else answers in the server's place: check the URL in the settings, and the proxy"
	cureBroken    = "the connection broke: the request is tried again later"
	cureTime      = "no answer in time: check the network, the proxy and the egress rules"
	cureNoTLS     = "the server does not speak TLS: check the URL's scheme and port"
	cureRoute     = "check the network, the proxy and the egress rules"
)

// readNetwork lets through the texts of known errors only.
func readNetwork(err error) network {
	for _, read := range []func(error) (network, bool){readOwn, readDial, readTLS, readConnection} {
		if n, known := read(err); known {
			return n
		}
	}
	return network{err: &networkError{text: fmt.Sprintf("no readable answer (%T)", root(err))}, cure: cureElsewhere}
}

// root is the innermost error, whose type says most.
func root(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// readOwn knows the errors of this package.
func readOwn(err error) (network, bool) {
	var proxy *proxyError
	var odd *misbehaved
	switch {
	case errors.As(err, &proxy):
		return network{proxy, "check HTTPS_PROXY and NO_PROXY, and whether the proxy lets this machine reach the host", !isTemporary(proxy.status)}, true
	case errors.As(err, &odd):
		return network{odd, "check what WithTokenTransport was given", false}, true
	case errors.Is(err, errNoResponse):
		return network{errNoResponse, "check what WithTokenTransport was given", false}, true
	case errors.Is(err, errTooLong):
		return network{errTooLong, cureElsewhere, false}, true
	case errors.Is(err, errBadURL):
		return network{errBadURL, "check the URL in the settings", true}, true
	}
	return network{}, false
}

// readDial knows what stands in the way of a connection: no server sent anything yet.
func readDial(err error) (network, bool) {
	var (
		dns  *net.DNSError
		dial *net.OpError
	)
	switch {
	case errors.As(err, &dns):
		return network{dns, "the host name does not resolve: check the spelling in the settings, and this machine's DNS and egress rules", false}, true
	case !errors.As(err, &dial) || dial.Op != "dial" && dial.Op != "proxyconnect":
		return network{}, false
	}
	n := network{cure: cureRoute}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		n.cure = "nothing answers at that address: check the URL, the proxy and the egress rules"
	case dial.Timeout():
		n.cure = cureTime
	}
	n.err = &networkError{text: dialText(dial), err: known(dial)}
	return n, true
}

// dialText is the error's own text, if all of it comes from this machine.
func dialText(dial *net.OpError) string {
	if inner := known(dial.Err); inner != nil {
		return over(dial, inner).Error()
	}
	if dial.Timeout() {
		return dial.Op + ": timed out"
	}
	return fmt.Sprintf("%s: no connection (%T)", dial.Op, dial.Err)
}

// over is the error with another one below it.
func over(dial *net.OpError, inner error) *net.OpError {
	return &net.OpError{Op: dial.Op, Net: dial.Net, Source: dial.Source, Addr: dial.Addr, Err: inner}
}

// known gives the part of an error whose text is known, or nil.
func known(err error) error {
	var (
		dial  *net.OpError
		call  *os.SyscallError
		errno syscall.Errno
	)
	switch {
	case errors.As(err, &dial) && dial.Op == "dial" && known(dial.Err) != nil:
		return over(dial, known(dial.Err))
	case errors.As(err, &call):
		return call
	case errors.As(err, &errno):
		return errno
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	}
	return nil
}

// readTLS knows what ends a TLS handshake. The texts of certificate errors may hold
// names that the server chose, so that only their kind is kept.
func readTLS(err error) (network, bool) {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &hostname):
		return network{
			&networkError{"the certificate is not for " + hostname.Host, x509.HostnameError{Certificate: &x509.Certificate{}, Host: hostname.Host}},
			"another server answers there: check the URL, this machine's DNS and the proxy", true,
		}, true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return network{
			&networkError{"the certificate is expired or not yet valid", x509.CertificateInvalidError{Reason: x509.Expired}},
			"check this machine's clock; if it is right, the server's owner must renew the certificate", true,
		}, true
	case errors.As(err, &authority), errors.As(err, &invalid), errors.As(err, &verify):
		return network{
			&networkError{"the certificate is not trusted", x509.UnknownAuthorityError{}},
			"install the root certificates on this machine (in a container the package ca-certificates), and that of a proxy that opens TLS", true,
		}, true
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/":
		return network{http.ErrSchemeMismatch, cureNoTLS, true}, true
	case errors.As(err, &record):
		return network{&networkError{text: "tls: first record does not look like a TLS handshake"}, cureNoTLS, true}, true
	}
	if alert := alertOf(err); alert != nil {
		if alert.Err.Error() == "tls: internal error" { // it may pass
			return network{alert, cureBroken, false}, true
		}
		return network{
			alert,
			"the server refuses the TLS connection: check the URL and the proxy, and whether either wants another TLS version or a client's certificate", true,
		}, true
	}
	return network{}, false
}

// alertOf finds the alert with which a server ended the TLS handshake (RFC 8446
// section 6.2), as crypto/tls wraps it. It is nil without an alert.
func alertOf(err error) *net.OpError {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return op
	}
	return nil
}

// readConnection knows what ends a connection before the answer is whole.
func readConnection(err error) (network, bool) {
	var timeout net.Error
	text := err.Error()
	switch {
	case root(err) == context.DeadlineExceeded: //nolint:errorlint // net/http's own time-outs are one too, and say more
		return network{context.DeadlineExceeded, cureTime, false}, true
	case errors.Is(err, context.Canceled):
		return network{context.Canceled, cureRoute, false}, true
	case errors.As(err, &timeout) && timeout.Timeout():
		return network{&networkError{timeoutText(err), os.ErrDeadlineExceeded}, cureTime, false}, true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return network{&networkError{"the connection ended before the answer did", io.ErrUnexpectedEOF}, cureBroken, false}, true
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return network{&networkError{"the server closed the connection", known(err)}, cureBroken, false}, true
	case strings.Contains(text, "GOAWAY"), strings.Contains(text, "stream error: "), strings.Contains(text, "http2: "):
		// net/http does not export HTTP/2's errors.
		return network{&networkError{text: "the server closed the connection (HTTP/2)"}, cureBroken, false}, true
	}
	return network{}, false
}

// timeoutText keeps net/http's words about what took too long.
func timeoutText(err error) string {
	for _, text := range []string{"net/http: TLS handshake timeout", "net/http: timeout awaiting response headers"} {
		if root(err).Error() == text {
			return text
		}
	}
	return "timed out"
}

// proxyError says that a proxy opens no tunnel.
type proxyError struct {
	host   string
	status int
}

func (e *proxyError) Error() string {
	return fmt.Sprintf("the proxy %s answered %d %s", e.host, e.status, http.StatusText(e.status))
}
