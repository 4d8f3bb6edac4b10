package httpclient_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
)

func TestDestinations(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	cases := []struct {
		name, url string
		opts      []httpclient.Option
		want      error
	}{
		{name: "https", url: "https://api.example/"},
		{name: "http to this machine", url: "http://127.0.0.1/"},
		{name: "http to this machine, IPv6", url: "http://[::1]:8080/"},
		{name: "http to localhost", url: "http://localhost:8080/"},
		{name: "http elsewhere", url: "http://api.example/", want: httpclient.ErrInsecureURL},
		{name: "http to what resolves to this machine", url: "http://localhost.example/", want: httpclient.ErrInsecureURL},
		{name: "http to a private network", url: "http://10.0.0.1/", want: httpclient.ErrInsecureURL},
		{name: "http to another", url: "http://192.168.1.1/", want: httpclient.ErrInsecureURL},
		{name: "http to any address", url: "http://0.0.0.0/", want: httpclient.ErrInsecureURL},
		{name: "http to the cloud's metadata", url: "http://169.254.169.254/", want: httpclient.ErrInsecureURL},
		{name: "another scheme", url: "ftp://api.example/", want: httpclient.ErrInsecureURL},
		{name: "http elsewhere, allowed", url: "http://api.example/", opts: []httpclient.Option{httpclient.InsecureAllowHTTP()}},
		{name: "a listed host", url: "https://API.example:8443/", opts: []httpclient.Option{httpclient.WithAllowedHosts("api.EXAMPLE", "b.example")}},
		{name: "a host that Unicode takes for a listed one", url: "https://ap\u0130.example/", opts: []httpclient.Option{httpclient.WithAllowedHosts("api.example")}, want: httpclient.ErrHostNotAllowed},
		{name: "a host that is not listed", url: "https://sub.api.example/", opts: []httpclient.Option{httpclient.WithAllowedHosts("api.example")}, want: httpclient.ErrHostNotAllowed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reached := false
			base := roundTripper(func(r *http.Request) (*http.Response, error) {
				reached = r.Header.Get("Authorization") != ""
				return answer(200, nil), nil
			})
			source := sourceOf(t, srv, nil, append(c.opts, httpclient.WithBaseTransport(base))...)
			body := &closeCounter{Reader: strings.NewReader("x")}
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url, body)
			_, err := source.Transport(base).RoundTrip(req)
			if !errors.Is(err, c.want) || reached != (c.want == nil) {
				t.Errorf("got error %v and reached: %v, want error %v", err, reached, c.want)
			}
			if c.want != nil && body.closed.Load() != 1 {
				t.Errorf("got a body closed %d times, want once", body.closed.Load())
			}
		})
	}
	source := sourceOf(t, srv, nil, httpclient.WithAllowedHosts("api.example"))
	transport := source.Transport(roundTripper(func(*http.Request) (*http.Response, error) { return answer(200, nil), nil }))
	for name, c := range map[string]struct {
		req  http.Request
		want string
	}{
		"no URL":         {http.Request{}, "a request needs a URL with a host"},
		"no host":        {http.Request{URL: &url.URL{Scheme: "https"}}, "a request needs a URL with a host"},
		"an opaque URL":  {http.Request{URL: &url.URL{Scheme: "https", Host: "api.example", Opaque: "//evil.example/"}}, "must not be opaque"},
		"another Host":   {http.Request{URL: &url.URL{Scheme: "https", Host: "api.example"}, Host: "evil.example:443"}, "add evil.example to WithAllowedHosts"},
		"the same Host":  {http.Request{URL: &url.URL{Scheme: "https", Host: "api.example"}, Host: "API.example:443"}, ""},
		"no Host at all": {http.Request{URL: &url.URL{Scheme: "https", Host: "api.example:1"}}, ""},
	} {
		c.req.Header = http.Header{}
		if _, err := transport.RoundTrip(&c.req); (c.want == "") != (err == nil) || !strings.Contains(message(err), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

// A list of hosts that allows nothing, or that no request could match, is an error of
// NewTokenSource. It must not fail open, nor at the first request.
func TestAllowedHostsAreChecked(t *testing.T) {
	t.Parallel()
	s := settingsOf(t, newDouble(t), nil)
	for want, hosts := range map[string][]string{
		"httpclient: WithAllowedHosts lists no host, so no request could be made": {},
		`httpclient: WithAllowedHosts: host 1 is neither a host name nor an IP address: leave out scheme, port, path and wildcard` + "\n" +
			`httpclient: WithAllowedHosts: host 2 is neither a host name nor an IP address: leave out scheme, port, path and wildcard` + "\n" +
			`httpclient: WithAllowedHosts: host 3 is neither a host name nor an IP address: leave out scheme, port, path and wildcard` + "\n" +
			`httpclient: WithAllowedHosts: host 4 is neither a host name nor an IP address: leave out scheme, port, path and wildcard`: {"a.example:443", "https://a.example", "", "*.a.example", "b.example"},
	} {
		if _, err := httpclient.NewTokenSource(s, httpclient.WithAllowedHosts(hosts...)); message(err) != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if _, err := httpclient.NewTokenSource(s, nil); err != nil {
		t.Errorf("a nil option: got %v, want a source", err)
	}
}

// A caller's own Authorization stays, unless the settings say otherwise, and
// the request that was passed in is never changed.
func TestCallersOwnAuthorization(t *testing.T) {
	t.Parallel()
	for _, overwrite := range []bool{false, true} {
		t.Run(fmt.Sprint(overwrite), func(t *testing.T) {
			t.Parallel()
			srv := newDouble(t)
			var sent []string
			base := roundTripper(func(r *http.Request) (*http.Response, error) {
				sent = r.Header.Values("Authorization")
				return answer(401, nil), nil
			})
			source := sourceOf(t, srv, map[string]any{"OverwriteAuthorizationHeader": overwrite}, httpclient.WithBaseTransport(base))
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example/", nil)
			req.Header.Set("Authorization", "Basic mine")
			before := req.Header.Clone()
			resp, err := source.Client().Do(req)
			if err != nil || resp.StatusCode != 401 {
				t.Fatalf("got %v and error %v, want 401", resp, err)
			}
			if ours := len(sent) == 1 && strings.HasPrefix(sent[0], "Bearer "); ours != overwrite || len(sent) != 1 {
				t.Errorf("got %d values and ours: %v, want 1 and %v", len(sent), ours, overwrite)
			}
			if diff := cmp.Diff(before, req.Header); diff != "" {
				t.Error(diff)
			}
			if asked := srv.Stats().TokenRequests > 0; asked != overwrite {
				t.Errorf("got a token request: %v, want %v", asked, overwrite)
			}
		})
	}
}

// A base that edits the token's header edits no other.
func TestBaseThatEditsTheHeader(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
			t.Error("got no token, want one")
		}
		r.Header["Authorization"][0] = "***"
		return answer(200, nil), nil
	})
	source := sourceOf(t, srv, nil, httpclient.WithBaseTransport(base))
	for range 2 {
		if _, err := source.Client().Get("https://a.example/"); err != nil {
			t.Fatal(err)
		}
	}
	if token, err := source.Token(t.Context()); err != nil || len(token.AccessToken()) < 20 {
		t.Errorf("got %v and error %v, want the token as it was", token, err)
	}
}

