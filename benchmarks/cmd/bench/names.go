package main

import (
	"fmt"

	"github.com/portnokkel/portnokkel/provider"
)

const (
	ours  = "portnokkel"
	limit = "limit"

	concurrency = provider.DefaultConcurrency
)

// timed are who takes part where requests are timed.
var timed = []string{ours, "x-oauth2", "google", limit}

// loaders are who loads a vault.
var loaders = []string{ours, "one-by-one", "goroutines", limit}

var (
	protocols = []string{"2", "1"}
	modes     = []string{"all", "exact", "wide"}
	rtts      = []string{"0s", "20ms", "100ms"}
	amounts   = []int{2, 25, 250, 1000}
)

func request(goroutines int, by string) string {
	return fmt.Sprintf("Request/goroutines=%d/by=%s", goroutines, by)
}

// load is one cell of the vault's tables.
type load struct {
	http, rtt, mode string
	secrets         int
}

func (l load) by(name string) string {
	return fmt.Sprintf("Load/http=%s/rtt=%s/secrets=%d/mode=%s/by=%s", l.http, l.rtt, l.secrets, l.mode, name)
}

// isMeasured is false where it would be the same as another one: so many names are
// read at once in any case.
func (l load) isMeasured() bool { return l.mode != "wide" || l.secrets > concurrency }

func (l load) String() string { return fmt.Sprintf("%d secrets at %s", l.secrets, l.rtt) }

// reach is how many times the limit's time a load may take.
func (l load) reach() float64 {
	switch {
	case l.http == "2":
		return 1.15
	case l.secrets == 25:
		return 1.6
	default:
		return 1.3
	}
}

// names are how a table calls who took part.
var names = map[string]string{
	ours:           "**portnokkel**",
	"x-oauth2":     "x/oauth2",
	"google":       "cloud.google.com/go/auth",
	"google-tuned": "the same, `ExpireEarly` 18 s",
	"azcore":       "azcore's bearer token policy",
	"golang-jwt":   "golang-jwt",
	limit:          "the limit",
	"one-by-one":   "one at a time",
	"goroutines":   "list, then 32 goroutines",
	"fx":           "fx alone",
	"nethttp":      "net/http alone",
	"httpclient":   "`httpclient` alone",
	"all":          "all, with fx",
}

// modeName is how a load is told from the other kind.
func modeName(mode string) string {
	switch mode {
	case "exact":
		return "exact names"
	case "wide":
		return "exact names, `Concurrency` 250"
	}
	return "all secrets"
}

// beside is what else a kind of load is compared with, in brackets.
var beside = map[string]string{"exact": "limit-of-32", "wide": "by-hand"}
