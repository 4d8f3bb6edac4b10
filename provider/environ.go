package provider

import (
	"cmp"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/v2"
)

const environmentLayer = "environment"

// environ is the variables to read, as os.Environ gives them.
func (a AppConfig) environ() []string {
	if a.Environ == nil {
		return os.Environ()
	}
	return a.Environ
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
// byte order of their names.
func (a AppConfig) variables() []variable {
	var vars []variable
	for _, pair := range a.environ() {
		name, value, ok := strings.Cut(pair, "=")
		parts, usable := splitPath(strings.ReplaceAll(name, "__", pathDelimiter))
		switch {
		case !ok:
			// Without "=" there is no telling a name from a value: say nothing.
		case !usable:
			a.logger().Debug("provider: environment variable skipped: its name is no setting's path", "variable", name)
		default:
			vars = append(vars, variable{name, value, parts})
		}
	}
	slices.SortStableFunc(vars, func(x, y variable) int {
		return cmp.Or(cmp.Compare(len(y.parts), len(x.parts)), strings.Compare(x.name, y.name))
	})
	return vars
}

// loadEnvironment applies the environment variables. One that does not fit the
// settings that are there belongs to somebody else: it is skipped.
func (a AppConfig) loadEnvironment(k *koanf.Koanf) error {
	settings := k.Raw()
	vars := a.variables()
	for {
		tree, winners := a.variableTree(vars, settings)
		var m merger
		m.section("", settings, tree)
		if len(m.refused) == 0 {
			if len(tree) == 0 {
				return nil
			}
			return a.apply(k, environmentLayer, tree, func(path string) string {
				return "environment variable " + winners[foldKey(path)].name
			})
		}
		for _, r := range m.refused {
			vars = slices.DeleteFunc(vars, func(v variable) bool {
				unfit := isAtOrBelow(foldKey(strings.Join(v.parts, pathDelimiter)), foldKey(r.path))
				if unfit {
					a.logger().Warn("provider: environment variable skipped: "+r.reason, "variable", v.name)
				}
				return unfit
			})
		}
	}
}

// isAtOrBelow compares two folded paths.
func isAtOrBelow(path, other string) bool {
	return path == other || strings.HasPrefix(path, other+pathDelimiter)
}

// variableTree makes settings of variables, and tells which variable each path is
// from. Deeper paths go first, so whether a variable meets a section does not
// depend on the block's order.
func (a AppConfig) variableTree(vars []variable, settings map[string]any) (map[string]any, map[string]variable) {
	tree := map[string]any{}
	winners := map[string]variable{}
	for _, v := range vars {
		there := lookup(settings, v.parts)
		_, isSection := there.(map[string]any)
		if _, isArray := asArray(there); isSection || isArray || !place(tree, v.parts, v.value) {
			a.logger().Debug("provider: environment variable skipped: a section has its name", "variable", v.name)
			continue
		}
		path := foldKey(strings.Join(v.parts, pathDelimiter))
		if loser, twice := winners[path]; twice && loser.name != v.name {
			tell := a.logger().Debug
			if loser.value != v.value {
				tell = a.logger().Warn
			}
			tell("provider: two environment variables set one setting; the one that sorts last is used",
				"used", v.name, "unused", loser.name)
		}
		winners[path] = v
	}
	withArrays(tree)
	return tree, winners
}
