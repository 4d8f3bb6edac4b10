package netcause_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/internal/netcause"
	"github.com/portnokkel/portnokkel/internal/netcause/causetest"
)

const canary = causetest.Canary

// errQuoting is how net/http's errors come that quote a server.
var errQuoting = errors.New("malformed HTTP response " + canary)

// slowError is a time-out that no package of Go's makes.
type slowError struct{}

func (slowError) Error() string   { return canary }
func (slowError) Timeout() bool   { return true }
func (slowError) Temporary() bool { return true }

// Errors of transports that are not net/http's, or wrapped in other words: only known
// types pass.
func TestForeignErrors(t *testing.T) {
	t.Parallel()
	inURL := func(err error) error { return &url.Error{Op: "Get", URL: "https://x/" + canary, Err: err} }
	quoting := func(err error) error { return fmt.Errorf("%s: %w", canary, err) }
	address := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443}
	dial := func(op string, err error) error { return &net.OpError{Op: op, Net: "tcp", Addr: address, Err: err} }
	refused := &os.SyscallError{Syscall: "connect", Err: syscall.ECONNREFUSED}
	ofCanary := &x509.Certificate{DNSNames: []string{canary}, Subject: pkix.Name{CommonName: canary}}
	notFound := &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true, UnwrapErr: errQuoting}
	for name, c := range map[string]struct {
		err   error
		kind  netcause.Kind
		what  string
		found error // by errors.Is; nil for none
	}{
		"cancelled":                           {inURL(context.Canceled), netcause.Canceled, "the context was canceled", context.Canceled},
		"a dial that was cancelled":           {dial("dial", context.Canceled), netcause.Canceled, "the context was canceled", context.Canceled},
		"a dial to a proxy, cancelled":        {dial("proxyconnect", dial("dial", context.Canceled)), netcause.Canceled, "the context was canceled", context.Canceled},
		"deadline":                            {inURL(context.DeadlineExceeded), netcause.Timeout, "no answer in time", context.DeadlineExceeded},
		"system's deadline":                   {quoting(os.ErrDeadlineExceeded), netcause.Timeout, "no answer in time", os.ErrDeadlineExceeded},
		"deadline, of either name":            {context.DeadlineExceeded, netcause.Timeout, "no answer in time", os.ErrDeadlineExceeded},
		"a time-out of others":                {slowError{}, netcause.Timeout, "no answer in time", context.DeadlineExceeded},
		"a dial's deadline":                   {dial("dial", context.DeadlineExceeded), netcause.Timeout, "dial tcp 127.0.0.1:443: i/o timeout", context.DeadlineExceeded},
		"a dial's time-out of others":         {dial("dial", slowError{}), netcause.Timeout, "dial: no connection in time", context.DeadlineExceeded},
		"a dial to a proxy, too long":         {dial("proxyconnect", dial("dial", os.ErrDeadlineExceeded)), netcause.ProxyLost, "no connection to the proxy: dial tcp 127.0.0.1:443: i/o timeout", context.DeadlineExceeded},
		"a dialer of the program's":           {dial("dial", errQuoting), netcause.Unreachable, "dial: no connection (*errors.errorString)", nil},
		"refused, in other words":             {dial("dial", quoting(refused)), netcause.Refused, "dial tcp 127.0.0.1:443: connect: connection refused", syscall.ECONNREFUSED},
		"refused, in a call of others":        {dial("dial", &os.SyscallError{Syscall: "connect", Err: errQuoting}), netcause.Unreachable, "dial: no connection (*os.SyscallError)", nil},
		"no such host":                        {inURL(dial("dial", notFound)), netcause.Host, "lookup x: no such host", nil},
		"a resolver's failure":                {&net.DNSError{Err: "server misbehaving\r\n", Name: "x", IsTemporary: true}, netcause.DNS, "lookup x: server misbehaving  ", nil},
		"reset":                               {inURL(dial("read", os.NewSyscallError("read", syscall.ECONNRESET))), netcause.Closed, "the server closed the connection: read: connection reset by peer", syscall.ECONNRESET},
		"a bare system error":                 {syscall.EPIPE, netcause.Closed, "the server closed the connection: broken pipe", syscall.EPIPE},
		"another system error":                {dial("read", syscall.ENETDOWN), netcause.Unreachable, "network is down", syscall.ENETDOWN},
		"end":                                 {inURL(io.EOF), netcause.Closed, "the connection ended before the answer did", io.EOF},
		"early end":                           {quoting(io.ErrUnexpectedEOF), netcause.Closed, "the connection ended before the answer did", io.ErrUnexpectedEOF},
		"closed by us":                        {net.ErrClosed, netcause.Closed, "the connection ended before the answer did", net.ErrClosed},
		"GOAWAY":                              {errors.New(`http2: server sent GOAWAY and closed the connection; debug="` + canary + `"`), netcause.Closed, "the server closed the connection (HTTP/2)", nil},
		"a reset stream":                      {quoting(errors.New("stream error: stream ID 1; INTERNAL_ERROR; received from peer")), netcause.Closed, "the server closed the connection (HTTP/2)", nil},
		"alert":                               {dial("remote error", tls.AlertError(40)), netcause.Alert, "remote error tcp 127.0.0.1:443: tls: handshake failure", tls.AlertError(40)},
		"not TLS":                             {tls.RecordHeaderError{Msg: canary, RecordHeader: [5]byte{'c', '4', 'n', '4', 'r'}}, netcause.NotTLS, "tls: first record does not look like a TLS handshake", nil},
		"plain HTTP":                          {inURL(tls.RecordHeaderError{Msg: canary, RecordHeader: [5]byte{'H', 'T', 'T', 'P', '/'}}), netcause.NotTLS, "http: server gave HTTP response to HTTPS client", http.ErrSchemeMismatch},
		"a proxy's certificate":               {dial("proxyconnect", &tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{ofCanary}, Err: x509.UnknownAuthorityError{Cert: ofCanary}}), netcause.ProxyLost, "no connection to the proxy: the certificate is not trusted", x509.UnknownAuthorityError{}},
		"a certificate that cannot be tested": {&tls.CertificateVerificationError{Err: errQuoting}, netcause.Authority, "the certificate is not trusted", x509.UnknownAuthorityError{}},
		"unknown authority":                   {quoting(x509.UnknownAuthorityError{Cert: ofCanary}), netcause.Authority, "the certificate is not trusted", x509.UnknownAuthorityError{}},
		"another host":                        {quoting(x509.HostnameError{Certificate: ofCanary, Host: "b.example"}), netcause.Name, "the certificate is not for b.example", nil},
		"another host, no certificate":        {x509.HostnameError{Host: "b.example"}, netcause.Name, "the certificate is not for b.example", nil},
		"a certificate's use":                 {x509.CertificateInvalidError{Cert: ofCanary, Reason: x509.NotAuthorizedToSign, Detail: canary}, netcause.Authority, "the certificate is not trusted", nil},
		"a certificate's time":                {x509.CertificateInvalidError{Cert: ofCanary, Reason: x509.Expired, Detail: canary}, netcause.Expired, "the certificate is expired or not yet valid", x509.CertificateInvalidError{Reason: x509.Expired}},
		"a certificate's odd time":            {x509.CertificateInvalidError{Reason: x509.Expired, Detail: "current time " + canary + " is after 2026-01-01T00:00:00Z"}, netcause.Expired, "the certificate is expired or not yet valid", nil},
		"a certificate's odd limit":           {x509.CertificateInvalidError{Reason: x509.Expired, Detail: "current time 2026-01-01T00:00:00Z is after " + canary}, netcause.Expired, "the certificate is expired or not yet valid", nil},
		"a SOCKS proxy":                       {dial("socks connect", errQuoting), netcause.ProxyRefused, "the proxy opens no connection to the host", nil},
		"a proxy's phrase":                    {inURL(errors.New("Proxy Authentication Required")), netcause.ProxyRefused, "the proxy refused the tunnel: 407 Proxy Authentication Required", nil},
		"a read, not a dial":                  {dial("read", errQuoting), netcause.Unknown, "no readable answer (*errors.errorString)", nil},
		"a quoting error":                     {inURL(quoting(errQuoting)), netcause.Unknown, "no readable answer (*errors.errorString)", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := netcause.Read(c.err)
			if got.Kind != c.kind || got.Error() != c.what {
				t.Errorf("got  %d, %q\nwant %d, %q", got.Kind, got, c.kind, c.what)
			}
			if c.found != nil && !errors.Is(got, c.found) {
				t.Errorf("got %v, want %v in its chain", got, c.found)
			}
			if again := netcause.Read(fmt.Errorf("azcore: %w", got)); again.Error() != got.Error() || again.Kind != got.Kind {
				t.Errorf("read twice: got %s, want %s", again, got)
			}
			if got.Cure("the address") == "" != (got.Kind == netcause.Canceled) {
				t.Errorf("got the cure %q, want one if the caller did not give up", got.Cure("the address"))
			}
			text := got.Cure("the address") + logtest.Reachable(got)
			for err := error(got); err != nil; err = errors.Unwrap(err) {
				text += fmt.Sprintf("%v %+v %#v", err, err, err)
			}
			if strings.Contains(text, canary) || errors.Is(got, errQuoting) {
				t.Errorf("got a server's words, want them nowhere: %s", text)
			}
		})
	}
}

