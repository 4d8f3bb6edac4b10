package provider

import (
	"cmp"
	"slices"
	"strings"
)

// finding is something that was perhaps meant for a missing setting.
type finding struct {
	rank rank
	name name
}

// rank is the order of likelihood.
type rank int

const (
	rankSkipped     rank = iota // it has exactly the name, and was skipped
	rankLetters                 // it has the same letters
	rankBelow                   // it begins with the same letters
	rankNearSection             // the same last part, in a section that is named alike
	rankLast                    // the same last part, in any other section
)

// isLikely reports whether somebody who did not mean the missing setting would hardly
// have written this.
func (f finding) isLikely() bool { return f.rank < rankLast }

func sortFindings(found []finding) []finding {
	slices.SortStableFunc(found, func(a, b finding) int { return cmp.Compare(a.rank, b.rank) })
	return found
}

// clause says what is there, such as "there is a secret Foo-Bar".
func (f finding) clause() string {
	n := f.name
	source, secret := n.origin.Source, n.origin.Secret
	variable, isVariable := strings.CutPrefix(source, variablePrefix)
	switch {
	case n.reason != "" && isVariable:
		return "the variable " + variable + " is " + n.reason
	case n.reason != "":
		return "the secret " + n.text + " is " + n.reason + remedy(n.reason)
	case n.text != n.path:
		return "the secret " + secret + " sets " + n.path
	case isVariable:
		return "there is a variable " + variable
	case strings.HasPrefix(source, "argument "):
		return "there is an " + source
	case secret != "" && !strings.HasSuffix(source, byReference):
		return "there is a secret " + secret
	case source == "":
		return "there is " + n.path
	}
	return "there is " + setting(n.path, source)
}

// remedy is what to do about a secret that was skipped for a reason; "" if the reason
// says it.
func remedy(reason string) string {
	if reason == "disabled" {
		return ": enable it"
	}
	return ""
}

// clausesOf is what findings say, each thing once.
func clausesOf(found []finding) []string {
	var clauses []string
	for _, f := range found {
		if clause := f.clause(); !slices.Contains(clauses, clause) {
			clauses = append(clauses, clause)
		}
	}
	return clauses
}
