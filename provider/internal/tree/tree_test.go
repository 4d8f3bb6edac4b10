package tree_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

type settings = map[string]any

func from(source string, m settings) *tree.Tree { return tree.FromMap(m, tree.Origin{Source: source}) }

// parts is a new path, since Put and Section write to the one they are given.
func parts(path string) []string { return strings.Split(path, ":") }

// sources lists every value with its path, its source and what that overrode.
func sources(t *tree.Tree) map[string]string {
	all := map[string]string{}
	t.Walk(func(path []string, n *tree.Node) {
		text := n.Origin.Source
		for i, former := range n.Overrode {
			text += []string{" over ", ", "}[min(i, 1)] + former.Origin.Source
		}
		all[strings.Join(path, ":")] = text
	})
	return all
}

func TestMapGivesBackWhatItWasMadeOf(t *testing.T) {
	t.Parallel()
	type names []string
	for _, m := range []settings{
		{},
		{"a": nil},
		{"a": 1, "A": "x"},
		{"s": settings{}, "l": []any{}},
		{"l": []any{1, nil, settings{"x": []any{[]any{}}}}},
		{"typed": []string{"x", "y"}, "named": names{"x"}, "sections": []settings{{"a": 1}}, "any": []fmt.Stringer{nil}, "empty": []int{}},
		{"bytes": []byte("x"), "map": map[string]string{"a": "b"}},
	} {
		if diff := cmp.Diff(m, from("", m).Map()); diff != "" {
			t.Errorf("Map (-want +got):\n%s", diff)
		}
	}
	if got := (*tree.Tree)(nil).Map(); got != nil {
		t.Errorf("got %v of no tree, want nil", got)
	}
}

