package provider_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/provider"
)

const vaultURL = "https://keys.vault.azure.net"

// from records trees, each named a, b, c ... in turn, laid over one another.
func from(trees ...tree) *provider.Origins {
	var o provider.Origins
	if err := provider.Record(&o, "abcdefgh", trees...); err != nil {
		panic(err)
	}
	return &o
}

func TestOriginsFollowMerge(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		layers []tree
		want   map[string]string
	}{
		{"later layer", []tree{{"S": tree{"X": 1, "Y": 1}}, {"s": tree{"x": 2}}}, map[string]string{"S:X": "b", "S:Y": "a"}},
		{"spelling of the first", []tree{{"S": tree{"X": 1}}, {"s": tree{"new": 2}}}, map[string]string{"S:X": "a", "S:new": "b"}},
		{"array elements", []tree{{"L": []any{1, tree{"N": 1}}}, {"l": tree{"1": tree{"n": 2}, "2": 3}}}, map[string]string{"L:0": "a", "L:1:N": "b", "L:2": "b"}},
		{"section over value", []tree{{"A": ""}, {"a": tree{"B": 1}}}, map[string]string{"A:B": "b"}},
		{"value over array", []tree{{"A": []string{"x", "y"}, "AB": 1}, {"a": "z"}}, map[string]string{"A": "b", "AB": "a"}},
		{"what is empty takes nothing away", []tree{{"A": tree{"x": 1}, "L": []any{1}}, {"a": nil, "l": []any{}}, {"a": tree{}, "l": nil}}, map[string]string{"A:x": "a", "L:0": "a"}},
		{"what is empty counts onto nothing", []tree{{"A": tree{}, "L": []any{}, "N": nil}}, map[string]string{"A": "a", "L": "a", "N": "a"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := map[string]string{}
			for path, source := range from(test.layers...).All() {
				got[path] = source
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestOriginsOf(t *testing.T) {
	t.Parallel()
	o := from(tree{"S": tree{"X": 1, "Y": 1}, "SX": 1}, tree{"S": tree{"Y": 2, "Z": 2}})
	for path, want := range map[string]provider.Origin{
		"S:X":       {Source: "a", Layer: "a", Order: 1},
		"s:y":       {Source: "b", Layer: "b", Order: 2, Overrode: []string{"a"}},
		"s":         {Source: "a, b", Layer: "a, b", Order: 2, Mixed: true},
		"S:X:below": {Instead: "looked for variable S__X__below, key S:X:below and, with a vault, secret S--X--below"},
		"other":     {Instead: "looked for variable other__..., key other and, with a vault, secret other--..."},
		"":          {},
	} {
		if diff := cmp.Diff(want, o.Of(path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

func TestOriginsAll(t *testing.T) {
	t.Parallel()
	var paths []string
	for path := range from(tree{"b": 1, "a": tree{"c": 1}, "C": 1}).All() {
		if paths = append(paths, path); len(paths) == 2 {
			break
		}
	}
	if diff := cmp.Diff([]string{"C", "a:c"}, paths); diff != "" {
		t.Errorf("sorted by path, and stopped (-want +got):\n%s", diff)
	}
}

func TestOriginsLayers(t *testing.T) {
	t.Parallel()
	o := from(tree{"b": 1, "a": tree{"x": 1}}, tree{"A": tree{"X": 2}})
	provider.RecordMissing(o, "absent")
	if err := provider.Record(o, "a", tree{"b": 1}); err != nil {
		t.Fatal(err)
	}
	want := []provider.Layer{
		{Name: "b", Status: provider.StatusRead, Keys: []string{"a:x"}},
		{Name: "absent", Status: provider.StatusMissing},
		{Name: "a", Status: provider.StatusRead, Keys: []string{"b"}},
	}
	got := o.Layers()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	got[0].Keys[0] = "changed"
	if diff := cmp.Diff(want, o.Layers()); diff != "" {
		t.Errorf("the caller's copy is not one:\n%s", diff)
	}
}

// Two spellings in one layer are one key of it.
func TestLayerNamesAKeyOnce(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]string{"A"}, from(tree{"A": 1, "a": 2}).Layers()[0].Keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestOverrode(t *testing.T) {
	t.Parallel()
	o := from(
		tree{"S": tree{"x": 1, "y": 1, "blank": " ", "null": nil, "same": "v"}},
		tree{"s": tree{"X": 2}},
		tree{"S": tree{"x": 3, "z": 3, "blank": "v", "null": "v", "same": "v"}},
	)
	for path, want := range map[string][]string{
		"s:x": {"a", "b"}, "S:y": nil, "S:z": nil, "S": nil, "none": nil,
		"S:blank": nil, "S:null": nil, "S:same": nil,
	} {
		got := o.Of(path).Overrode
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
		if len(got) > 0 {
			got[0] = "changed"
		}
	}
	if got := o.Of("S:x").Overrode; len(got) != 2 || got[0] != "a" {
		t.Errorf("got %q after a caller changed its copy, want a first", got)
	}
}

// A key set that took another's place overrode it, though its section was there before.
func TestKeySetOverrode(t *testing.T) {
	t.Parallel()
	set := func(kids ...string) tree {
		var keys []any
		for _, kid := range kids {
			keys = append(keys, tree{"kty": "RSA", "kid": kid})
		}
		return tree{"S": tree{"Jwks": tree{"keys": keys}, "List": keys}}
	}
	o := from(set("1", "2"), tree{"S": tree{"other": 1}}, set("3"))
	for path, want := range map[string][]string{"S:Jwks": {"a"}, "S:Jwks:keys": {"a"}, "S:List": {"a"}, "S": nil} {
		if diff := cmp.Diff(want, o.Of(path).Overrode); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

func TestOriginsHoldNoValue(t *testing.T) {
	t.Parallel()
	app, _ := hermetic(t, files{"appsettings.json": `{"A":"x","L":["y",{"B":true}]}`})
	app.Environ = list("C=z")
	if _, err := provider.LoadAppConfig(app); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tree{"A": nil, "C": nil, "L:0": nil, "L:1:B": nil}, provider.Values(app.Origins)); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

// Origins tell about one koanf: the next load begins anew.
func TestOriginsBeginAnew(t *testing.T) {
	t.Parallel()
	app, _ := hermetic(t, files{"appsettings.json": `{"A":1}`})
	if err := provider.RecordLayer(app.Origins, "earlier", "earlier", tree{"Old": 1}); err != nil {
		t.Fatal(err)
	}
	provider.RecordVault(app.Origins, vaultURL, nil)
	for range 2 {
		if _, err := provider.LoadAppConfig(app); err != nil {
			t.Fatal(err)
		}
	}
	if app.Origins.Of("Old").Source != "" || strings.Contains(app.Origins.Summary(), vaultURL) || len(app.Origins.Layers()) != 3 {
		t.Errorf("got %v, %s, want three layers and nothing of the first load", app.Origins.Layers(), app.Origins.Summary())
	}
}

func TestOriginsSummary(t *testing.T) {
	t.Parallel()
	o := from(tree{"x": 1})
	tests := []struct {
		name    string
		url     string
		missing []string
		want    string
	}{
		{"fields missing", "", []string{"ClientSecret", "SecretUri"}, "settings read from a\nno Key Vault connected: kvSetting lacks ClientSecret, SecretUri"},
		{"connected", vaultURL, nil, "settings read from a\nKey Vault connected: " + vaultURL},
	}
	for _, test := range tests {
		provider.RecordVault(o, test.url, test.missing)
		if got := o.Summary(); got != test.want {
			t.Errorf("%s:\ngot  %s\nwant %s", test.name, got, test.want)
		}
	}
	provider.RecordLayer(o, vaultURL, "secret y of "+vaultURL, tree{"y": 1})
	if got := strings.Count(o.Summary(), vaultURL); got != 1 {
		t.Errorf("got the vault named %d times, want once:\n%s", got, o.Summary())
	}
	if source := o.Of("Y").Source; source != "secret y of "+vaultURL {
		t.Error(source)
	}
}

func TestNoOrigins(t *testing.T) {
	t.Parallel()
	var none *provider.Origins
	if err := provider.Record(none, "a", tree{"x": 1}); err != nil {
		t.Fatal(err)
	}
	provider.RecordVault(none, vaultURL, nil)
	if none.Of("x").Source != "" || none.Layers() != nil || none.Summary() != "" {
		t.Error("got an answer of a nil Origins, want nothing")
	}
	for path := range none.All() {
		t.Error(path)
	}
	if none.Directory("x") != "" {
		t.Error("got an answer of a nil Origins, want nothing")
	}
	var empty provider.Origins
	for path := range empty.All() {
		t.Error(path)
	}
	if empty.Of("x").Source != "" || empty.Directory("x") != "" {
		t.Error("got an answer of the zero value, want nothing")
	}
	app, _ := hermetic(t, nil)
	app.Origins = nil
	if _, err := provider.LoadAppConfig(app); err != nil {
		t.Error(err)
	}
}

func TestOriginsConcurrently(t *testing.T) {
	t.Parallel()
	var o provider.Origins
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := provider.Record(&o, "a", tree{"x": 1}); err != nil {
				t.Error(err)
			}
			provider.RecordVault(&o, "", []string{"TenantId"})
			_ = o.Of("x")
			_, _ = o.Summary(), o.Layers()
			for range o.All() {
				continue
			}
		}()
	}
	wg.Wait()
	if source := o.Of("x").Source; source != "a" || len(o.Layers()) != 1 {
		t.Errorf("got %q and the layers %v, want x from the one layer a", source, o.Layers())
	}
}