func TestNoTokenNoRequest(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	source := sourceOf(t, srv, map[string]any{"ClientId": "nobody"})
	body := &closeCounter{Reader: strings.NewReader("x")}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.PlatformURL()+"/api", body)
	if _, err := source.Client().Do(req); !errors.Is(err, httpclient.ErrUnknownClient) {
		t.Errorf("got %v, want ErrUnknownClient", err)
	}
	if body.closed.Load() == 0 || srv.Stats().APIRequests != 0 {
		t.Errorf("got a body closed %d times and %d requests, want it closed and no request", body.closed.Load(), srv.Stats().APIRequests)
	}
}

// Token requests follow no redirects: 307 would replay the assertion elsewhere.
func TestTokenRequestsAreNotRedirected(t *testing.T) {
	t.Parallel()
	for _, match := range []func(*http.Request) bool{toToken, toExchange} {
		for _, status := range []int{302, 307, 308} {
			srv := newDouble(t)
			srv.Faults.Add(faulttest.Fault{Match: match, Times: -1, Status: status, Header: http.Header{"Location": {srv.PlatformURL() + "/api"}}})
			_, err := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true}).Token(t.Context())
			if !strings.Contains(message(err), "it leads to a redirect, which token requests do not follow") || srv.Stats().APIRequests != 0 {
				t.Errorf("%d: got %v and %d API requests, want an error about redirects and 0", status, err, srv.Stats().APIRequests)
			}
		}
	}
}