// A typed slice stays one while its elements fit.
func TestTypedSlices(t *testing.T) {
	t.Parallel()
	base := from("", settings{"l": []string{"x", "y"}})
	for name, test := range map[string]struct{ over, want any }{
		"a string fits":  {[]any{"z"}, []string{"z", "y"}},
		"a number fails": {[]any{1}, []any{1, "y"}},
		"a null fails":   {[]any{nil}, []any{nil, "y"}},
	} {
		got := base.Merge(from("", settings{"l": test.over}), "").Tree.Map()["l"]
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPut(t *testing.T) {
	t.Parallel()
	made := tree.New()
	for i, step := range []struct {
		path, spelt string
		value       any
		old         string // the source of what stood there or is in the way
		ok          bool
	}{
		{"A:b", "A:b", 1, "", true},
		{"a:B", "A:b", 2, "0", true},
		{"a", "A", 3, "0", false},
		{"a:b:c", "A:b", 3, "1", false},
		{"A:l", "A:l", []any{1}, "", true},
		{"a:L:0", "A:l", 3, "4", false},
		{"a:L", "A:l", []any{settings{"x": 1}}, "4", true},
		{"S", "S", settings{}, "", true},
		{"s:x", "S:x", from("8", settings{"y": 1}).Root(), "", true},
	} {
		path := parts(step.path)
		old, ok := made.Put(path, step.value, tree.Origin{Source: fmt.Sprint(i)})
		source := ""
		if old != nil {
			source = old.Origin.Source
		}
		if ok != step.ok || source != step.old {
			t.Errorf("step %d: got %v, from %q, want %v, from %q", i, ok, source, step.ok, step.old)
		}
		if got := strings.Join(path, ":"); !strings.HasPrefix(got, step.spelt) {
			t.Errorf("step %d: the path became %s, want %s", i, got, step.spelt)
		}
	}
	want := map[string]string{"A:b": "1", "A:l:0:x": "6", "S:x:y": "8"}
	if diff := cmp.Diff(want, sources(made)); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}

func TestSection(t *testing.T) {
	t.Parallel()
	made := from("", settings{"A": settings{"b": 1}})
	for path, want := range map[string]bool{"a:new:x": true, "A": true, "a:B": false, "a:b:c": false} {
		section, ok := made.Section(parts(path), tree.Origin{})
		if ok != want {
			t.Errorf("%s: got %v, want %v", path, ok, want)
		}
		if ok && path == "a:new:x" {
			section.Put([]string{"y"}, 2, tree.Origin{})
		}
	}
	if diff := cmp.Diff(settings{"A": settings{"b": 1, "new": settings{"x": settings{"y": 2}}}}, made.Map()); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestMakeArrays(t *testing.T) {
	t.Parallel()
	made := from("", settings{
		"0": "at the top numbers are keys",
		"l": settings{"1": "b", "0": settings{"0": "a"}}, "gap": settings{"0": 1, "2": 1}, "zero": settings{"00": 1},
		"mixed": settings{"0": 1, "x": 1}, "empty": settings{}, "array": []any{settings{"0": 1}},
	})
	made.MakeArrays()
	want := settings{
		"0": "at the top numbers are keys",
		"l": []any{[]any{"a"}, "b"}, "gap": settings{"0": 1, "2": 1}, "zero": settings{"00": 1},
		"mixed": settings{"0": 1, "x": 1}, "empty": settings{}, "array": []any{[]any{1}},
	}
	if diff := cmp.Diff(want, made.Map()); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	made := from("", settings{
		"S": settings{"Key": 1, "A:b": 2, "A": settings{"c": 3}, "A:": settings{"d": 4}}, "L": []any{settings{"x": 5}, 6},
		"Two": 7, "two": 8, "": settings{"": 9}, "v": "x",
	})
	for path, want := range map[string]any{
		"s:key": 1, "s:a:B": 2, "S:a:C": 3, "s:a::D": 4, "l:0:X": 5, "L:1": 6, "Two": 7, "two": 8, "TWO": 7, ":": 9,
		"s:a:d": nil, "l:2": nil, "l:-1": nil, "l:x": nil, "v:x": nil, "v:": nil, "none": nil, "s:key:": nil,
	} {
		var got any
		if n := made.Find(path, ":"); n != nil {
			got = n.Value
		}
		if got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
	if made.Find("s:key", "") != nil || made.Find("S.key", ".") == nil {
		t.Error("the delimiter does not count")
	}
	if diff := cmp.Diff([]string{"", "L", "S", "Two", "two", "v"}, made.Names(made.Root())); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// Every merged value knows its source and what it overrode.
func TestMergeKnowsSources(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		layers []settings // named a, b, c ...
		want   map[string]string
	}{
		{"a value", []settings{{"K": 1}, {"k": 2}, {"K": 3}}, map[string]string{"K": "c over a, b"}},
		{"what stays", []settings{{"S": settings{"x": 1, "y": 1}}, {"s": settings{"X": 2}}}, map[string]string{"S:x": "b over a", "S:y": "a"}},
		{"an element", []settings{{"L": []any{1, 2}}, {"l": settings{"1": 3, "2": 4}}}, map[string]string{"L:0": "a", "L:1": "b over a", "L:2": "b"}},
		{"a value over an array", []settings{{"L": []any{1, 2}}, {"L": settings{"1": 3}}, {"l": "x"}}, map[string]string{"L": "c over a, b"}},
		{"a section over a value", []settings{{"K": 1}, {"K": settings{}}}, map[string]string{"K": "b over a"}},
		{"an array over a value", []settings{{"K": 1}, {"K": []any{}}}, map[string]string{"K": "b over a"}},
		{"an array over a section", []settings{{"S": settings{"0": 1, "x": 1}}, {"S": []any{2}}}, map[string]string{"S:0": "b over a", "S:x": "a"}},
		{"null over a value", []settings{{"K": 1}, {"K": nil}}, map[string]string{"K": "b over a"}},
		{"null over an empty array", []settings{{"L": []any{}}, {"L": nil}}, map[string]string{"L": "a"}},
		{"empty over empty", []settings{{"S": settings{}, "L": []any{}}, {"S": []any{}, "L": settings{}}}, map[string]string{"S": "a", "L": "a"}},
		{"an empty array becomes full", []settings{{"L": []any{}}, {"L": []any{1}}}, map[string]string{"L:0": "b"}},
		{"two keys of one layer", []settings{{"k": 1}, {"K": 2, "k": 3}}, map[string]string{"k": "b over a"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			merged := tree.New()
			for i, layer := range test.layers {
				before, over := merged.Map(), from(string(rune('a'+i)), layer)
				result := merged.Merge(over, "")
				if len(result.Refused) > 0 {
					t.Fatal(result.Refused)
				}
				if diff := cmp.Diff(before, merged.Map()) + cmp.Diff(layer, over.Map()); diff != "" {
					t.Errorf("what was merged changed:\n%s", diff)
				}
				merged = result.Tree
			}
			if diff := cmp.Diff(test.want, sources(merged)); diff != "" {
				t.Errorf("sources (-want +got):\n%s", diff)
			}
		})
	}
}

// What is refused is left out, and the rest is merged.
func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	base := from("a", settings{"S": settings{"x": 1}, "L": []any{1}})
	over := from("b", settings{"s": "no", "l": settings{"1": 2, "3": "no", "7": settings{"y": "no"}, "n": "no"}, "New": 3, "E": settings{}, "F": []any{}})
	merged := base.Merge(over, "")
	if diff := cmp.Diff(settings{"S": settings{"x": 1}, "L": []any{1, 2}, "New": 3, "E": settings{}, "F": []any{}}, merged.Tree.Map()); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"E", "F", "New", "L:1"}, merged.Set); diff != "" {
		t.Errorf("set (-want +got):\n%s", diff)
	}
	var refused []string
	for _, r := range merged.Refused {
		refused = append(refused, fmt.Sprintf("%s: %s - %s %q", r.Path, r.Cure, r.Reason, over.Sources(r.Node)))
	}
	want := []string{
		`L:3: use the index 2 - this one leaves a gap in the array ["b"]`,
		`L:7: use the index 2 - this one leaves a gap in the array ["b"]`,
		`L:n: use an index from 0 to 2 - an array is there, and this is not an index of it ["b"]`,
		`S: set the keys below it, or remove it - a single value cannot replace the section that is there ["b"]`,
	}
	if diff := cmp.Diff(want, refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
}

func TestReplace(t *testing.T) {
	t.Parallel()
	made := from("a", settings{"L": []string{"x", "y"}})
	made.Find("l:1", ":").Replace("z", tree.Origin{Source: "b", Secret: "S"})
	if diff := cmp.Diff(settings{"L": []string{"x", "z"}}, made.Map()); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"L:0": "a", "L:1": "b"}, sources(made)); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	known := from("a", settings{"S": settings{"x": 1}, "L": []any{1, 2}, "K": 1, "E": 1, "Gone": 1, "Two": 1, "two": 1})
	known = known.Merge(from("b", settings{"s": settings{"x": 2}, "Two": 2}), "").Tree.WithoutValues()
	made := from("", settings{"s": settings{"X": 2, "new": 1}, "L": []any{1, 2, 3}, "K": settings{"x": 1}, "E": settings{}, "Two": 1, "two": 1})
	made.Adopt(known)
	made.Adopt(nil)
	want := map[string]string{"s:X": "b over a", "s:new": "", "L:0": "a", "L:1": "a", "L:2": "", "K:x": "", "E": "", "Two": "b over a", "two": "a"}
	if diff := cmp.Diff(want, sources(made)); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}

