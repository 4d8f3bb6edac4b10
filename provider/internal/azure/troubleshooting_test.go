package azure

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/portnokkel/portnokkel/internal/pagetest"
)

// Each way in which a load fails has a row in the page on troubleshooting, which is
// found by what the error shows: a code has a row of its own, or else there is one for
// what is meant, or for the status.
func TestTroubleshootingHasEveryMeaning(t *testing.T) {
	t.Parallel()
	rows := pagetest.Rows(t, "../../../docs/troubleshooting.md")
	for i, m := range meanings {
		for _, code := range m.codes {
			own := slices.DeleteFunc(slices.Clone(rows), func(row pagetest.Row) bool { return !slices.Contains(row.Phrases, code) })
			if len(own) != 1 {
				t.Errorf("%s: got %d rows, want one", code, len(own))
			}
		}
		shown := m.means
		if shown == "" && m.from >= http.StatusBadRequest {
			shown = fmt.Sprintf("%d %s", m.from, http.StatusText(m.from))
		}
		if len(m.codes) == 0 && shown != "" && len(pagetest.Of(rows, shown)) == 0 {
			t.Errorf("row %d: got no row for %q", i, shown)
		}
	}
}
