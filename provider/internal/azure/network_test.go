package azure

import (
	"bufio"
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

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/internal/logtest"
)

// TestTransportErrors holds what is passed on of a transport's error.
func TestTransportErrors(t *testing.T) {
	t.Parallel()
	inURL := func(err error) error { return &url.Error{Op: "Get", URL: "https://x/" + canary, Err: err} }
	ofCanary := &x509.Certificate{DNSNames: []string{canary}, Subject: pkix.Name{CommonName: canary}}
	cases := []struct {
		name  string
		err   error
		kind  kind
		text  string
		found error // by errors.Is
	}{
		{"cancelled", inURL(context.Canceled), kindCanceled, "context canceled", context.Canceled},
		{"deadline", inURL(context.DeadlineExceeded), kindDeadline, "context deadline exceeded", context.DeadlineExceeded},
		{"system's deadline", os.ErrDeadlineExceeded, kindDeadline, "context deadline exceeded", context.DeadlineExceeded},
		{"a connection's time-out", &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}, kindDeadline, "dial tcp: i/o timeout", os.ErrDeadlineExceeded},
		{"no such host", inURL(&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}}), kindHost, "lookup x: no such host", nil},
		{"a resolver's failure", &net.DNSError{Err: "server misbehaving", Name: "x", IsTemporary: true}, kindNetwork, "lookup x: server misbehaving", nil},
		{"refused connection", &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, kindNetwork, "dial tcp: connect: connection refused", syscall.ECONNREFUSED},
		{"reset", inURL(&net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}), kindNetwork, "read tcp: read: connection reset by peer", syscall.ECONNRESET},
		{"a bare system error", syscall.EPIPE, kindNetwork, "broken pipe", syscall.EPIPE},
		{"to a proxy", &net.OpError{Op: "proxyconnect", Net: "tcp", Err: &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}}, kindNetwork, "proxyconnect tcp: dial tcp: connection refused", syscall.ECONNREFUSED},
		{"end", inURL(io.EOF), kindNetwork, "EOF", io.EOF},
		{"early end", fmt.Errorf("x: %w", io.ErrUnexpectedEOF), kindNetwork, "unexpected EOF", io.ErrUnexpectedEOF},
		{"closed", net.ErrClosed, kindNetwork, "use of closed network connection", net.ErrClosed},
		{"alert", &net.OpError{Op: "remote error", Err: tls.AlertError(40)}, kindAlert, "remote error: tls: handshake failure", tls.AlertError(40)},
		{"not TLS", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake", RecordHeader: [5]byte{'c', '4', 'n', '4', 'r'}}, kindNotTLS, "first record does not look like a TLS handshake", nil},
		{"plain HTTP", inURL(http.ErrSchemeMismatch), kindNotTLS, "http: server gave HTTP response to HTTPS client", http.ErrSchemeMismatch},
		{"certificate", inURL(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), kindCertificate, "the certificate is not trusted", x509.UnknownAuthorityError{}},
		{"a proxy's certificate", &net.OpError{Op: "proxyconnect", Net: "tcp", Err: &tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{ofCanary}, Err: x509.UnknownAuthorityError{Cert: ofCanary}}}, kindCertificate, "the certificate is not trusted", x509.UnknownAuthorityError{}},
		{"a certificate that cannot be checked", &tls.CertificateVerificationError{Err: errQuoting}, kindCertificate, "the certificate is not trusted", x509.UnknownAuthorityError{}},
		{"bare unknown authority", x509.UnknownAuthorityError{Cert: ofCanary}, kindCertificate, "the certificate is not trusted", x509.UnknownAuthorityError{}},
		{"bare host name", x509.HostnameError{Certificate: ofCanary, Host: "b.example"}, kindCertificate, "the certificate is not for b.example", nil},
		{"bare invalid certificate", x509.CertificateInvalidError{Cert: ofCanary, Reason: x509.NotAuthorizedToSign, Detail: canary}, kindCertificate, "the certificate is not trusted", nil},
		{"expired certificate", x509.CertificateInvalidError{Cert: ofCanary, Reason: x509.Expired, Detail: canary}, kindCertificate, "the certificate is expired or not yet valid", x509.CertificateInvalidError{Reason: x509.Expired}},
		{"proxy", inURL(newProxyError(nil, 407)), kindProxy, "the proxy refused the tunnel: 407 Proxy Authentication Required", nil},
		{"proxy's own words", inURL(errors.New("Proxy Authentication Required")), kindProxy, "the proxy refused the tunnel: 407 Proxy Authentication Required", nil},
		{"nothing", errNothing, kindNoAnswer, "the transport returned neither an answer nor an error", errNothing},
		{"a quoting error", inURL(errQuoting), kindNoAnswer, "there was no answer, or none that HTTP allows", nil},
		{"a quoting error of a dial", &net.OpError{Op: "dial", Err: errQuoting}, kindNoAnswer, "there was no answer, or none that HTTP allows", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := readTransport(c.err)
			if got.kind != c.kind || got.Error() != c.text {
				t.Errorf("got  %d, %s\nwant %d, %s", got.kind, got, c.kind, c.text)
			}
			if c.found != nil && !errors.Is(got, c.found) {
				t.Errorf("got %v, want %v in its chain", got, c.found)
			}
			if again := readTransport(fmt.Errorf("azcore: %w", got)); again.Error() != got.Error() {
				t.Errorf("read twice: got %s, want %s", again, got)
			}
			if errors.Is(got, errQuoting) {
				t.Error("the quoting error is in the chain")
			}
			if text := fmt.Sprintf("%v %+v", got, got.cause) + logtest.Reachable(got); strings.Contains(text, canary) {
				t.Errorf("got a server's words, want them nowhere: %s", text)
			}
		})
	}
}

