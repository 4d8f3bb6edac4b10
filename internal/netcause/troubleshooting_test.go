package netcause_test

import (
	"testing"

	"github.com/portnokkel/portnokkel/internal/netcause/causetest"
	"github.com/portnokkel/portnokkel/internal/pagetest"
)

// Each cause has a row in the page on troubleshooting. It is found by what the error
// says happened.
func TestTroubleshootingHasEveryCause(t *testing.T) {
	t.Parallel()
	rows := pagetest.Rows(t, "../../docs/troubleshooting.md")
	for _, c := range causetest.Cases(t) {
		if len(pagetest.Of(rows, c.What)) == 0 {
			t.Errorf("%s: got no row for %q", c.Name, c.What)
		}
	}
}
