package tree

import (
	"fmt"
	"strings"
	"testing"
)

// looks is how many nodes are looked at when n keys go all the way: put one by one,
// laid over a file and over one another, found, and made a map.
func looks(t *testing.T, n int) map[string]int {
	t.Helper()
	file := map[string]any{}
	variables := New()
	for i := range n {
		key := fmt.Sprintf("Key%d", i)
		file[key] = i
		if _, ok := variables.Put([]string{"SECTION", strings.ToUpper(key)}, i, Origin{}); !ok {
			t.Fatal("not put")
		}
		if _, ok := variables.Put([]string{"List", fmt.Sprint(i)}, i, Origin{}); !ok {
			t.Fatal("not put")
		}
	}
	counts := map[string]int{"put": variables.looked}
	count := func(what string, t *Tree, do func()) {
		before := t.looked
		do()
		counts[what] = t.looked - before
	}
	count("make arrays", variables, variables.MakeArrays)

	settings := FromMap(map[string]any{"Section": file}, Origin{Source: "a"})
	counts["from a map"] = settings.looked
	merged := settings.Merge(variables, "").Tree
	counts["merge"] = merged.looked
	again := merged.Merge(variables, "").Tree
	counts["merge again"] = again.looked
	count("find", again, func() {
		for i := range n {
			if again.Find(fmt.Sprintf("section:kEY%d", i), ":") == nil || again.Find(fmt.Sprintf("list:%d", i), ":") == nil {
				t.Fatal("not found")
			}
		}
	})
	count("adopt", settings, func() { settings.Adopt(again) })
	count("walk", again, func() { again.Walk(func([]string, *Node) {}) })
	count("map", again, func() { again.Map() })
	bare := again.WithoutValues()
	counts["without values"] = again.looked + bare.looked
	return counts
}

// Ten times as many keys cost about ten times as much: nothing searches a section
// for each of its keys.
func TestCostIsLinear(t *testing.T) {
	t.Parallel()
	few, many := looks(t, 2_000), looks(t, 20_000)
	for what, n := range few {
		ratio := float64(many[what]) / float64(n)
		if n < 2_000 || ratio >= 15 {
			t.Errorf("%s: got %d looks for 2,000 keys and %d for 20,000, a ratio of %.1f, want under 15", what, n, many[what], ratio)
		}
	}
}
