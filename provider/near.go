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
		return nearest(part, known, t.Names(at))
	}
}

// deeper are the paths of sections that have this name, in any case, below others.
func deeper(t *tree.Tree, name, delimiter string) (paths []string) {
	if delimiter == "" || strings.Contains(name, delimiter) {
		return nil
	}
	name = tree.Fold(name)
	t.Walk(func(path []string, _ *tree.Node) {
		for i, part := range path[:len(path)-1] {
			found := strings.Join(path[:i+1], delimiter)
			if i > 0 && tree.Fold(part) == name && len(paths) < maxNear && !slices.Contains(paths, found) {
				paths = append(paths, found)
			}
		}
	})
	return paths
}

// nearest are those of names that are near the one that was asked for, the nearest
// first, each after a prefix.
func nearest(asked, prefix string, names []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var near []candidate
	folded := []rune(tree.Fold(asked))
	for _, name := range names {
		if there := []rune(tree.Fold(name)); isNear(folded, there) {
			near = append(near, candidate{prefix + name, distance(folded, there)})
		}
	}
	slices.SortStableFunc(near, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	var sorted []string
	for _, c := range near[:min(len(near), maxNear)] {
		sorted = append(sorted, c.name)
	}
	return sorted
}

// maxNear is how many near names an error lists.
const maxNear = 5

// isNear reports whether a name that is there was perhaps meant by the one that was
// asked for: it begins with that one, or is its first half or more, or differs from it
// by one character in four. Case has to be folded already.
func isNear(asked, there []rune) bool {
	if len(asked) > 2 && hasPrefix(there, asked) || 2*len(there) >= len(asked) && len(there) > 2 && hasPrefix(asked, there) {
		return true
	}
	most := (len(asked) + 1) / 4
	return max(len(asked)-len(there), len(there)-len(asked)) <= most && distance(asked, there) <= most
}

func hasPrefix(text, prefix []rune) bool {
	return len(text) >= len(prefix) && slices.Equal(text[:len(prefix)], prefix)
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
