package benchmarks

import (
	"context"
	"net/http"
	"testing"
)

// peer is a way to send requests that carry a cached token.
type peer struct {
	name string
	// open starts with an empty cache. Tokens are asked for over the given
	// transport, as a client of [tokenURL].
	open func(tb testing.TB, tokens http.RoundTripper) opened
}

// opened is a cache of one token, and what sends requests with it.
type opened struct {
	// transport puts the token on requests and hands them to base.
	transport func(base http.RoundTripper) http.RoundTripper
	// read reads the token alone; nil where a peer does not offer that.
	read func(context.Context) error
}

// peers are timed in this order; the first is this project.
var peers = []peer{
	{"portnokkel", openPortnokkel},
	{"x-oauth2", openOAuth2},
	{"google", openGoogle},
	{"limit", openLimit},
}

// roundTripper is a function as an [http.RoundTripper].
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// noOp answers every request with the same response. Each goroutine has its own,
// because a transport may write to it.
func noOp() http.RoundTripper {
	resp := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}
	return roundTripper(func(*http.Request) (*http.Response, error) { return resp, nil })
}

// newRequest is what an API client sends: a few headers, no body.
func newRequest(tb testing.TB, ctx context.Context) *http.Request {
	tb.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://platform.tt02.altinn.no/storage/api/v1/instances", nil)
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "benchmarks")
	req.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	return req
}
