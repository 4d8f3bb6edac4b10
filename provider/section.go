package provider

import (
	"errors"
	"fmt"
	"strings"

	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

// ErrNoSection is what [Section] and [Unmarshal] wrap when nothing is set under
// the name.
var ErrNoSection = errors.New("no such section")

// Section is a copy of the section of k that has this name in any mixture of
// upper and lower case, such as Section(k, "MaskinportenSettings"). A path in
// k's own delimiter reaches further down. A number on the way is an array's
// index ("Clients:0"). When two keys of k differ in case only, the exact
// spelling wins, then the one that sorts first in byte order.
//
// Nothing there, or a null, is an error that wraps [ErrNoSection] and lists near
// names. A single value or an array in the section's place is an error too.
// Errors never hold values. Changing the copy does not change k.
func Section(k *koanf.Koanf, name string) (map[string]any, error) {
	t, n, err := lookUp(k, name)
	if err == nil {
		err = isSection(n, name)
	}
	if err != nil {
		return nil, err
	}
	section, _ := t.Plain(n).(map[string]any)
	return section, nil
}

// named is a section's name in quotation marks, as far as it may be shown.
func named(section string) string { return fmt.Sprintf("%q", shown(section)) }

// lookUp finds what stands at a path of k.
func lookUp(k *koanf.Koanf, name string) (*tree.Tree, *tree.Node, error) {
	if k == nil {
		return nil, nil, fmt.Errorf("provider: section %s: give a koanf - %w: it is nil", named(name), ErrNoSection)
	}
	t := tree.FromMap(k.Raw(), tree.Origin{})
	n := t.Find(name, k.Delim())
	if n == nil {
		near := nearNames(t, name, k.Delim())
		if len(near) == 0 {
			near = deeper(t, name, k.Delim())
		}
		if len(near) > 0 {
			return nil, nil, fmt.Errorf("provider: section %s: perhaps %s is meant - %w", named(name), strings.Join(near, " or "), ErrNoSection)
		}
	}
	return t, n, nil
}

// isSection is nil when n, which stands at the path name, is a section.
func isSection(n *tree.Node, name string) error {
	switch {
	case n == nil || n.Kind == tree.Value && n.Value == nil:
		return fmt.Errorf("provider: section %s: %w", named(name), ErrNoSection)
	case n.Kind == tree.Section:
		return nil
	}
	what := "a single value"
	if n.Kind == tree.Array {
		what = "an array"
	}
	return fmt.Errorf("provider: section %s: set keys below it - %s is there", setting(named(name), n.Origin.Source), what)
}
