package faulttest

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Fault says what goes wrong with a request. The zero value of every field
// leaves that aspect alone, so Fault{Delay: time.Second} only slows one
// request down, and Fault{Status: 503} answers one request with 503.
type Fault struct {
	// Match chooses the requests to hit. Nil hits any request. It may read the
	// request's body and form, and call the queue.
	Match func(*http.Request) bool
	// Times is how many requests are hit before the fault is used up.
	// Zero means one; a negative number means all until [Queue.Clear].
	Times int

	// Delay passes before anything is answered. It ends early when the client
	// goes away.
	Delay time.Duration
	// Hang accepts the request and answers nothing until the client goes away
	// or the server closes.
	Hang bool
	// Drop closes the connection without an answer; over HTTP/2 it resets the
	// stream. Of Hang, Drop and Status the first that is set counts.
	Drop bool
	// Status answers with this status, Header and Body instead of passing the
	// request on.
	Status int
	// Header is added to the answer that Status asks for.
	Header http.Header
	// Body is the answer's body where Status is set.
	Body string
	// Truncate promises more bytes than Body has, where Status is set, and then
	// does as Drop does.
	Truncate bool
	// SlowBody passes between the answer's header and its body, where Status is set.
	SlowBody time.Duration
}

// Queue holds faults and applies them to the requests that pass its handlers.
// The first fault in the queue that matches a request is the one applied. The
// zero value is an empty queue, ready for use.
type Queue struct {
	mu     sync.Mutex
	faults []*queued
	hits   int
}

// queued is a fault in a queue, told from its equals by its address.
type queued struct {
	Fault
	left int // negative: any number
}

// Add appends faults to the queue.
func (q *Queue) Add(faults ...Fault) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range faults {
		q.faults = append(q.faults, &queued{Fault: f, left: cmp.Or(f.Times, 1)})
	}
}

// Clear forgets every fault that is still queued.
func (q *Queue) Clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.faults = nil
}

// Pending is the number of faults that are not used up.
func (q *Queue) Pending() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.faults)
}

// Hits is the number of requests that a fault has hit, cleared ones included.
func (q *Queue) Hits() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.hits
}

// Wrap returns a handler that applies the queued faults and passes all other
// requests on to next. While the queue holds any fault, a request's body is read
// before it is matched.
func (q *Queue) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q.Pending() == 0 {
			next.ServeHTTP(w, r)
			return
		}
		// net/http notices that an HTTP/1 client has left only once the
		// request's body is read: without this a hang would outlive it.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		f, hit := q.take(r, body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if hit {
			f.serve(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// take finds the fault that hits a request and uses it up by one.
func (q *Queue) take(r *http.Request, body []byte) (Fault, bool) {
	q.mu.Lock()
	faults := slices.Clone(q.faults)
	q.mu.Unlock()
	for _, f := range faults {
		// Match may do as it likes: it has a copy of the request, with the body,
		// and the queue is not locked.
		if f.Match != nil {
			copied := r.Clone(r.Context())
			copied.Body = io.NopCloser(bytes.NewReader(body))
			if !f.Match(copied) {
				continue
			}
		}
		if q.use(f) {
			return f.Fault, true
		}
	}
	return Fault{}, false
}

// use reports whether the fault was still there to be used.
func (q *Queue) use(f *queued) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.faults, f)
	if i < 0 {
		return false
	}
	if f.left--; f.left == 0 {
		q.faults = slices.Delete(slices.Clone(q.faults), i, i+1)
	}
	q.hits++
	return true
}

func (f Fault) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	pause(r, f.Delay)
	switch {
	case f.Hang:
		<-r.Context().Done()
		drop()
	case f.Drop:
		drop()
	case f.Status != 0:
		f.answer(w, r)
	default:
		next.ServeHTTP(w, r)
	}
}

func (f Fault) answer(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for name, values := range f.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	length := len(f.Body)
	if f.Truncate {
		length++
	}
	h.Set("Content-Length", strconv.Itoa(length))
	w.WriteHeader(f.Status)
	if f.SlowBody > 0 {
		_ = http.NewResponseController(w).Flush()
		pause(r, f.SlowBody)
	}
	_, _ = w.Write([]byte(f.Body))
	if f.Truncate {
		_ = http.NewResponseController(w).Flush()
		drop()
	}
}

// pause waits for d, or drops the connection when the client or the server has
// gone by then.
func pause(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		drop()
	}
}

// drop makes net/http close the connection (or reset the HTTP/2 stream)
// without logging: http.ErrAbortHandler is its documented signal for that.
func drop() { panic(http.ErrAbortHandler) }
