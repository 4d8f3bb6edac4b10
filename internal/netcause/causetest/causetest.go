// Package causetest produces the causes of failed requests over real sockets, for the
// tests that hold their texts.
package causetest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/internal/netcause"
)

// Host is the host that the cases are about.
const Host = "service.example"

// Canary is what the servers send that no error may show.
const Canary = "c4n4ry"

// refused is an address at which nothing listens. A port that was free a moment ago would
// not do: another test may take it.
const refused = "127.0.0.1:1"

// Case is a cause. Transport meets it whichever address is asked for.
type Case struct {
	Name      string
	Kind      netcause.Kind
	Transport *http.Transport
	Permanent bool
	// What and Cure are the texts, in which HOST, PORT, DNS and ADDRESS stand for what
	// differs.
	What, Cure string
}

const (
	cureDNS     = "check this machine's DNS and the egress rules: no DNS server gives an answer"
	cureTime    = "check the egress rules, the firewall and the proxy"
	cureClosed  = "try again later; if it stays so, a proxy or firewall on the way cuts the connection"
	cureExpired = "check this machine's clock; if it is right, the server's owner must renew the certificate"
	cureNotTLS  = "check the scheme and port of ADDRESS, and the proxy: the server does not speak TLS"
	cureProxy   = "have the proxy let this machine reach HOST, or name that host in NO_PROXY"
	cureGateway = "check ADDRESS, and the proxy's own network: the proxy does not reach HOST"
	cureAlert   = "check ADDRESS and the proxy: one of them refuses the TLS connection, and may want another TLS version or a client certificate"
	curePage    = "check ADDRESS and the proxy: a log-in page or proxy answers in its place"
)

