package faulttest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
)

var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "hello %s%s", r.Host, body)
})

func get(ctx context.Context, client *http.Client, url string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(""))
	if err != nil {
		return 0, "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// servers runs a test against both ways of serving.
func servers(t *testing.T, h http.Handler, test func(t *testing.T, srv *faulttest.Server)) {
	t.Run("tls", func(t *testing.T) {
		t.Parallel()
		srv := faulttest.StartTLS(h, "vault.example")
		defer srv.Close()
		test(t, srv)
	})
	t.Run("pipe", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			srv := faulttest.StartPipe(h)
			defer srv.Close()
			test(t, srv)
		})
	})
}

func TestServesItsNames(t *testing.T) {
	t.Parallel()
	servers(t, hello, func(t *testing.T, srv *faulttest.Server) {
		for _, url := range []string{srv.URL, "https://vault.example/"} {
			status, body, err := get(t.Context(), srv.Client(), url)
			if err != nil || status != 200 || !strings.HasPrefix(body, "hello ") {
				t.Errorf("%s: got %d %q %v, want 200 and a greeting", url, status, body, err)
			}
		}
	})
}

func TestReachesNothingElse(t *testing.T) {
	t.Parallel()
	srv := faulttest.StartTLS(hello)
	defer srv.Close()
	_, _, err := get(t.Context(), srv.Client(), "https://other.example/")
	var dns *net.DNSError
	if !errors.As(err, &dns) || !dns.IsNotFound {
		t.Errorf("got %v, want a DNS error", err)
	}
	for _, url := range []string{"https://localhost/", "https://[::1]:1/", "https://127.0.0.1:9/"} {
		if _, body, err := get(t.Context(), srv.Client(), url); err != nil || !strings.HasPrefix(body, "hello") {
			t.Errorf("%s, which is one of its names: got %q, %v, want a greeting", url, body, err)
		}
	}
	byAddress := faulttest.StartTLS(hello, "10.1.2.3")
	defer byAddress.Close()
	if _, body, err := get(t.Context(), byAddress.Client(), "https://10.1.2.3/"); err != nil || body != "hello 10.1.2.3" {
		t.Errorf("by address: got %q, %v, want a greeting", body, err)
	}
	if _, _, err := get(t.Context(), &http.Client{Transport: &http.Transport{}}, srv.URL); err == nil {
		t.Error("a client that does not know the certificate: got an answer, want an error")
	}
}

// A client that knows only the certificate, as one in another language does.
func TestCertificatePEM(t *testing.T) {
	t.Parallel()
	srv := faulttest.StartTLS(hello)
	defer srv.Close()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(srv.CertificatePEM()) {
		t.Fatalf("got %q, want a certificate", srv.CertificatePEM())
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	if _, body, err := get(t.Context(), &http.Client{Transport: transport}, srv.URL); err != nil || !strings.HasPrefix(body, "hello ") {
		t.Errorf("got %q, %v, want a greeting", body, err)
	}

	pipe := faulttest.StartPipe(hello)
	defer pipe.Close()
	for name, srv := range map[string]*faulttest.Server{"pipe": pipe, "nil": nil, "zero": {}} {
		if got := srv.CertificatePEM(); got != nil {
			t.Errorf("%s: got %q, want nil", name, got)
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		fault   faulttest.Fault
		status  int
		body    string
		wantErr bool
	}{
		{name: "status", fault: faulttest.Fault{Status: 503, Body: "busy", Header: http.Header{"retry-after": {"3"}}}, status: 503, body: "busy"},
		{name: "delay only", fault: faulttest.Fault{Delay: time.Millisecond}, status: 200, body: "hello x"},
		{name: "slow body", fault: faulttest.Fault{Status: 200, Body: "late", SlowBody: time.Millisecond}, status: 200, body: "late"},
		{name: "drop", fault: faulttest.Fault{Drop: true, Times: -1}, wantErr: true},
		{name: "truncate", fault: faulttest.Fault{Status: 200, Body: "{", Truncate: true}, wantErr: true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var q faulttest.Queue
			srv := faulttest.StartTLS(q.Wrap(hello))
			defer srv.Close()
			q.Add(c.fault)
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
			req.Host = "x"
			resp, err := srv.Client().Do(req)
			var body []byte
			if err == nil {
				body, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if c.wantErr {
				if err == nil {
					t.Fatalf("got %d %q, want an error", resp.StatusCode, body)
				}
				return
			}
			if err != nil || resp.StatusCode != c.status || string(body) != c.body {
				t.Fatalf("got %d %q %v, want %d %q", resp.StatusCode, body, err, c.status, c.body)
			}
			if c.fault.Header != nil && resp.Header.Get("Retry-After") != "3" {
				t.Errorf("got Retry-After %q, want 3", resp.Header.Get("Retry-After"))
			}
			if q.Pending() != 0 || q.Hits() != 1 {
				t.Errorf("got %d pending and %d hits, want 0 and 1", q.Pending(), q.Hits())
			}
		})
	}
}

func TestHangEndsWithTheClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var q faulttest.Queue
		over := make(chan struct{})
		srv := faulttest.StartPipe(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(over)
			q.Wrap(hello).ServeHTTP(w, r)
		}))
		defer srv.Close()
		q.Add(faulttest.Fault{Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL, strings.NewReader("a=b"))
		_, err := srv.Client().Do(req)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 50*time.Millisecond {
			t.Errorf("got %v after %v, want the deadline after 50ms", err, time.Since(start))
		}
		<-over // the server's side has noticed
	})
}

