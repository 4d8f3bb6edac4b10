package provider

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// maxAnswer is many times what the largest page or secret takes.
const maxAnswer = 2 << 20

// transporter returns what carries requests, and a function that closes the idle
// connections of a client that was made here.
func transporter(given policy.Transporter, conns int) (policy.Transporter, func()) {
	if client, ok := given.(*http.Client); ok && client != nil {
		copied := *client
		copied.CheckRedirect = followNone
		return &copied, func() {}
	}
	if !isNil(given) {
		return given, func() {}
	}
	client := newHTTPClient(conns)
	return client, client.CloseIdleConnections
}

func newHTTPClient(conns int) *http.Client {
	dialer := net.Dialer{Timeout: 10 * time.Second}
	return &http.Client{
		CheckRedirect: followNone,
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         dialer.DialContext,
			ForceAttemptHTTP2:   true,
			MaxIdleConns:        conns,
			MaxIdleConnsPerHost: conns,
			IdleConnTimeout:     30 * time.Second,
			TLSHandshakeTimeout: 10 * time.Second,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		},
	}
}

// followNone hands a redirect to the caller as the answer that it is: the SDK
// would send the token along.
func followNone(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// wire watches the traffic of one load.
type wire struct {
	next policy.Transporter

	mu      sync.Mutex
	busy    map[string]int // paths whose last answer was 429 or 5xx
	unknown int            // how often a host did not resolve
}

func newWire(next policy.Transporter) *wire { return &wire{next: next, busy: map[string]int{}} }

// patience is a status that the vault puts a request off with, 0 if none.
func (w *wire) patience() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	worst := 0
	for _, status := range w.busy {
		worst = max(worst, status)
	}
	return worst
}

func (w *wire) note(path string, status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if status == http.StatusTooManyRequests || status >= 500 {
		w.busy[path] = status
	} else {
		delete(w.busy, path)
	}
}

// staysUnknown is true from the second time on that a host does not resolve: the
// first may be a resolver that starts together with the service.
func (w *wire) staysUnknown(err error) bool {
	var dns *net.DNSError
	if !errors.As(err, &dns) || !dns.IsNotFound {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unknown++
	return w.unknown > 1
}

// Do sends one request. It ends what no retry could mend.
func (w *wire) Do(req *http.Request) (*http.Response, error) {
	resp, err := w.next.Do(req)
	if err != nil {
		var cert *tls.CertificateVerificationError
		if errors.As(err, &cert) || w.staysUnknown(err) {
			return nil, finalError{err}
		}
		return nil, err
	}
	w.note(req.URL.Path, resp.StatusCode)
	if !challengeIsSound(resp) {
		_ = resp.Body.Close()
		return nil, finalError{errChallenge}
	}
	resp.Body = cappedBody{http.MaxBytesReader(nil, resp.Body, maxAnswer)}
	return resp, nil
}

var (
	errChallenge = errors.New("the challenge in the vault's answer is not one of Key Vault's")
	errTooLarge  = errors.New("the answer is larger than a key vault's can be")
)

// challengeIsSound refuses a challenge that the SDK must not act on. It reads it as
// the SDK does (keyvault/internal, updateTokenRequestOptions), which indexes into
// the authorization without looking, and takes a resource without a host for one
// that every host with a trailing dot belongs to.
func challengeIsSound(resp *http.Response) bool {
	if resp.StatusCode != http.StatusUnauthorized {
		return true
	}
	values := map[string]string{}
	for part := range strings.SplitSeq(strings.ReplaceAll(resp.Header.Get("WWW-Authenticate"), "Bearer ", ""), " ") {
		if name, value, ok := strings.Cut(part, "="); ok && !strings.Contains(value, "=") {
			values[name] = strings.TrimSuffix(strings.ReplaceAll(value, `"`, ""), ",")
		}
	}
	if authority := values["authorization"]; authority != "" && strings.Count(authority, "/") < 3 {
		return false
	}
	resource, ok := values["scope"]
	if !ok {
		resource = values["resource"]
	}
	u, err := url.Parse(resource)
	return resource == "" || err == nil && u.Scheme == "https" && u.Host != ""
}

// finalError is one that the SDK's retry policy leaves alone.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// NonRetriable is the mark that azcore looks for.
func (finalError) NonRetriable() {}

// cappedBody turns net/http's error for a large body into a final one.
type cappedBody struct{ io.ReadCloser }

func (b cappedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		err = finalError{errTooLarge}
	}
	return n, err
}
