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
	"testing"
)

// Only texts of known errors pass: anything else may quote what a server sent.
func TestReadNetwork(t *testing.T) {
	t.Parallel()
	address := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443}
	refused := &os.SyscallError{Syscall: "connect", Err: syscall.ECONNREFUSED}
	dial := func(op string, err error) error { return &net.OpError{Op: op, Net: "tcp", Addr: address, Err: err} }
	canary := errors.New("CANARY")
	for name, c := range map[string]struct {
		err  error
		want string
		cure string
	}{
		"refused":                    {dial("dial", refused), "dial tcp 127.0.0.1:443: connect: connection refused", "nothing answers at that address"},
		"refused at the proxy":       {dial("proxyconnect", dial("dial", refused)), "proxyconnect tcp 127.0.0.1:443: dial tcp 127.0.0.1:443: connect: connection refused", "nothing answers at that address"},
		"a dialer of the program's":  {dial("dial", canary), "dial: no connection (*errors.errorString)", cureRoute},
		"the same at the proxy":      {dial("proxyconnect", dial("dial", canary)), "proxyconnect: no connection (*net.OpError)", cureRoute},
		"a read, not a dial":         {dial("read", canary), "no readable answer (*errors.errorString)", cureElsewhere},
		"dial, too long":             {dial("dial", context.DeadlineExceeded), "dial tcp 127.0.0.1:443: context deadline exceeded", cureTime},
		"dial, too long by a timer":  {dial("dial", os.ErrDeadlineExceeded), "dial tcp 127.0.0.1:443: i/o timeout", cureTime},
		"dial, canceled":             {dial("dial", context.Canceled), "dial tcp 127.0.0.1:443: context canceled", cureRoute},
		"dial, a time-out of others": {dial("dial", slowError{}), "dial: timed out", cureTime},
		"a name":                     {dial("dial", &net.DNSError{Err: "no such host", Name: "h"}), "lookup h: no such host", "the host name does not resolve"},
		"reset":                      {dial("read", syscall.ECONNRESET), "the server closed the connection", cureBroken},
		"broken pipe":                {dial("write", syscall.EPIPE), "the server closed the connection", cureBroken},
		"half an answer":             {fmt.Errorf("CANARY: %w", io.ErrUnexpectedEOF), "the connection ended before the answer did", cureBroken},
		"a time-out of others":       {slowError{}, "timed out", cureTime},
		"wrapped in other words":     {fmt.Errorf("CANARY: %w", canary), "no readable answer (*errors.errorString)", cureElsewhere},
		"HTTP/2":                     {errors.New("http2: CANARY"), "the server closed the connection (HTTP/2)", cureBroken},
		"canceled":                   {fmt.Errorf("CANARY: %w", context.Canceled), "context canceled", cureRoute},
		"a scheme":                   {fmt.Errorf("CANARY: %w", http.ErrSchemeMismatch), http.ErrSchemeMismatch.Error(), cureNoTLS},
		"an alert of another server": {&net.OpError{Op: "remote error", Err: errors.New("tls: internal error")}, "remote error: tls: internal error", cureBroken},
		"an authority":               {fmt.Errorf("CANARY: %w", x509.UnknownAuthorityError{}), "the certificate is not trusted", "install the root certificates"},
		"a certificate's use":        {fmt.Errorf("CANARY: %w", x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign, Detail: "CANARY"}), "the certificate is not trusted", "install the root certificates"},
		"a certificate's time":       {fmt.Errorf("CANARY: %w", x509.CertificateInvalidError{Reason: x509.Expired, Detail: "CANARY"}), "the certificate is expired or not yet valid", "check this machine's clock"},
		"verification, otherwise":    {&tls.CertificateVerificationError{Err: canary}, "the certificate is not trusted", "install the root certificates"},
		"another host":               {x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"other.example"}}, Host: "h.example"}, "the certificate is not for h.example", "another server answers there"},
		"dial, in other words":       {dial("dial", fmt.Errorf("CANARY: %w", refused)), "dial tcp 127.0.0.1:443: connect: connection refused", "nothing answers at that address"},
		"another server's name":      {fmt.Errorf("CANARY: %w", x509.HostnameError{Host: "h", Certificate: &x509.Certificate{}}), "the certificate is not for h", "another server answers there"},
		"an old certificate":         {fmt.Errorf("CANARY: %w", x509.CertificateInvalidError{Reason: x509.Expired, Detail: "now"}), "the certificate is expired or not yet valid", "check this machine's clock"},
		"an odd certificate":         {fmt.Errorf("CANARY: %w", x509.CertificateInvalidError{Reason: x509.TooManyIntermediates}), "the certificate is not trusted", "install the root certificates"},
		"an unknown authority":       {fmt.Errorf("CANARY: %w", x509.UnknownAuthorityError{}), "the certificate is not trusted", "install the root certificates"},
		"a certificate of a server":  {fmt.Errorf("CANARY: %w", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), "the certificate is not trusted", "install the root certificates"},
		"our own, no response":       {errNoResponse, errNoResponse.Error(), "check what WithTokenTransport was given"},
		"our own, no URL":            {errBadURL, errBadURL.Error(), "check the URL in the settings"},
	} {
		got := readNetwork(c.err)
		if got.err.Error() != c.want || !strings.HasPrefix(got.cure, c.cure) {
			t.Errorf("%s: got %q and %q, want %q and %q", name, got.err, got.cure, c.want, c.cure)
		}
		for err := got.err; err != nil; err = errors.Unwrap(err) {
			if shown := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(shown, "CANARY") {
				t.Errorf("%s: got %s, want no CANARY", name, shown)
			}
		}
	}
}

// slowError is a time-out that no package of Go's makes.
type slowError struct{}

func (slowError) Error() string   { return "CANARY" }
func (slowError) Timeout() bool   { return true }
func (slowError) Temporary() bool { return true }
