package httpclient_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// A token goes to its origin only, through every kind of redirect, with a base transport
// that sets resp.Request and one that does not.
type redirect struct {
	name string
	hops []string // Location headers, one after the other
	want []bool   // whether each of them carries the token
	home string   // where it starts
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	const home = "https://api.example/start"
	cases := []redirect{
		{"the same origin", []string{"https://api.example/next"}, []bool{true}, home},
		{"a relative location", []string{"/next"}, []bool{true}, home},
		{"another spelling: upper case", []string{"https://API.EXAMPLE/next"}, []bool{true}, home},
		{"another spelling: the default port", []string{"https://api.example:443/next"}, []bool{true}, home},
		{"another host", []string{"https://evil.example/"}, []bool{false}, home},
		{"a sub-domain", []string{"https://sub.api.example/"}, []bool{false}, home},
		{"a parent domain", []string{"https://example/"}, []bool{false}, home},
		{"a trailing dot", []string{"https://api.example./"}, []bool{false}, home},
		{"another port", []string{"https://api.example:8443/"}, []bool{false}, home},
		{"plain http", []string{"http://api.example/"}, []bool{false}, home},
		{"http on the https port", []string{"http://api.example:443/"}, []bool{false}, home},
		{"IPv6", []string{"https://[::1]/"}, []bool{false}, home},
		{"A to B to B", []string{"https://evil.example/", "https://evil.example/again"}, []bool{false, false}, home},
		{"A to B and home again", []string{"https://evil.example/", home}, []bool{false, false}, home},
		{"a letter that Unicode, but not DNS, takes for an i", []string{"https://ap%C4%B0.example/"}, []bool{false}, home},
		{"user information", []string{"https://api.example@evil.example/"}, []bool{false}, home},
		{"IPv6, the same origin", []string{"https://[::1]:443/next"}, []bool{true}, "https://[::1]/start"},
		{"IPv6 in upper case", []string{"https://[fe80::a]/next"}, []bool{true}, "https://[FE80::A]/start"},
		{"IPv6 written out", []string{"https://[0:0:0:0:0:0:0:1]/next"}, []bool{false}, "https://[::1]/start"},
		{"IPv4 as IPv6", []string{"https://[::ffff:127.0.0.1]/next"}, []bool{false}, "https://127.0.0.1/start"},
		{"from a trailing dot, the same origin", []string{"/next"}, []bool{true}, "https://api.example./start"},
		{"from a trailing dot to none", []string{"https://api.example/next"}, []bool{false}, "https://api.example./start"},
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, setsRequest := range []string{"sets resp.Request", "leaves it", "sets one of its own"} {
			for _, c := range cases {
				t.Run(fmt.Sprintf("%d/%s/%s", status, setsRequest, c.name), func(t *testing.T) {
					t.Parallel()
					srv := newDouble(t)
					var hops []bool
					base := roundTripper(func(r *http.Request) (*http.Response, error) {
						hops = append(hops, strings.HasPrefix(r.Header.Get("Authorization"), "Bearer "))
						resp := answer(200, nil)
						if n := len(hops); n <= len(c.hops) {
							resp = answer(status, http.Header{"Location": {c.hops[n-1]}})
						}
						switch setsRequest {
						case "sets resp.Request":
							resp.Request = r
						case "sets one of its own":
							resp.Request, _ = http.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), nil)
						}
						return resp, nil
					})
					source := sourceOf(t, srv, nil, httpclient.WithBaseTransport(base))
					req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, c.home, strings.NewReader("x"))
					resp, err := source.Client().Do(req)
					if err != nil {
						t.Fatal(err)
					}
					_ = resp.Body.Close()
					if diff := cmp.Diff(append([]bool{true}, c.want...), hops); diff != "" {
						t.Error(diff)
					}
					for r := resp.Request; r != nil; r = r.Response.Request {
						if strings.HasPrefix(r.Header.Get("Authorization"), "Bearer") {
							t.Error("got a bearer in what the caller can read, want no bearer")
						}
						if r.Response == nil {
							break
						}
					}
				})
			}
		}
	}
}

