package provider_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/portnokkel/portnokkel/provider"
)

// What an empty layer does not change, it is not the source of.
func TestNullOverAnEmptyArrayIsNotItsSource(t *testing.T) {
	t.Parallel()
	app, _ := hermetic(t, files{"appsettings.json": `{"A":[]}`, "appsettings.Production.json": `{"A":null}`})
	k, err := provider.LoadAppConfig(app)
	if err != nil {
		t.Fatal(err)
	}
	source := app.Origins.Of("A").Source
	if array, ok := k.Get("A").([]any); !ok || len(array) > 0 || source != "appsettings.json" {
		t.Errorf("got %#v from %q, want the empty array from appsettings.json", k.Get("A"), source)
	}
}

// FuzzOrigins lays random layers over one another, in each of which every value is
// the text of its source. Then each value in the settings has to be the source that
// Origins gives for it. What is empty or null cannot be tagged: it has to stand in
// the layer that Origins names.
func FuzzOrigins(f *testing.F) {
	for seed := range uint64(256) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 2))
		layers := map[string]tree{}
		content := files{}
		for _, name := range []string{"appsettings.json", "appsettings.Development.json", "appsettings.Local.json"} {
			layers[name] = randomSection(random, name, 3)
			text, err := json.Marshal(layers[name])
			if err != nil {
				t.Fatal(err)
			}
			content[name] = string(text)
		}
		app, _ := hermetic(t, content)
		app.Environment = "Development"
		var environ, args []string
		for range random.IntN(4) {
			name := strings.ReplaceAll(randomPath(random), ":", "__")
			environ = append(environ, name+"=environment variable "+name)
			path := randomPath(random)
			args = append(args, "--"+path+"=argument --"+path)
		}
		app.Environ, app.Args = list(environ...), list(args...)
		k, err := provider.LoadAppConfig(app)
		if err != nil {
			return // the layers do not fit one another
		}
		paths := map[string]bool{}
		eachLeaf("", k.Raw(), func(path string, value any) {
			paths[path] = true
			source := app.Origins.Of(path).Source
			text, tagged := value.(string)
			if !tagged {
				own, there := at(layers[source], path)
				if text = fmt.Sprintf("%#v", value); there && fmt.Sprintf("%#v", own) == text {
					source = text
				}
			}
			if source != text {
				t.Errorf("seed %d: %s is %q, and Origins says %q\nfiles %v\nvariables %q\narguments %q", seed, path, text, source, content, environ, args)
			}
		})
		for path := range app.Origins.All() {
			if !paths[path] {
				t.Errorf("seed %d: Origins knows %s, which is not set: %v", seed, path, k.Raw())
			}
			delete(paths, path)
		}
		if len(paths) > 0 {
			t.Errorf("seed %d: Origins does not know %v", seed, paths)
		}
	})
}

// randomKey is one of few keys, in random case.
func randomKey(random *rand.Rand) string {
	return misspell(random, []string{"a", "b", "c", "l", "m", "s", "t"}[random.IntN(7)])
}

func randomPath(random *rand.Rand) string {
	parts := []string{randomKey(random)}
	for range random.IntN(3) {
		if random.IntN(2) == 0 {
			parts = append(parts, strconv.Itoa(random.IntN(3)))
		} else {
			parts = append(parts, randomKey(random))
		}
	}
	return strings.Join(parts, ":")
}

// randomSection is settings that all come from source. Mostly, the first letter of
// a key tells what is there, so that layers fit one another often.
func randomSection(random *rand.Rand, source string, depth int) tree {
	section := tree{}
	for range random.IntN(5) {
		key := randomKey(random)
		if _, ok := find(section, key); !ok {
			section[key] = randomValue(random, source, strings.ToLower(key), depth)
		}
	}
	return section
}

func randomValue(random *rand.Rand, source, key string, depth int) any {
	if random.IntN(10) == 0 || depth == 0 {
		return []any{nil, tree{}, []any{}, source}[random.IntN(4)]
	}
	switch key {
	case "s", "t":
		return randomSection(random, source, depth-1)
	case "l", "m":
		array := []any{}
		for range random.IntN(3) {
			array = append(array, randomValue(random, source, key+"a"[:random.IntN(2)], depth-1))
		}
		return array
	}
	return source
}

// eachLeaf visits what is in settings, empty sections and arrays too.
func eachLeaf(path string, value any, visit func(path string, value any)) {
	below := func(key string, v any) { eachLeaf(strings.TrimPrefix(path+":"+key, ":"), v, visit) }
	n := 0
	switch v := value.(type) {
	case tree:
		n = len(v)
		for key, value := range v {
			below(key, value)
		}
	case []any:
		n = len(v)
		for i, value := range v {
			below(strconv.Itoa(i), value)
		}
	}
	if n == 0 && path != "" {
		visit(path, value)
	}
}

// at is what stands at a path of one layer.
func at(layer any, path string) (value any, there bool) {
	for key := range strings.SplitSeq(path, ":") {
		if layer, there = find(layer, key); !there {
			return nil, false
		}
	}
	return layer, true
}
