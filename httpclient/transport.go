package httpclient

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/portnokkel/portnokkel/internal/problems"
)

// Transport returns an [http.RoundTripper] that gives each request a token and
// hands it to base; nil means [http.DefaultTransport]. It is for chains of
// RoundTrippers and for clients of your own.
//
// The token goes:
//
//   - To the scheme, host and port at which the request started. Once a redirect has
//     left them, no later request of the chain carries the token.
//   - Over https, or over plain http to this machine by its literal name (localhost in
//     lower case, 127.0.0.0/8, ::1). An opaque URL is refused, since a proxy would
//     take it elsewhere.
//   - Not to a request with an Authorization header of its own, nor to one that it is
//     redirected to, unless OverwriteAuthorizationHeader is set.
//
// When the API answers 401 to a token of ours, the token is replaced. The request is
// sent once more if its body can be. Without a newer token the API's own answer is
// returned.
//
// The base must not follow redirects itself: it would take the token along. One that
// did is reported in the log at level Error. A RoundTripper above this one must pass
// requests on as they are or as clones: a request made anew has lost its origin.
//
// The request passed in is not changed. A response's Request is the one passed in, so
// that no token can be read there.
func (s *TokenSource) Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{source: s, base: base}
}

// transport holds the TokenSource, not what is in it: see [TokenSource].
type transport struct {
	source *TokenSource
	base   http.RoundTripper
}

var _ http.RoundTripper = (*transport)(nil)

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	s := t.source.open()
	if s == nil {
		return nil, refuse(req, ErrClosed)
	}
	header, own := copyHeader(req.Header)
	if own && !s.overwrite || !s.takesToken(req) {
		s.noteNoToken(req, own)
		return forward(t.base, req)
	}
	if err := s.checkDestination(req); err != nil {
		return nil, refuse(req, err)
	}
	var other tokenRequest
	request, err := s.requestOf(req.Context(), &other)
	if err != nil {
		return nil, refuse(req, err)
	}
	token, err := s.token(req.Context(), request)
	if err != nil {
		return nil, refuse(req, err)
	}
	resp, err := s.send(t.base, authorize(req, header, token), req)
	if err != nil {
		return nil, err
	}
	s.noteAnswer(req, resp, request, token)
	if resp.StatusCode != http.StatusUnauthorized {
		return resp, nil
	}
	return s.again(t.base, req, resp, request, token)
}

// noteNoToken tells why a request gets no token.
func (s *source) noteNoToken(req *http.Request, own bool) {
	host := ""
	if req.URL != nil {
		host = req.URL.Host
	}
	if own {
		s.log.step(req.Context(), "the request gets no token: it has an Authorization header of its own, and OverwriteAuthorizationHeader is off", slog.String("host", host))
		return
	}
	s.log.step(req.Context(), "the request gets no token: a redirect brought it here, from another host or with an Authorization header of its own", slog.String("host", host))
}

// refuse ends a request that is not sent: a RoundTripper closes the body in any
// case.
func refuse(req *http.Request, err error) error {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return err
}

