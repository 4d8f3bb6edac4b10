package benchmarks

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"testing"
)

// warm opens a peer and lets it fetch its token.
func warm(tb testing.TB, p peer) opened {
	tb.Helper()
	o := p.open(tb, cannedTokens())
	if _, err := o.transport(noOp()).RoundTrip(newRequest(tb, context.Background())); err != nil {
		tb.Fatal(err)
	}
	return o
}

// BenchmarkRequest is one authenticated request on a warm token over a base that
// does nothing.
func BenchmarkRequest(b *testing.B) {
	for _, goroutines := range []int{1, 64} {
		for _, p := range peers {
			b.Run(fmt.Sprintf("goroutines=%d/by=%s", goroutines, p.name), func(b *testing.B) {
				o := warm(b, p)
				each(b, goroutines, func() func() error {
					rt, req := o.transport(noOp()), newRequest(b, context.Background())
					return func() error {
						_, err := rt.RoundTrip(req)
						return err
					}
				})
			})
		}
	}
}

// BenchmarkToken reads a warm token from all cores.
func BenchmarkToken(b *testing.B) {
	for _, p := range peers {
		b.Run("by="+p.name, func(b *testing.B) {
			o := warm(b, p)
			each(b, allCores, func() func() error {
				return func() error { return o.read(context.Background()) }
			})
		})
	}
}

// allCores is one goroutine for each core that Go uses.
const allCores = 0

// each measures what start returns: alone, or at the same time in so many
// goroutines, each of which starts for itself. 64 are a multiple of the cores.
func each(b *testing.B, goroutines int, start func() func() error) {
	b.Helper()
	b.ReportAllocs()
	if goroutines == 1 {
		step := start()
		for b.Loop() {
			if err := step(); err != nil {
				b.Fatal(err)
			}
		}
		return
	}
	if goroutines != allCores {
		b.SetParallelism(max(1, goroutines/runtime.GOMAXPROCS(0)))
	}
	b.RunParallel(func(pb *testing.PB) {
		step := start()
		for pb.Next() {
			if err := step(); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// Every peer puts the same token on the request, and leaves the caller's alone.
func TestPeersDoTheSame(t *testing.T) {
	t.Parallel()
	for _, p := range append(slices.Clone(peers), peer{"azcore", openAzcore}) {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			var got string
			base := roundTripper(func(r *http.Request) (*http.Response, error) {
				got = r.Header.Get("Authorization")
				return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
			})
			req := newRequest(t, t.Context())
			if _, err := p.open(t, cannedTokens()).transport(base).RoundTrip(req); err != nil {
				t.Fatal(err)
			}
			const want = "Bearer tokentokentokentokentokentokentokentokentokentokento"
			if got != want || req.Header.Get("Authorization") != "" {
				t.Errorf("sent %q, want %q; the caller's request has %q", got, want, req.Header.Get("Authorization"))
			}
		})
	}
}

// What a warm token costs: allocations are exact.
func TestWarmAllocations(t *testing.T) {
	o := warm(t, peers[0])
	rt, req := o.transport(noOp()), newRequest(t, t.Context())
	request := testing.AllocsPerRun(1000, func() {
		if _, err := rt.RoundTrip(req); err != nil {
			t.Error(err)
		}
	})
	token := testing.AllocsPerRun(1000, func() {
		if err := o.read(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if request > 3 || token > 0 {
		t.Errorf("a request allocates %v times, want at most 3; reading a token %v times, want none", request, token)
	}
}
