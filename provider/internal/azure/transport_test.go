package azure

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
)

func TestOwnClient(t *testing.T) {
	t.Parallel()
	srv := faulttest.StartTLS(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			t.Error("the redirect was followed")
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	client, closeAll := own(t, srv)
	defer closeAll()
	if resp := get(t, client, srv.URL); resp.StatusCode != http.StatusTemporaryRedirect || resp.ProtoMajor != 2 {
		t.Errorf("got %d over %s, want 307 over HTTP/2", resp.StatusCode, resp.Proto)
	}
	transport := client.Transport.(*http.Transport)
	if transport.MaxIdleConns != 7 || transport.MaxIdleConnsPerHost != 7 || transport.TLSClientConfig.MinVersion != tls.VersionTLS12 || transport.Proxy == nil {
		t.Errorf("got %+v, want 7 idle connections, TLS 1.2 and the environment's proxy", transport)
	}
}

// A caller's client is copied, and its connections stay its own.
func TestCallersClient(t *testing.T) {
	t.Parallel()
	given := &http.Client{Timeout: time.Second}
	carrier, _ := newTransport(given, 1)
	copied, ok := carrier.(*http.Client)
	if !ok || copied == given || copied.Timeout != time.Second || copied.CheckRedirect == nil || given.CheckRedirect != nil {
		t.Errorf("got %+v of %+v, want a copy that follows no redirect", carrier, given)
	}
	var none *http.Client
	if carrier, _ := newTransport(none, 1); carrier.(*http.Client).Transport == nil {
		t.Error("a nil client is used as it is")
	}
}

// counted counts the connections that a server has open.
type counted struct {
	mu     sync.Mutex
	open   map[net.Conn]bool
	all    int
	closed chan struct{} // gets one element when the last one closes
}

func (c *counted) state(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.open[conn] = true
		c.all++
	case http.StateClosed, http.StateHijacked:
		if delete(c.open, conn); len(c.open) == 0 {
			c.closed <- struct{}{}
		}
	}
}

// TestCloseLeavesNoConnection closes a client while one connection is idle, one
// carries a request, and one is only being made.
func TestCloseLeavesNoConnection(t *testing.T) {
	t.Parallel()
	count := &counted{open: map[net.Conn]bool{}, closed: make(chan struct{}, 10)}
	arrived := make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			close(arrived)
			<-r.Context().Done()
		}
	}))
	srv.Config.ConnState = count.state
	srv.Start()
	defer srv.Close()
	client, closeAll := own(t, nil)
	get(t, client, srv.URL)
	hung := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	go func() {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/hang", nil)
		if err == nil {
			_, err = client.Do(req)
		}
		hung <- err
	}()
	<-arrived
	closeAll()
	if err := <-hung; err == nil || ctx.Err() != nil {
		t.Errorf("got %v, want the error of a closed connection", err)
	}
	select {
	case <-count.closed:
	case <-ctx.Done():
		t.Error("a connection is still open")
	}
	if _, err := client.Get(srv.URL); err == nil {
		t.Error("a connection was made after the end")
	}
	count.mu.Lock()
	defer count.mu.Unlock()
	if count.all == 0 {
		t.Error("the server saw no connection")
	}
}

// A dial that ends after the close leaves nothing open.
func TestLateDial(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var kept syscall.RawConn // else the garbage collector might close it
	dialer := net.Dialer{Control: func(_, _ string, conn syscall.RawConn) error {
		kept = conn
		return nil
	}}
	c := &connections{dialer: dialer, conns: map[*connection]bool{}, closed: true}
	if conn, err := c.dial(context.Background(), "tcp", listener.Addr().String()); err == nil {
		t.Errorf("got %v, want an error", conn)
	}
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := server.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want a closed connection", err)
	}
	runtime.KeepAlive(kept)
}

// A dial that fails is an error, and nothing is kept of it.
func TestDialFails(t *testing.T) {
	t.Parallel()
	c := &connections{conns: map[*connection]bool{}}
	conn, err := c.dial(t.Context(), "tcp", "127.0.0.1:no-port")
	if err == nil || conn != nil || len(c.conns) != 0 {
		t.Errorf("got %v, %v and %d connections kept, want only an error", conn, err, len(c.conns))
	}
}