// TestFailsAtOnce shows what is not tried again, and how often the rest is.
func TestFailsAtOnce(t *testing.T) {
	t.Parallel()
	notFound := &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}
	cases := []struct {
		name string
		err  error
		want int
	}{
		{"alert", &net.OpError{Op: "remote error", Err: tls.AlertError(40)}, 1},
		{"certificate", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, 1},
		{"not TLS", http.ErrSchemeMismatch, 1},
		{"proxy", newProxyError(nil, 502), 1},
		{"unknown host", notFound, 2},
		{"reset", syscall.ECONNRESET, 4},
		{"a quoting error", errQuoting, 4},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			s := open(t, &credential{}, transporter(func(*http.Request) (*http.Response, error) {
				asked++
				return nil, c.err
			}))
			if _, err := s.Get(t.Context(), "A", ""); err == nil || asked != c.want {
				t.Errorf("%v after %d tries, want %d", err, asked, c.want)
			}
		})
	}
}

// TestTLSRefused meets servers that end the handshake themselves.
func TestTLSRefused(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		accept func(net.Conn)
		reason string
		hint   string
	}{
		{
			name: "no version in common",
			accept: func(c net.Conn) {
				_ = tls.Server(c, &tls.Config{MaxVersion: tls.VersionTLS11}).Handshake() //nolint:gosec // that is the test
			},
			reason: "remote error: tls: protocol version not supported", hint: "another TLS version",
		},
		{
			name: "plain HTTP",
			accept: func(c net.Conn) {
				_, _ = bufio.NewReader(c).ReadByte()
				_, _ = io.WriteString(c, "HTTP/1.1 400 "+canary+"\r\n\r\n")
			},
			reason: "server gave HTTP response to HTTPS client", hint: "check the address's port",
		},
		{
			name: "another protocol",
			accept: func(c net.Conn) {
				_, _ = bufio.NewReader(c).ReadByte()
				_, _ = io.WriteString(c, "220 "+canary+"\r\n")
			},
			reason: "first record does not look like a TLS handshake", hint: "check the address's port",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			address, visits := listen(t, c.accept)
			client, closeAll := own(t, nil)
			defer closeAll()
			client.Transport.(*http.Transport).Proxy = nil
			client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, network, address)
			}
			s := open(t, &credential{}, client)
			_, err := s.Get(t.Context(), "A", "")
			d := s.Diagnose(t.Context(), StepGet, err)
			if !strings.Contains(d.Reason, c.reason) || !strings.Contains(d.Hint, c.hint) || strings.Contains(d.Hint, "certificate of its own") {
				t.Errorf("got %s; %s, want %s; %s", d.Reason, d.Hint, c.reason, c.hint)
			}
			if n := visits(); n != 1 {
				t.Errorf("%d handshakes, want 1", n)
			}
		})
	}
}

