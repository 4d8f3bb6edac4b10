package httpclient_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
)

// networkError asks for a token at an issuer through a transport and gives the
// error's text, with what differs from run to run put aside.
func networkError(t *testing.T, issuer string, transport http.RoundTripper, wantTemporary bool) string {
	t.Helper()
	s := httpclient.MaskinportenSettings{Environment: issuer, ClientID: "id", Scope: "s", JWK: httpclient.NewSecret(keyFile(t, "client.jwk.json"))}
	source, err := httpclient.NewTokenSource(s, httpclient.WithTokenTransport(transport), httpclient.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	_, err = source.Token(t.Context())
	if errors.Is(err, httpclient.ErrTemporary) != wantTemporary {
		t.Errorf("got temporary: %t, want %t", !wantTemporary, wantTemporary)
	}
	if strings.Contains(prints(err), "CANARY") {
		t.Error("got an error that quotes the answer, want no quotation")
	}
	text := message(err)
	text = regexp.MustCompile(`stream ID \d+`).ReplaceAllString(text, "stream ID N")
	text = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(text, "127.0.0.1:PORT")
	return regexp.MustCompile(`since \S+, next try at \S+ UTC`).ReplaceAllString(text, "since T, next try at T UTC")
}

const (
	atTest  = "httpclient: token request of client id at https://test.maskinporten.no/token: "
	atLocal = "httpclient: token request of client id at https://127.0.0.1:PORT/token: "
	failing = " (failing since T, next try at T UTC)"
)

// Networks that do not carry, over real sockets: what goes wrong and the whole
// text that the user reads.
func TestNetworkErrors(t *testing.T) {
	t.Parallel()
	// A server whose certificate the machine does not trust, unless told to.
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	untrusted.StartTLS()
	defer untrusted.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	trusting := func(change func(*tls.Config)) http.RoundTripper {
		config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
		config.RootCAs.AddCert(untrusted.Certificate())
		change(config)
		return &http.Transport{TLSClientConfig: config}
	}
	overTLS := func(server *httptest.Server) string {
		return "https://" + server.Listener.Addr().String() + "/"
	}
	banner := serve(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "SSH-2.0-CANARY\r\n")
		_, _ = io.Copy(io.Discard, c) // what stays unread would reset the connection
	})
	rejecting := httptest.NewUnstartedServer(http.NotFoundHandler())
	rejecting.Config.ErrorLog = untrusted.Config.ErrorLog
	rejecting.TLS = &tls.Config{NextProtos: []string{"neither"}, MinVersion: tls.VersionTLS12}
	rejecting.StartTLS()
	defer rejecting.Close()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "CANARY", http.StatusProxyAuthRequired)
	}))
	defer proxy.Close()
	proxied := httpclient.TokenTransport()
	proxied.Proxy = func(*http.Request) (*url.URL, error) {
		return url.Parse(strings.Replace(proxy.URL, "//", "//user:CANARY@", 1))
	}
	defer proxied.CloseIdleConnections()

	dropping := newDouble(t)
	dropping.Faults.Add(faulttest.Fault{Match: toToken, Times: -1, Drop: true})
	goAway := roundTripper(func(*http.Request) (*http.Response, error) {
		return nil, errors.New(`http2: server sent GOAWAY and closed the connection; LastStreamID=1, ErrCode=NO_ERROR, debug="CANARY"`)
	})
	lateAlert := roundTripper(func(*http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("readLoopPeekFailLocked: %w", &net.OpError{Op: "remote error", Err: errors.New("tls: certificate required")})
	})
	cases := []struct {
		name      string
		issuer    string
		transport http.RoundTripper
		temporary bool
		want      string
	}{
		{"reset stream", dropping.Issuer(), dropping.Transport(), true, "the server closed the connection (HTTP/2): the connection broke: the request is tried again later"},
		{"client certificate", "https://127.0.0.1:1/", lateAlert, false, "remote error: tls: certificate required: the server refuses the TLS connection: check the URL and the proxy, and whether either wants another TLS version or a client's certificate"},
		{"GOAWAY", "https://127.0.0.1:1/", goAway, true, "the server closed the connection (HTTP/2): the connection broke: the request is tried again later"},
		{"refused", "https://127.0.0.1:1/", nil, true, "dial tcp 127.0.0.1:PORT: connect: connection refused: nothing answers at that address: check the URL, the proxy and the egress rules"},
		{"unknown authority", overTLS(untrusted), nil, false, "the certificate is not trusted: install the root certificates on this machine (in a container the package ca-certificates), and that of a proxy that opens TLS"},
		{"another host's certificate", overTLS(untrusted), trusting(func(c *tls.Config) { c.ServerName = "maskinporten.no" }), false, "the certificate is not for maskinporten.no: another server answers there: check the URL, this machine's DNS and the proxy"},
		{"expired certificate", overTLS(untrusted), trusting(func(c *tls.Config) {
			c.Time = func() time.Time { return time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC) }
		}), false, "the certificate is expired or not yet valid: check this machine's clock; if it is right, the server's owner must renew the certificate"},
		{"plain http", overTLS(plain), nil, false, "http: server gave HTTP response to HTTPS client: the server does not speak TLS: check the URL's scheme and port"},
		{"not TLS", "https://" + banner + "/", nil, false, "tls: first record does not look like a TLS handshake: the server does not speak TLS: check the URL's scheme and port"},
		{"TLS alert", overTLS(rejecting), httpclient.TokenTransport(), false, "remote error: tls: no application protocol: the server refuses the TLS connection: check the URL and the proxy, and whether either wants another TLS version or a client's certificate"},
		{"proxy", "https://127.0.0.1:1/", proxied, false, "the proxy 127.0.0.1:PORT answered 407 Proxy Authentication Required: check HTTPS_PROXY and NO_PROXY, and whether the proxy lets this machine reach the host"},
	}
	t.Run("", func(t *testing.T) { // so that the servers outlive their clients
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				if got := networkError(t, c.issuer, c.transport, c.temporary); got != atLocal+c.want+failing {
					t.Errorf("got  %s\nwant %s", got, atLocal+c.want+failing)
				}
			})
		}
	})
}

