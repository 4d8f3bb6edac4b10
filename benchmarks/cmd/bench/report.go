package main

import (
	"fmt"
	"strings"
	"time"
)

// report is all that RESULTS.md is made of.
type report struct {
	*results
	counts   counts
	sizes    []size
	versions []module
	took     time.Duration
}

func (r report) markdown() string {
	var b page
	b.line("# Results\n")
	b.line("Written by `make bench` on %s, in %s. Do not edit.\n", time.Now().UTC().Format(time.DateOnly), r.took.Round(time.Second))
	b.line("%s.\n", machine(r.cpu))
	var list []string
	for _, m := range r.versions {
		list = append(list, m.Path+" "+strings.TrimPrefix(m.Version, "v"))
	}
	b.line("Peers and parts: %s.\n", strings.Join(list, ", "))
	b.line("A ratio is this project's time divided by the peer's, in the same round; below 1 this project is faster. It is the median, with the quartiles of all rounds. Counts are exact, and `go test ./...` in this folder holds ours.\n")
	r.writeTargets(&b)
	r.writeRequests(&b)
	r.writeLoads(&b)
	r.writeLife(&b)
	r.writeStart(&b)
	r.writeSizes(&b)
	return b.String()
}

func (r report) writeTargets(b *page) {
	b.line("## The figures to reach\n")
	b.row("work", "reach", "measured", "")
	b.rule(4)
	var missed []string
	for _, t := range r.targets() {
		mark := "reached"
		if !t.reached {
			mark = "**missed**"
			missed = append(missed, fmt.Sprintf("- %s (%s): %s.", t.work, t.reach, t.cause))
		}
		b.row(t.work, t.reach, t.measured, mark)
	}
	if len(missed) > 0 {
		b.line("\nWhat is missed, and why:\n\n%s", strings.Join(missed, "\n"))
	}
	b.line("\n## Where a peer wins\n")
	b.line("By more than 2 %% in three rounds of four:\n")
	wins := r.peerWins()
	if len(wins) == 0 {
		b.line("Nowhere.")
	}
	for _, win := range wins {
		b.line("- %s.", win)
	}
	b.line("")
}

func (r report) writeRequests(b *page) {
	b.line("## A warm token\n")
	b.line("The limit copies the request and its header map and sets one constant header; for reading a token it is one atomic load. The token has 52 characters, the request three headers.\n")
	b.row("work", "who", "time", "B", "allocations", "our time is")
	b.rule(6)
	row := func(work, name, mine, who string) {
		b.row(work, names[who], duration(r.spread(name, seconds).middle), fmt.Sprintf("%.0f", r.spread(name, "B/op").middle),
			fmt.Sprintf("%.0f", r.spread(name, "allocs/op").middle), r.beside(mine, name))
	}
	for _, goroutines := range []int{1, 64} {
		for _, who := range timed {
			row(fmt.Sprintf("request, goroutines: %d", goroutines), request(goroutines, who), request(goroutines, ours), who)
		}
	}
	for _, who := range timed {
		row("reading the token, all cores", "Token/by="+who, "Token/by="+ours, who)
	}
	for _, who := range []string{ours, "golang-jwt", limit} {
		row("assertion, RSA 2048", "Assertion/by="+who, "Assertion/by="+ours, who)
	}
	b.line("\nFor an assertion the limit is the standard library by hand. Ours is a whole fetch of a token from an endpoint that answers at once, since nothing less can be called.\n")
	b.row("reading the token of a system user, 10,000 customers cached, all cores", "time", "B", "allocations")
	b.rule(4)
	for _, kind := range [][2]string{
		{"plain", "the settings' own token"},
		{"kept", "a context with the system user, made before"},
		{"call", "`ContextWithSystemUser` included"},
	} {
		name := "SystemUser/by=" + kind[0]
		b.row(kind[1], duration(r.spread(name, seconds).middle), fmt.Sprintf("%.0f", r.spread(name, "B/op").middle),
			fmt.Sprintf("%.0f", r.spread(name, "allocs/op").middle))
	}
	b.line("")
}

// beside is a ratio, or nothing beside oneself.
func (r report) beside(mine, other string) string {
	if mine == other {
		return ""
	}
	return r.ratio(mine, other).String()
}

