package azure

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"net/http"
	"reflect"
	"slices"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/portnokkel/portnokkel/internal/netcause"
)

// newTransport returns what carries requests, and a function that closes all
// connections of a client that was made here. An *http.Client of the caller's is
// used as a copy that follows no redirect; its connections stay the caller's.
func newTransport(given policy.Transporter, conns int) (policy.Transporter, func()) {
	if client, ok := given.(*http.Client); ok && client != nil {
		copied := *client
		copied.CheckRedirect = followNone
		return &copied, func() {}
	}
	if !IsNil(given) {
		return given, func() {}
	}
	open := &connections{dialer: net.Dialer{Timeout: dialTimeout}, conns: map[*connection]bool{}}
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		OnProxyConnectResponse: netcause.RefusedByProxy,
		DialContext:            open.dial,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           conns,
		MaxIdleConnsPerHost:    conns,
		IdleConnTimeout:        idleTimeout,
		TLSHandshakeTimeout:    handshakeTimeout,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
	}
	return &http.Client{CheckRedirect: followNone, Transport: transport}, func() {
		transport.CloseIdleConnections() // with a farewell, as far as they are idle
		open.close()
	}
}

// followNone hands a redirect to the caller as the answer that it is: the SDK
// would send the token along.
func followNone(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// IsNil is true for a nil interface and for one that holds a nil pointer, as a
// constructor's result does when its error was ignored.
func IsNil(v any) bool {
	return v == nil || (reflect.ValueOf(v).Kind() == reflect.Pointer && reflect.ValueOf(v).IsNil())
}

// connections dials, and knows what is still open. net/http by itself keeps a
// connection whose request was cancelled, and one that no request waits for.
type connections struct {
	dialer net.Dialer

	mu     sync.Mutex
	conns  map[*connection]bool
	closed bool
}

func (c *connections) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	kept := &connection{conn, c}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	c.conns[kept] = true
	return kept, nil
}

// close closes what is open and whatever is dialled from now on.
func (c *connections) close() {
	c.mu.Lock()
	c.closed = true
	conns := slices.Collect(maps.Keys(c.conns))
	c.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close()
	}
}

type connection struct {
	net.Conn
	of *connections
}

func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