// A hop whose history is unknown gets no token.
func TestBrokenChain(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	var bearer string
	source := sourceOf(t, srv, nil)
	rt := source.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		bearer = r.Header.Get("Authorization")
		return answer(200, nil), nil
	}))
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example/", nil)
	req.Response = answer(302, nil)
	if _, err := rt.RoundTrip(req); err != nil || bearer != "" {
		t.Errorf("got a bearer: %v, error %v; want a request without one", bearer != "", err)
	}
}

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
		"another Host":   {http.Request{URL: &url.URL{Scheme: "https", Host: "api.example"}, Host: "evil.example:443"}, "host not allowed: evil.example"},
		"the same Host":  {http.Request{URL: &url.URL{Scheme: "https", Host: "api.example"}, Host: "API.example:443"}, ""},
		"no Host at all": {http.Request{URL: &url.URL{Scheme: "https", Host: "api.example:1"}}, ""},
	} {
		c.req.Header = http.Header{}
		if _, err := transport.RoundTrip(&c.req); (c.want == "") != (err == nil) || !strings.Contains(message(err), c.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

// A base that gives one response again and again makes a ring of redirects, which
// ends, and in which no token goes round.
func TestRingOfRedirects(t *testing.T) {
	t.Parallel()
	source := sourceOf(t, newDouble(t), nil)
	ring := answer(302, http.Header{"Location": {"https://api.example/again"}})
	bearers := 0
	client := &http.Client{Transport: source.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Authorization") != "" {
			bearers++
		}
		return ring, nil
	}))}
	resp, err := client.Get("https://api.example/")
	if err == nil {
		_ = resp.Body.Close()
	}
	if !strings.Contains(message(err), "stopped after 10 redirects") || bearers > 2 {
		t.Errorf("got %v and %d bearers, want an end after 10 redirects and at most 2", err, bearers)
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

// Settings that replace a caller's Authorization do so on redirects too.
func TestOverwrittenAuthorizationOnRedirects(t *testing.T) {
	t.Parallel()
	bearers := 0
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		if strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
			bearers++
		}
		if r.URL.Path == "/" {
			return answer(302, http.Header{"Location": {"/again"}}), nil
		}
		return answer(200, nil), nil
	})
	source := sourceOf(t, newDouble(t), map[string]any{"OverwriteAuthorizationHeader": true}, httpclient.WithBaseTransport(base))
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example/", nil)
	req.Header.Set("Authorization", "Basic mine")
	if resp, err := source.Client().Do(req); err != nil || resp.StatusCode != 200 || bearers != 2 {
		t.Errorf("got %v, error %v and %d bearers, want 200 and 2", resp, err, bearers)
	}
}

// A request that the caller authenticated gets no token of ours on the way either. Yet
// net/http drops the caller's header at the first other host for good.
func TestCallersOwnAuthorizationOnRedirects(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{"as usual": "Authorization", "not canonical": "authorization"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newDouble(t)
			hops := []string{"https://b.example/", "https://a.example/again"}
			sent := 0
			base := roundTripper(func(r *http.Request) (*http.Response, error) {
				for name, values := range r.Header {
					if strings.EqualFold(name, "Authorization") && (len(values) != 1 || values[0] != "Basic mine") {
						t.Errorf("hop %d: got %d values, want only the caller's own", sent, len(values))
					}
				}
				if sent++; sent <= len(hops) {
					return answer(302, http.Header{"Location": {hops[sent-1]}}), nil
				}
				return answer(200, nil), nil
			})
			source := sourceOf(t, srv, nil, httpclient.WithBaseTransport(base))
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://a.example/", nil)
			req.Header[header] = []string{"Basic mine"}
			if _, err := source.Client().Do(req); err != nil || sent != 3 || srv.Stats().TokenRequests != 0 {
				t.Errorf("got %d hops, error %v and %d token requests, want 3 and 0", sent, err, srv.Stats().TokenRequests)
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

// A 401 is answered once with a newer token, whole bodies and all.
func TestRejectedToken(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		body   func() io.Reader
		status int
		calls  int
	}{
		{"no body", func() io.Reader { return nil }, 200, 2},
		{"http.NoBody", func() io.Reader { return http.NoBody }, 200, 2},
		{"a body that can be replayed", func() io.Reader { return strings.NewReader("whole") }, 200, 2},
		{"a body that cannot", func() io.Reader { return &closeCounter{Reader: strings.NewReader("whole")} }, 401, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn)
				defer srv.Close()
				source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true})
				defer source.Close()
				client := source.Client()
				defer client.CloseIdleConnections()
				get(t, client, srv.PlatformURL()+"/api")
				srv.RevokeAll()
				before := srv.Stats()
				req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.PlatformURL()+"/api", c.body())
				resp, err := client.Do(req)
				status, body := read(t, resp, err)
				if status != c.status || (c.name == "a body that can be replayed" && body != "hello whole") {
					t.Errorf("got %d %q, want %d and the whole body", status, body, c.status)
				}
				synctest.Wait() // for the fetch that a stream does not wait for
				after := srv.Stats()
				if calls := after.APIRequests - before.APIRequests; calls != c.calls {
					t.Errorf("got %d calls of the API, want %d", calls, c.calls)
				}
				if asked := after.TokenRequests - before.TokenRequests; asked != 1 {
					t.Errorf("got %d token requests, want 1", asked)
				}
				// In any case the next request has the newer token.
				if status, _ := get(t, client, srv.PlatformURL()+"/api"); status != http.StatusOK || srv.Stats().APIRequests != after.APIRequests+1 {
					t.Errorf("then got %d after %d calls, want 200 after 1", status, srv.Stats().APIRequests-after.APIRequests)
				}
			})
		})
	}
}

