// Package pagetest reads the tables of a documentation page, so that tests can hold them
// against the code.
package pagetest

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Row is a row of a table in Markdown. What stands in backquotes in its first cell is
// what a reader searches for.
type Row struct {
	Phrases []string // of the first cell; "…" stands for any text
	Rest    string   // the other cells
}

// Rows reads every table of a page, without their heads.
func Rows(t testing.TB, file string) []Row {
	t.Helper()
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return parse(string(page))
}

var quoted = regexp.MustCompile("`([^`]+)`")

func parse(page string) []Row {
	var rows []Row
	for line := range strings.Lines(page) {
		cells, isRow := strings.CutPrefix(strings.TrimSpace(line), "|")
		first, rest, _ := strings.Cut(cells, " | ")
		if !isRow {
			continue
		}
		row := Row{Rest: strings.TrimSpace(strings.TrimSuffix(rest, "|"))}
		for _, phrase := range quoted.FindAllStringSubmatch(first, -1) {
			row.Phrases = append(row.Phrases, phrase[1])
		}
		if len(row.Phrases) > 0 {
			rows = append(rows, row)
		}
	}
	return rows
}

// Of gives the rows that a reader of a text finds: those with a phrase that is part of
// it, in any case.
func Of(rows []Row, text string) []Row {
	var found []Row
	for _, row := range rows {
		for _, phrase := range row.Phrases {
			if Holds(text, phrase) {
				found = append(found, row)
				break
			}
		}
	}
	return found
}

// Holds reports whether the parts of a phrase stand in a text, in their order.
func Holds(text, phrase string) bool {
	text = strings.ToLower(text)
	for part := range strings.SplitSeq(strings.ToLower(phrase), "…") {
		part = strings.TrimSpace(part)
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return true
}
