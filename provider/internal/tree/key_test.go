package tree_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

// key is a JSON Web Key whose members all have one value.
func key(value string, members ...string) settings {
	k := settings{"kty": value}
	for _, m := range members {
		k[m] = value
	}
	return k
}

// Members of two keys are not mixed, and no older key stays in a newer set.
func TestKeysAreReplacedWhole(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name            string
		old, over, want any
	}{
		{"a key", key("a", "n", "x5c"), key("b", "n"), key("b", "n")},
		{"a key in another case", key("a", "n", "x5c"), settings{"KTY": "b"}, settings{"KTY": "b"}},
		{"a set", settings{"keys": []any{key("a", "n"), key("a")}}, settings{"KEYS": []any{key("b")}}, settings{"keys": []any{key("b")}}},
		{"keys among other settings", settings{"keys": []any{key("a", "n"), key("a")}, "more": 1}, settings{"keys": []any{key("b")}, "new": 2}, settings{"keys": []any{key("b")}, "more": 1, "new": 2}},
		{"an array", []any{key("a", "n"), key("a")}, []any{key("b")}, []any{key("b")}},
		{"a set over a key", key("a", "n"), settings{"keys": []any{key("b")}}, settings{"keys": []any{key("b")}}},
		{"a key over a template", settings{"kid": "a"}, key("b"), key("b")},
		{"a key over an array", []any{1, 2}, key("b"), key("b")},
		{"a key over a text", "a", key("b"), key("b")},
		{"a text over a key", key("a"), "b", "b"},
		{"a text over a set", settings{"keys": []any{key("a")}}, "b", "b"},

		{"one member changes only that", key("a", "kid"), settings{"kid": "b"}, settings{"kty": "a", "kid": "b"}},
		{"a blank kty makes no key", key("a", "n"), settings{"kty": " ", "x": "b"}, settings{"kty": " ", "n": "a", "x": "b"}},
		{"a kty that is no value", key("a", "n"), settings{"kty": []any{}, "x": "b"}, settings{"kty": []any{}, "n": "a", "x": "b"}},
		{"not all are keys", []any{key("a"), 2}, []any{key("b"), 3, 4}, []any{key("b"), 3, 4}},
		{"not all are keys: the others stay", []any{2, key("a")}, []any{1}, []any{1, key("a")}},
		{"keys that are not an array", settings{"keys": key("a", "n")}, settings{"keys": settings{"x": "b"}}, settings{"keys": settings{"kty": "a", "n": "a", "x": "b"}}},
		{"one key where a set has an array", settings{"keys": key("a", "n"), "more": 1}, settings{"keys": key("b")}, settings{"keys": key("b"), "more": 1}},
		{"an empty set takes nothing away", settings{"keys": []any{key("a")}}, settings{"keys": []any{}}, settings{"keys": []any{key("a")}}},
		{"a null takes nothing away", key("a"), nil, key("a")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			merged := from("old", settings{"S": settings{"k": test.old}}).Merge(from("over", settings{"s": settings{"K": test.over}}), "")
			if len(merged.Refused) > 0 {
				t.Fatalf("got %+v, want nothing refused", merged.Refused)
			}
			got := merged.Tree.Map()["S"].(settings)["k"]
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// A blank text is more likely to be left over than to mean that there is no key, and
// nothing but a text can be a key.
func TestOnlyATextReplacesAKey(t *testing.T) {
	t.Parallel()
	for _, over := range []any{"", " ", 1, true} {
		merged := from("old", settings{"k": key("a")}).Merge(from("over", settings{"k": over}), "")
		if len(merged.Refused) != 1 {
			t.Errorf("%v: got %+v, want it refused", over, merged.Tree.Map())
		}
	}
	for _, old := range []any{settings{"not": "a key"}, settings{"keys": key("a")}, settings{"keys": []any{}}} {
		merged := from("old", settings{"k": old}).Merge(from("over", settings{"k": "b"}), "")
		if len(merged.Refused) != 1 {
			t.Errorf("over %v: got %+v, want it refused", old, merged.Tree.Map())
		}
	}
}

// What looks like a key at the top, such as a variable KTY, replaces no settings.
func TestSettingsAreNoKey(t *testing.T) {
	t.Parallel()
	for _, over := range []settings{{"KTY": "b"}, {"keys": []any{key("b")}}} {
		want := settings{"kty": "a", "n": "a"}
		for name, value := range over {
			if name == "KTY" {
				name = "kty"
			}
			want[name] = value
		}
		got := from("old", key("a", "n")).Merge(from("over", over), "").Tree.Map()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", over, diff)
		}
	}
}

func TestKeyTellsWhatItReplaced(t *testing.T) {
	t.Parallel()
	merged := from("a", settings{"k": key("a", "n")}).Merge(from("b", settings{"k": key("b", "n")}), "B").Tree
	if diff := cmp.Diff(map[string]string{"k:kty": "b", "k:n": "b"}, sources(merged)); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	k := merged.Find("K", ":")
	var over []string
	for _, former := range k.Overrode {
		over = append(over, former.Origin.Source)
	}
	if diff := cmp.Diff([]string{"a"}, over); diff != "" {
		t.Errorf("the key overrode (-want +got):\n%s", diff)
	}
	if !k.IsKey() || (*tree.Node)(nil).IsKey() || k.Origin.Layer != "B" {
		t.Errorf("got %+v, want a key of the layer B", k)
	}
}

// The later layer has the larger order, whatever has been done to the tree meanwhile.
func TestOrder(t *testing.T) {
	t.Parallel()
	order := func(tr *tree.Tree) map[string]int {
		all := map[string]int{}
		tr.Walk(func(path []string, n *tree.Node) { all[strings.Join(path, ":")] = n.Origin.Order })
		return all
	}
	two := tree.New().Merge(from("a", settings{"x": 1, "y": 1}), "A").Tree.Merge(from("b", settings{"y": 2}), "B").Tree
	if diff := cmp.Diff(map[string]int{"x": 1, "y": 2}, order(two)); diff != "" {
		t.Errorf("two layers (-want +got):\n%s", diff)
	}
	adopted := tree.FromMap(two.Map(), tree.Origin{})
	adopted.Adopt(two.WithoutValues())
	three := adopted.Merge(from("c", settings{"z": 3}), "C").Tree
	if diff := cmp.Diff(map[string]int{"x": 1, "y": 2, "z": 3}, order(three)); diff != "" {
		t.Errorf("a third layer (-want +got):\n%s", diff)
	}
}