func TestWithoutValues(t *testing.T) {
	t.Parallel()
	full := from("a", settings{"S": settings{"k": "secret"}, "L": []any{"secret", settings{"k": "secret"}}, "T": []string{"secret"}, "E": settings{}})
	bare := full.WithoutValues()
	if diff := cmp.Diff(sources(full), sources(bare)); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	if text := fmt.Sprintf("%+v", bare.Map()); strings.Contains(text, "secret") {
		t.Errorf("a value is kept: %s", text)
	}
	if text := fmt.Sprint(full.Map()); strings.Count(text, "secret") != 4 {
		t.Errorf("the original changed: %s", text)
	}
}

// A tree without values still tells which of them were not blank.
func TestIsSet(t *testing.T) {
	t.Parallel()
	full := from("a", settings{"Text": "x", "Zero": 0, "No": false, "Blank": " ", "Null": nil, "S": settings{"x": 1}, "L": []any{1}, "E": settings{}, "B": settings{"x": " "}})
	bare := full.WithoutValues()
	for path, want := range map[string]bool{
		"Text": true, "Zero": true, "No": true, "Blank": false, "Null": false, "S": true, "S:x": true, "L": true, "L:0": true, "E": false, "B": false, "None": false,
	} {
		for kind, made := range map[string]*tree.Tree{"full": full, "bare": bare, "bare of bare": bare.WithoutValues()} {
			if got := made.Find(path, ":").IsSet(); got != want {
				t.Errorf("%s of the %s tree: got %v, want %v", path, kind, got, want)
			}
		}
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("a:", tree.MaxDepth-1) + "a"
	for path, want := range map[string]bool{"a": true, "a:b": true, deep: true, deep + ":a": false, "": false, ":a": false, "a:": false, "a::b": false} {
		if _, ok := tree.Split(path); ok != want {
			t.Errorf("Split(%q): got %v, want %v", path, ok, want)
		}
	}
	if got := tree.Join("", "a") + " " + tree.Join("a", "b"); got != "a a:b" {
		t.Errorf("Join: got %s, want a a:b", got)
	}
	for _, pair := range [][2]string{{"Key", "kEY"}, {"Nøkkel", "NØKKEL"}, {"K", "\u212a"}, {"a", "b"}, {"ß", "ss"}, {"\xff", "\xfe"}, {"", ""}} {
		if got, want := tree.Fold(pair[0]) == tree.Fold(pair[1]), strings.EqualFold(pair[0], pair[1]); got != want {
			t.Errorf("%q: got %v, want %v", pair, got, want)
		}
	}
}
