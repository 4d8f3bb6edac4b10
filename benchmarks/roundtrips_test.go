package benchmarks

import (
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// How many requests a load sends, and how many of them one after the other: in
// simulated time, a load takes that many times the server's latency. What is
// reported of a loader is an attribute of its test.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 25, 250, 1000} {
		for _, mode := range modes {
			for _, l := range loaders {
				if !l.applies(mode, n) || (l.name == "goroutines" && mode == "exact") {
					// Goroutines that ask for a token together queue for a mutex
					// of the Azure SDK, and simulated time does not run meanwhile.
					continue
				}
				t.Run(fmt.Sprintf("secrets=%d/mode=%s/by=%s", n, mode, l.name), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { roundTrips(t, n, mode, l) })
				})
			}
		}
	}
}

func roundTrips(t *testing.T, n int, mode string, l loader) {
	t.Helper()
	const latency = 100 * time.Millisecond
	names := secretNames(n)
	srv := vaulttest.NewPipe(vaulttest.WithLatency(latency), vaulttest.WithSecrets(secretsOf(names)))
	defer srv.Close()
	start := time.Now()
	if _, err := l.load(t.Context(), vault{srv, srv.Transport(), concurrencyFor(mode, n)}, namesFor(mode, names)); err != nil {
		t.Fatal(err)
	}
	inARow := float64(time.Since(start)) / float64(latency)
	s := srv.Stats()
	requests := s.Challenges + s.Lists + s.Gets + s.Metadata + s.Tokens
	t.Attr("requests", strconv.Itoa(requests))
	t.Attr("in-a-row", strconv.FormatFloat(inARow, 'g', -1, 64))
	if l.name != "portnokkel" {
		return
	}
	// The challenge, Entra's two, the pages with the secrets of all but the last
	// meanwhile, and that one's.
	pages, rows := (n+24)/25, (n+24)/25+1
	if mode != "all" {
		together := concurrencyFor(mode, n)
		pages, rows = 0, (n+together-1)/together
	}
	if requests != 3+pages+n || inARow != float64(3+rows) {
		t.Errorf("%d requests, %v in a row, want %d and %d", requests, inARow, 3+pages+n, 3+rows)
	}
}
