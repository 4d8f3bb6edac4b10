package maskinportentest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
)

type replayedKey struct{}

// count stands before the faults: it counts every request on arrival, and every
// assertion's jti counts as used, whatever becomes of the request. A client cannot
// know whether the server processed a request that failed, and must not send its
// assertion again.
func (s *Server) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern := s.mux.Handler(r)
		if counter, own := s.counters[pattern]; own {
			s.add(counter)
		} else if pattern != "" {
			s.add(func(st *Stats) { st.APIRequests++ })
		}
		if pattern == s.tokenPattern {
			r = s.arrive(r)
		}
		next.ServeHTTP(w, r)
	})
}

// arrive notes a token request's assertion, and whether it came before.
func (s *Server) arrive(r *http.Request) *http.Request {
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return r
	}
	replayed := s.noteAssertion(form.Get("assertion"))
	return r.WithContext(context.WithValue(r.Context(), replayedKey{}, replayed))
}

// delayed puts the configured latency before an answer.
func (s *Server) delayed(next http.HandlerFunc) http.Handler {
	if s.cfg.latency <= 0 {
		return next
	}
	var latency faulttest.Queue
	latency.Add(faulttest.Fault{Times: -1, Delay: s.cfg.latency})
	return latency.Wrap(next)
}

// dateHeader sets answers' Date by the given clock; net/http would use its own.
func dateHeader(now func() time.Time, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := &dated{ResponseWriter: w, now: now}
		next.ServeHTTP(d, r)
		d.setDate()
	})
}

// dated sets Date at the last moment, because a fault may delay the answer.
type dated struct {
	http.ResponseWriter
	now func() time.Time
	set bool
}

func (d *dated) setDate() {
	if !d.set {
		d.set = true
		d.Header().Set("Date", d.now().UTC().Format(http.TimeFormat))
	}
}

func (d *dated) WriteHeader(status int) {
	d.setDate()
	d.ResponseWriter.WriteHeader(status)
}

func (d *dated) Write(b []byte) (int, error) {
	d.setDate()
	return d.ResponseWriter.Write(b)
}

// Flush sends the header, so Date must be set by then.
func (d *dated) Flush() {
	d.setDate()
	_ = http.NewResponseController(d.ResponseWriter).Flush()
}

// Unwrap lets [http.ResponseController] reach the connection.
func (d *dated) Unwrap() http.ResponseWriter { return d.ResponseWriter }