// takesToken reports whether the request is ours to authenticate: it is the first, or
// no redirect so far has left its origin. A chain that comes back gets no token: the
// server elsewhere chose the place. Net/http does the same (CVE-2024-45336).
func (s *source) takesToken(req *http.Request) bool {
	hop := req
	for hops := 0; hop.Response != nil; hops++ {
		hop = hop.Response.Request
		if hop == nil || hop.URL == nil || req.URL == nil || hops == maxHops {
			return false // the chain is broken: its origin is unknown
		}
		if origin(hop.URL) != origin(req.URL) {
			return false
		}
	}
	return hop == req || s.overwrite || !hasAuthorization(hop.Header)
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

// checkDestination refuses to send a token if others could read it.
func (s *source) checkDestination(req *http.Request) error {
	u := req.URL
	switch {
	case u == nil || u.Host == "":
		return errors.New("httpclient: a request needs a URL with a host")
	case u.Opaque != "":
		return errors.New("httpclient: a request's URL must not be opaque: a proxy would take it elsewhere")
	case u.Scheme != "https" && !s.allowHTTP && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return fmt.Errorf("httpclient: use https for %s - a token is not sent over plain %s%w", u.Host, u.Scheme, quietly{ErrInsecureURL})
	case s.hosts == nil:
		return nil
	}
	// A server of many names goes by the Host header, which may differ from the URL's.
	for _, name := range []string{u.Hostname(), (&url.URL{Host: req.Host}).Hostname()} {
		if name != "" && !s.hosts[canonicalHost(name)] {
			return fmt.Errorf("httpclient: add %s to WithAllowedHosts if tokens may go there - the host is not allowed%w", name, quietly{ErrHostNotAllowed})
		}
	}
	return nil
}

// authorize copies the request and adds the token to the copy of its header. The
// header's value lies beside the copy, so that both are one allocation and a base
// that edits it edits no other request's.
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

// send hands an authorized request to the base, and notices a base that has taken the
// token elsewhere.
func (s *source) send(base http.RoundTripper, authorized, original *http.Request) (*http.Response, error) {
	resp, err := base.RoundTrip(authorized)
	if resp != nil && resp.Request != nil && resp.Request.URL != nil &&
		resp.Request.URL != authorized.URL && origin(resp.Request.URL) != origin(authorized.URL) {
		s.log.fail(original.Context(), "the base transport followed a redirect to another host, and may have taken the token there: "+
			"a transport of WithBaseTransport must not follow redirects", slog.String("host", resp.Request.URL.Host))
	}
	return returned(resp, err, original)
}

// forward hands a request without a token to the base.
func forward(base http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := base.RoundTrip(req)
	return returned(resp, err, req)
}

// returned is what the base returned, in the form that callers may see.
func returned(resp *http.Response, err error, original *http.Request) (*http.Response, error) {
	if err != nil {
		if resp != nil && resp.Body != nil {
			_ = resp.Body.Close()
		}
		return nil, err
	}
	if resp == nil {
		return nil, errors.New("httpclient: the base transport returned neither a response nor an error")
	}
	// Always, also if the base set one: the next hop looks here for its origin.
	resp.Request = original
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	return resp, nil
}

// again answers a 401, and tells why the token is replaced. The newer token is fetched before the first response is
// given up, so that a failed refresh still returns the API's own answer.
func (s *source) again(base http.RoundTripper, req *http.Request, first *http.Response, request *tokenRequest, rejected *Token) (*http.Response, error) {
	ctx := req.Context()
	call, err := s.cache.Replace(*request, rejected)
	hasBody := req.Body != nil && req.Body != http.NoBody
	if err == nil && call != nil && hasBody && req.GetBody == nil {
		return first, nil // the next request gets the newer token
	}
	var newer *Token
	switch {
	case err != nil:
		err = s.explained(err)
	case call == nil:
		err = errRejectedAgain
	default:
		if newer, err = call.Wait(ctx); err != nil {
			err = s.explained(err)
		}
	}
	said := slog.String("answer", readAnswer(first, request, rejected).String())
	if err != nil {
		s.log.step(ctx, "the API rejected the token, and there is no newer one",
			slog.String("host", req.URL.Host), said, slog.String("error", problems.OneLine(err)))
		return first, nil
	}
	s.log.step(ctx, "the API rejected the token; it is replaced, and the request sent again", slog.String("host", req.URL.Host), said)
	header, _ := copyHeader(req.Header)
	replay := authorize(req, header, newer)
	if hasBody {
		if replay.Body, err = req.GetBody(); err != nil {
			return first, nil //nolint:nilerr // the API's own answer is worth more
		}
	}
	// Not drained for its connection's sake: that could wait for ever.
	_ = first.Body.Close()
	resp, err := s.send(base, replay, req)
	if err == nil {
		s.noteAnswer(req, resp, request, newer)
	}
	return resp, err
}

var errRejectedAgain = errors.New("httpclient: the token was replaced a moment ago")

// CloseIdleConnections lets [http.Client.CloseIdleConnections] reach the base.
func (t *transport) CloseIdleConnections() {
	closeIdle(t.base)
}

func closeIdle(base http.RoundTripper) {
	if closer, ok := base.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// Format implements [fmt.Formatter]: every verb prints the source's text.
func (t *transport) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, t.String()) }

// String names the client's id.
func (t *transport) String() string { return "httpclient.Transport of " + t.source.String() }
