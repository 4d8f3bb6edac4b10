package provider

import (
	"strings"

	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

// nearNames are the paths in t that a path was perhaps meant to be: at its first
// part that is not there, the names that begin with that part or differ from it by
// one character in four.
func nearNames(t *tree.Tree, path, delimiter string) []string {
	at, known := t.Root(), ""
	for {
		part, rest, _ := strings.Cut(path, delimiter)
		if delimiter == "" {
			part, rest = path, ""
		}
		if next := t.Child(at, part); next != nil {
			at, known, path = next, known+next.Name+delimiter, rest
			continue
		}
		var near []string
		for _, name := range t.Names(at) {
			asked, there := []rune(tree.Fold(part)), []rune(tree.Fold(name))
			begins := len(asked) > 2 && strings.HasPrefix(string(there), string(asked))
			if begins || distance(asked, there) <= (len(asked)+1)/4 {
				near = append(near, known+name)
			}
		}
		return near
	}
}

// distance is how many characters are inserted, left out or replaced between a
// and b (Levenshtein).
func distance(a, b []rune) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		previous := row[0]
		row[0] = i + 1
		for j := range b {
			changed := previous
			if a[i] != b[j] {
				changed++
			}
			previous = row[j+1]
			row[j+1] = min(changed, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