// Cases makes the cases. Their servers end with the test.
func Cases(t testing.TB) []Case {
	t.Helper()
	trusted := server(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, Host)
	other := server(t, nil)
	old := listen(t, func(c net.Conn) {
		_ = tls.Server(c, &tls.Config{MaxVersion: tls.VersionTLS11}).HandshakeContext(context.Background()) // an old version is the case
	})
	page := func(status int, kind, body string) *http.Transport {
		return server(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}, Host).clone()
	}
	at := func(when time.Time, s *trust) *http.Transport {
		transport := s.clone()
		transport.TLSClientConfig.Time = func() time.Time { return when }
		return transport
	}
	silent := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	handshake, header := to(silent), trusted.clone()
	handshake.TLSHandshakeTimeout, header.ResponseHeaderTimeout = 50*time.Millisecond, 50*time.Millisecond
	unreachable := dialWith(net.Dialer{Control: func(string, string, syscall.RawConn) error { return syscall.ENETUNREACH }}, refused)
	proxyThat := func(status int, words string) *http.Transport {
		return through(listen(t, func(c net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(c))
			_, _ = fmt.Fprintf(c, "HTTP/1.1 %d %s\r\nContent-Length: 6\r\n\r\n%s", status, words, Canary)
		}))
	}
	callers := proxyThat(502, "Bad Gateway")
	callers.OnProxyConnectResponse = nil
	return []Case{
		{
			Name: "unknown host", Kind: netcause.Host, Transport: resolving(t, 3),
			What: "lookup HOST on DNS: no such host",
			Cure: "check ADDRESS: its host name is misspelt, or this machine's DNS does not know it",
		},
		{
			Name: "DNS server fails", Kind: netcause.DNS, Transport: resolving(t, 2),
			What: "lookup HOST on DNS: server misbehaving", Cure: cureDNS,
		},
		{
			Name: "no DNS server", Kind: netcause.DNS, Transport: dialWith(net.Dialer{Resolver: &net.Resolver{
				PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ENETUNREACH },
			}}, ""),
			What: "lookup HOST on DNS: network is unreachable", Cure: cureDNS,
		},
		{
			Name: "refused", Kind: netcause.Refused, Transport: to(refused),
			What: "dial tcp 127.0.0.1:PORT: connect: connection refused", Cure: "check ADDRESS and the egress rules: nothing listens there",
		},
		{
			Name: "no route", Kind: netcause.Unreachable, Transport: unreachable,
			What: "dial tcp 127.0.0.1:PORT: network is unreachable", Cure: "check the network and the egress rules: there is no route to the server",
		},
		{
			Name: "reset", Kind: netcause.Closed, Transport: to(listen(t, func(c net.Conn) {
				_, _ = c.Read(make([]byte, 1))
				_ = c.(*net.TCPConn).SetLinger(0)
			})),
			What: "the server closed the connection: read: connection reset by peer", Cure: cureClosed,
		},
		{
			Name: "closed", Kind: netcause.Closed, Transport: to(listen(t, func(c net.Conn) {
				_, _ = c.Read(make([]byte, 1<<16)) // what stays unread would reset the connection
			})),
			What: "the connection ended before the answer did", Cure: cureClosed,
		},
		{
			Name: "dial takes too long", Kind: netcause.Timeout, Transport: dialWith(net.Dialer{Timeout: 1}, refused),
			What: "dial tcp 127.0.0.1:PORT: i/o timeout", Cure: cureTime,
		},
		{
			Name: "TLS handshake takes too long", Kind: netcause.Timeout, Transport: handshake,
			What: "no answer in time during the TLS handshake", Cure: cureTime,
		},
		{
			Name: "answer takes too long", Kind: netcause.Timeout, Transport: header,
			What: "no answer in time while waiting for the answer", Cure: cureTime,
		},
		{
			Name: "proxy wants a password", Kind: netcause.ProxyRefused, Transport: proxyThat(407, Canary), Permanent: true,
			What: "the proxy 127.0.0.1:PORT refused the tunnel: 407 Proxy Authentication Required",
			Cure: "put the user name and password that the proxy wants into the transport's proxy 127.0.0.1:PORT",
		},
		{
			Name: "proxy refuses", Kind: netcause.ProxyRefused, Transport: proxyThat(403, Canary), Permanent: true,
			What: "the proxy 127.0.0.1:PORT refused the tunnel: 403 Forbidden", Cure: cureProxy,
		},
		{
			Name: "proxy does not reach the host", Kind: netcause.ProxyRefused, Transport: proxyThat(502, Canary),
			What: "the proxy 127.0.0.1:PORT refused the tunnel: 502 Bad Gateway", Cure: cureGateway,
		},
		{
			Name: "proxy of a caller's transport", Kind: netcause.ProxyRefused, Transport: callers,
			What: "the proxy 127.0.0.1:PORT refused the tunnel: 502 Bad Gateway", Cure: cureGateway,
		},
		{
			Name: "proxy is not there", Kind: netcause.ProxyLost, Transport: through(refused),
			What: "no connection to the proxy 127.0.0.1:PORT: dial tcp 127.0.0.1:PORT: connect: connection refused",
			Cure: "check the transport's proxy 127.0.0.1:PORT: there is no connection to it",
		},
		{
			Name: "unknown authority", Kind: netcause.Authority, Transport: to(trusted.address), Permanent: true,
			What: "the certificate is not trusted",
			Cure: "install the root certificates on this machine (in a container the package ca-certificates), and that of a proxy that opens TLS",
		},
		{
			Name: "another host's certificate", Kind: netcause.Name, Transport: other.clone(), Permanent: true,
			What: "the certificate is not for HOST", Cure: "check ADDRESS, this machine's DNS and the proxy: another server answers there",
		},
		{
			Name: "expired certificate", Kind: netcause.Expired, Transport: at(time.Date(2999, 1, 2, 3, 4, 0, 0, time.UTC), trusted), Permanent: true,
			What: "the certificate expired at DATE; by this machine's clock it is 2999-01-02 03:04 UTC", Cure: cureExpired,
		},
		{
			Name: "clock is behind", Kind: netcause.Expired, Transport: at(time.Date(1970, 1, 2, 3, 4, 0, 0, time.UTC), trusted), Permanent: true,
			What: "the certificate is not valid before DATE; by this machine's clock it is 1970-01-02 03:04 UTC", Cure: cureExpired,
		},
		{
			Name: "no TLS version in common", Kind: netcause.Alert, Transport: to(old), Permanent: true,
			What: "remote error: tls: protocol version not supported", Cure: cureAlert,
		},
		{
			Name: "plain HTTP", Kind: netcause.NotTLS, Transport: to(listen(t, greeting("HTTP/1.1 400 "+Canary+"\r\n\r\n"))), Permanent: true,
			What: "http: server gave HTTP response to HTTPS client", Cure: cureNotTLS,
		},
		{
			Name: "another protocol", Kind: netcause.NotTLS, Transport: to(listen(t, greeting("220 "+Canary+"\r\n"))), Permanent: true,
			What: "tls: first record does not look like a TLS handshake", Cure: cureNotTLS,
		},
		{
			Name: "log-in page", Kind: netcause.Page, Transport: page(200, "text/html; charset=utf-8", Canary),
			What: "200 OK: the answer is an HTML page", Cure: curePage,
		},
		{
			Name: "blocked by a page", Kind: netcause.Page, Transport: page(403, "text/plain", "\ufeff\r\n <!DOCTYPE html>"+Canary),
			What: "403 Forbidden: the answer is an HTML page", Cure: curePage,
		},
	}
}

