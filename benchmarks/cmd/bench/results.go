package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/perf/benchfmt"
	"gonum.org/v1/gonum/stat"
)

// results are what the benchmarks measured, by name and unit, round by round.
type results struct {
	mu      sync.Mutex
	cpu     string
	samples map[string]map[string][]float64
}

func newResults() *results { return &results{samples: map[string]map[string][]float64{}} }

// cores is what package testing adds to a name.
var cores = regexp.MustCompile(`-\d+$`)

// add reads what one round printed.
func (r *results) add(out string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	reader := benchfmt.NewReader(strings.NewReader(out), "round")
	for reader.Scan() {
		result, ok := reader.Result().(*benchfmt.Result)
		if !ok {
			continue
		}
		r.cpu = result.GetConfig("cpu")
		name := cores.ReplaceAllString(string(result.Name), "")
		if r.samples[name] == nil {
			r.samples[name] = map[string][]float64{}
		}
		for _, v := range result.Values {
			r.samples[name][v.Unit] = append(r.samples[name][v.Unit], v.Value)
		}
	}
	return reader.Err()
}

const seconds = "sec/op"

// of is a benchmark's samples, in their order; none where it did not run.
func (r *results) of(name, unit string) []float64 { return r.samples[name][unit] }

// spread is a figure's middle, and the quartiles around it.
type spread struct {
	low, middle, high float64
	n                 int // 0: nothing was measured
}

func spreadOf(samples []float64) spread {
	if len(samples) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(samples))
	at := func(p float64) float64 { return stat.Quantile(p, stat.LinInterp, sorted, nil) }
	return spread{low: at(0.25), middle: median(sorted), high: at(0.75), n: len(sorted)}
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func (r *results) spread(name, unit string) spread { return spreadOf(r.of(name, unit)) }

// ratio is how many times another benchmark's figure one has: of each round, where
// both ran in the same rounds.
func (r *results) ratio(name, other string) spread {
	mine, theirs := r.of(name, seconds), r.of(other, seconds)
	if len(mine) == 0 || len(theirs) == 0 {
		return spread{}
	}
	ratios := make([]float64, 0, len(mine))
	for i, v := range mine {
		if len(theirs) == len(mine) {
			ratios = append(ratios, v/theirs[i])
		} else {
			ratios = append(ratios, v/spreadOf(theirs).middle)
		}
	}
	return spreadOf(ratios)
}

// String is a ratio with its spread.
func (s spread) String() string {
	if s.n == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.middle, s.low, s.high)
}
