package httpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/portnokkel/portnokkel/httpclient/internal/tokencache"
	"github.com/portnokkel/portnokkel/internal/netcause"
)

// endpoint asks one kind of server: Maskinporten for tokens, Altinn for the exchange,
// an issuer for its metadata.
type endpoint struct {
	step      string // what it is for, in errors
	clientID  string
	transport http.RoundTripper
	clock     tokencache.Clock
	guards    *guards
	audit     *audit // nil: no audit log
	// address is the setting that says where the endpoint is.
	address string
	// absent is what to do if nothing listens at the address; empty for the usual.
	absent string
}

// request is what an endpoint is asked.
type request struct {
	method, url string
	header      http.Header
	body        string
	// secrets are what the answer may echo and no error may show.
	secrets []string
	// explain reads a refusal. Nil adds nothing.
	explain func(refused) verdict
	about   audited
}

// answer is an endpoint's whole answer, read within the bounds.
type answer struct {
	status     int
	header     http.Header
	body       []byte
	start, end tokencache.Instant // of the request for it
}

// date is the server's clock, if the answer tells it (RFC 9110 section 6.6.1).
func (a *answer) date() (time.Time, bool) {
	date, err := http.ParseTime(a.header.Get("Date"))
	return date, err == nil
}

// retryAfter is how long the server asks to wait (RFC 9110 section 10.2.3). A date in
// it is read by the server's clock, if that is known.
func (a *answer) retryAfter() time.Duration {
	value := a.header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(0, seconds), int(maxLife.Seconds()))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, known := a.date()
	if !known {
		now = a.start.Time()
	}
	return max(0, at.Sub(now))
}

// token makes one attempt to get a token, and tells the audit log of it. It is as call.
func (e *endpoint) token(ctx context.Context, r request, parse func(*answer) (*Token, error)) (token *Token, err error) {
	err = e.call(ctx, r, func(a *answer) (err error) {
		token, err = parse(a)
		return err
	})
	e.audit.record(ctx, r, token, err)
	return token, err
}

// call makes one attempt. An answer of status 200 goes to parse. Its error says what is
// wrong with the answer, and never quotes it.
func (e *endpoint) call(ctx context.Context, r request, parse func(*answer) error) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	at := asked{step: e.step, url: r.url, clientID: e.clientID, address: e.address, absent: e.absent}
	req, watch, err := e.request(ctx, r)
	if err != nil {
		return noAnswer(at, watch, err)
	}
	a, err := guard(ctx, e.guards, "the transport for token requests", func() (*answer, error) { return e.send(req) })
	if err != nil {
		return noAnswer(at, watch, err)
	}
	if a.status != http.StatusOK {
		return refusal(at, a, r)
	}
	if page := netcause.PageOf(a.status, a.header, a.body); page != nil {
		return badAnswer(at, a, page)
	}
	if err := parse(a); err != nil {
		return badAnswer(at, a, err)
	}
	return nil
}

// request makes the HTTP request, and what follows how far it comes.
func (e *endpoint) request(ctx context.Context, r request) (*http.Request, *netcause.Watch, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, strings.NewReader(r.body))
	if err != nil {
		return nil, nil, errBadURL // it was checked
	}
	if r.body == "" {
		req.Body = http.NoBody
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	req, watch := netcause.Follow(req, e.transport)
	return req, watch, nil
}

// send sends the request and reads the whole answer. It asks the transport directly:
// redirects are not followed, since 307 and 308 replay the assertion, and there are no
// cookies.
func (e *endpoint) send(req *http.Request) (*answer, error) {
	start := e.clock()
	resp, err := e.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp == nil || resp.Body == nil {
		return nil, errNoResponse
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, errTooLong
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: body, start: start, end: e.clock()}, nil
}

var (
	errBadURL     = errors.New("the address is not a URL")
	errNoResponse = errors.New("the transport returned neither a response nor an error")
	errTooLong    = fmt.Errorf("the answer is over %d bytes", maxAnswer)
)

// newTokenTransport makes the transport for token requests. Nothing of it is shared
// with the API's requests.
func newTokenTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: keepAlive}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: maxIdle,
		IdleConnTimeout:     idleTimeout,
		// A connection that died in silence is noticed, and given up.
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		TLSHandshakeTimeout:   connectTimeout,
		ResponseHeaderTimeout: attemptTimeout,

		OnProxyConnectResponse: netcause.RefusedByProxy,
	}
}
