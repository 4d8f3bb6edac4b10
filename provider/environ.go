package provider

import (
	"cmp"
	"os"
	"slices"
	"strings"

	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

const (
	environmentLayer = "environment"
	variablePrefix   = "environment variable " // begins the source of a setting
)

// environ is the variables to read, as os.Environ gives them.
func (a AppConfig) environ() []string {
	if a.Environ == nil {
		return os.Environ()
	}
	return a.Environ()
}

// getenv is the last value given to the variable, without white space around it.
func (a AppConfig) getenv(name string) string {
	value := ""
	for _, pair := range a.environ() {
		if n, v, _ := strings.Cut(pair, "="); n == name {
			value = strings.TrimSpace(v)
		}
	}
	return value
}

type variable struct {
	name, value string
	parts       []string
}

// variables is those that can be settings, deepest path first and then in the
// byte order of their names, and those that are named like one.
func (a AppConfig) variables() (vars []variable, skipped []Skipped) {
	for _, pair := range a.environ() {
		name, value, ok := strings.Cut(pair, "=")
		parts, usable := tree.Split(strings.ReplaceAll(name, "__", tree.Delimiter))
		switch {
		case !ok || pasted(name) != "":
			// Such a name is perhaps a value, or a part of one: log nothing.
		case !usable:
			a.logger().Debug("provider: environment variable skipped: its name is not the path of a setting", "variable", name)
			skipped = append(skipped, Skipped{variablePrefix + name, "skipped: a part of its name is empty"})
		default:
			vars = append(vars, variable{name, value, parts})
		}
	}
	slices.SortStableFunc(vars, func(x, y variable) int {
		return cmp.Or(cmp.Compare(len(y.parts), len(x.parts)), strings.Compare(x.name, y.name))
	})
	return vars, skipped
}

// loadEnvironment applies the environment variables. One that does not fit the
// settings that are there belongs to somebody else: it is skipped.
func (a AppConfig) loadEnvironment(s *settings) {
	vars := tree.New()
	found, skipped := a.variables()
	for _, v := range found {
		if !a.putVariable(s.tree, vars, v) {
			skipped = append(skipped, Skipped{variablePrefix + v.name, "skipped: a section has its name"})
		}
	}
	vars.MakeArrays()
	merged := s.tree.Merge(vars, environmentLayer)
	for _, r := range merged.Refused {
		for _, source := range vars.Sources(r.Node) {
			a.logger().Warn("provider: environment variable skipped: "+r.Reason, "hint", r.Cure, "variable", strings.TrimPrefix(source, variablePrefix))
			skipped = append(skipped, Skipped{source, "skipped: " + r.Reason})
		}
	}
	s.skip(skipped...)
	if len(merged.Set) > 0 {
		a.logger().Debug("provider: settings read", "from", environmentLayer)
		s.accept(environmentLayer, merged)
	}
}

// putVariable puts one variable among the others, or returns false. Deeper paths go
// first, so whether a variable meets a section does not depend on the block's order.
func (a AppConfig) putVariable(settings, vars *tree.Tree, v variable) bool {
	there := settings.Find(strings.Join(v.parts, tree.Delimiter), tree.Delimiter)
	var old *tree.Node
	fits := there == nil || there.Kind == tree.Value || there.IsKey()
	if fits {
		old, fits = vars.Put(v.parts, v.value, tree.Origin{Source: variablePrefix + v.name})
	}
	if !fits {
		a.logger().Debug("provider: environment variable skipped: a section has its name", "variable", v.name)
		return false
	}
	if old == nil || old.Origin.Source == variablePrefix+v.name {
		return true
	}
	tell := a.logger().Debug
	if old.Value != v.value {
		tell = a.logger().Warn
	}
	tell("provider: two environment variables set one setting; the one that sorts last is used",
		"used", v.name, "unused", strings.TrimPrefix(old.Origin.Source, variablePrefix))
	return true
}