// Odd answers and requests around a 401.
func TestOddRejections(t *testing.T) {
	t.Parallel()
	endless, _ := io.Pipe()
	for name, first := range map[string]*http.Response{
		"no body":           {StatusCode: 401},
		"a body that hangs": {StatusCode: 401, Header: http.Header{}, Body: endless},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := newDouble(t)
			calls := 0
			base := roundTripper(func(*http.Request) (*http.Response, error) {
				if calls++; calls == 1 {
					return first, nil
				}
				return answer(200, nil), nil
			})
			source := sourceOf(t, srv, nil, httpclient.WithBaseTransport(base))
			if status, _ := get(t, source.Client(), "https://a.example/"); status != 200 {
				t.Errorf("got %d, want 200", status)
			}
		})
	}
	t.Run("a base that returns nothing", func(t *testing.T) {
		t.Parallel()
		source := sourceOf(t, newDouble(t), nil, httpclient.WithBaseTransport(roundTripper(func(*http.Request) (*http.Response, error) { return nil, nil })))
		if _, err := source.Client().Get("https://a.example/"); !strings.Contains(message(err), "neither a response nor an error") {
			t.Errorf("got %v, want an error about a base without response and error", err)
		}
	})
	t.Run("GetBody without a body", func(t *testing.T) {
		t.Parallel()
		var bodies []string
		base := roundTripper(func(r *http.Request) (*http.Response, error) {
			body := "none"
			if r.Body != nil {
				data, _ := io.ReadAll(r.Body)
				body = string(data)
			}
			if bodies = append(bodies, body); len(bodies) == 1 {
				return answer(401, nil), nil
			}
			return answer(200, nil), nil
		})
		source := sourceOf(t, newDouble(t), nil, httpclient.WithBaseTransport(base))
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://a.example/", strings.NewReader("x"))
		req.Body, req.ContentLength = nil, 0
		if _, err := source.Transport(base).RoundTrip(req); err != nil || fmt.Sprint(bodies) != "[none none]" {
			t.Errorf("got bodies %q and error %v, want none twice", bodies, err)
		}
	})
}

// The replacement asks for a new Maskinporten token too, and one that failed may
// be tried again as soon as any other fetch.
func TestReplacement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, maskinportentest.WithTokenLifetime(time.Hour))
		defer srv.Close()
		source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true})
		defer source.Close()
		client := source.Client()
		defer client.CloseIdleConnections()
		token, err := source.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		srv.Revoke(token.AccessToken()) // only the Altinn token
		if status, _ := get(t, client, srv.PlatformURL()+"/api"); status != 200 || srv.Stats().TokenRequests != 2 {
			t.Errorf("got %d after %d token requests, want 200 after 2", status, srv.Stats().TokenRequests)
		}
		pass(time.Minute)
		srv.RevokeAll()
		srv.Faults.Add(faulttest.Fault{Match: toToken, Status: 503, Times: 3})
		start := time.Now()
		status := 0
		for status != 200 && time.Since(start) < 5*time.Second {
			if status, _ = get(t, client, srv.PlatformURL()+"/api"); status != 200 {
				pass(100 * time.Millisecond)
			}
		}
		if took := time.Since(start); status != 200 || took > 3*time.Second {
			t.Errorf("got %d after %v, want 200 within 3s of an outage of under a second", status, took)
		}
	})
}

// A storm of rejections causes one refresh, and no request fails.
func TestStormOfRejections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t)
		defer srv.Close()
		source := sourceOf(t, srv, nil)
		defer source.Close()
		client := source.Client()
		get(t, client, srv.PlatformURL()+"/api")
		srv.RevokeAll()
		pass(time.Minute)
		var callers sync.WaitGroup
		for range 1000 {
			callers.Go(func() {
				if status, _ := get(t, client, srv.PlatformURL()+"/api"); status != 200 {
					t.Errorf("got %d, want 200", status)
				}
			})
		}
		callers.Wait()
		if n := srv.Stats().TokenRequests; n != 2 {
			t.Errorf("got %d token requests, want 2", n)
		}
		client.CloseIdleConnections()
	})
}

