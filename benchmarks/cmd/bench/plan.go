package main

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"
)

// lane is benchmarks to run one after the other, each so many times. Every round
// is a process of its own that runs all of them once: what is compared is measured
// within the same second or two, whatever else the machine does.
type lane struct {
	bench, time string
	rounds      int
}

// stage is lanes to run at the same time.
type stage []lane

// plan is all stages. Loads at 100 ms leave the cores idle for nine tenths of the
// time, so that lanes of them run side by side.
func plan(quick bool) []stage {
	if quick {
		return []stage{
			{{"^Benchmark(Request|Token|SystemUser|Assertion|Build|Start)$", "10ms", 1}},
			{{"^BenchmarkLoad$/http=/rtt=(0s|20ms)$/secrets=(2|25)$/mode=/by=", "1x", 1}},
		}
	}
	const fast = "by=(portnokkel|goroutines|limit)"
	stages := []stage{
		{{"^Benchmark(Request|Token|Assertion|Build|Start)$", "50ms", 16}},
		{{"^Benchmark(SystemUser)$", "50ms", 8}},
		{{"^BenchmarkLoad$/http=/rtt=0s$/secrets=/mode=(all|exact)/by=", "1x", 4}},
		{{"^BenchmarkLoad$/http=/rtt=20ms$/secrets=/mode=(all|exact)/" + fast, "1x", 3}},
		{{"^BenchmarkLoad$/http=/rtt=/secrets=/mode=wide/by=", "1x", 5}}, // alone: these take the cores
	}
	var slow stage
	for _, http := range []string{"1", "2"} {
		slow = append(slow, lane{"^BenchmarkLoad$/http=" + http + "/rtt=100ms$/secrets=/mode=(all|exact)/" + fast, "1x", 3})
		for _, mode := range []string{"all", "exact"} {
			one := func(rtt, secrets string) lane {
				return lane{fmt.Sprintf("^BenchmarkLoad$/http=%s/rtt=%s$/secrets=(%s)$/mode=%s/by=one-by-one", http, rtt, secrets, mode), "1x", 1}
			}
			slow = append(slow, one("100ms", "1000"), one("(20|100)ms", "2|25|250"), one("20ms", "1000"))
		}
	}
	return append(stages, slow)
}

func (s stage) run(ctx context.Context, program string, r *results) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range s {
		group.Go(func() error {
			for range l.rounds {
				out, err := command(ctx, program, "-test.run=^$", "-test.bench="+l.bench, "-test.benchtime="+l.time, "-test.benchmem")
				if err != nil {
					return err
				}
				fmt.Fprint(os.Stdout, out)
				if err := r.add(out); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}