// The default transports work against a plain server on this machine, and
// idle connections can be closed through the client.
func TestDefaultTransports(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	local := httptest.NewServer(srv.Handler())
	defer local.Close()
	s := settingsOf(t, srv, map[string]any{"Environment": local.URL})
	// Token requests do not go through the base, though nothing else is given.
	source, err := httpclient.NewTokenSource(s, httpclient.WithLogger((&logs{}).logger(0)), httpclient.WithBaseTransport(
		roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("through the base") })))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	// The double's issuer is its own address, so the metadata names another.
	if _, err := source.Token(t.Context()); !strings.Contains(message(err), "the metadata is of another issuer") {
		t.Errorf("got %v, want an error about another issuer", err)
	}
	var closed bool
	client := &http.Client{Transport: source.Transport(&idleCloser{closed: &closed})}
	client.CloseIdleConnections()
	if !closed {
		t.Error("got idle connections that stay, want them closed")
	}
	closed = false
	sourceOf(t, srv, nil, httpclient.WithBaseTransport(&idleCloser{closed: &closed})).Close()
	if !closed {
		t.Error("got idle connections of the base after Close, want them closed")
	}
	if client, err := httpclient.New(s); err != nil || client.Transport == nil {
		t.Errorf("New: got %v and error %v, want a client", client, err)
	}
}

// Token requests keep no cookies: the double refuses any.
func TestTokenRequestsKeepNoCookies(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	cookies := roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := srv.Transport().RoundTrip(r)
		if err == nil {
			resp.Header.Set("Set-Cookie", "session=for-tests; Path=/")
		}
		return resp, err
	})
	source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true}, httpclient.WithTokenTransport(cookies))
	for i := range 3 {
		ctx := httpclient.ContextWithSystemUser(t.Context(), httpclient.SystemUser{OrgNo: fmt.Sprintf("88964078%d", i)})
		if _, err := source.Token(ctx); err != nil {
			t.Error(err)
		}
	}
}

// Token requests are made with TLS 1.2 or later.
func TestTokenRequestsUseModernTLS(t *testing.T) {
	t.Parallel()
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	old.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	old.StartTLS()
	defer old.Close()
	s := httpclient.MaskinportenSettings{Environment: old.URL, ClientID: "id", Scope: "s", JWK: httpclient.NewSecret(keyFile(t, "client.jwk.json"))}
	source, err := httpclient.NewTokenSource(s, httpclient.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if _, err := source.Token(t.Context()); !strings.Contains(message(err), "protocol version") {
		t.Errorf("got %v, want an error about the protocol version", err)
	}
}

type idleCloser struct {
	http.RoundTripper
	closed *bool
}

func (c *idleCloser) CloseIdleConnections() { *c.closed = true }

// The fast path costs what the RoundTripper contract makes unavoidable: the
// request's copy and its header's.
func TestAllocations(t *testing.T) {
	srv := newDouble(t)
	resp := answer(200, nil)
	base := roundTripper(func(*http.Request) (*http.Response, error) { return resp, nil })
	source := sourceOf(t, srv, nil)
	rt := source.Transport(base)
	req, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://api.example/", nil)
	req.Header.Set("Accept", "application/json")
	if n := testing.AllocsPerRun(100, func() { _, _ = rt.RoundTrip(req) }); n > 3 {
		t.Errorf("got %v allocations a request, want at most 3", n)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = source.Token(context.Background()) }); n > 0 {
		t.Errorf("got %v allocations a token, want 0", n)
	}
}
