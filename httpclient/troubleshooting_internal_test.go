package httpclient

import (
	"strings"
	"testing"
	"unicode"

	"github.com/portnokkel/portnokkel/internal/pagetest"
)

const troubleshooting = "../docs/troubleshooting.md"

// Each known refusal has a row in the page on troubleshooting. It is found by
// Maskinporten's code and by each of its texts, and names the settings of the cure.
func TestTroubleshootingHasEveryRefusal(t *testing.T) {
	t.Parallel()
	rows := pagetest.Rows(t, troubleshooting)
	for _, k := range knownRefusals {
		words := k.texts
		if k.code != "" {
			words = append([]string{k.code}, words...)
		}
		if len(words) == 0 {
			words = []string{k.oauth}
		}
		row := pagetest.Of(rows, words[0])
		if len(row) != 1 {
			t.Errorf("%s: got %d rows, want one", words[0], len(row))
			continue
		}
		for _, word := range words[1:] {
			if len(pagetest.Of(row, word)) == 0 {
				t.Errorf("%s: got no %q in the row %q, want a reader of it to find the row", words[0], word, row[0].Phrases)
			}
		}
		for _, setting := range settingsIn(k.cure) {
			if !strings.Contains(row[0].Rest, setting) {
				t.Errorf("%s: got %q, want it to name %s as the cure does", words[0], row[0].Rest, setting)
			}
		}
	}
}

// settingsIn is what the page must name of a cure: its settings, or the key.
func settingsIn(cure string) (names []string) {
	for _, p := range placeholder.FindAllString(cure, -1) {
		switch name := strings.Trim(p, "{}"); {
		case name == "key" || name == "kid":
			names = append(names, "key")
		case unicode.IsUpper(rune(name[0])):
			names = append(names, "`"+name+"`")
		}
	}
	return names
}
