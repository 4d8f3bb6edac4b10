package httpclient

import (
	"math"
	"slices"
	"strings"
)

// missingError is the text of an error that is ErrMissing.
type missingError string

func (e missingError) Error() string { return string(e) }

// Is makes it one with [ErrMissing].
func (missingError) Is(target error) bool { return target == ErrMissing }

// missing is the error of a setting that is missing, of which the first name is the
// usual one. If there is a key that may be meant, the cure is to rename it. What else is
// there in the setting's place comes last.
func (s *MaskinportenSettings) missing(canonical []string, cure string) error {
	told := s.instead(canonical)
	for _, key := range s.meant(canonical) {
		// The provider may have found it as well.
		told = slices.DeleteFunc(told, func(clause string) bool {
			return strings.Contains(clause, key) && !strings.HasPrefix(clause, lookedFor)
		})
		switch name, distance := nearest(key); {
		case distance == 0:
			cure = "rename " + s.from(key) + " to " + name
		default:
			told = append([]string{s.from(key) + " is not a setting"}, told...)
		}
	}
	text := s.name(canonical[0]) + " is missing: " + cure
	if len(told) > 0 {
		text += " - " + strings.Join(told, "; ")
	}
	return missingError(text)
}

// lookedFor begins the clause of an Instead that tells the exact names.
const lookedFor = "looked for "

// instead tells what is there in the place of a missing setting, by any of its names.
// What is there is told once each. Which names were looked for is told of one setting:
// the first that has something in its place, or else the usual one.
func (s *MaskinportenSettings) instead(canonical []string) (told []string) {
	if s.Origin == nil {
		return nil
	}
	var names []string
	for _, name := range canonical {
		if field, known := fieldNamed(name); known {
			names = append(names, field.names...)
		}
	}
	looked, hasNear := "", false
	for i, name := range names {
		near, names := s.Origin(name).Instead, ""
		if at := strings.LastIndex(near, lookedFor); at >= 0 {
			near, names = strings.TrimSuffix(near[:at], "; "), near[at:]
		}
		if i == 0 || near != "" && !hasNear {
			looked, hasNear = names, near != ""
		}
		for clause := range strings.SplitSeq(near, "; ") {
			if clause != "" && !slices.Contains(told, clause) {
				told = append(told, clause)
			}
		}
	}
	if looked != "" {
		told = append(told, looked)
	}
	return told
}

// meant are the unknown keys whose nearest name is of these settings.
func (s *MaskinportenSettings) meant(canonical []string) (keys []string) {
	for _, key := range s.unknown {
		name, _ := nearest(key)
		if field, known := fieldNamed(name); known && slices.Contains(canonical, field.names[0]) {
			keys = append(keys, key)
		}
	}
	return keys
}

// unknownWarnings words the warnings about unknown keys, each with the nearest name that
// is known.
func (s *MaskinportenSettings) unknownWarnings() (warnings []string) {
	for _, key := range s.unknown {
		warning := s.from(key) + ": unknown setting, ignored"
		if name, _ := nearest(key); name != "" {
			warning += "; did you mean " + name + "?"
		}
		warnings = append(warnings, warning)
	}
	return warnings
}

// nearest is the name of a setting that a key may mean, in its usual spelling, and how
// many letters differ. The name is empty if too many do.
func nearest(key string) (name string, distance int) {
	key, distance = lettersOf(key), math.MaxInt
	for _, f := range settingFields {
		for _, candidate := range f.names {
			if d := editDistance(key, strings.ToLower(candidate)); d < distance {
				name, distance = candidate, d
			}
		}
	}
	if distance > max(2, len(name)/3) {
		return "", distance
	}
	return name, distance
}

// lettersOf is a key in lower case without what divides its words.
func lettersOf(key string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "", ".", "", ":", "", " ", "").Replace(key))
}

// editDistance is Levenshtein's: the fewest insertions, deletions and
// replacements of bytes that turn a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
