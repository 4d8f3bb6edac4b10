package provider

import (
	"errors"
	"fmt"
	gomaps "maps"
	"reflect"
	"slices"
	"strconv"

	"github.com/knadh/koanf/maps"
)

// Merge lays src over dest as .NET lays one configuration source over another.
// It is meant for [koanf.WithMergeFunc]:
//
//	err := k.Load(source, parser, koanf.WithMergeFunc(provider.Merge))
//
// What src holds is copied, so that neither side sees later changes to the
// other, and on an error dest is as it was. All problems are reported at once,
// each with the path of its setting, whose parts are joined by ":".
//
//   - Keys: upper and lower case are the same, at every level, inside arrays
//     too. The spelling already in dest stays. Of two keys in src that differ in
//     case alone, the one that sorts last in byte order wins.
//   - Sections (map[string]any) merge key by key.
//   - Arrays (any slice but []byte) overlay by index: element i changes element
//     i, elements that are sections merge, further ones are appended, and what
//     src does not mention stays. A section whose keys are all indices ("0",
//     "1", ... without leading zeros) does the same to an array; an index that
//     would leave a gap is an error, and so is any other key.
//   - An array over a section sets the keys "0", "1" and so on: a section stays
//     a section. Onto nothing a section stays a section, whatever its keys.
//   - A single value replaces a single value or an array, of any type. Over a
//     section it is an error, because the section's keys would be lost.
//   - A section or an array over a single value replaces it, as koanf does.
//     (.NET keeps both, which a koanf cannot hold.)
//   - A null changes single values alone; it removes no section and no array.
func Merge(src, dest map[string]any) error {
	return overlay(from("provider"), src, dest)
}

// from is the source of an overlay all of whose settings come from one place.
func from(source string) func(path string) string {
	return func(string) string { return source }
}

// overlay is Merge with a source for each path, which begins a problem's text;
// the path "" stands for the whole.
func overlay(source func(path string) string, src, dest map[string]any) error {
	own := maps.Copy(src)
	if len(own) != len(src) {
		return fmt.Errorf("%s: holds a value that cannot be copied", source(""))
	}
	if dest == nil && len(src) > 0 {
		return fmt.Errorf("%s: nothing to merge into: dest is nil", source(""))
	}
	var m merger
	result := m.section("", dest, own)
	if len(m.refused) > 0 {
		problems := make([]error, 0, len(m.refused))
		for _, r := range m.refused {
			problems = append(problems, fmt.Errorf("%s: %s: %s", source(r.path), r.path, r.reason))
		}
		return errors.Join(problems...)
	}
	gomaps.Copy(dest, result)
	return nil
}

// merger builds merged values without changing the old ones.
type merger struct{ refused []refusedPath }

// refusedPath is a setting that cannot be laid over what is there.
type refusedPath struct{ path, reason string }

func (m *merger) refuse(path, reason string) {
	m.refused = append(m.refused, refusedPath{path, reason})
}

func (m *merger) section(path string, dest, src map[string]any) map[string]any {
	result := make(map[string]any, len(dest)+len(src))
	gomaps.Copy(result, dest)
	for _, key := range slices.Sorted(gomaps.Keys(src)) {
		name, _ := spelling(result, key)
		result[name] = m.value(joinPath(path, name), result[name], src[key])
	}
	return result
}

func (m *merger) value(path string, old, value any) any {
	oldSection, isSection := old.(map[string]any)
	oldArray, isArray := asArray(old)

	if src, ok := value.(map[string]any); ok {
		if isArray {
			return m.array(path, oldArray, src)
		}
		return m.section(path, oldSection, src)
	}
	if src, ok := asArray(value); ok {
		if isSection {
			return m.section(path, oldSection, byIndex(src))
		}
		if _, untyped := value.([]any); isArray || untyped {
			return m.array(path, oldArray, byIndex(src))
		}
		return value
	}
	if value == nil && (isSection || isArray) {
		return old
	}
	if isSection {
		m.refuse(path, "a single value cannot replace the section that is there")
		return old
	}
	return value
}

func (m *merger) array(path string, dest []any, src map[string]any) []any {
	indices := make([]int, 0, len(src))
	for _, key := range slices.Sorted(gomaps.Keys(src)) {
		i, ok := arrayIndex(key)
		if !ok {
			m.refuse(joinPath(path, key), "an array is there, and this is not an index of it")
			continue
		}
		indices = append(indices, i)
	}
	slices.Sort(indices)
	result := append([]any{}, dest...)
	for _, i := range indices {
		key := strconv.Itoa(i)
		switch {
		case i < len(result):
			result[i] = m.value(joinPath(path, key), result[i], src[key])
		case i == len(result):
			result = append(result, m.value(joinPath(path, key), nil, src[key]))
		default:
			m.refuse(joinPath(path, key), fmt.Sprintf("the index leaves a gap: the next free one is %d", len(result)))
			return result
		}
	}
	return result
}

// asArray is v's elements when v is a slice of anything but bytes.
func asArray(v any) ([]any, bool) {
	if array, ok := v.([]any); ok {
		return array, true
	}
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Slice || r.Type().Elem().Kind() == reflect.Uint8 {
		return nil, false
	}
	array := make([]any, r.Len())
	for i := range array {
		array[i] = r.Index(i).Interface()
	}
	return array, true
}

func byIndex(array []any) map[string]any {
	section := make(map[string]any, len(array))
	for i, v := range array {
		section[strconv.Itoa(i)] = v
	}
	return section
}

// arrayIndex reads an index in the one spelling that .NET writes: decimal,
// without sign or leading zeros.
func arrayIndex(key string) (int, bool) {
	i, err := strconv.Atoi(key)
	return i, err == nil && i >= 0 && strconv.Itoa(i) == key
}