// Match may read the form and call the queue, and the request stays whole.
func TestMatchReadsTheFormAndCallsTheQueue(t *testing.T) {
	t.Parallel()
	var q faulttest.Queue
	srv := faulttest.StartTLS(q.Wrap(hello))
	defer srv.Close()
	q.Add(faulttest.Fault{Status: 500, Match: func(r *http.Request) bool { return q.Hits() == 0 && r.FormValue("a") == "hit" }})
	for body, want := range map[string]string{"a=miss": "200 hello xa=miss", "a=hit": "500 "} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Host = "x"
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := fmt.Sprintf("%d %s", resp.StatusCode, answer); got != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
}

// A delay takes exactly its time, and ends when the client leaves.
func TestDelays(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]faulttest.Fault{
		"before the answer": {Delay: time.Minute},
		"before the body":   {Status: 200, Body: "late", SlowBody: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var q faulttest.Queue
				srv := faulttest.StartPipe(q.Wrap(hello))
				defer srv.Close()
				q.Add(fault)
				start := time.Now()
				if _, _, err := get(t.Context(), srv.Client(), srv.URL); err != nil || time.Since(start) != time.Minute {
					t.Errorf("got %v after %v, want an answer after 1m0s", err, time.Since(start))
				}
				q.Add(fault)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start = time.Now()
				if _, _, err := get(ctx, srv.Client(), srv.URL); err == nil || time.Since(start) != time.Second {
					t.Errorf("got %v after %v, want an error after 1s", err, time.Since(start))
				}
			})
		})
	}
}

func TestQueueOrderAndMatch(t *testing.T) {
	t.Parallel()
	var q faulttest.Queue
	srv := faulttest.StartTLS(q.Wrap(hello))
	defer srv.Close()
	q.Add(
		faulttest.Fault{Status: 418, Match: func(r *http.Request) bool { return r.URL.Path == "/tea" }, Times: 2},
		faulttest.Fault{Status: 500},
	)
	var got []int
	for _, path := range []string{"/tea", "/", "/tea", "/tea"} {
		status, _, err := get(t.Context(), srv.Client(), srv.URL+path)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, status)
	}
	if want := fmt.Sprint([]int{418, 500, 418, 200}); fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
	q.Add(faulttest.Fault{Status: 500, Times: -1})
	q.Clear()
	if status, _, _ := get(t.Context(), srv.Client(), srv.URL); status != 200 {
		t.Errorf("after Clear: got %d, want 200", status)
	}
}

func TestCloseEndsHangingRequests(t *testing.T) {
	t.Parallel()
	var q faulttest.Queue
	arrived := make(chan struct{}, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		q.Wrap(hello).ServeHTTP(w, r)
	})
	for name, start := range map[string]func() *faulttest.Server{
		"tls":  func() *faulttest.Server { return faulttest.StartTLS(handler) },
		"pipe": func() *faulttest.Server { return faulttest.StartPipe(handler) },
	} {
		q.Add(faulttest.Fault{Hang: true})
		srv := start()
		done := make(chan error, 1)
		go func() {
			_, _, err := get(t.Context(), srv.Client(), srv.URL)
			done <- err
		}()
		<-arrived
		srv.Close()
		if err := <-done; err == nil {
			t.Errorf("%s: got an answer to the hanging request, want an error", name)
		}
	}
}

func TestNilAndZero(t *testing.T) {
	t.Parallel()
	for name, srv := range map[string]*faulttest.Server{"nil": nil, "zero": {}} {
		for _, client := range []*http.Client{srv.Client(), {Transport: srv.Transport()}} {
			if _, body, err := get(t.Context(), client, "https://vault.example/"); err == nil || !strings.Contains(err.Error(), "faulttest: no server") {
				t.Errorf("%s server: got %q, %v, want an error that says there is no server", name, body, err)
			}
		}
		srv.Close()
	}

	var q *faulttest.Queue
	q.Add(faulttest.Fault{Status: 500})
	q.Clear()
	if q.Pending() != 0 || q.Hits() != 0 {
		t.Errorf("nil queue: got %d pending and %d hits, want 0 of each", q.Pending(), q.Hits())
	}
	srv := faulttest.StartTLS(q.Wrap(hello))
	defer srv.Close()
	if status, _, err := get(t.Context(), srv.Client(), srv.URL); status != 200 || err != nil {
		t.Errorf("nil queue: got %d, %v, want 200", status, err)
	}
}

// A nil handler answers 404, and not with what http.Handle registered.
func TestNilHandler(t *testing.T) {
	t.Parallel()
	var q faulttest.Queue
	for name, start := range map[string]func() *faulttest.Server{
		"tls":   func() *faulttest.Server { return faulttest.StartTLS(nil) },
		"pipe":  func() *faulttest.Server { return faulttest.StartPipe(nil) },
		"queue": func() *faulttest.Server { return faulttest.StartPipe(q.Wrap(nil)) },
	} {
		srv := start()
		if status, _, err := get(t.Context(), srv.Client(), srv.URL); status != 404 || err != nil {
			t.Errorf("%s: got %d, %v, want 404", name, status, err)
		}
		srv.Close()
		srv.Close()
	}
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A request whose body cannot be read gets no answer, rather than an empty 200.
func TestUnreadableBody(t *testing.T) {
	t.Parallel()
	var q faulttest.Queue
	q.Add(faulttest.Fault{Status: 500})
	srv := faulttest.StartTLS(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = io.NopCloser(brokenBody{})
		q.Wrap(hello).ServeHTTP(w, r)
	}))
	defer srv.Close()
	if status, _, err := get(t.Context(), srv.Client(), srv.URL); err == nil {
		t.Errorf("got %d, want an error", status)
	}
	if q.Pending() != 1 {
		t.Errorf("got %d pending, want 1: the fault hit nothing", q.Pending())
	}
}
