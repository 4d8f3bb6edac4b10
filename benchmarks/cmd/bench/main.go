// Command bench measures this project beside its peers and writes RESULTS.md and
// its picture. Run it in the directory benchmarks:
//
//	go run ./cmd/bench          # in under five minutes
//	go run ./cmd/bench -quick   # one round of little, to see that it works
//
// It prints what the benchmarks print, which benchstat reads.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

func main() {
	out := flag.String("out", ".", "the directory to write RESULTS.md and load.svg to")
	quick := flag.Bool("quick", false, "one round of little")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out, *quick); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // stop only restores the signal
	}
}

func run(ctx context.Context, out string, quick bool) error {
	start := time.Now()
	work, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()

	program := filepath.Join(work, "bench.test")
	if _, err := command(ctx, "go", "test", "-c", "-o", program, "."); err != nil {
		return err
	}
	r := newResults()
	for _, s := range plan(quick) {
		if err := s.run(ctx, program, r); err != nil {
			return err
		}
	}
	counts, err := countIn(ctx, program)
	if err != nil {
		return err
	}
	sizes, err := measureSizes(ctx, work)
	if err != nil {
		return err
	}
	peers, err := versions(ctx)
	if err != nil {
		return err
	}
	if err := drawLoad(r, filepath.Join(out, "load.svg")); err != nil {
		return err
	}
	text := report{results: r, counts: counts, sizes: sizes, versions: peers, took: time.Since(start)}.markdown()
	return os.WriteFile(filepath.Join(out, "RESULTS.md"), []byte(text), 0o644) //nolint:gosec // it is for everybody to read
}
