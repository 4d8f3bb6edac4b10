package faulttest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// Server runs a handler for a test, until Close. Make one with
// [StartTLS] or [StartPipe]. The zero value serves nothing.
type Server struct {
	// URL is the server's own address without a trailing slash, such as
	// "https://127.0.0.1:41231". An in-memory server's is
	// "https://pipe.invalid".
	URL string

	transport   *http.Transport
	certificate []byte // DER; empty for a server without TLS
	stop        func()
}

// StartTLS serves handler over HTTP/1.1 and HTTP/2 behind TLS on a free loopback
// port. A nil handler answers 404. The certificate is made for this server only and
// covers 127.0.0.1, ::1, localhost and the given hosts. [Server.Transport] reaches
// the server under all of those names, whatever the port, and nothing else.
//
// Like [httptest.NewServer], StartTLS panics if the machine has no loopback port. It
// panics too if a certificate cannot name the host, because it is not ASCII, say.
func StartTLS(handler http.Handler, hosts ...string) *Server {
	handler = orNotFound(handler)
	cert, pool := selfSigned(hosts)
	srv := httptest.NewUnstartedServer(handler)
	srv.EnableHTTP2 = true
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // aborted handshakes are part of the tests
	ctx, cancel := context.WithCancel(context.Background())
	srv.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	srv.StartTLS()

	addr := srv.Listener.Addr().String()
	known := map[string]bool{"127.0.0.1": true, "::1": true, "localhost": true}
	for _, h := range hosts {
		known[h] = true
	}
	var dialer net.Dialer
	return &Server{
		URL: srv.URL,
		transport: &http.Transport{
			DialContext: func(ctx context.Context, _, target string) (net.Conn, error) {
				host, _, err := net.SplitHostPort(target)
				if err != nil {
					return nil, err
				}
				if known[host] {
					return dialer.DialContext(ctx, "tcp", addr)
				}
				return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
			},
			TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: 64,
		},
		certificate: cert.Certificate[0],
		stop: func() {
			cancel()
			srv.Close()
		},
	}
}

// StartPipe serves handler in memory: no socket, no port, no TLS, though its URLs
// are https as production's are. A nil handler answers 404. [Server.Transport]
// reaches the server under every host name. It is made for testing/synctest, whose
// bubbles allow no sockets: start and close it inside the bubble.
func StartPipe(handler http.Handler) *Server {
	handler = orNotFound(handler)
	l := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	srv := &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          log.New(io.Discard, "", 0),
		ReadHeaderTimeout: time.Minute,
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(l)
	}()
	return &Server{
		URL: "https://pipe.invalid",
		transport: &http.Transport{
			DialContext:         l.dial,
			DialTLSContext:      l.dial,
			MaxIdleConnsPerHost: 64,
		},
		stop: func() {
			cancel()
			_ = srv.Close()
			<-served
		},
	}
}

// Transport reaches the server, and only the server. Each call returns the same
// transport, so connections are shared. That of a nil or zero Server fails every
// request.
func (s *Server) Transport() *http.Transport {
	if s == nil || s.transport == nil {
		return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("faulttest: no server: make one with StartTLS or StartPipe")
		}}
	}
	return s.transport
}

// Client is a new [http.Client] over [Server.Transport].
func (s *Server) Client() *http.Client { return &http.Client{Transport: s.Transport()} }

// CertificatePEM is the server's certificate, for clients that cannot use
// [Server.Transport], such as programs in other languages. They trust it as a
// certificate authority. It is nil for a server without TLS.
func (s *Server) CertificatePEM() []byte {
	if s == nil || len(s.certificate) == 0 {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.certificate})
}

// Close ends the server and every request under way. It may be called more than
// once.
func (s *Server) Close() {
	if s == nil || s.transport == nil {
		return
	}
	s.transport.CloseIdleConnections()
	s.stop()
	s.transport.CloseIdleConnections()
}

// orNotFound keeps a nil handler from serving [http.DefaultServeMux].
func orNotFound(handler http.Handler) http.Handler {
	if handler == nil {
		return http.NotFoundHandler()
	}
	return handler
}

func selfSigned(hosts []string) (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	ips := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	names := []string{"localhost"}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			ips = append(ips, ip)
		} else {
			names = append(names, host)
		}
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "faulttest, for tests only"},
		NotBefore:             time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:                  true,
		BasicConstraintsValid: true,
		IPAddresses:           ips,
		DNSNames:              names,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(err)
	leaf, err := x509.ParseCertificate(der)
	must(err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

// must stops the test program. The calls that it checks fail only for a host that no
// certificate can name.
func must(err error) {
	if err != nil {
		panic("faulttest: " + err.Error())
	}
}

type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.done:
		return nil, errors.New("faulttest: server closed")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
