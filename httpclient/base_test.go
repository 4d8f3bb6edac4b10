package httpclient_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/portnokkel/portnokkel/httpclient"
)

// following is a base transport that follows redirects itself, which it must not.
type following struct{ base http.RoundTripper }

func (f following) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := f.base.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusFound {
		return resp, err
	}
	next := r.Clone(r.Context())
	next.URL, _ = r.URL.Parse(resp.Header.Get("Location"))
	resp, err = f.base.RoundTrip(next)
	if err == nil {
		resp.Request = next
	}
	return resp, err
}

// A base transport that has followed a redirect to another host is noticed.
func TestBaseThatFollowsRedirects(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		location string
		noticed  bool
	}{
		"to another host": {"https://elsewhere.example/x", true},
		"to itself":       {"/next", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path == "/start" {
					return answer(http.StatusFound, http.Header{"Location": {c.location}}), nil
				}
				return answer(http.StatusOK, nil), nil
			})
			var out logs
			source := sourceOf(t, newDouble(t), nil, httpclient.WithBaseTransport(following{base}), httpclient.WithLogger(out.logger(0)))
			if status, _ := get(t, source.Client(), "https://api.example/start"); status != http.StatusOK {
				t.Errorf("got %d, want 200", status)
			}
			httpclient.Flush(source)
			const want = `level=ERROR msg="httpclient: the base transport followed a redirect to another host, and may have taken the token there: ` +
				`a transport of WithBaseTransport must not follow redirects" host=elsewhere.example`
			if got := strings.Contains(out.String(), want); got != c.noticed {
				t.Errorf("noticed: got %t, want %t:\n%s", got, c.noticed, out.String())
			}
		})
	}
}

// closable tells whether it was closed.
type closable struct {
	io.Reader
	closed bool
}

func (c *closable) Close() error {
	c.closed = true
	return nil
}

// A response beside an error is closed and not passed on: its Request holds the token.
func TestResponseBesideAnError(t *testing.T) {
	t.Parallel()
	body := &closable{Reader: strings.NewReader("CANARY")}
	broken := errors.New("broken")
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		resp := answer(http.StatusOK, nil)
		resp.Request, resp.Body = r, body
		return resp, broken
	})
	source := sourceOf(t, newDouble(t), nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := source.Transport(base).RoundTrip(req)
	if resp != nil || !errors.Is(err, broken) || !body.closed {
		t.Errorf("got response %v, error %v, closed %t; want nil, the base's error, true", resp, err, body.closed)
	}
}

// A body is sent again whole after a 401.
func TestBodyIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]io.Reader{
		"a text": strings.NewReader("form A"), // net/http sets GetBody for it
		"none":   http.NoBody,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var bodies, tokens []string
			base := roundTripper(func(r *http.Request) (*http.Response, error) {
				data, err := io.ReadAll(r.Body)
				if err != nil {
					return nil, err
				}
				bodies, tokens = append(bodies, string(data)), append(tokens, r.Header.Get("Authorization"))
				if len(bodies) == 1 {
					return answer(http.StatusUnauthorized, nil), nil
				}
				return answer(http.StatusOK, nil), nil
			})
			source := sourceOf(t, newDouble(t), nil, httpclient.WithBaseTransport(base))
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example/", body)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := source.Client().Do(req)
			if status, _ := read(t, resp, err); status != http.StatusOK {
				t.Errorf("got %d, want 200", status)
			}
			if len(bodies) != 2 || bodies[0] != bodies[1] || tokens[0] == tokens[1] {
				t.Errorf("got bodies %q, the same token %t; want the same body twice, two tokens", bodies, tokens[0] == tokens[len(tokens)-1])
			}
			if want := map[string]string{"a text": "form A", "none": ""}[name]; bodies[0] != want {
				t.Errorf("got body %q, want %q", bodies[0], want)
			}
		})
	}
}

// Nil and zero sources make clients that fail, and do not panic.
func TestNilSource(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]*httpclient.TokenSource{"nil": nil, "zero": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := &closable{Reader: strings.NewReader("x")}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example/", body)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := source.Client().Do(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			if !errors.Is(err, httpclient.ErrClosed) || !body.closed {
				t.Errorf("got %v, body closed %t; want ErrClosed, true", err, body.closed)
			}
			if _, err := source.Token(t.Context()); !errors.Is(err, httpclient.ErrClosed) {
				t.Errorf("got %v, want ErrClosed", err)
			}
			source.Close()
			if got, want := fmt.Sprint(source.Transport(nil)), "httpclient.Transport of httpclient.TokenSource(closed)"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