// An alert that may pass is tried again.
func TestAlertThatMayPass(t *testing.T) {
	t.Parallel()
	for alert, permanent := range map[tls.AlertError]bool{80: false, 40: true} {
		if got := netcause.Read(&net.OpError{Op: "remote error", Err: alert}); got.Permanent != permanent {
			t.Errorf("%v: got permanent %t, want %t", alert, got.Permanent, permanent)
		}
	}
}

// Typed knows no error by its text, which code that is not net/http's may have as well.
func TestTyped(t *testing.T) {
	t.Parallel()
	for _, err := range []error{nil, errors.New("Forbidden"), errors.New("http2: x"), errQuoting} {
		if got := netcause.Typed(err); got != nil {
			t.Errorf("%v: got %v, want nil", err, got)
		}
	}
	if got := netcause.Typed(io.EOF); got == nil || got.Kind != netcause.Closed {
		t.Errorf("EOF: got %v, want the closed connection", got)
	}
}

// Every kind has a text of its own, and a nil or zero Error is harmless.
func TestOf(t *testing.T) {
	t.Parallel()
	for kind := netcause.Unknown; kind <= netcause.Page; kind++ {
		e := netcause.Of(kind)
		if e.Error() == "" || strings.ContainsAny(e.Cure("the address"), "{}") || e.Cure("the address") == "" != (kind == netcause.Canceled) {
			t.Errorf("%d: got %q and the cure %q, want both", kind, e, e.Cure("the address"))
		}
	}
	var none *netcause.Error
	if none.Error() != "no error" || none.Unwrap() != nil || none.Cure("") != "" || errors.Is(none, context.DeadlineExceeded) {
		t.Errorf("nil: got %q, want no error", none)
	}
	zero := new(netcause.Error)
	if zero.Error() != "" || zero.Unwrap() != nil || errors.Is(zero, context.DeadlineExceeded) {
		t.Errorf("zero: got %q, want an empty error", zero)
	}
}
