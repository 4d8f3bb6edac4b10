package azure

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/portnokkel/portnokkel/internal/netcause"
)

var (
	errTooLarge = ownError{errors.New("the answer is larger than a key vault's can be"), kindStranger}
	errNothing  = &netcause.Error{What: "the transport returned neither an answer nor an error"}
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
	unknown int               // how often a host did not resolve
	last    *netcause.Error   // why the last request got no answer; nil if it got one
	open    []*netcause.Watch // of requests under way, and of those that their context ended
	tenant  string            // that the vault's challenge names; "" if unknown
}

func newWire(next policy.Transporter, retry *policy.RetryOptions) *wire {
	w := &wire{next: next, busy: map[string]int{}, tries: map[string]tries{}}
	w.takeOver(retry)
	return w
}

// Do sends one request.
func (w *wire) Do(req *http.Request) (*http.Response, error) {
	sent, watch := netcause.Follow(req, w.next)
	w.begun(watch)
	resp, err := w.next.Do(sent)
	if err == nil && resp == nil {
		err = errNothing
	}
	if err != nil {
		return nil, w.failed(req, watch, watch.Read(err))
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
	if tenant, sound := readChallenge(resp); w.vault && !sound {
		w.ended(req, watch)
		_ = resp.Body.Close()
		return nil, finalError{errChallenge}
	} else if w.vault && tenant != "" {
		w.belongsTo(tenant)
	}
	body := bufio.NewReader(http.MaxBytesReader(nil, resp.Body, maxAnswer))
	resp.Body = &watchedBody{body, resp.Body, resp, w, watch}
	start, _ := body.Peek(pageStart)
	if page := netcause.PageOf(resp.StatusCode, resp.Header, start); page != nil {
		_ = resp.Body.Close()
		return nil, w.failed(req, watch, page)
	}
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
func (w *wire) lost() *netcause.Error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// phase is how far the request came that has been under way for longest; "" if none is.
func (w *wire) phase() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.open) == 0 {
		return ""
	}
	return w.open[0].Phase()
}

// belongsTo notes the vault's tenant.
func (w *wire) belongsTo(tenant string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tenant = tenant
}

// vaultTenant is the tenant that the vault named, a GUID; "" if it named none.
func (w *wire) vaultTenant() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tenant
}

func (w *wire) begun(watch *netcause.Watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = append(w.open, watch)
}

// ended forgets a request, unless its context ended: it is what a late load waited for.
func (w *wire) ended(req *http.Request, watch *netcause.Watch) {
	if req.Context().Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = slices.DeleteFunc(w.open, func(other *netcause.Watch) bool { return other == watch })
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

// failed notes why a request got no whole answer, and whether to try again.
func (w *wire) failed(req *http.Request, watch *netcause.Watch, cause *netcause.Error) error {
	w.ended(req, watch)
	again := w.mayPass(cause) && w.another(req)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = cause
	if !again {
		return finalError{cause}
	}
	return cause
}

// finalError is an error after which the SDK does not try again.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// NonRetriable is the mark that azcore looks for.
func (finalError) NonRetriable() {}

// watchedBody reads an answer's body within the bound.
type watchedBody struct {
	io.Reader // buffers body
	body      io.Closer
	resp      *http.Response
	of        *wire
	watch     *netcause.Watch
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
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
	return n, b.of.failed(b.resp.Request, b.watch, b.watch.Read(err))
}

func (b *watchedBody) Close() error {
	b.of.ended(b.resp.Request, b.watch)
	return b.body.Close()
}
