package httpclient_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/httpclient"
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
		{"from a trailing dot to the name without it", []string{"https://api.example/next"}, []bool{false}, "https://api.example./start"},
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
