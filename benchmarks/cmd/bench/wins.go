package main

import (
	"fmt"
	"strings"
)

// lead is what a peer is faster by where it wins: in three rounds of four.
const lead = 1.02

// peerWins tells, a line each, what a peer does faster.
func (r report) peerWins() []string {
	var wins []string
	note := func(work, mine, other, peer string) {
		if ratio := r.ratio(mine, other); ratio.n > 0 && ratio.low > lead {
			wins = append(wins, fmt.Sprintf("%s: %s; we take %v of its time", work, plain(peer), ratio))
		}
	}
	for _, peer := range timed[1:3] {
		for _, goroutines := range []int{1, 64} {
			note(fmt.Sprintf("a request on a warm token, goroutines: %d", goroutines), request(goroutines, ours), request(goroutines, peer), peer)
		}
		note("reading a warm token", "Token/by="+ours, "Token/by="+peer, peer)
	}
	note("an assertion, against a whole fetch of ours", "Assertion/by="+ours, "Assertion/by=golang-jwt", "golang-jwt")
	for _, http := range protocols {
		for _, mode := range modes {
			for _, rtt := range rtts {
				for _, peer := range loaders[1:3] {
					wins = append(wins, r.loadWins(http, mode, rtt, peer)...)
				}
			}
		}
	}
	return wins
}

// loadWins is one line for all amounts of secrets.
func (r report) loadWins(http, mode, rtt, peer string) []string {
	var won []string
	for _, n := range amounts {
		l := load{http, rtt, mode, n}
		if ratio := r.ratio(l.by(ours), l.by(peer)); ratio.n > 0 && ratio.low > lead {
			won = append(won, fmt.Sprintf("%d secrets: %v", n, ratio))
		}
	}
	if won == nil {
		return nil
	}
	return []string{fmt.Sprintf("a vault at %s a round trip, HTTP/%s, %s: %s; we take of its time, for %s",
		rtt, version(http), modeName(mode), plain(peer), strings.Join(won, ", "))}
}