// listen serves connections one by one, and counts them.
func listen(t *testing.T, accept func(net.Conn)) (string, func() int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	visits, ended := 0, make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			visits++
			accept(conn)
			_ = conn.Close()
		}
	}()
	stop := func() int {
		_ = listener.Close()
		<-ended
		return visits
	}
	t.Cleanup(func() { stop() })
	return listener.Addr().String(), stop
}

// TestProxyRefuses meets a proxy that opens no tunnel, with our client and with a
// caller's.
func TestProxyRefuses(t *testing.T) { // not parallel: it sets the environment
	for _, status := range []int{403, 407, 502} {
		for _, variable := range []string{"HTTPS_PROXY", "https_proxy", ""} {
			for _, ours := range []bool{true, false} {
				t.Run(fmt.Sprintf("%d/%s/%v", status, variable, ours), func(t *testing.T) {
					phrase := http.StatusText(status)
					if ours {
						phrase = canary // only a caller's transport needs the usual one
					}
					address, visits := listen(t, func(c net.Conn) {
						_, _ = http.ReadRequest(bufio.NewReader(c))
						_, _ = fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Length: 6\r\n\r\n%s", status, phrase, canary)
					})
					t.Setenv("HTTPS_PROXY", "")
					t.Setenv("https_proxy", "")
					t.Setenv("ALL_PROXY", "http://"+address)
					proxy := "http://user:" + canary + "@" + address
					named := ""
					if variable != "" {
						t.Setenv(variable, proxy)
						named = " (named by " + variable + ")"
					}
					parsed, err := url.Parse(proxy)
					if err != nil {
						t.Fatal(err)
					}
					client, closeAll := own(t, nil)
					defer closeAll()
					transport := client.Transport.(*http.Transport)
					transport.Proxy = http.ProxyURL(parsed)
					if !ours {
						transport.OnProxyConnectResponse = nil
					}
					s := open(t, &credential{}, client)
					_, err = s.Get(t.Context(), "A", "")
					d := s.Diagnose(t.Context(), StepGet, err)
					want := fmt.Sprintf("the proxy %s%s refused the tunnel: %d %s", address, named, status, http.StatusText(status))
					if d.Reason != want || d.StatusCode != status || d.Step != StepGet || !strings.HasPrefix(d.Hint, "check HTTPS_PROXY") {
						t.Errorf("got  %+v\nwant %s", d, want)
					}
					if text := logtest.Reachable(d); strings.Contains(text, canary) {
						t.Errorf("got the proxy's password behind the error, want it nowhere: %s", text)
					}
					if n := visits(); n != 1 {
						t.Errorf("%d tries, want 1", n)
					}
				})
			}
		}
	}
}

func TestVariableOf(t *testing.T) { // not parallel: it sets the environment
	for _, c := range []struct{ upper, lower, want string }{
		{"http://p:1", "", "HTTPS_PROXY"},
		{"p:1", "http://q:1", "HTTPS_PROXY"},
		{"", "p:1", "https_proxy"},
		{"http://q:1", "http://p:1", ""},
		{"", "", ""},
		{"http://%zz", "", ""},
	} {
		t.Setenv("HTTPS_PROXY", c.upper)
		t.Setenv("https_proxy", c.lower)
		if got := variableOf(&url.URL{Scheme: "http", Host: "p:1"}); got != c.want {
			t.Errorf("%+v: got %q, want %q", c, got, c.want)
		}
	}
}

func TestProxyOf(t *testing.T) {
	t.Parallel()
	proxy := &url.URL{Scheme: "http", Host: "p:1"}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, vaultURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	ofMachine, err := http.ProxyFromEnvironment(req)
	if err != nil {
		t.Fatal(err)
	}
	srv := faulttest.StartPipe(http.NotFoundHandler())
	defer srv.Close()
	for name, c := range map[string]struct {
		carrier policy.Transporter
		want    *url.URL
	}{
		"a transport with a proxy":    {&http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}}, proxy},
		"a transport without":         {srv.Client(), nil},
		"the default transport":       {&http.Client{}, ofMachine},
		"another round tripper":       {&http.Client{Transport: roundTripper(nil)}, nil},
		"something else":              {transporter(nil), nil},
		"a proxy that is not known":   {&http.Client{Transport: &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return nil, errNothing }}}, nil},
		"a transport that needs none": {&http.Client{Transport: &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }}}, nil}, //nolint:nilnil // as net/http has it
	} {
		if got := proxyOf(c.carrier, req); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