// An API that says 401 to everything gets two calls at most, and few tokens.
func TestAPIThatAlwaysRejects(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t)
		defer srv.Close()
		calls := 0
		base := roundTripper(func(*http.Request) (*http.Response, error) {
			calls++
			return answer(401, http.Header{"Www-Authenticate": {`Bearer error="x"`}}), nil
		})
		source := sourceOf(t, srv, nil, httpclient.WithBaseTransport(base))
		defer source.Close()
		for range 100 {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example/", nil)
			resp, err := source.Client().Do(req)
			if err != nil || resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") == "" || resp.Request != req {
				t.Fatalf("got %v and error %v, want the API's own 401", resp, err)
			}
			pass(100 * time.Millisecond)
		}
		if n := srv.Stats().TokenRequests; calls > 102 || n != 2 {
			t.Errorf("got %d calls and %d token requests in 10 s, want at most 102 and 2", calls, n)
		}
	})
}

// Without a newer token the API's own answer comes back.
func TestRejectedWhileMaskinportenIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t)
		defer srv.Close()
		source := sourceOf(t, srv, nil)
		defer source.Close()
		client := source.Client()
		defer client.CloseIdleConnections()
		get(t, client, srv.PlatformURL()+"/api")
		srv.RevokeAll()
		srv.Faults.Add(faulttest.Fault{Match: toToken, Status: 503, Times: -1})
		for range 5 {
			if status, body := get(t, client, srv.PlatformURL()+"/api"); status != 401 || !strings.Contains(body, "Unauthorized") {
				t.Errorf("got %d %q, want the API's own 401", status, body)
			}
		}
		if n := srv.Stats().TokenRequests; n > 1+3 {
			t.Errorf("got %d token requests, want at most 4", n)
		}
	})
}

// A caller whose token was rejected waits for a newer one no longer than its own
// context allows. One whose request cannot be sent again does not wait at all.
func TestRejectedWhileMaskinportenHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		source := sourceOf(t, srv, nil)
		defer source.Close()
		client := source.Client()
		defer client.CloseIdleConnections()
		get(t, client, srv.PlatformURL()+"/api")
		srv.RevokeAll()
		srv.Faults.Add(faulttest.Fault{Match: toToken, Hang: true, Times: -1})
		for body, wait := range map[io.Reader]time.Duration{
			strings.NewReader("x"):                        50 * time.Millisecond,
			&closeCounter{Reader: strings.NewReader("x")}: 0,
		} {
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, srv.PlatformURL()+"/api", body)
			resp, err := client.Do(req)
			if err != nil || resp.StatusCode != 401 || time.Since(start) != wait {
				t.Errorf("got %v, %v after %v, want 401 after %v", resp, err, time.Since(start), wait)
			}
			_ = resp.Body.Close()
			cancel()
		}
	})
}

// A token that is rejected when it is due anyhow has not been replaced out of turn.
// The next one may be replaced, and that one again after half of its life.
func TestRejectedTokenThatWasDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn, maskinportentest.WithTokenLifetime(4*time.Second)) // due from 3.4 s on, used until 3.8
		defer srv.Close()
		slow := time.Duration(0)
		source := sourceOf(t, srv, nil, httpclient.WithBaseTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
			pass(slow)
			return srv.Transport().RoundTrip(r)
		})))
		defer source.Close()
		client := source.Client()
		defer srv.Transport().CloseIdleConnections()
		call := func(want int) {
			t.Helper()
			if status, _ := get(t, client, srv.PlatformURL()+"/api"); status != want {
				t.Errorf("after %v: got %d, want %d", time.Since(epoch), status, want)
			}
		}
		call(200)
		pass(3300 * time.Millisecond)
		slow = 800 * time.Millisecond // it expires on its way
		call(200)
		slow = 0
		srv.RevokeAll()
		call(200) // replaced out of turn
		srv.RevokeAll()
		call(401) // a moment later
		pass(2100 * time.Millisecond)
		call(200)
	})
}

// A failure of the retried request is the caller's to see.
func TestRetryThatFails(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	calls := 0
	first := &closeCounter{Reader: strings.NewReader("the first answer")}
	base := roundTripper(func(*http.Request) (*http.Response, error) {
		if calls++; calls == 1 {
			return &http.Response{StatusCode: 401, Header: http.Header{}, Body: first}, nil
		}
		return nil, io.ErrUnexpectedEOF
	})
	source := sourceOf(t, srv, nil, httpclient.WithBaseTransport(base))
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example/", strings.NewReader("x"))
	if _, err := source.Client().Do(req); !errors.Is(err, io.ErrUnexpectedEOF) || first.closed.Load() != 1 {
		t.Errorf("got %v and a body closed %d times, want the lost answer and 1", err, first.closed.Load())
	}
	calls = 0
	req, _ = http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example/", strings.NewReader("x"))
	req.GetBody = func() (io.ReadCloser, error) { return nil, io.ErrNoProgress }
	if resp, err := source.Client().Do(req); err != nil || resp.StatusCode != 401 {
		t.Errorf("got %v and error %v, want the API's own 401", resp, err)
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
			if !strings.Contains(message(err), "redirects of token requests are not followed") || srv.Stats().APIRequests != 0 {
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