func (r report) writeLoads(b *page) {
	b.line("## Loading a vault\n")
	b.line("![Load time over number of secrets](load.svg)\n")
	b.line("From nothing: no connection, no token. The server takes the given time for each answer. Everybody has the same HTTP transport. The limit is the requests that must come one after the other, sent by hand: the challenge, Entra's two, the pages, one secret; for exact names the challenge, Entra's two, one secret. In brackets, for exact names, the least that no more than 32 requests at once allow, which is the default of `Config.Concurrency`; and where it is 250, which is what the server takes at once on an HTTP/2 connection (\"wide\"), what as many requests take that are sent by hand, with net/http alone: both ends of them run on this machine's cores. A peer that reads one at a time was measured once where that takes long.\n")
	for _, http := range protocols {
		b.line("HTTP/%s:\n", version(http))
		b.row("secrets", "a round trip", "portnokkel", "one at a time", "32 goroutines", "the limit", "we take of one at a time", "of 32 goroutines", "of the limit")
		b.rule(9)
		for _, mode := range modes {
			for _, rtt := range rtts {
				for _, n := range amounts {
					if l := (load{http, rtt, mode, n}); l.isMeasured() {
						r.loadRow(b, l)
					}
				}
			}
		}
		b.line("")
	}
	b.line("Requests, and how many of them one after the other (exact, in simulated time):\n")
	b.row("secrets", "portnokkel: requests, in a row", "one at a time", "32 goroutines", "the limit")
	b.rule(5)
	for _, mode := range modes {
		for _, n := range amounts {
			if !(load{mode: mode, secrets: n}).isMeasured() {
				continue
			}
			cells := []string{fmt.Sprintf("%d, %s", n, mode)}
			for _, who := range loaders {
				test := fmt.Sprintf("TestRoundTrips/secrets=%d/mode=%s/by=%s", n, mode, who)
				cells = append(cells, r.counts.of(test, "requests")+", "+r.counts.of(test, "in-a-row"))
			}
			b.row(cells...)
		}
	}
	b.line("\nNot counted: goroutines with exact names, which queue for a mutex of the Azure SDK, where simulated time stands still.\n")
}

func (r report) loadRow(b *page, l load) {
	cells := []string{fmt.Sprintf("%d, %s", l.secrets, l.mode), l.rtt}
	for _, who := range loaders {
		cells = append(cells, duration(r.spread(l.by(who), seconds).middle))
	}
	for _, who := range loaders[1:] {
		cells = append(cells, r.ratio(l.by(ours), l.by(who)).String())
	}
	if l.rtt == "0s" {
		// Without latency the limit does next to nothing, and says as much.
		cells[8] = ""
		b.row(cells...)
		return
	}
	if other := r.ratio(l.by(ours), l.by(beside[l.mode])); other.n > 0 {
		cells[5] += " [" + duration(r.spread(l.by(beside[l.mode]), seconds).middle) + "]"
		cells[8] += " [" + other.String() + "]"
	}
	b.row(cells...)
}

func (r report) writeLife(b *page) {
	b.line("## A token's life\n")
	b.line("In simulated time, exact. Tokens live 120 s, and Maskinporten takes 500 ms. First a request a second for ten minutes; then 1,000 a second over the end of two tokens, the first request left out. Azure's and Google's defaults are made for tokens of an hour; Google's is shown with a window of this project's size as well.\n")
	b.row("who", "token requests in 10 minutes", "requests that waited", "longest wait at expiry", "requests that waited", "token requests")
	b.rule(6)
	for _, who := range []string{ours, "x-oauth2", "google", "google-tuned", "azcore"} {
		quiet, busy := "TestTokenRequests/by="+who, "TestLongestWait/by="+who
		b.row(names[who], r.counts.of(quiet, "token-requests"), r.counts.of(quiet, "waits"),
			r.counts.of(busy, "longest-wait"), r.counts.of(busy, "waits"), r.counts.of(busy, "token-requests"))
	}
	b.line("")
}

func (r report) writeStart(b *page) {
	b.line("## Starting\n")
	b.row("work", "time", "allocations")
	b.rule(3)
	for _, work := range [][2]string{
		{"Build/by=" + ours, "building a client: no network before its first use (`TestBuildingTouchesNoNetwork`)"},
		{"Start/by=" + ours, "starting and stopping an fx application with a named client from a settings file"},
		{"Start/by=fx", "the same of fx alone, given a client"},
	} {
		b.row(work[1], duration(r.spread(work[0], seconds).middle), fmt.Sprintf("%.0f", r.spread(work[0], "allocs/op").middle))
	}
	b.line("")
}

func (r report) writeSizes(b *page) {
	b.line("## Size\n")
	b.line("Programs built without cgo, with `-trimpath -ldflags \"-s -w\"` and the versions that this project's go.mod names. Packages and modules are those linked, besides the standard library. Parts are a module's code and constants; tables of functions and types, and variables, are counted for nobody.\n")
	b.row("program", "stripped", "modules", "packages", "packages of the standard library", "largest parts")
	b.rule(6)
	for _, s := range r.sizes {
		var parts []string
		for _, p := range s.parts[:min(6, len(s.parts))] {
			parts = append(parts, p.name+" "+megabytes(p.bytes))
		}
		b.row(names[s.name], megabytes(s.bytes), fmt.Sprint(s.modules), fmt.Sprint(s.packages), fmt.Sprint(s.standard), strings.Join(parts, ", "))
	}
}
