package provider

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

// nameIndex finds the names that a missing setting was perhaps meant to have, among
// those of settings that are set and of what was skipped. It holds no values.
type nameIndex struct {
	settings *tree.Tree
	byWhole  []name // in the order of their letters
	byLast   map[string][]name
	sections map[string][]finding // what nearSection found, by path
}

// name is a name that was read.
type name struct {
	text    string // as it is written: a setting's path, a secret's or variable's name
	letters string
	section string // the letters before the last part, in byLast only
	apart   bool   // a delimiter stands before the last part, in byLast only
	path    string // of the setting that it set
	origin  tree.Origin
	reason  string // why it was skipped; "" if it set the setting
}

// What bounds the work for one missing setting, and how many parts of a name in another
// style, such as MASKINPORTEN_CLIENT_ID, count as its last.
const (
	maxLooked = 1000
	maxSplits = 4
)

func newNameIndex(settings *tree.Tree, skipped []Skipped) *nameIndex {
	x := &nameIndex{settings: settings, byLast: map[string][]name{}, sections: map[string][]finding{}}
	if x.settings == nil {
		x.settings = tree.New()
	}
	x.settings.Walk(func(at []string, n *tree.Node) {
		if !n.IsSet() {
			return
		}
		set := name{path: strings.Join(at, tree.Delimiter), origin: n.Origin}
		set.text = set.path
		x.add(set)
		x.addLasts(set)
		if set.text = n.Origin.Secret; letters(set.text) != letters(set.path) {
			x.add(set) // Map gave it another key
		}
	})
	for _, s := range skipped {
		x.add(name{text: s.name(), origin: tree.Origin{Source: s.Source}, reason: s.Reason})
	}
	slices.SortFunc(x.byWhole, func(a, b name) int {
		return cmp.Or(cmp.Compare(a.letters, b.letters), cmp.Compare(a.path, b.path))
	})
	return x
}

// add makes a name found by its letters.
func (x *nameIndex) add(n name) {
	if n.letters = letters(n.text); n.letters != "" {
		x.byWhole = append(x.byWhole, n)
	}
}

// addLasts makes a path found by its last part, in whatever style that is divided from
// the rest.
func (x *nameIndex) addLasts(n name) {
	end := len(n.text)
	for range maxSplits {
		i := strings.LastIndexFunc(n.text[:end], isSeparator)
		if i < 0 {
			break
		}
		if last := letters(n.text[i:]); last != "" && end > i+1 {
			n.section, n.apart = letters(n.text[:i]), strings.HasPrefix(n.text[i:], tree.Delimiter)
			x.byLast[last] = append(x.byLast[last], n)
		}
		end = i
	}
	if isVariable := strings.HasPrefix(n.origin.Source, variablePrefix); end == len(n.text) && !isVariable {
		n.section, n.apart = "", true
		x.byLast[letters(n.text)] = append(x.byLast[letters(n.text)], n)
	}
}

// near is what was perhaps meant for the setting at a path, the likeliest first.
func (x *nameIndex) near(path string) []finding {
	found := x.sameLetters(path)
	section := path
	if i := strings.LastIndex(path, tree.Delimiter); i >= 0 {
		section = path[:i]
		found = append(found, x.sameLast(letters(section), letters(path[i:]))...)
	}
	if len(found) == 0 {
		found = x.nearSection(section)
	}
	return sortFindings(found)
}

// sameLetters finds the names that differ from a path, or from its beginning, in their
// separators only.
func (x *nameIndex) sameLetters(path string) (found []finding) {
	want := letters(path)
	from, _ := slices.BinarySearchFunc(x.byWhole, want, func(n name, want string) int { return cmp.Compare(n.letters, want) })
	rest := x.byWhole[from:]
	for _, n := range rest[:min(len(rest), maxLooked)] {
		rank := rankLetters
		switch {
		case want == "" || !strings.HasPrefix(n.letters, want):
			return found
		case n.reason != "" && strings.EqualFold(n.text, secretName(path)), n.reason != "" && strings.EqualFold(n.text, variableName(path)):
			rank = rankSkipped
		case n.letters != want && !goesOn(n.text, want):
			continue
		case n.letters != want:
			rank = rankBelow
		}
		found = append(found, finding{rank, n})
	}
	return found
}

// sameLast finds the settings with this last part in another section. Those of a
// section that is named alike go first. kvSetting has fields that other sections have
// as well: it counts for nothing but itself.
func (x *nameIndex) sameLast(section, last string) (found []finding) {
	all, asked := x.byLast[last], []rune(section)
	for _, n := range all[:min(len(all), maxLooked)] {
		rank := rankLast
		switch {
		case n.section != "" && (isNear(asked, []rune(n.section)) || len(section) > 2 && strings.Contains(n.section, section)):
			rank = rankNearSection
		case !n.apart, isKVSetting(n.section), isKVSetting(section) && last != letters(secretURI):
			continue
		}
		found = append(found, finding{rank, n})
	}
	return found
}

// nearSection finds a section that is spelt almost so.
func (x *nameIndex) nearSection(path string) []finding {
	found, known := x.sections[path]
	if !known && x.settings.Find(path, tree.Delimiter) == nil {
		if near := nearNames(x.settings, path, tree.Delimiter); len(near) > 0 {
			found = []finding{{rankNearSection, name{text: near[0], path: near[0]}}}
		}
	}
	x.sections[path] = found
	return found
}

func isKVSetting(letters string) bool { return letters == "kvsetting" || letters == "kvsettings" }

// letters is what is left of a name without case and separators.
func letters(text string) string {
	return strings.Map(func(r rune) rune {
		if isSeparator(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, text)
}

func isSeparator(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }

// goesOn reports whether a name that begins with these letters goes on with a separator.
func goesOn(text, want string) bool {
	left := utf8.RuneCountInString(want)
	for _, r := range text {
		switch {
		case left == 0:
			return isSeparator(r)
		case !isSeparator(r):
			left--
		}
	}
	return false
}

// secretName is the name of the secret that sets what is at a path.
func secretName(path string) string { return strings.ReplaceAll(path, tree.Delimiter, "--") }

// variableName is that of the environment variable.
func variableName(path string) string { return strings.ReplaceAll(path, tree.Delimiter, "__") }
