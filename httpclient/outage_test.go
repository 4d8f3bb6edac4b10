package httpclient_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// With a good token an outage costs no caller anything.
func TestOutageWithAGoodToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, maskinportentest.WithTokenLifetime(10*time.Minute))
		defer srv.Close()
		var out logs
		source := sourceOf(t, srv, nil, httpclient.WithLogger(out.logger(0)))
		defer source.Close()
		first, err := source.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pass(9*time.Minute + 20*time.Second) // past the latest refresh
		srv.Faults.Add(faulttest.Fault{Match: toToken, Times: 3, Status: 503})
		start := time.Now()
		during, err := source.Token(t.Context())
		if err != nil || during != first || time.Since(start) != 0 {
			t.Errorf("during the outage: got %v and error %v after %v, want the first token at once", during, err, time.Since(start))
		}
		pass(3 * time.Second) // the attempts of the first refresh fail
		synctest.Wait()
		if srv.Faults.Pending() != 0 {
			t.Fatal("got faults that are left, want them used up by the refresh")
		}
		if !strings.Contains(out.String(), "could not refresh the token; the one in use is kept") {
			t.Errorf("got no warning, want one in\n%s", out.String())
		}
		if _, err := source.Token(t.Context()); err != nil { // starts the next refresh
			t.Fatal(err)
		}
		synctest.Wait()
		if after, err := source.Token(t.Context()); err != nil || after == first {
			t.Errorf("got %v and error %v, want a new token", after, err)
		}
	})
}

// Without a token, errors come in bounded time, say since when, and are shared.
func TestRefusalIsRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t)
		defer srv.Close()
		source := sourceOf(t, srv, map[string]any{"ClientId": "nobody"})
		defer source.Close()
		var requests []int
		for range 30 {
			for range 10 {
				_, err := source.Token(t.Context())
				if !errors.Is(err, httpclient.ErrUnknownClient) || errors.Is(err, httpclient.ErrTemporary) {
					t.Fatal(err)
				}
				var failed *httpclient.TokenError
				if !errors.As(err, &failed) || failed.Since.IsZero() != (srv.Stats().TokenRequests == 1) || !failed.RetryAt.After(time.Now()) {
					t.Fatalf("got since %v and retry at %v, want the former after two failures, and the latter after %v", failed.Since, failed.RetryAt, time.Now())
				}
			}
			requests = append(requests, srv.Stats().TokenRequests)
			pass(100 * time.Millisecond)
		}
		// 3 s: asked at 0, at 1 and not again before 3.
		if requests[0] != 1 || requests[9] != 1 || requests[10] != 2 || requests[29] != 2 {
			t.Errorf("got %v token requests after each 100 ms, want 1 for a second and then 2", requests)
		}
	})
}

// A server that fails is asked a bounded number of times, and recovery is
// noticed.
func TestServerThatFails(t *testing.T) {
	t.Parallel()
	cases := map[string]faulttest.Fault{
		"500":       {Status: 500, Body: "CANARY"},
		"502":       {Status: 502, Body: "<html>CANARY"},
		"503":       {Status: 503, Header: http.Header{"Retry-After": {"1"}}},
		"429":       {Status: 429},
		"dropped":   {Drop: true},
		"hang":      {Hang: true},
		"truncated": {Status: 200, Body: `{"access_token":"CANARY`, Truncate: true},
		"HTML":      {Status: 200, Body: "<html>CANARY</html>"},
		"slow body": {Status: 200, Body: "{}", SlowBody: time.Minute},
		"too large": {Status: 200, Body: strings.Repeat("CANARY", 200_000)},
	}
	for name, fault := range cases {
		for part, match := range map[string]func(*http.Request) bool{"token": toToken, "exchange": toExchange} {
			t.Run(name+" at the "+part, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					srv := newPipe(t)
					defer srv.Close()
					source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true})
					defer source.Close()
					// One bad answer: no caller sees it.
					fault := fault
					fault.Match, fault.Times = match, 1
					srv.Faults.Add(fault)
					if _, err := source.Token(t.Context()); err != nil {
						t.Fatalf("got %v after one bad answer, want a token", err)
					}
					source.Close()

					source = sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true})
					defer source.Close()
					fault.Times = -1
					srv.Faults.Add(fault)
					start := time.Now()
					_, err := source.Token(t.Context())
					if !errors.Is(err, httpclient.ErrTemporary) || time.Since(start) > 25*time.Second {
						t.Errorf("got %v after %v, want ErrTemporary within 25s", err, time.Since(start))
					}
					if strings.Contains(prints(err), "CANARY") {
						t.Errorf("got an error that quotes the answer, want no quotation: %v", err)
					}
					srv.Faults.Clear()
					pass(6 * time.Second)
					if _, err := source.Token(t.Context()); err != nil {
						t.Errorf("got %v afterwards, want a token", err)
					}
				})
			})
		}
	}
}

// A Retry-After that is longer than a fetch may take is not waited for.
func TestLongRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t)
		defer srv.Close()
		source := sourceOf(t, srv, nil)
		defer source.Close()
		at := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
		srv.Faults.Add(faulttest.Fault{Match: toToken, Times: -1, Status: 429, Header: http.Header{"Retry-After": {at}}})
		start := time.Now()
		_, err := source.Token(t.Context())
		var failed *httpclient.TokenError
		if !errors.As(err, &failed) || failed.RetryAfter != time.Hour || time.Since(start) != 0 {
			t.Errorf("got %v after %v, want a RetryAfter of 1h at once", err, time.Since(start))
		}
	})
}
