package netcause_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/internal/netcause"
	"github.com/portnokkel/portnokkel/internal/netcause/causetest"
)

// A context that ends tells nothing of where the request was: what follows it does.
func TestPhases(t *testing.T) {
	t.Parallel()
	hang := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	lookup := net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return nil, hang(ctx)
	}}}
	connect := net.Dialer{ControlContext: func(ctx context.Context, _, _ string, _ syscall.RawConn) error { return hang(ctx) }}
	silent := silentServer(t)
	to := func(dialer net.Dialer, address string) *http.Transport {
		return &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		}}
	}
	tunnel := to(net.Dialer{}, silent)
	tunnel.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.example:3128"})
	answers := faulttest.StartTLS(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	}), causetest.Host)
	t.Cleanup(answers.Close)
	cases := []struct {
		name, path string
		transport  *http.Transport
		want       string
	}{
		{"lookup", "/", &http.Transport{DialContext: lookup.DialContext}, " while looking up the host name"},
		{"connect", "/", to(connect, "127.0.0.1:9"), " while connecting to 127.0.0.1:9"},
		{"tunnel", "/", tunnel, " while the proxy proxy.example:3128 opens the tunnel"},
		{"handshake", "/", to(net.Dialer{}, silent), " during the TLS handshake"},
		{"answer", "/", answers.Transport(), " while waiting for the answer"},
		{"body", "/body", answers.Transport(), " while reading the answer"},
	}
	t.Run("", func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				ctx := &ending{Context: t.Context(), done: make(chan struct{})}
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+causetest.Host+c.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req, watch := netcause.Follow(req, c.transport)
				go ctx.endAt(watch, c.want)
				resp, err := c.transport.RoundTrip(req)
				if err == nil {
					defer resp.Body.Close()
					_, err = bufio.NewReader(resp.Body).ReadString('\n')
				}
				if got := watch.Read(err); got.Kind != netcause.Timeout || got.Error() != "no answer in time"+c.want || watch.Phase() != c.want {
					t.Errorf("got %d, %v at %q, want the time-out%s", got.Kind, got, watch.Phase(), c.want)
				}
			})
		}
	})
}

// A request that found another connection is where it is, whatever happens to the one
// that was made for it. One that is sent again begins anew.
func TestPhaseOfAnotherConnection(t *testing.T) {
	t.Parallel()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+causetest.Host, nil)
	if err != nil {
		t.Fatal(err)
	}
	req, watch := netcause.Follow(req, nil)
	trace := httptrace.ContextClientTrace(req.Context())
	for _, c := range []struct {
		happens func()
		want    string
	}{
		{func() { trace.ConnectStart("tcp", "127.0.0.1:9") }, " while connecting to 127.0.0.1:9"},
		{func() { trace.WroteRequest(httptrace.WroteRequestInfo{}) }, " while waiting for the answer"},
		{func() { trace.TLSHandshakeStart() }, " while waiting for the answer"},
		{func() { trace.GotFirstResponseByte() }, " while reading the answer"},
		{func() { trace.GetConn("x") }, ""},
		{func() { trace.TLSHandshakeStart() }, " during the TLS handshake"},
		{func() { trace.TLSHandshakeDone(tls.ConnectionState{}, errQuoting) }, " during the TLS handshake"},
		{func() { trace.TLSHandshakeDone(tls.ConnectionState{}, nil) }, ""},
		{func() { trace.ConnectDone("tcp", "127.0.0.1:9", errQuoting) }, ""},
	} {
		c.happens()
		if got := watch.Phase(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// ending is a context whose deadline passes when a request is at a phase.
type ending struct {
	context.Context
	done chan struct{}
}

func (c *ending) Done() <-chan struct{} { return c.done }

func (c *ending) Err() error {
	select {
	case <-c.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// endAt ends the context at the phase, or after ten seconds.
func (c *ending) endAt(watch *netcause.Watch, phase string) {
	defer close(c.done)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for late := time.After(10 * time.Second); watch.Phase() != phase; {
		select {
		case <-tick.C:
		case <-late:
			return
		}
	}
}

// A context's end is known by whatever its cause is.
func TestCauseOfTheContext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		end  func(context.Context) (context.Context, func())
		want netcause.Kind
	}{
		{func(ctx context.Context) (context.Context, func()) {
			ended, cancel := context.WithDeadlineCause(ctx, time.Now(), errQuoting)
			return ended, cancel
		}, netcause.Timeout},
		{func(ctx context.Context) (context.Context, func()) {
			ended, cancel := context.WithCancelCause(ctx)
			cancel(errQuoting)
			return ended, func() {}
		}, netcause.Canceled},
	} {
		ctx, cancel := c.end(t.Context())
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+causetest.Host, nil)
		if err != nil {
			t.Fatal(err)
		}
		transport := new(http.Transport)
		req, watch := netcause.Follow(req, transport)
		if _, err = transport.RoundTrip(req); watch.Read(err).Kind != c.want {
			t.Errorf("got %v, want kind %d", watch.Read(err), c.want)
		}
	}
}

// A variable that net/http does not read is no news to a transport that has its proxy.
func TestProxyOfTheTransport(t *testing.T) { // not parallel: it sets the environment
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "all_proxy"} {
		t.Setenv(name, "")
	}
	t.Setenv("ALL_PROXY", "http://proxy.example")
	for _, c := range []struct {
		proxy *url.URL
		host  string
		want  bool
	}{
		{&url.URL{Scheme: "http", Host: "proxy.example:3128"}, causetest.Host, false},
		{nil, causetest.Host, true},
		{nil, "127.0.0.1", false}, // which net/http sends to no proxy
		{nil, "localhost", false},
	} {
		transport := &http.Transport{Proxy: http.ProxyURL(c.proxy)}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+c.host, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, watch := netcause.Follow(req, transport)
		got := watch.Read(os.ErrDeadlineExceeded)
		if told := strings.Contains(got.Cure(""), "ALL_PROXY"); told != c.want || got.Kind != netcause.Timeout {
			t.Errorf("%s through %v: got %q, want ALL_PROXY in it %t", c.host, c.proxy, got.Cure(""), c.want)
		}
	}
}

// silentServer accepts and says nothing.
func silentServer(t *testing.T) string {
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
			go func() {
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

// What nobody follows has no phase, and is read all the same.
func TestNoWatch(t *testing.T) {
	t.Parallel()
	var none *netcause.Watch
	if got := none.Read(io.EOF); none.Phase() != "" || got.Kind != netcause.Closed || got.Host != "" {
		t.Errorf("got %q and %+v, want no phase and the closed connection", none.Phase(), got)
	}
}

// What follows a request keeps its secrets out of reach.
func TestWatchIsNotPrinted(t *testing.T) {
	t.Parallel()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+causetest.Host, strings.NewReader(canary))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", canary)
	_, watch := netcause.Follow(req, &http.Transport{})
	if text := logtest.Reachable(watch); strings.Contains(text, canary) || !strings.Contains(text, causetest.Host) {
		t.Errorf("got %s, want the host and no secret", text)
	}
}
