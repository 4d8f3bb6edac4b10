package azure

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		date := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
		for _, c := range []struct {
			header http.Header
			want   time.Duration
		}{
			{http.Header{}, 0},
			{http.Header{"Retry-After": {"7"}}, 7 * time.Second},
			{http.Header{"Retry-After": {"-7"}}, 0},
			{http.Header{"Retry-After": {"0"}}, 0},
			{http.Header{"Retry-After": {"soon"}}, 0},
			{http.Header{"Retry-After": {"9999999999999"}}, maxWait},
			{http.Header{"Retry-After": {date(9 * time.Second)}}, 9 * time.Second},
			{http.Header{"Retry-After": {date(-9 * time.Second)}}, 0},
			{http.Header{"Retry-After-Ms": {"70"}, "Retry-After": {"7"}}, 70 * time.Millisecond},
			{http.Header{"X-Ms-Retry-After-Ms": {"80"}, "Retry-After": {"7"}}, 80 * time.Millisecond},
			{http.Header{"Retry-After-Ms": {"0"}, "Retry-After": {"7"}}, 7 * time.Second},
			{http.Header{"Retry-After-Ms": {date(9 * time.Second)}}, 0},
		} {
			if got := retryAfter(c.header); got != c.want {
				t.Errorf("%v: got %v, want %v", c.header, got, c.want)
			}
		}
	})
}

// TestTriesAgain counts the tries of one request within 30 s, and the time.
func TestTriesAgain(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name       string
		status     int // 0 is a broken connection
		header     string
		retry      policy.RetryOptions
		tries      [2]int // at least, at most
		took       [2]time.Duration
		fromLength int // as if the body ended early, if not 0
	}{
		{name: "429", status: 429, tries: [2]int{7, 12}, took: [2]time.Duration{20 * time.Second, 30 * time.Second}},
		{name: "429 with Retry-After", status: 429, header: "7", tries: [2]int{5, 5}, took: [2]time.Duration{28 * time.Second, 28 * time.Second}},
		{name: "429 that asks for more than there is", status: 429, header: "31", tries: [2]int{1, 1}},
		{name: "503 with Retry-After", status: 503, header: "7", tries: [2]int{5, 5}, took: [2]time.Duration{28 * time.Second, 28 * time.Second}},
		{name: "503", status: 503, tries: [2]int{4, 4}, took: [2]time.Duration{7 * time.Second, 12 * time.Second}},
		{name: "408", status: 408, tries: [2]int{4, 4}, took: [2]time.Duration{7 * time.Second, 12 * time.Second}},
		{name: "403 with Retry-After", status: 403, header: "7", tries: [2]int{1, 1}},
		{name: "a broken connection", tries: [2]int{4, 4}, took: [2]time.Duration{7 * time.Second, 12 * time.Second}},
		{name: "a body that ends early", status: 200, fromLength: 10, tries: [2]int{4, 4}, took: [2]time.Duration{7 * time.Second, 12 * time.Second}},
		{
			name: "429, the caller's delay", status: 429, retry: policy.RetryOptions{RetryDelay: 100 * time.Millisecond},
			tries: [2]int{9, 14}, took: [2]time.Duration{20 * time.Second, 30 * time.Second},
		},
		{
			name: "429, the caller's longest delay", status: 429, retry: policy.RetryOptions{MaxRetryDelay: time.Second},
			tries: [2]int{30, 40}, took: [2]time.Duration{28 * time.Second, 30 * time.Second},
		},
		{
			name: "429, the caller's longest delay under Retry-After", status: 429, header: "7", retry: policy.RetryOptions{MaxRetryDelay: time.Second},
			tries: [2]int{1, 1},
		},
		{
			name: "429, no delay", status: 429, retry: policy.RetryOptions{RetryDelay: -1},
			tries: [2]int{15, 25}, took: [2]time.Duration{20 * time.Second, 30 * time.Second},
		},
		{name: "429, the caller's count", status: 429, retry: policy.RetryOptions{MaxRetries: 2}, tries: [2]int{3, 3}, took: [2]time.Duration{2 * time.Second, 5 * time.Second}},
		{name: "429, the caller wants no retries", status: 429, retry: policy.RetryOptions{MaxRetries: -1}, tries: [2]int{1, 1}},
		{name: "429, the caller's statuses", status: 429, retry: policy.RetryOptions{StatusCodes: []int{503}}, tries: [2]int{1, 1}},
		{name: "a broken connection, the caller's count", retry: policy.RetryOptions{MaxRetries: 4}, tries: [2]int{5, 5}, took: [2]time.Duration{15 * time.Second, 30 * time.Second}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				var client azsecrets.ClientOptions
				client.Retry = c.retry
				client.Transport = transporter(func(r *http.Request) (*http.Response, error) {
					tries++
					if c.status == 0 {
						return nil, syscall.ECONNRESET
					}
					resp := &http.Response{StatusCode: c.status, Header: http.Header{}}
					if c.header != "" {
						resp.Header.Set("Retry-After", c.header)
					}
					if c.fromLength > 0 {
						resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), failingReader{}))
					}
					return resp, nil
				})
				s, err := Open(Options{VaultURL: vaultURL, Credential: &credential{}, Client: client})
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				start := time.Now()
				_, err = s.Get(ctx, "A", "")
				took := time.Since(start)
				if err == nil || tries < c.tries[0] || tries > c.tries[1] || took < c.took[0] || took > c.took[1] {
					t.Errorf("%v after %d tries in %v, want %v in %v", err, tries, took, c.tries, c.took)
				}
				if d := s.Diagnose(ctx, StepGet, err); c.status > 200 && (d.StatusCode != c.status || !strings.HasPrefix(d.Reason, fmt.Sprint(c.status))) {
					t.Errorf("got %+v, want the answer", d)
				}
			})
		})
	}
}

