package benchmarks

import (
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

const (
	life = 2 * time.Minute        // of a token, Maskinporten's default
	slow = 500 * time.Millisecond // how long Maskinporten takes
)

// traffic is requests at a steady rate.
type traffic struct{ every, lasting time.Duration }

// outcome is what a traffic cost.
type outcome struct {
	tokenRequests int
	waits         int           // requests that took any time at all
	longest       time.Duration // wait; the first request's does not count
}

// Ten minutes of a quiet service, a request a second: token requests, and requests
// that had to wait. What is reported of a peer is an attribute of its test.
func TestTokenRequests(t *testing.T) {
	t.Parallel()
	inSimulatedTime(t, traffic{every: time.Second, lasting: 10 * time.Minute}, func(t *testing.T, p peer, got outcome) {
		t.Attr("token-requests", strconv.Itoa(got.tokenRequests))
		t.Attr("waits", strconv.Itoa(got.waits))
		if p.name == "portnokkel" && (got.tokenRequests > 6 || got.waits > 1) {
			t.Errorf("%d token requests and %d waits, want at most 6 and 1", got.tokenRequests, got.waits)
		}
	})
}

// A busy service, a thousand requests a second, over the end of two tokens.
func TestLongestWait(t *testing.T) {
	t.Parallel()
	inSimulatedTime(t, traffic{every: time.Millisecond, lasting: 2*life + time.Second}, func(t *testing.T, p peer, got outcome) {
		t.Attr("longest-wait", got.longest.String())
		t.Attr("token-requests", strconv.Itoa(got.tokenRequests))
		t.Attr("waits", strconv.Itoa(got.waits-1)) // the first request's left out here too
		if p.name == "portnokkel" && got.longest > 5*time.Millisecond {
			t.Errorf("a request waited %v, want at most 5 ms", got.longest)
		}
	})
}

// inSimulatedTime plays a traffic to each peer that fetches tokens.
func inSimulatedTime(t *testing.T, play traffic, check func(*testing.T, peer, outcome)) {
	t.Helper()
	key() // a bubble would wait for it in simulated time
	for _, p := range []peer{
		{"portnokkel", openPortnokkel},
		{"x-oauth2", openOAuth2InTurn},
		{"google", openGoogle},
		{"google-tuned", openGoogleTuned},
		{"azcore", openAzcore},
	} {
		t.Run("by="+p.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { check(t, p, run(t, p, play)) })
		})
	}
}

func run(t *testing.T, p peer, play traffic) outcome {
	t.Helper()
	srv := maskinportentest.NewPipe(
		maskinportentest.WithKey(key()), maskinportentest.WithIssuer(issuer),
		maskinportentest.WithTokenLifetime(life), maskinportentest.WithLatency(slow))
	t.Cleanup(srv.Close)
	rt := p.open(t, srv.Transport()).transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
	}))

	var mu sync.Mutex
	var got outcome
	request := func(isFirst bool) {
		began := time.Now()
		_, err := rt.RoundTrip(newRequest(t, t.Context()))
		waited := time.Since(began)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			t.Errorf("a request failed: %v", err)
		}
		if waited > 0 {
			got.waits++
		}
		if !isFirst {
			got.longest = max(got.longest, waited)
		}
	}
	start := time.Now()
	request(true)
	var requests sync.WaitGroup
	for time.Since(start) < play.lasting {
		requests.Go(func() { request(false) })
		pass(play.every)
	}
	requests.Wait()
	synctest.Wait()
	stats := srv.Stats()
	if stats.Refused > 0 {
		t.Errorf("refused: %q", srv.Refusals())
	}
	got.tokenRequests = stats.TokenRequests
	return got
}

// pass lets a bubble's clock run for d.
func pass(d time.Duration) { <-time.After(d) }

// openOAuth2InTurn is [openOAuth2], whose callers queue for a channel before they
// queue for the mutex that x/oauth2 holds while it fetches: a bubble's clock does
// not run while anybody waits for a mutex. Who waits, and how long, is the same.
func openOAuth2InTurn(_ testing.TB, tokens http.RoundTripper) opened {
	inner := oauth2.ReuseTokenSource(nil, oauth2Source(tokens))
	turn := make(chan struct{}, 1)
	source := oauth2Func(func() (*oauth2.Token, error) {
		turn <- struct{}{}
		defer func() { <-turn }()
		return inner.Token()
	})
	return opened{transport: func(base http.RoundTripper) http.RoundTripper {
		return &oauth2.Transport{Source: source, Base: base}
	}}
}
