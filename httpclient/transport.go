package httpclient

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
)

// Transport returns an [http.RoundTripper] that gives each request a token and
// hands it to base; nil means [http.DefaultTransport]. It is for chains of
// RoundTrippers and for clients of your own.
//
// The token goes to the scheme, host and port that the request started at, and
// nowhere else, however many redirects follow: a hop to another origin is sent
// without it. It goes over https, or over plain http to this machine by its
// literal name (localhost, 127.0.0.0/8, ::1). A URL that is opaque is refused, since a
// proxy would take it elsewhere. A RoundTripper above this one must
// pass requests on as they are or as clones: a request made anew has lost where
// it started.
//
// The request passed in is not changed, and a response's Request is the one
// passed in, so that no token can be read there. An Authorization header that
// the request already has is kept, and that request gets no token, nor does any
// that it is redirected to, unless OverwriteAuthorizationHeader is set.
//
// When the API answers 401 to a token of ours, the token is replaced, and the
// request is sent once more if its body can be. Where no newer token is to be
// had, the API's own answer is returned.
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
	header, own := copyHeader(req.Header)
	if own && !t.source.overwrite || !t.takesToken(req) {
		return t.forward(req, req)
	}
	if err := t.source.checkDestination(req); err != nil {
		return nil, refuse(req, err)
	}
	e, err := t.source.entry(req.Context())
	if err != nil {
		return nil, refuse(req, err)
	}
	token, err := t.source.token(req.Context(), e)
	if err != nil {
		return nil, refuse(req, err)
	}
	resp, err := t.forward(authorize(req, header, token), req)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	return t.again(req, resp, e, token)
}

// refuse ends a request that is not sent: a RoundTripper closes the body in any
// case.
func refuse(req *http.Request, err error) error {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return err
}

// maxHops is more redirects than anybody follows: a base that gives the same response
// twice makes a ring of them.
const maxHops = 100

// takesToken reports whether the request is ours to authenticate.
func (t *transport) takesToken(req *http.Request) bool {
	first := req
	// Comparing with the hop before would not do: A to B to B.
	for hops := 0; first.Response != nil; hops++ {
		if first.Response.Request == nil || hops == maxHops {
			return false // the chain is broken: who knows where it began
		}
		first = first.Response.Request
	}
	if first == req {
		return true
	}
	if !t.source.overwrite && hasAuthorization(first.Header) {
		return false
	}
	return first.URL != nil && req.URL != nil && origin(first.URL) == origin(req.URL)
}

// hasAuthorization finds the header in any case, since a map may hold it so.
func hasAuthorization(header http.Header) bool {
	if len(header["Authorization"]) > 0 {
		return true
	}
	for name, values := range header {
		if isAuthorization(name) && len(values) > 0 {
			return true
		}
	}
	return false
}

func isAuthorization(name string) bool {
	const authorization = "Authorization"
	return len(name) == len(authorization) && strings.EqualFold(name, authorization)
}

// checkDestination refuses to send a token where it could be read by others.
func (s *TokenSource) checkDestination(req *http.Request) error {
	u := req.URL
	switch {
	case u == nil || u.Host == "":
		return errors.New("httpclient: a request needs a URL with a host")
	case u.Opaque != "":
		return errors.New("httpclient: a request's URL must not be opaque: a proxy would take it elsewhere")
	case u.Scheme != "https" && !s.allowHTTP && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return fmt.Errorf("%w: %s://%s; use https", ErrInsecureURL, u.Scheme, u.Host)
	case s.hosts == nil:
		return nil
	}
	// A server of many names goes by the Host header, which may differ from the URL's.
	for _, name := range []string{u.Hostname(), (&url.URL{Host: req.Host}).Hostname()} {
		if name != "" && !s.hosts[canonicalHost(name)] {
			return fmt.Errorf("%w: %s", ErrHostNotAllowed, name)
		}
	}
	return nil
}

// authorize copies the request and adds the token to the copy of its header. The
// header's value lies beside the copy, so that both are one allocation and a base
// that edits it edits nobody else's.
func authorize(req *http.Request, header http.Header, token *Token) *http.Request {
	copied := &struct {
		http.Request
		value [1]string
	}{Request: *req}
	copied.value[0] = token.authorization()
	copied.Header = header
	copied.Header["Authorization"] = copied.value[:]
	return &copied.Request
}

// copyHeader copies a header without an Authorization, and reports whether it had
// one, in any case.
func copyHeader(header http.Header) (copied http.Header, had bool) {
	copied = make(http.Header, len(header)+1)
	for name, values := range header {
		if isAuthorization(name) {
			had = had || len(values) > 0
		} else {
			copied[name] = values
		}
	}
	return copied, had
}

// forward hands a request to the base, on behalf of the original one.
func (t *transport) forward(req, original *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return resp, err
	}
	if resp == nil {
		return nil, errors.New("httpclient: the base transport returned neither a response nor an error")
	}
	// Always, not only where the base set none: the next hop looks here for
	// where it began.
	resp.Request = original
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	return resp, nil
}

// again answers a 401. The newer token is fetched before the first response is
// given up, so that a failed refresh still returns the API's own answer.
func (t *transport) again(req *http.Request, first *http.Response, e *entry, rejected *Token) (*http.Response, error) {
	ctx := req.Context()
	f, err := t.source.replace(e, rejected)
	hasBody := req.Body != nil && req.Body != http.NoBody
	if err == nil && hasBody && req.GetBody == nil {
		return first, nil // the next request gets the newer token
	}
	var newer *Token
	if err == nil {
		newer, err = f.wait(ctx)
	}
	if err != nil {
		t.source.log.step(ctx, "the API rejected the token, and there is no newer one",
			slog.String("host", req.URL.Host), slog.String("error", err.Error()))
		return first, nil
	}
	header, _ := copyHeader(req.Header)
	replay := authorize(req, header, newer)
	if hasBody {
		if replay.Body, err = req.GetBody(); err != nil {
			return first, nil //nolint:nilerr // the API's own answer is worth more
		}
	}
	// Not drained for its connection's sake: that could wait for ever.
	_ = first.Body.Close()
	return t.forward(replay, req)
}

// CloseIdleConnections lets [http.Client.CloseIdleConnections] reach the base.
func (t *transport) CloseIdleConnections() {
	closeIdle(t.base)
}

func closeIdle(base http.RoundTripper) {
	if closer, ok := base.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// Format implements [fmt.Formatter]: every verb prints the client's id alone.
func (t *transport) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "httpclient.Transport(%s)", t.source.clientID)
}
