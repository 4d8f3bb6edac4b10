package benchmarks

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// loader reads a vault: all that it lists, or the named secrets.
type loader struct {
	name string
	load func(ctx context.Context, at vault, names []string) (map[string]string, error)
}

// loaders are compared in this order; the first is this project.
var loaders = []loader{
	{"portnokkel", loadWithPortnokkel},
	{"one-by-one", loadOneByOne},
	{"goroutines", loadWithGoroutines},
	{"limit", loadAtTheLimit},
	{"limit-of-32", loadAtTheLimitOf32},
	{"by-hand", loadByHand},
}

// modes are what a loader is told: to read all, or secrets by name with the default
// concurrency, or by name and as many at once as one HTTP/2 connection carries.
var modes = []string{"all", "exact", "wide"}

// applies is false where a loader would repeat another one's figure.
func (l loader) applies(mode string, n int) bool {
	switch mode {
	case "wide":
		return n > concurrency && (l.name == "portnokkel" || l.name == "limit" || l.name == "by-hand")
	case "exact":
		return l.name != "by-hand" && (l.name != "limit-of-32" || n > concurrency)
	}
	return l.name != "by-hand" && l.name != "limit-of-32"
}

// concurrencyFor is how many requests this project may have under way.
func concurrencyFor(mode string, n int) int {
	if mode == "wide" {
		return min(n, streams)
	}
	return concurrency
}

// streams is how many requests net/http's server takes at once on a connection.
// More open further ones, each with a handshake, and take longer.
const streams = 250

// isLimit tells what reads one secret alone.
func (l loader) isLimit() bool { return strings.HasPrefix(l.name, "limit") }

// vault is a server and one program's way to it: a transport that has no
// connections yet.
type vault struct {
	*vaulttest.Server
	transport   *http.Transport
	concurrency int
}

// protocols are what the transports speak. All loaders have the same one.
var protocols = []string{"http2", "http1"}

// newVault is the server for one load.
func newVault(srv *vaulttest.Server, protocol string, concurrency int) vault {
	known := srv.Transport()
	var speaks http.Protocols
	speaks.SetHTTP1(protocol == "http1")
	speaks.SetHTTP2(protocol == "http2")
	return vault{srv, &http.Transport{
		DialContext:         known.DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: known.TLSClientConfig.RootCAs, MinVersion: tls.VersionTLS12},
		Protocols:           &speaks,
		MaxIdleConnsPerHost: 2 * concurrency,
	}, concurrency}
}

// secretNames are n names, in the order of the vault's listing.
func secretNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("Secret-%04d", i)
	}
	return names
}

func secretValue(name string) string { return "the value of " + name + ", 40 characters" }

func secretsOf(names []string) map[string]string {
	secrets := map[string]string{}
	for _, name := range names {
		secrets[name] = secretValue(name)
	}
	return secrets
}

// BenchmarkLoad loads a vault, from nothing: no connection, no token. rtt is how
// long the server takes to answer each request.
func BenchmarkLoad(b *testing.B) {
	for _, protocol := range protocols {
		for _, rtt := range []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond} {
			for _, n := range []int{2, 25, 250, 1000} {
				for _, mode := range modes {
					for _, l := range loaders {
						if !l.applies(mode, n) {
							continue
						}
						b.Run(fmt.Sprintf("http=%s/rtt=%v/secrets=%d/mode=%s/by=%s", protocol[4:], rtt, n, mode, l.name), func(b *testing.B) {
							names := secretNames(n)
							srv := vaulttest.NewServer(vaulttest.WithLatency(rtt), vaulttest.WithSecrets(secretsOf(names)))
							defer srv.Close()
							benchmarkLoad(b, func() vault { return newVault(srv, protocol, concurrencyFor(mode, n)) }, l, namesFor(mode, names), n)
						})
					}
				}
			}
		}
	}
}

// namesFor is what a loader is told: nothing, unless it shall read by name.
func namesFor(mode string, names []string) []string {
	if mode == "all" {
		return nil
	}
	return names
}

func benchmarkLoad(b *testing.B, start func() vault, l loader, names []string, n int) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		at := start()
		got, err := l.load(b.Context(), at, names)
		if err != nil || (len(got) != n && !l.isLimit()) {
			b.Fatalf("%d secrets, want %d, %v", len(got), n, err)
		}
		b.StopTimer()
		at.transport.CloseIdleConnections()
		b.StartTimer()
	}
}

// Every loader comes back with the same values, over both protocols, and the
// transport speaks the one that it should.
func TestLoadersDoTheSame(t *testing.T) {
	t.Parallel()
	names := secretNames(60)
	for _, protocol := range protocols {
		for _, mode := range modes {
			for _, l := range loaders {
				if !l.applies(mode, len(names)) {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%s", protocol, mode, l.name), func(t *testing.T) {
					t.Parallel()
					srv := vaulttest.NewServer(vaulttest.WithSecrets(secretsOf(names)))
					defer srv.Close()
					at := newVault(srv, protocol, concurrencyFor(mode, len(names)))
					defer at.transport.CloseIdleConnections()
					got, err := l.load(t.Context(), at, namesFor(mode, names))
					if err != nil {
						t.Fatal(err)
					}
					want := names
					if l.isLimit() {
						want = names[59:] // it reads the last one alone
					}
					if len(got) != len(want) || slices.ContainsFunc(want, func(name string) bool { return got[name] != secretValue(name) }) {
						t.Errorf("got %v", got)
					}
				})
			}
		}
	}
}
