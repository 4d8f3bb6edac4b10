package provider

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/knadh/koanf/v2"
)

// pathDelimiter joins the parts of a setting's path, as .NET does. Keys in
// appsettings files hold dots ("Microsoft.AspNetCore"), so a dot would not do.
const pathDelimiter = ":"

// maxDepth bounds how deep a settings file nests and how many parts a path has.
// .NET reads no deeper files.
const maxDepth = 64

// ErrNoSection is what [Section] wraps when nothing is set under the name.
var ErrNoSection = errors.New("no such section")

// Section is a copy of the section of k that has this name in any mixture of
// upper and lower case, such as Section(k, "MaskinportenSettings"). A path in
// k's own delimiter reaches further down; a number on the way is an array's
// index ("Clients:0"). Where two keys of k differ in case alone, the exact
// spelling wins, then the one that sorts first in byte order.
//
// Nothing there, or a null, is an error that wraps [ErrNoSection]. A single
// value or an array in the section's place is an error too. Errors never hold
// values. Changing the copy does not change k.
func Section(k *koanf.Koanf, name string) (map[string]any, error) {
	if k == nil {
		return nil, fmt.Errorf("provider: section %q: %w: there is no koanf", name, ErrNoSection)
	}
	parts := []string{name}
	if delim := k.Delim(); delim != "" {
		parts = strings.Split(name, delim)
	}
	found := lookup(k.Raw(), parts)
	if section, ok := found.(map[string]any); ok {
		return section, nil
	}
	if _, ok := asArray(found); ok {
		return nil, fmt.Errorf("provider: section %q: an array is there, not a section", name)
	}
	if found != nil {
		return nil, fmt.Errorf("provider: section %q: a single value is there, not a section", name)
	}
	return nil, fmt.Errorf("provider: section %q: %w", name, ErrNoSection)
}

// lookup is the value at a path whose parts may be spelt in any case, or nil.
func lookup(value any, parts []string) any {
	for _, part := range parts {
		if array, ok := asArray(value); ok {
			i, ok := arrayIndex(part)
			if !ok || i >= len(array) {
				return nil
			}
			value = array[i]
			continue
		}
		section, _ := value.(map[string]any)
		name, ok := spelling(section, part)
		if !ok {
			return nil
		}
		value = section[name]
	}
	return value
}

// spelling is the key of tree that equals key but for case, and true; or else
// key itself, and false.
func spelling(tree map[string]any, key string) (string, bool) {
	if _, ok := tree[key]; ok {
		return key, true
	}
	name, found := key, false
	for k := range tree {
		if strings.EqualFold(k, key) && (!found || k < name) {
			name, found = k, true
		}
	}
	return name, found
}

// descend is the section at the path, made where nothing is. It reports false
// where a single value or an array is in the way.
func descend(tree map[string]any, parts []string) (map[string]any, bool) {
	for _, part := range parts {
		name, there := spelling(tree, part)
		if !there {
			tree[name] = map[string]any{}
		}
		next, ok := tree[name].(map[string]any)
		if !ok {
			return nil, false
		}
		tree = next
	}
	return tree, true
}

// place sets a value at the path, over an earlier single value if need be. It
// reports false where that would cost a section or pass through a value.
func place(tree map[string]any, parts []string, value any) bool {
	last := len(parts) - 1
	section, ok := descend(tree, parts[:last])
	if !ok {
		return false
	}
	name, _ := spelling(section, parts[last])
	if _, taken := section[name].(map[string]any); taken {
		return false
	}
	section[name] = value
	return true
}

// withArrays turns each section whose keys are exactly "0" to "n-1" into an
// array: in variables and arguments, that is the only way to write one. What is
// below value changes in place.
func withArrays(value any) any {
	section, _ := value.(map[string]any)
	if len(section) == 0 {
		return value
	}
	for key, v := range section {
		section[key] = withArrays(v)
	}
	array := make([]any, 0, len(section))
	for i := range len(section) {
		v, ok := section[strconv.Itoa(i)]
		if !ok {
			return section
		}
		array = append(array, v)
	}
	return array
}

func joinPath(path, key string) string {
	if path == "" {
		return key
	}
	return path + pathDelimiter + key
}

// splitPath is the parts of a path, or false when one of them is empty or they
// are more than maxDepth.
func splitPath(path string) ([]string, bool) {
	parts := strings.Split(path, pathDelimiter)
	return parts, len(parts) <= maxDepth && !slices.Contains(parts, "")
}

// foldKey is the same for two strings exactly when [strings.EqualFold] says
// that they are equal.
func foldKey(s string) string {
	return strings.Map(func(r rune) rune {
		lowest := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			lowest = min(lowest, f)
		}
		return lowest
	}, s)
}
