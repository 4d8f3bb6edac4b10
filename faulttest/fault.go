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

// Fault says what goes wrong with a request. A zero field changes nothing, so
// Fault{Delay: time.Second} only delays one request, and Fault{Status: 503} answers
// one request with 503.
type Fault struct {
	// Match chooses the requests to hit. Nil hits every request. Match may read
	// the request's body and form, and call the queue.
	Match func(*http.Request) bool
	// Times is how many requests are hit before the fault is used up.
	// Zero means one; a negative number means all until [Queue.Clear].
	Times int

	// Delay is how long the server waits before it does anything else. It ends
	// when the client leaves.
	Delay time.Duration
	// Hang accepts the request and answers nothing until the client leaves or
	// the server closes. If several of Hang, Drop and Status are set, the first
	// one counts.
	Hang bool
	// Drop closes the connection without an answer. Over HTTP/2 it resets the
	// stream.
	Drop bool
	// Status answers with this status, Header and Body instead of passing the
	// request on.
	Status int
	// Header is added to the answer, if Status is set.
	Header http.Header
	// Body is the answer's body, if Status is set.
	Body string
	// Truncate promises more bytes than Body has, and then does as Drop does, if
	// Status is set.
	Truncate bool
	// SlowBody is the pause between the answer's header and its body, if Status
	// is set.
	SlowBody time.Duration
}

// Queue holds faults and applies them to the requests that pass its handlers. A
// request is hit by the first fault in the queue that matches it. The zero value is
// an empty queue, ready for use. A nil Queue stays empty.
type Queue struct {
	mu     sync.Mutex
	faults []*queued
	hits   int
}

// queued is a fault in a queue. Its address tells it from others with the same
// fields.
type queued struct {
	Fault
	left int // negative: any number
}

// Add appends faults to the queue.
func (q *Queue) Add(faults ...Fault) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range faults {
		q.faults = append(q.faults, &queued{Fault: f, left: cmp.Or(f.Times, 1)})
	}
}

// Clear removes every fault that is still queued.
func (q *Queue) Clear() {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.faults = nil
}

// Pending is the number of faults that are not used up.
func (q *Queue) Pending() int {
	if q == nil {
		return 0
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.faults)
}

// Hits is the number of requests that a fault has hit, cleared faults included.
func (q *Queue) Hits() int {
	if q == nil {
		return 0
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.hits
}

// Wrap returns a handler that applies the queued faults and passes all other
// requests on to next. A nil next answers 404. While the queue holds any fault, the
// handler reads a request's body before it matches the request.
func (q *Queue) Wrap(next http.Handler) http.Handler {
	next = orNotFound(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q.Pending() == 0 {
			next.ServeHTTP(w, r)
			return
		}
		// net/http notices that an HTTP/1 client has left only once the
		// request's body is read: without this a hang would outlive it.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			drop()
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

// take finds the fault that hits a request, and counts the hit.
func (q *Queue) take(r *http.Request, body []byte) (Fault, bool) {
	q.mu.Lock()
	faults := slices.Clone(q.faults)
	q.mu.Unlock()
	for _, f := range faults {
		// Match gets a copy of the request, with the body, and the queue is not
		// locked: it may read the one and call the other.
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

// use counts a hit, and reports whether the fault was still in the queue.
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

// pause waits for d. It drops the connection if the client leaves or the server
// closes before that.
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

// drop makes net/http close the connection (or reset the HTTP/2 stream) without a
// log message: http.ErrAbortHandler is its documented signal for that.
func drop() { panic(http.ErrAbortHandler) }