var (
	port = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	dns  = regexp.MustCompile(` on \S+:53:`)
	date = regexp.MustCompile(`(expired at|valid before) \S+ \S+ UTC;`)
)

// General puts HOST, PORT, DNS and ADDRESS into a text for what differs.
func General(text, address string) string {
	text = strings.NewReplacer(address, "ADDRESS", Host, "HOST").Replace(text)
	text = port.ReplaceAllString(text, "127.0.0.1:PORT")
	text = dns.ReplaceAllString(text, " on DNS:")
	return date.ReplaceAllString(text, "$1 DATE;")
}

// trust is a TLS server and a transport that trusts it.
type trust struct {
	address   string
	transport *http.Transport
}

func server(t testing.TB, handler http.HandlerFunc, hosts ...string) *trust {
	t.Helper()
	s := faulttest.StartTLS(handler, hosts...)
	t.Cleanup(s.Close)
	return &trust{strings.TrimPrefix(s.URL, "https://"), s.Transport()}
}

// clone reaches the server under every name.
func (s *trust) clone() *http.Transport {
	transport := to(s.address)
	transport.TLSClientConfig = s.transport.TLSClientConfig.Clone()
	return transport
}

// to is a transport all of whose connections go to one address.
func to(address string) *http.Transport { return dialWith(net.Dialer{}, address) }

// dialWith is a transport that dials with a dialer; an empty address stands for the request's own.
func dialWith(dialer net.Dialer, address string) *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true, OnProxyConnectResponse: netcause.RefusedByProxy,
		DialContext: func(ctx context.Context, network, target string) (net.Conn, error) {
			if address != "" {
				target = address
			}
			return dialer.DialContext(ctx, network, target)
		},
	}
}

// through is a transport whose connections go through a proxy.
func through(proxy string) *http.Transport {
	transport := dialWith(net.Dialer{}, "")
	transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: proxy, User: url.UserPassword("user", Canary)})
	return transport
}

// listen serves connections at a free port.
func listen(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
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
			go func() {
				serve(c)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

// greeting answers whatever comes with one text.
func greeting(text string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1<<16))
		_, _ = io.WriteString(c, text)
		_, _ = io.Copy(io.Discard, c)
	}
}

// resolving is a transport whose DNS server answers with a response code (RFC 1035
// section 4.1.1).
func resolving(t testing.TB, code byte) *http.Transport {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		message := make([]byte, 1<<12)
		for {
			n, from, err := conn.ReadFrom(message)
			if errors.Is(err, net.ErrClosed) || n < 12 {
				return
			}
			message[2], message[3] = message[2]|0x80, 0x80|code // a response, recursion available
			_, _ = conn.WriteTo(message[:n], from)
		}
	}()
	return dialWith(net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}}, "")
}
