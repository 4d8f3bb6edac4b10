package netcause_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/internal/netcause"
	"github.com/portnokkel/portnokkel/internal/netcause/causetest"
)

// fetch gives the cause of a request that fails, as this package's users find it.
func fetch(t *testing.T, transport *http.Transport, address string) *netcause.Error {
	t.Helper()
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	sent, watch := netcause.Follow(req, transport)
	resp, err := transport.RoundTrip(sent)
	if err != nil {
		return watch.Read(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return watch.Read(err)
	}
	page := netcause.PageOf(resp.StatusCode, resp.Header, body)
	if page == nil {
		t.Fatalf("got the answer %d, want none", resp.StatusCode)
	}
	return page
}

// Every cause over real sockets: its kind and its words, and not one of a server's.
func TestCauses(t *testing.T) {
	t.Parallel()
	cases := causetest.Cases(t)
	t.Run("", func(t *testing.T) { // so that the servers outlive their clients
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				got := fetch(t, c.Transport, "https://"+causetest.Host+"/")
				what := causetest.General(got.Error(), "the address")
				if got.Kind == netcause.Page {
					_, c.What, _ = strings.Cut(c.What, ": ")
				}
				if got.Kind != c.Kind || what != c.What || got.Permanent != c.Permanent {
					t.Errorf("got  %d, permanent %t, %s\nwant %d, permanent %t, %s", got.Kind, got.Permanent, what, c.Kind, c.Permanent, c.What)
				}
				if cure := causetest.General(got.Cure("the address"), "the address"); cure != c.Cure {
					t.Errorf("got the cure  %s\nwant          %s", cure, c.Cure)
				}
				if got.Kind != netcause.Page && got.Host != causetest.Host {
					t.Errorf("got the host %q, want %q", got.Host, causetest.Host)
				}
				if text := logtest.Reachable(got); strings.Contains(text, causetest.Canary) {
					t.Errorf("got a server's words or a password behind the error, want them nowhere: %s", text)
				}
			})
		}
	})
}
