package httpclient

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	// maxAnswer is far more than a token endpoint has to say, in bytes.
	maxAnswer = 1 << 20
	// pingAfter is how long a connection may be silent before it is probed, and
	// pingTimeout how long it then has to answer, less than an attempt in all.
	pingAfter   = 5 * time.Second
	pingTimeout = 2 * time.Second
	// maxQuote is how much of an error's field is kept, in characters.
	maxQuote = 1000
)

// answer is an endpoint's whole answer, read within the bounds.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// date is the server's clock, where it tells it (RFC 9110 section 6.6.1).
func (a *answer) date() (time.Time, bool) {
	date, err := http.ParseTime(a.header.Get("Date"))
	return date, err == nil
}

// retryAfter is how long the server asks to wait (RFC 9110 section 10.2.3).
func (a *answer) retryAfter(now time.Time) time.Duration {
	value := a.header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(0, seconds), int(maxLife.Seconds()))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// newTokenClient makes the client for token requests. It follows no redirect,
// which would hand the assertion to another address (307 and 308 replay it),
// and it has no cookies.
func newTokenClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
		transport = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         dialer.DialContext,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: 2,
			IdleConnTimeout:     90 * time.Second,
			// A connection that died in silence is noticed, and given up.
			HTTP2:                 &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
			TLSHandshakeTimeout:   5 * time.Second,
			ResponseHeaderTimeout: attemptTimeout,
			OnProxyConnectResponse: func(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
				if resp.StatusCode != http.StatusOK {
					return &proxyError{proxy.Host, resp.StatusCode}
				}
				return nil
			},
		}
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// send makes one attempt and reads the whole answer.
func send(ctx context.Context, client *http.Client, req *http.Request) (got *answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	defer func() {
		if recover() != nil {
			got, err = nil, errPanicked
		}
	}()
	resp, err := client.Do(req.WithContext(ctx))
	if err != nil {
		// url.Error repeats the method and URL, which our own errors name.
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, errTooLong
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// errPanicked stands for a panic in code that is not ours; what it panicked with may
// be a secret.
var errPanicked = errors.New("the transport for token requests panicked")

var (
	mpCode  = regexp.MustCompile(`\bMP-\d{3}\b`)
	traceID = regexp.MustCompile(`(?i)\(?trace_?id:\s*([\w-]+)\)?`)
)

// refused makes an error of an answer that is not the one hoped for. sent is what
// the request carried that must not be shown, in case the answer echoes it.
func (e *TokenError) refused(a *answer, sent []string, now time.Time) {
	e.StatusCode = a.status
	e.Temporary = isTemporary(a.status)
	if date, ok := a.date(); ok {
		now = date // by the same clock as a date in Retry-After
	}
	e.RetryAfter = a.retryAfter(now)
	e.wide = a.status >= 300 && a.status < 400 || a.status == http.StatusNotFound || a.status == http.StatusGone
	e.Hint = statusHint(a.status)
	var fields struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		URI         string `json:"error_uri"`
	}
	if err := json.Unmarshal(a.body, &fields); err != nil || fields.Error+fields.Description == "" {
		if e.Hint == "" {
			e.Hint = "it gives no reason: something between here and the server may answer in its place"
		}
		return
	}
	e.Code, e.Description, e.URI = quote(fields.Error, sent...), quote(fields.Description, sent...), quote(fields.URI, sent...)
	e.MPCode = mpCode.FindString(e.Description + " " + e.URI)
	if m := traceID.FindStringSubmatch(e.Description); m != nil {
		e.TraceID = m[1]
	}
}

// isTemporary tells the statuses that may pass by themselves.
func isTemporary(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= http.StatusInternalServerError
}

// quote makes a server's text fit for a log line.
func quote(text string, secrets ...string) string {
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, redacted)
		}
	}
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(text); len(runes) > maxQuote {
		text = string(runes[:maxQuote-1]) + "…"
	}
	return text
}

// isTokenText reports whether a server's token can stand in a header (RFC 6750
// section 2.1 allows less; line breaks and spaces are what must not pass).
func isTokenText(token string) bool {
	if token == "" {
		return false
	}
	for _, c := range []byte(token) {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}
