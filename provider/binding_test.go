package provider_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// bound is what a service binds its settings to.
type bound struct {
	Portal struct {
		ClientID string
		Retries  int
		Enabled  bool
		Ratio    float64
		Tags     []string
		Hosts    []struct {
			Name string
			Port int
		}
		Orgs map[string]string
	}
}

// setting is one leaf of bound, with a value from the file and the text that a
// vault has for it.
type setting struct {
	path     string
	file     any
	vault    string
	received func(b *bound) any
	fromFile any
	fromText any
}

var settingsOfBound = []setting{
	{"Portal:ClientId", "f", "v", func(b *bound) any { return b.Portal.ClientID }, "f", "v"},
	{"Portal:Retries", int64(3), "5", func(b *bound) any { return b.Portal.Retries }, 3, 5},
	{"Portal:Enabled", false, "true", func(b *bound) any { return b.Portal.Enabled }, false, true},
	{"Portal:Ratio", 0.5, "0.25", func(b *bound) any { return b.Portal.Ratio }, 0.5, 0.25},
	{"Portal:Tags:0", "t0", "v0", func(b *bound) any { return b.Portal.Tags[0] }, "t0", "v0"},
	{"Portal:Tags:1", "t1", "v1", func(b *bound) any { return b.Portal.Tags[1] }, "t1", "v1"},
	{"Portal:Hosts:0:Name", "h0", "n0", func(b *bound) any { return b.Portal.Hosts[0].Name }, "h0", "n0"},
	{"Portal:Hosts:0:Port", int64(80), "8080", func(b *bound) any { return b.Portal.Hosts[0].Port }, 80, 8080},
	{"Portal:Hosts:1:Name", "h1", "n1", func(b *bound) any { return b.Portal.Hosts[1].Name }, "h1", "n1"},
}

// FuzzBinding spells the keys of a file and the names of a vault at random. A random
// part of the settings is in the vault, in random order. The bound struct has to hold
// what was meant every time.
func FuzzBinding(f *testing.F) {
	for seed := range uint64(64) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 1))
		file := map[string]any{}
		fake := &kvFake{}
		want := make([]any, len(settingsOfBound))
		for i, s := range settingsOfBound {
			put(random, file, strings.Split(s.path, ":"), s.file)
			want[i] = s.fromFile
			if random.IntN(2) == 0 {
				fake.secrets = append(fake.secrets, kvSecret{name: misspell(random, strings.ReplaceAll(s.path, ":", "--")), value: s.vault})
				want[i] = s.fromText
			}
		}
		put(random, file, []string{"Portal", "Orgs", "991825827"}, "org")
		random.Shuffle(len(fake.secrets), func(i, j int) { fake.secrets[i], fake.secrets[j] = fake.secrets[j], fake.secrets[i] })

		vault, err := provider.KeyVaultWithClient(fake, provider.Config{Logger: (&logtest.Buffer{}).Logger()})
		if err != nil {
			t.Fatal(err)
		}
		k := koanf.NewWithConf(koanf.Conf{Delim: ":", StrictMerge: true})
		for _, layer := range []koanf.Provider{confmap.Provider(file, ""), vault} {
			if err := k.Load(layer, nil, koanf.WithMergeFunc(provider.Merge)); err != nil {
				t.Fatal(err)
			}
		}
		var b bound
		if err := k.Unmarshal("", &b); err != nil {
			t.Fatal(err)
		}
		got := make([]any, len(settingsOfBound))
		for i, s := range settingsOfBound {
			got[i] = s.received(&b)
		}
		if diff := cmp.Diff(want, got); diff != "" || len(b.Portal.Tags) != 2 || len(b.Portal.Hosts) != 2 || b.Portal.Orgs["991825827"] != "org" {
			t.Errorf("seed %d: %s\n%+v", seed, diff, b)
		}
		if _, err := provider.Section(k, misspell(random, "Portal")); err != nil {
			t.Error(err)
		}
	})
}

// put sets a value, with an array for each part "0" or "1" of the path. New keys
// are spelt at random.
func put(random *rand.Rand, tree map[string]any, path []string, value any) {
	key := path[0]
	for existing := range tree {
		if strings.EqualFold(existing, key) {
			key = existing
		}
	}
	if _, there := tree[key]; !there {
		key = misspell(random, key)
	}
	if len(path) == 1 {
		tree[key] = value
		return
	}
	if path[1] == "0" || path[1] == "1" {
		array, _ := tree[key].([]any)
		if path[1] == "1" && len(array) < 2 || len(array) == 0 {
			array = append(array, map[string]any{})
		}
		index := len(array) - 1
		if len(path) == 2 {
			array[index] = value
		} else {
			put(random, array[index].(map[string]any), path[2:], value)
		}
		tree[key] = array
		return
	}
	next, _ := tree[key].(map[string]any)
	if next == nil {
		next = map[string]any{}
		tree[key] = next
	}
	put(random, next, path[1:], value)
}

// What .NET's configuration does with arrays, over a vault for real.
func TestVaultOverArrays(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		secrets map[string]string
		want    map[string]any
		err     string
	}{
		{
			name:    "an element's field",
			secrets: map[string]string{"endpoints--0--NAME": "new"},
			want: map[string]any{
				"Endpoints": []any{map[string]any{"Name": "new", "Port": 1}, map[string]any{"Name": "b"}}, "Scopes": []any{"x", "y"},
			},
		},
		{
			name:    "the next element",
			secrets: map[string]string{"Scopes--2": "z"},
			want: map[string]any{
				"Endpoints": []any{map[string]any{"Name": "a", "Port": 1}, map[string]any{"Name": "b"}}, "Scopes": []any{"x", "y", "z"},
			},
		},
		{
			name:    "an element beyond the next",
			secrets: map[string]string{"Scopes--5": "z"},
			err:     ": use the index 2 - this one leaves a gap in the array",
		},
		{
			name:    "organisation numbers are not indices",
			secrets: map[string]string{"Orgs--991825827": "Digdir", "Orgs--0": "none"},
			want: map[string]any{
				"Endpoints": []any{map[string]any{"Name": "a", "Port": 1}, map[string]any{"Name": "b"}}, "Scopes": []any{"x", "y"},
				"Orgs": map[string]any{"991825827": "Digdir", "0": "none"},
			},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := vaulttest.NewServer(vaulttest.WithSecrets(c.secrets))
			defer srv.Close()
			k := newKoanf(t, map[string]any{
				"Endpoints": []any{map[string]any{"Name": "a", "Port": 1}, map[string]any{"Name": "b"}}, "Scopes": []any{"x", "y"},
			}, ":")
			before := k.Raw()
			_, err := provider.ConnectToKeyVault(t.Context(), k, connecting(t, srv))
			if c.err != "" {
				if err == nil || !strings.HasSuffix(err.Error(), c.err) {
					t.Errorf("got %v", err)
				}
				c.want = before
			} else if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, k.Raw()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
