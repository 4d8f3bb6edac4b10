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

// maxForm is far more than a token request takes.
const maxForm = 64 << 10

type replayedKey struct{}

// count stands before the faults, so that every arriving request is counted and
// every assertion's jti is used up, whatever becomes of the request: a client
// cannot know whether a request that failed had been worked on, and must not
// send its assertion again.
func (s *Server) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch _, pattern := s.mux.Handler(r); pattern {
		case s.tokenPattern:
			s.add(func(st *Stats) { st.TokenRequests++ })
			r = s.arrive(r)
		case s.exchangePattern:
			s.add(func(st *Stats) { st.Exchanges++ })
		case s.metadataPattern:
			s.add(func(st *Stats) { st.Metadata++ })
		case s.jwksPattern, "":
		default:
			s.add(func(st *Stats) { st.APIRequests++ })
		}
		next.ServeHTTP(w, r)
	})
}

// arrive notes a token request's assertion.
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

// dateHeader stamps answers with the given clock; net/http would take its own.
func dateHeader(now func() time.Time, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := &dated{ResponseWriter: w, now: now}
		next.ServeHTTP(d, r)
		d.stamp()
	})
}

// dated stamps at the last moment, because a fault may delay the answer.
type dated struct {
	http.ResponseWriter
	now     func() time.Time
	stamped bool
}

func (d *dated) stamp() {
	if !d.stamped {
		d.stamped = true
		d.Header().Set("Date", d.now().UTC().Format(http.TimeFormat))
	}
}

func (d *dated) WriteHeader(status int) {
	d.stamp()
	d.ResponseWriter.WriteHeader(status)
}

func (d *dated) Write(b []byte) (int, error) {
	d.stamp()
	return d.ResponseWriter.Write(b)
}

// Flush sends the header, so it has to be stamped here too.
func (d *dated) Flush() {
	d.stamp()
	_ = http.NewResponseController(d.ResponseWriter).Flush()
}

// Unwrap lets [http.ResponseController] reach the connection.
func (d *dated) Unwrap() http.ResponseWriter { return d.ResponseWriter }
