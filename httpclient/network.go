package httpclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// unreachable makes an error of a request that got no whole answer.
func (e *TokenError) unreachable(err error) {
	e.Err = withoutAnswer(err)
	e.Temporary = !isPermanentNetwork(e.Err)
	e.wide = !e.Temporary
	e.Hint = networkHint(e.Err)
}

var (
	errTooLong = fmt.Errorf("the answer is over %d bytes", maxAnswer)
	errNotHTTP = errors.New("the answer is not HTTP as it should be")
	errGoAway  = errors.New("the server closed the connection") // HTTP/2's GOAWAY
	errAstray  = errors.New("the answer is a redirect to what is no address")
)

// withoutAnswer replaces those errors of net/http that quote what a server sent:
// it may be a token.
func withoutAnswer(err error) error {
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return err // no server sent anything, and a host's name may hold any word
	}
	if strings.Contains(err.Error(), "Location header") {
		return errAstray
	}
	for _, quoting := range []string{"malformed", "Content-Length", "ransfer encoding", "invalid header", "chunk"} {
		if strings.Contains(err.Error(), quoting) {
			return errNotHTTP
		}
	}
	if strings.Contains(err.Error(), "GOAWAY") {
		return errGoAway
	}
	if alert := alertOf(err); alert != nil {
		return alert // net/http may wrap it in words of its own workings
	}
	return err
}

// proxyError says that a proxy opens no tunnel.
type proxyError struct {
	host   string
	status int
}

func (e *proxyError) Error() string {
	return fmt.Sprintf("the proxy %s answered %d %s", e.host, e.status, http.StatusText(e.status))
}

// networkHint is the cure where there was no answer.
func networkHint(err error) string {
	var (
		dns              *net.DNSError
		proxy            *proxyError
		unknownAuthority x509.UnknownAuthorityError
		hostname         x509.HostnameError
		invalid          x509.CertificateInvalidError
		record           tls.RecordHeaderError
		network          net.Error
	)
	switch {
	case errors.As(err, &dns):
		return "the host name does not resolve: check the spelling in the settings, and this machine's DNS and egress rules"
	case errors.As(err, &proxy):
		return "check HTTPS_PROXY and NO_PROXY, and whether the proxy lets this machine reach the host"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing answers at that address: check the URL, the proxy and the egress rules"
	case errors.As(err, &hostname):
		return "another server answers there: check the URL, this machine's DNS and the proxy"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "check this machine's clock; if it is right, the server's owner must renew the certificate"
	case errors.As(err, &unknownAuthority), errors.As(err, &invalid):
		return "install the root certificates on this machine (in a container the package ca-certificates), and that of a proxy that opens TLS"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return "the server does not speak TLS: check the URL's scheme and port"
	case isDisagreement(alertOf(err)):
		return "the server refuses the TLS connection: check the URL and the proxy, and whether either wants another TLS version or a client's certificate"
	case errors.Is(err, errPanicked):
		return "check what WithTokenTransport was given"
	case errors.Is(err, errAstray):
		return statusHint(http.StatusFound)
	case errors.Is(err, errNotHTTP), errors.Is(err, errTooLong):
		return "something else answers in the server's place: check the URL in the settings, and the proxy"
	case errors.Is(err, errGoAway), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), strings.Contains(err.Error(), "stream error: "):
		return "the connection broke: it is tried again later"
	case errors.As(err, &network) && network.Timeout():
		return "no answer in time: check the network, the proxy and the egress rules"
	}
	return "check the network, the proxy and the egress rules"
}

// alertOf finds the alert with which a server ended the TLS handshake (RFC 8446
// section 6.2), as crypto/tls wraps it; nil where there was none.
func alertOf(err error) *net.OpError {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" {
		return op
	}
	return nil
}

// isDisagreement tells such an alert from one of trouble that may pass.
func isDisagreement(alert *net.OpError) bool {
	return alert != nil && alert.Err.Error() != "tls: internal error"
}

// isPermanentNetwork reports whether trying again cannot help.
func isPermanentNetwork(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		record       tls.RecordHeaderError
		proxy        *proxyError
	)
	return errors.Is(err, errAstray) || errors.As(err, &verification) || errors.As(err, &record) || errors.Is(err, http.ErrSchemeMismatch) ||
		isDisagreement(alertOf(err)) || errors.As(err, &proxy) && !isTemporary(proxy.status)
}
