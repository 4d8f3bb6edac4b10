package httpclient_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/httpclient"
)

// A connection to the token endpoint that dies in silence, as behind a firewall that
// forgot it, is given up in time: callers with a token see no error.
func TestDeadConnection(t *testing.T) {
	t.Parallel()
	certified := httptest.NewTLSServer(nil)
	certified.Close()
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	synctest.Test(t, func(t *testing.T) {
		l := &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		server := &http.Server{
			ReadHeaderTimeout: time.Minute,
			TLSConfig:         &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor != 2 {
					t.Errorf("got %s, want HTTP/2", r.Proto)
				}
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, `{"access_token":"t","expires_in":30}`)
			}),
		}
		served := make(chan struct{})
		go func() {
			defer close(served)
			_ = server.ServeTLS(l, "", "")
		}()
		defer func() {
			_ = server.Close()
			<-served
		}()

		var dials atomic.Int64
		var last *silenced
		transport := httpclient.TokenTransport()
		transport.TLSClientConfig.RootCAs, transport.TLSClientConfig.ServerName = roots, "example.com"
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			dials.Add(1)
			client, far := net.Pipe()
			l.conns <- far
			last = &silenced{Conn: client}
			return last, nil
		}
		defer transport.CloseIdleConnections()
		source, _ := instant(t, httpclient.WithTokenTransport(transport))
		defer source.Close()
		ask := func() {
			start := time.Now()
			if _, err := source.Token(t.Context()); err != nil || time.Since(start) > 0 {
				t.Fatalf("got %v after %v, want a token at once", err, time.Since(start))
			}
			pass(100 * time.Millisecond)
		}
		for range 100 {
			ask()
		}
		last.dead.Store(true)
		for range 1000 {
			ask()
		}
		if n := dials.Load(); n != 2 {
			t.Errorf("got %d connections, want 2", n)
		}
	})
}

// silenced is a connection that, once dead, neither carries anything nor ends.
type silenced struct {
	net.Conn
	dead atomic.Bool
}

func (c *silenced) Write(p []byte) (int, error) {
	if c.dead.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *silenced) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.dead.Load() {
			return n, err
		}
	}
}

// memoryListener hands out the far ends of pipes.
type memoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error   { close(l.closed); return nil }
func (l *memoryListener) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "pipe"} }