// serve answers each connection at a free port with the function.
func serve(t *testing.T, answer func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			answer(c)
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

// What takes time, or cannot be had on every machine, is played in memory.
func TestNetworkErrorsInMemory(t *testing.T) {
	t.Parallel()
	// talk is a transport over a connection whose other end the function is.
	talk := func(server func(net.Conn, *bufio.Reader)) *http.Transport {
		dial := func(context.Context, string, string) (net.Conn, error) {
			client, far := net.Pipe()
			go func() {
				server(far, bufio.NewReader(far))
				_ = far.Close()
			}()
			return client, nil
		}
		return &http.Transport{DialTLSContext: dial}
	}
	say := func(raw string) *http.Transport {
		return talk(func(c net.Conn, r *bufio.Reader) {
			_, _ = http.ReadRequest(r)
			_, _ = io.WriteString(c, raw)
		})
	}
	fail := func(err error) http.RoundTripper {
		return roundTripper(func(*http.Request) (*http.Response, error) { return nil, err })
	}
	silent := func(c net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) }
	handshake := talk(silent)
	handshake.DialContext, handshake.DialTLSContext = handshake.DialTLSContext, nil
	handshake.TLSHandshakeTimeout = 5 * time.Second
	header := talk(silent)
	header.ResponseHeaderTimeout = 6 * time.Second
	cases := []struct {
		name      string
		transport http.RoundTripper
		temporary bool
		want      string
	}{
		{"no such host", fail(&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "test.maskinporten.no", Server: "10.0.0.10:53", IsNotFound: true}}), true, "lookup test.maskinporten.no on 10.0.0.10:53: no such host: the host name does not resolve: check the spelling in the settings, and this machine's DNS and egress rules"},
		{"DNS server does not answer", fail(&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "i/o timeout", Name: "test.maskinporten.no", Server: "10.0.0.10:53", IsTimeout: true}}), true, "lookup test.maskinporten.no on 10.0.0.10:53: i/o timeout: the host name does not resolve: check the spelling in the settings, and this machine's DNS and egress rules"},
		{"dial takes too long", fail(&net.OpError{Op: "dial", Net: "tcp", Err: context.DeadlineExceeded}), true, "dial tcp: context deadline exceeded: no answer in time: check the network, the proxy and the egress rules"},
		{"no route", fail(&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ENETUNREACH}), true, "dial tcp: network is unreachable: check the network, the proxy and the egress rules"},
		{"TLS handshake hangs", handshake, true, "net/http: TLS handshake timeout: no answer in time: check the network, the proxy and the egress rules"},
		{"header hangs", header, true, "net/http: timeout awaiting response headers: no answer in time: check the network, the proxy and the egress rules"},
		{"answer hangs", talk(silent), true, "context deadline exceeded: no answer in time: check the network, the proxy and the egress rules"},
		{"body hangs", talk(func(c net.Conn, r *bufio.Reader) {
			_, _ = http.ReadRequest(r)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nCANARY")
			_, _ = io.Copy(io.Discard, r)
		}), true, "context deadline exceeded: no answer in time: check the network, the proxy and the egress rules"},
		{"closed", say(""), true, "the connection ended before the answer did: the connection broke: the request is tried again later"},
		{"reset in mid-body", fail(fmt.Errorf("read the answer: %w", errors.New("stream error: stream ID 1; INTERNAL_ERROR; received from peer"))), true, "the server closed the connection (HTTP/2): the connection broke: the request is tried again later"},
		{"no such host, of an unlucky name", fail(&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "malformed.chunky.no", IsNotFound: true}}), true, "lookup malformed.chunky.no: no such host: the host name does not resolve: check the spelling in the settings, and this machine's DNS and egress rules"},
		{"truncated", say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nCANARY"), true, "the connection ended before the answer did: the connection broke: the request is tried again later"},
		{"redirect to no address", say("HTTP/1.1 302 Found\r\nLocation: https://%zzCANARY/\r\nContent-Length: 0\r\n\r\n"), false, "302 Found: redirects of token requests are not followed: check the URL in the settings"},
		{"too long", say("HTTP/1.1 200 OK\r\n\r\nCANARY" + strings.Repeat("x", 1<<20)), true, "the answer is over 1048576 bytes: something else answers in the server's place: check the URL in the settings, and the proxy"},
		{"no status line", say("CANARY\r\n\r\n"), true, "no readable answer (*errors.errorString): something else answers in the server's place: check the URL in the settings, and the proxy"},
		{"no status", say("HTTP/1.1 CANARY\r\n\r\n"), true, "no readable answer (*errors.errorString): something else answers in the server's place: check the URL in the settings, and the proxy"},
		{"no header", say("HTTP/1.1 200 OK\r\nCANARY\r\n\r\n"), true, "no readable answer (textproto.ProtocolError): something else answers in the server's place: check the URL in the settings, and the proxy"},
		{"no length", say("HTTP/1.1 200 OK\r\nContent-Length: CANARY\r\n\r\n"), true, "no readable answer (*errors.errorString): something else answers in the server's place: check the URL in the settings, and the proxy"},
		{"no encoding", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: CANARY\r\n\r\n"), true, "no readable answer (*http.unsupportedTEError): something else answers in the server's place: check the URL in the settings, and the proxy"},
		{"no chunk", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nCANARY\r\n"), true, "no readable answer (*errors.errorString): something else answers in the server's place: check the URL in the settings, and the proxy"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if closer, ok := c.transport.(*http.Transport); ok {
					defer closer.CloseIdleConnections()
				}
				if got := networkError(t, "test", c.transport, c.temporary); got != atTest+c.want+failing {
					t.Errorf("got  %s\nwant %s", got, atTest+c.want+failing)
				}
			})
		})
	}
}
