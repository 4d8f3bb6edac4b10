package httpclient

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
)

// Transport returns an [http.RoundTripper] that gives each request a token and
// hands it to base; nil means [http.DefaultTransport]. It is for chains of
// RoundTrippers and for clients of your own.
//
// The token goes to the scheme, host and port that the request started at, and
// nowhere else, however many redirects follow: a hop to another origin is sent
// without it. It goes over https, or over plain http to this machine by its
// literal name (localhost, 127.0.0.0/8, ::1). The request passed in is never
// modified, and a response's Request is the one passed in, so that no token can
// be read there.
//
// An Authorization header that the request already has is kept, and that
// request gets no token, unless OverwriteAuthorizationHeader is set.
//
// When the API answers 401 to a token of ours, and the request's body can be
// replayed, it is sent once more with a newer token. Where none is to be had,
// the API's own answer is returned.
func (s *TokenSource) Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{source: s, base: base}
}

type transport struct {
	source *TokenSource
	base   http.RoundTripper
}

var _ http.RoundTripper = (*transport)(nil)

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if !t.takesToken(req) {
		resp, err := t.base.RoundTrip(req)
		if resp != nil && resp.Request == nil {
			resp.Request = req // so that the next hop can tell where it began
		}
		return resp, err
	}
	if err := t.source.checkDestination(req); err != nil {
		closeBody(req)
		return nil, err
	}
	token, err := t.source.token(req.Context(), t.source.own)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	resp, err := t.send(req, token)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	return t.again(req, resp, token)
}

// takesToken reports whether the request is ours to authenticate.
func (t *transport) takesToken(req *http.Request) bool {
	if len(req.Header["Authorization"]) > 0 && !t.source.overwrite {
		return false
	}
	if req.Response == nil {
		return true
	}
	// Comparing with the hop before would not do: A to B to B.
	first := req
	for first.Response != nil {
		if first.Response.Request == nil {
			return false // the chain is broken: who knows where it began
		}
		first = first.Response.Request
	}
	return first.URL != nil && req.URL != nil && origin(first.URL) == origin(req.URL)
}

// checkDestination refuses to send a token where it could be read by others.
func (s *TokenSource) checkDestination(req *http.Request) error {
	u := req.URL
	switch {
	case u == nil || u.Host == "":
		return errors.New("httpclient: a request needs a URL with a host")
	case u.Scheme != "https" && !s.allowHTTP && !(u.Scheme == "http" && isLoopback(u.Hostname())):
		return fmt.Errorf("%w: %s://%s; use https", ErrInsecureURL, u.Scheme, u.Host)
	case len(s.hosts) > 0 && !s.hosts[strings.ToLower(u.Hostname())]:
		return fmt.Errorf("%w: %s", ErrHostNotAllowed, u.Hostname())
	}
	return nil
}

// send hands a shallow copy of the request, with the token, to the base.
func (t *transport) send(req *http.Request, token *Token) (*http.Response, error) {
	authorized := *req
	authorized.Header = make(http.Header, len(req.Header)+1)
	for name, values := range req.Header {
		authorized.Header[name] = values
	}
	authorized.Header["Authorization"] = token.secret.header
	resp, err := t.base.RoundTrip(&authorized)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// again answers a 401. The newer token is fetched before the first response is
// given up, so that a failed refresh still returns the API's own answer.
func (t *transport) again(req *http.Request, first *http.Response, rejected *Token) (*http.Response, error) {
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return first, nil
	}
	ctx := req.Context()
	newer, err := t.source.replace(ctx, t.source.own, rejected)
	if err != nil {
		t.source.log.step(ctx, "the API rejected the token, and there is no newer one",
			slog.String("host", req.URL.Host), slog.String("error", err.Error()))
		return first, nil
	}
	replay := *req
	if req.GetBody != nil && req.Body != http.NoBody {
		if replay.Body, err = req.GetBody(); err != nil {
			return first, nil //nolint:nilerr // the API's own answer is worth more
		}
	}
	discard(first)
	resp, err := t.send(&replay, newer)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// CloseIdleConnections lets [http.Client.CloseIdleConnections] reach the base.
func (t *transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// Format implements [fmt.Formatter]: every verb prints the client's id alone.
func (t *transport) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "httpclient.Transport(%s)", t.source.clientID)
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// maxDrain is how much of a rejected answer is read so that its connection can
// be used again, in bytes.
const maxDrain = 64 << 10

func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
	_ = resp.Body.Close()
}
