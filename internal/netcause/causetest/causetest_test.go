package causetest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portnokkel/portnokkel/internal/netcause"
	"github.com/portnokkel/portnokkel/internal/netcause/causetest"
)

// Each case fails in a plain client, by an error or by a page, and in no other way than
// its text says. The kinds are different ones.
func TestCases(t *testing.T) {
	t.Parallel()
	cases := causetest.Cases(t)
	kinds := map[netcause.Kind]bool{}
	for _, c := range cases {
		kinds[c.Kind] = true
	}
	if len(kinds) < 12 {
		t.Errorf("got %d kinds, want at least 12", len(kinds))
	}
	t.Run("", func(t *testing.T) { // so that the servers outlive their clients
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				defer c.Transport.CloseIdleConnections()
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+causetest.Host+"/", nil)
				if err != nil {
					t.Fatal(err)
				}
				client := http.Client{Transport: c.Transport, Timeout: 30 * time.Second}
				resp, err := client.Do(req)
				if (err == nil) != (c.Kind == netcause.Page) {
					t.Fatalf("got %v, want an error unless it is a page", err)
				}
				if err == nil {
					defer resp.Body.Close()
					if body, _ := io.ReadAll(resp.Body); !strings.Contains(string(body), causetest.Canary) {
						t.Errorf("got the page %q, want the canary in it", body)
					}
				}
				if c.What == "" || c.Cure == "" {
					t.Error("the case has no texts")
				}
			})
		}
	})
}

func TestGeneral(t *testing.T) {
	t.Parallel()
	const text = "dial tcp 127.0.0.1:4711: check SecretUri (a file) of " + causetest.Host
	if got, want := causetest.General(text, "SecretUri (a file)"), "dial tcp 127.0.0.1:PORT: check ADDRESS of HOST"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
