package benchmarks

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
)

// openLimit is no way to authenticate: it is the least that the contract of
// [http.RoundTripper] leaves to do. The request and its header map are copied, and
// one constant header is set. Its token is behind one atomic load.
func openLimit(tb testing.TB, tokens http.RoundTripper) opened {
	tb.Helper()
	t, err := fetch(context.Background(), tokens)
	if err != nil {
		tb.Fatal(err)
	}
	header := []string{"Bearer " + t.value}
	var current atomic.Pointer[token]
	current.Store(&t)
	return opened{
		transport: func(base http.RoundTripper) http.RoundTripper {
			return roundTripper(func(req *http.Request) (*http.Response, error) {
				copied := *req
				copied.Header = make(http.Header, len(req.Header)+1)
				for name, values := range req.Header {
					copied.Header[name] = values
				}
				copied.Header["Authorization"] = header
				return base.RoundTrip(&copied)
			})
		},
		read: func(context.Context) error {
			if current.Load() == nil {
				return http.ErrNoLocation
			}
			return nil
		},
	}
}
