package provider_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/knadh/koanf/maps"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/provider"
)

func TestMerge(t *testing.T) {
	t.Parallel()
	when := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		name            string
		dest, src, want tree
	}{
		{"new key", tree{"a": 1}, tree{"b": "x"}, tree{"a": 1, "b": "x"}},
		{"nil source", tree{"a": 1}, nil, tree{"a": 1}},
		{"existing spelling stays", tree{"Scope": "a"}, tree{"SCOPE": "b"}, tree{"Scope": "b"}},
		{"spelling stays at every level", tree{"A": tree{"B": tree{"C": 1}}}, tree{"a": tree{"b": tree{"c": 2, "d": 3}}}, tree{"A": tree{"B": tree{"C": 2, "d": 3}}}},
		{"spelling stays inside arrays", tree{"A": []any{tree{"Name": 1}}}, tree{"a": []any{tree{"NAME": 2}}}, tree{"A": []any{tree{"Name": 2}}}},
		{"letters beyond ASCII fold", tree{"Nøkkel": 1}, tree{"NØKKEL": 2}, tree{"Nøkkel": 2}},
		{"exact spelling before another", tree{"A": 1, "a": 2}, tree{"a": 3}, tree{"A": 1, "a": 3}},
		{"inexact spelling goes to the first", tree{"Ab": 1, "aB": 2}, tree{"ab": 3}, tree{"Ab": 3, "aB": 2}},
		{"two in the source, the last in byte order wins", tree{}, tree{"A": 1, "a": 2}, tree{"A": 2}},
		{"two in the source, existing spelling", tree{"aA": 0}, tree{"AA": 1, "aa": 2}, tree{"aA": 2}},
		{"two sections in the source merge", tree{}, tree{"S": tree{"x": 1, "y": 1}, "s": tree{"X": 2}}, tree{"S": tree{"x": 2, "y": 1}}},

		{"value of another type", tree{"n": 1, "b": true}, tree{"n": "2", "b": "false"}, tree{"n": "2", "b": "false"}},
		{"section over empty string", tree{"a": ""}, tree{"a": tree{"b": 1}}, tree{"a": tree{"b": 1}}},
		{"section over value", tree{"a": "x"}, tree{"a": tree{"b": 1}}, tree{"a": tree{"b": 1}}},
		{"section over null", tree{"a": nil}, tree{"a": tree{"b": 1}}, tree{"a": tree{"b": 1}}},
		{"empty section changes nothing", tree{"a": tree{"b": 1}, "l": []any{1}}, tree{"a": tree{}, "l": tree{}}, tree{"a": tree{"b": 1}, "l": []any{1}}},
		{"null over value", tree{"a": 1}, tree{"a": nil}, tree{"a": nil}},
		{"null leaves sections and arrays", tree{"a": tree{"b": 1}, "l": []any{1}}, tree{"a": nil, "l": nil}, tree{"a": tree{"b": 1}, "l": []any{1}}},
		{"value over array", tree{"a": []any{1, 2}}, tree{"a": "x"}, tree{"a": "x"}},
		{"bytes are a value", tree{"a": []byte("xyz")}, tree{"a": []byte("q")}, tree{"a": []byte("q")}},
		{"times are values", tree{"a": 1}, tree{"a": when}, tree{"a": when}},

		{"array over array", tree{"a": []any{1, 2, 3}}, tree{"a": []any{"x"}}, tree{"a": []any{"x", 2, 3}}},
		{"longer array appends", tree{"a": []any{1}}, tree{"a": []any{"x", "y"}}, tree{"a": []any{"x", "y"}}},
		{"empty array changes nothing", tree{"a": []any{1}, "s": tree{"b": 1}}, tree{"a": []any{}, "s": []any{}}, tree{"a": []any{1}, "s": tree{"b": 1}}},
		{"empty array onto nothing", tree{}, tree{"a": []any{}}, tree{"a": []any{}}},
		{"sections in arrays merge", tree{"a": []any{tree{"n": 1, "p": 1}, 5}}, tree{"a": []any{tree{"n": 2}}}, tree{"a": []any{tree{"n": 2, "p": 1}, 5}}},
		{"typed arrays", tree{"a": []string{"x", "y"}}, tree{"a": []int{1}}, tree{"a": []any{1, "y"}}},
		{"typed array onto nothing keeps its type", tree{}, tree{"a": []string{"x"}}, tree{"a": []string{"x"}}},
		{"typed array over section", tree{"a": tree{"0": "x", "1": "y"}}, tree{"a": []string{"z"}}, tree{"a": tree{"0": "z", "1": "y"}}},
		{"array over value", tree{"a": "x"}, tree{"a": []any{1}}, tree{"a": []any{1}}},
		{"nested arrays", tree{"a": []any{[]any{1, 2}}}, tree{"a": []any{[]any{3}}}, tree{"a": []any{[]any{3, 2}}}},

		{"indices over array", tree{"a": []any{tree{"Name": "x", "Port": 1}, 7}}, tree{"A": tree{"0": tree{"name": "y"}}}, tree{"a": []any{tree{"Name": "y", "Port": 1}, 7}}},
		{"indices append in order of number", tree{"a": []any{0, 1}}, tree{"a": tree{"10": 10, "2": 2, "3": 3, "4": 4, "5": 5, "6": 6, "7": 7, "8": 8, "9": 9}}, tree{"a": []any{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}},
		{"index into empty array", tree{"a": []any{}}, tree{"a": tree{"0": 1}}, tree{"a": []any{1}}},
		{"numeric keys over section", tree{"orgs": tree{"912345678": "x"}}, tree{"orgs": tree{"0": "y"}}, tree{"orgs": tree{"912345678": "x", "0": "y"}}},
		{"numeric keys onto nothing", tree{}, tree{"orgs": tree{"0": "y"}}, tree{"orgs": tree{"0": "y"}}},
		{"array over section", tree{"orgs": tree{"912345678": "x"}}, tree{"orgs": []any{"y"}}, tree{"orgs": tree{"912345678": "x", "0": "y"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			before := maps.Copy(test.src)
			if err := provider.Merge(test.src, test.dest); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, test.dest); diff != "" {
				t.Errorf("dest (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, test.src); diff != "" {
				t.Errorf("the source changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		dest, src tree
		want      string
	}{
		{"value over section", tree{"Path": tree{"x": 1}}, tree{"PATH": "canary"}, "provider: Path: set the keys below it, or remove it - a single value cannot replace the section that is there"},
		{"value over section in an array", tree{"A": []any{tree{"x": 1}}}, tree{"a": tree{"0": "canary"}}, "provider: A:0: set the keys below it, or remove it - a single value cannot replace the section that is there"},
		{"value over section of one source", tree{}, tree{"A": tree{"x": 1}, "a": "canary"}, "provider: A: set the keys below it, or remove it - a single value cannot replace the section that is there"},
		{"gap", tree{"S": tree{"A": []any{1, 2}}}, tree{"s": tree{"a": tree{"5": "canary"}}}, "provider: S:A:5: use the index 2 - this one leaves a gap in the array"},
		{"gap after appending", tree{"A": []any{1}}, tree{"A": tree{"1": 1, "3": 1}}, "provider: A:3: use the index 2 - this one leaves a gap in the array"},
		{"name over array", tree{"A": []any{1}}, tree{"A": tree{"Name": "canary"}}, "provider: A:Name: use an index from 0 to 1 - an array is there, and this is not an index of it"},
		{"leading zero", tree{"A": []any{1}}, tree{"A": tree{"00": "canary"}}, "provider: A:00: use an index from 0 to 1 - an array is there, and this is not an index of it"},
		{"negative", tree{"A": []any{1}}, tree{"A": tree{"-1": "canary"}}, "provider: A:-1: use an index from 0 to 1 - an array is there, and this is not an index of it"},
		{"organisation number over array", tree{"A": []any{1}}, tree{"A": tree{"912345678": "canary"}}, "provider: A:912345678: use the index 1 - this one leaves a gap in the array"},
		{"nowhere to merge into", nil, tree{"a": 1}, "provider: give Merge a map to merge into - dest is nil"},
		{"all at once", tree{"A": tree{"x": 1}, "B": []any{}}, tree{"a": 1, "b": tree{"1": 1}, "ok": 1}, "provider: A: set the keys below it, or remove it - a single value cannot replace the section that is there\nprovider: B:1: use the index 0 - this one leaves a gap in the array"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			before := maps.Copy(test.dest)
			err := provider.Merge(test.src, test.dest)
			if err == nil || err.Error() != test.want {
				t.Errorf("error:\ngot  %v\nwant %s", err, test.want)
			}
			if diff := cmp.Diff(before, test.dest); diff != "" {
				t.Errorf("dest changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestMergeCopies(t *testing.T) {
	t.Parallel()
	src := tree{"S": tree{"k": 1}, "A": []any{tree{"n": 1}}, "T": []string{"x"}}
	dest := tree{"A": []any{tree{"n": 0}}}
	if err := provider.Merge(src, dest); err != nil {
		t.Fatal(err)
	}
	src["S"].(tree)["k"] = 2
	src["A"].([]any)[0].(tree)["n"] = 2
	src["T"].([]string)[0] = "y"
	want := tree{"S": tree{"k": 1}, "A": []any{tree{"n": 1}}, "T": []string{"x"}}
	if diff := cmp.Diff(want, dest); diff != "" {
		t.Errorf("dest follows its source (-want +got):\n%s", diff)
	}
}

// A function is a value that the copy must not drop, with all its siblings.
func TestMergeNeverLosesWhatItCannotCopy(t *testing.T) {
	t.Parallel()
	dest := tree{}
	err := provider.Merge(tree{"a": 1, "f": strings.ToUpper}, dest)
	if _, kept := dest["f"]; (err == nil) != kept {
		t.Errorf("got the error %v and %v, want an error and nothing changed", err, dest)
	}
}

func TestMergeInKoanf(t *testing.T) {
	t.Parallel()
	k := koanf.New(".")
	for _, layer := range []tree{
		{"MaskinportenSettings": tree{"ClientId": "", "Scopes": []any{"a", "b"}}},
		{"maskinportensettings": tree{"CLIENTID": "from the vault", "scopes": tree{"1": "c"}}},
	} {
		if err := k.Load(confmap.Provider(layer, ""), nil, koanf.WithMergeFunc(provider.Merge)); err != nil {
			t.Fatal(err)
		}
	}
	want := tree{"MaskinportenSettings": tree{"ClientId": "from the vault", "Scopes": []any{"a", "c"}}}
	if diff := cmp.Diff(want, k.Raw()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	err := k.Load(confmap.Provider(tree{"maskinportensettings": "x"}, ""), nil, koanf.WithMergeFunc(provider.Merge))
	if err == nil {
		t.Fatal("got a value in a section's place, want an error")
	}
	if diff := cmp.Diff(want, k.Raw()); diff != "" {
		t.Errorf("a failed load changed the koanf (-want +got):\n%s", diff)
	}
}
