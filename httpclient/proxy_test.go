package httpclient_test

import (
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/portnokkel/portnokkel/httpclient"
)

// Token requests go through a proxy that opens a tunnel.
func TestTokenThroughAProxy(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	target, err := url.Parse(srv.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	var tunnels atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != target.Host {
			http.Error(w, "only for the test server", http.StatusForbidden)
			return
		}
		tunnels.Add(1)
		far, err := new(net.Dialer).DialContext(r.Context(), "tcp", target.Host)
		if err != nil {
			http.Error(w, "", http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		near, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		go func() {
			_, _ = io.Copy(far, buffered)
			_ = far.Close()
		}()
		_, _ = io.Copy(near, far)
		_ = near.Close()
	}))
	defer proxy.Close()
	transport := httpclient.TokenTransport()
	defer transport.CloseIdleConnections()
	transport.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }
	transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(srv.CertificatePEM()) {
		t.Fatal("the test server has no certificate")
	}
	source := sourceOf(t, srv, nil, httpclient.WithTokenTransport(transport))
	token, err := source.Token(t.Context())
	if err != nil || !strings.HasPrefix(token.AccessToken(), "eyJ") {
		t.Errorf("got %v, %v; want a token", token, err)
	}
	if got := tunnels.Load(); got == 0 {
		t.Error("got no tunnel, want one")
	}
}