// Without a Retry-After the waits double up to a bound, spread by a quarter to either
// side.
func TestWaitsDoubleAndSpread(t *testing.T) {
	t.Parallel()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, vaultURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n, middle := range []time.Duration{defaultBackOff, 2 * defaultBackOff, 4 * defaultBackOff} {
		shortest, longest := maxWait, time.Duration(0)
		for range 300 {
			w := newWire(nil, &policy.RetryOptions{})
			var wait time.Duration
			for range n + 1 {
				wait = w.nextWait(req)
			}
			shortest, longest = min(shortest, wait), max(longest, wait)
		}
		if shortest < middle*75/100 || shortest > middle*85/100 || longest < middle*115/100 || longest > middle*125/100 {
			t.Errorf("wait %d: got %v to %v, want about %v to %v", n+1, shortest, longest, middle*75/100, middle*125/100)
		}
	}
	w := newWire(nil, &policy.RetryOptions{})
	for range 20 {
		w.nextWait(req)
	}
	if got := w.nextWait(req); got != maxBackOff {
		t.Errorf("got %v after 20 waits, want %v", got, maxBackOff)
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Tries are counted by request, and anew after an answer.
func TestTriesAreCountedByRequest(t *testing.T) {
	t.Parallel()
	asked := map[string]int{}
	s := open(t, &credential{}, transporter(func(r *http.Request) (*http.Response, error) {
		asked[r.URL.Path]++
		if asked[r.URL.Path]%4 != 0 {
			return nil, syscall.ECONNRESET
		}
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`{"value":"x"}`))}, nil
	}))
	for range 3 {
		for _, name := range []string{"A", "B"} {
			if got, err := s.Get(t.Context(), name, ""); err != nil || got.Value != "x" {
				t.Fatalf("%s: got %q, %v, want x", name, got.Value, err)
			}
		}
	}
}

// A transport that gives neither an answer nor an error is told of.
func TestTransportGivesNothing(t *testing.T) {
	t.Parallel()
	s := open(t, &credential{}, transporter(func(*http.Request) (*http.Response, error) { return nil, nil })) //nolint:nilnil // that is the test
	_, err := s.Get(t.Context(), "A", "")
	if d := s.Diagnose(t.Context(), StepGet, err); d.Reason != errNothing.Error() {
		t.Errorf("got %+v, want the reason %q", d, errNothing)
	}
}
