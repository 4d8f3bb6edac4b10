package azure

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

var (
	errTooLarge = ownError{errors.New("the answer is larger than a key vault's can be"), kindStranger}
	errNothing  = errors.New("the transport returned neither an answer nor an error")
)

// wire carries the requests of one client. It watches them, replaces errors that
// may quote a server, and ends what no retry can mend.
type wire struct {
	next    policy.Transporter
	vault   bool // it leads to a vault, whose challenges the SDK acts on
	retries bool // how often to try again is for this wire to say
	// The first and the longest wait before a server that throttles is asked again.
	backOff, longest time.Duration

	mu      sync.Mutex
	busy    map[string]int // by request: a last answer that puts it off
	tries   map[string]tries
	unknown int   // how often a host did not resolve
	last    error // why the last request got no answer; nil if it got one
}

func newWire(next policy.Transporter, retry *policy.RetryOptions) *wire {
	w := &wire{next: next, busy: map[string]int{}, tries: map[string]tries{}}
	w.takeOver(retry)
	return w
}

// Do sends one request.
func (w *wire) Do(req *http.Request) (*http.Response, error) {
	resp, err := w.next.Do(req)
	if err == nil && resp == nil {
		err = errNothing
	}
	if err != nil {
		return nil, w.failed(req, err)
	}
	w.answered(req, resp.StatusCode)
	if resp.Request == nil {
		resp.Request = req
	}
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	if w.vault && !challengeIsSound(resp) {
		_ = resp.Body.Close()
		return nil, finalError{errChallenge}
	}
	resp.Body = &watchedBody{http.MaxBytesReader(nil, resp.Body, maxAnswer), resp, w}
	return resp, nil
}

// nameOf tells requests apart. A listing's pages differ by their query.
func nameOf(req *http.Request) string { return req.Method + " " + req.URL.Host + req.URL.RequestURI() }

// busyStatus is a status with which the server puts a request off; 0 if it does
// not.
func (w *wire) busyStatus() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	worst := 0
	for _, status := range w.busy {
		worst = max(worst, status)
	}
	return worst
}

// lost is why the last request got no answer; nil if it got one.
func (w *wire) lost() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

func (w *wire) answered(req *http.Request, status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = nil
	if mayPassStatus(status) {
		w.busy[nameOf(req)] = status
		return
	}
	delete(w.busy, nameOf(req))
}

// done ends the count of a request's tries, if its whole answer is one to keep.
func (w *wire) done(resp *http.Response) {
	if mayPassStatus(resp.StatusCode) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.tries, nameOf(resp.Request))
}

// failed replaces the error of a request that got no whole answer.
func (w *wire) failed(req *http.Request, err error) error {
	lost := readTransport(err)
	var proxy *proxyError
	if errors.As(lost, &proxy) && proxy.proxy == "" {
		lost.cause = newProxyError(proxyOf(w.next, req), proxy.status)
	}
	again := w.mayPass(lost) && w.another(req)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = lost
	if !again {
		return finalError{lost}
	}
	return lost
}

// finalError is an error after which the SDK does not try again.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// NonRetriable is the mark that azcore looks for.
func (finalError) NonRetriable() {}

// watchedBody reads an answer's body within the bound.
type watchedBody struct {
	io.ReadCloser
	resp *http.Response
	of   *wire
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF:
		b.of.done(b.resp)
		return n, err
	case errors.As(err, &tooLarge):
		return n, finalError{errTooLarge}
	}
	return n, b.of.failed(b.resp.Request, err)
}
