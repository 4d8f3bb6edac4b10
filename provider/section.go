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

// lookUp finds what stands at a path of k.
func lookUp(k *koanf.Koanf, name string) (*tree.Tree, *tree.Node, error) {
	if k == nil {
		return nil, nil, fmt.Errorf("provider: section %q: %w: there is no koanf", name, ErrNoSection)
	}
	t := tree.FromMap(k.Raw(), tree.Origin{})
	n := t.Find(name, k.Delim())
	if n == nil {
		if near := nearNames(t, name, k.Delim()); len(near) > 0 {
			return nil, nil, fmt.Errorf("provider: section %q: %w (near names: %s)", name, ErrNoSection, strings.Join(near, ", "))
		}
	}
	return t, n, nil
}

// isSection is nil when n, which stands at the path name, is a section.
func isSection(n *tree.Node, name string) error {
	switch {
	case n == nil || n.Kind == tree.Value && n.Value == nil:
		return fmt.Errorf("provider: section %q: %w", name, ErrNoSection)
	case n.Kind == tree.Array:
		return fmt.Errorf("provider: section %q: an array is there, not a section", name)
	case n.Kind == tree.Value:
		return fmt.Errorf("provider: section %q: a single value is there, not a section", name)
	}
	return nil
}
