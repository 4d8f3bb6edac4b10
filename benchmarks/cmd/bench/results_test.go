package main

import (
	"strings"
	"testing"
)

const rounds = `goos: linux
cpu: A Machine
BenchmarkToken/by=portnokkel-2   	100	 10.0 ns/op	 0 B/op	 0 allocs/op
BenchmarkToken/by=x-oauth2-2     	100	 40.0 ns/op	 0 B/op	 0 allocs/op
BenchmarkToken/by=portnokkel-2   	100	 30.0 ns/op	 0 B/op	 0 allocs/op
BenchmarkToken/by=x-oauth2-2     	100	 60.0 ns/op	 0 B/op	 0 allocs/op
BenchmarkToken/by=once-2         	100	 10.0 ns/op	 0 B/op	 0 allocs/op
PASS
`

func readRounds(t *testing.T) *results {
	t.Helper()
	r := newResults()
	if err := r.add(rounds); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRatios(t *testing.T) {
	t.Parallel()
	r := readRounds(t)
	if got := r.ratio("Token/by=portnokkel", "Token/by=x-oauth2"); got.middle != 0.375 || got.n != 2 || r.cpu != "A Machine" {
		t.Errorf("round by round: %+v on %q", got, r.cpu)
	}
	if got := r.ratio("Token/by=portnokkel", "Token/by=once"); got.middle != 2 {
		t.Errorf("beside one round: %+v", got)
	}
	if got := r.ratio("Token/by=portnokkel", "Token/by=nobody"); got.n != 0 || got.String() != "–" {
		t.Errorf("beside nothing: %v", got)
	}
}

func TestTargetsTellAMiss(t *testing.T) {
	t.Parallel()
	r := report{results: readRounds(t)}
	got := r.ratioTarget("reading", "x/oauth2's time", 0.35, "Token/by=portnokkel", "Token/by=x-oauth2", "why")
	if got.reached || !strings.HasPrefix(got.measured, "0.38 (") || got.reach != "0.35 × x/oauth2's time" {
		t.Errorf("%+v", got)
	}
	for _, target := range r.targets() {
		measured := target.work == "allocations of that read" || target.work == "reading a warm token from all cores"
		if target.reached && !measured {
			t.Errorf("reached without a measurement: %+v", target)
		}
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	c := parseCounts("=== RUN   TestX/by=a\n=== ATTR  TestX/by=a waits 6\n--- PASS: TestX/by=a (0.00s)\n")
	if c.of("TestX/by=a", "waits") != "6" || c.of("TestX/by=a", "more") != "–" {
		t.Errorf("%v", c)
	}
}

func TestPartsOf(t *testing.T) {
	t.Parallel()
	const symbols = `  401000  100 T example.com/m/p.(*T).Method
  401100   20 t example.com/m/p%2eq.Generic[go.shape.struct { example.com/other.X }]
  401200    7 R net/http.table
  501000 9000 D example.com/m/p.variable
           U malloc
  601000   50 r go:func.*
`
	parts := partsOf(symbols, map[string]string{"example.com/m/p": "example.com/m", "example.com/m/p.q": "example.com/m", "net/http": "std"})
	if len(parts) != 2 || parts[0] != (part{"example.com/m", 120}) || parts[1] != (part{"std", 7}) {
		t.Errorf("%v", parts)
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[float64]string{0: "–", 51.2e-9: "51.2 ns", 7.369e-4: "737 µs", 0.1034: "103 ms", 104.2345: "1m44.23s"} {
		if got := duration(seconds); got != want {
			t.Errorf("%v: %q, want %q", seconds, got, want)
		}
	}
}
