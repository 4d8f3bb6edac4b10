package provider

import (
	"cmp"
	"slices"
	"strings"

	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

// nearNames are the paths in t that a path was perhaps meant to be: at its first
// part that is not there, the names that are near that part, the nearest first.
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
		names := slices.DeleteFunc(t.Names(at), func(name string) bool { return !isNear(part, name) })
		slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(distanceFold(part, a), distanceFold(part, b)) })
		for i, name := range names {
			names[i] = known + name
		}
		return names
	}
}

// isNear reports whether a name that is there was perhaps meant by the one that was
// asked for: it begins with that one, or is its first half or more, or differs from it
// by one character in four.
func isNear(asked, there string) bool {
	a, b := []rune(tree.Fold(asked)), []rune(tree.Fold(there))
	if len(a) > 2 && strings.HasPrefix(string(b), string(a)) || 2*len(b) >= len(a) && len(b) > 2 && strings.HasPrefix(string(a), string(b)) {
		return true
	}
	most := (len(a) + 1) / 4
	return max(len(a)-len(b), len(b)-len(a)) <= most && distance(a, b) <= most
}

func distanceFold(a, b string) int { return distance([]rune(tree.Fold(a)), []rune(tree.Fold(b))) }

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
