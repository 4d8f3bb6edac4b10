package provider

import (
	"cmp"
	"iter"
	gomaps "maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Status says what became of a [Layer].
type Status string

// What can become of a layer.
const (
	StatusRead    Status = "read"    // it was read and applied
	StatusMissing Status = "missing" // it does not exist, which is no error
	StatusIgnored Status = "ignored" // it exists, but not for this environment
)

// Layer is one source of settings, without their values.
type Layer struct {
	// Name is a file's name ("appsettings.json"), or its path where it was given
	// as one, "environment", "arguments", or a Key Vault's URL.
	Name string
	// Status is what became of the layer.
	Status Status
	// Keys is the paths that the layer set, parts joined by ":", sorted.
	Keys []string
}

// Origins remembers where settings came from: which layers were tried, and for
// each setting the layer whose value is in force. It never holds a value.
//
// The zero value is ready for use. It may be used by several goroutines, and a
// nil *Origins is one that knows nothing.
type Origins struct {
	mu        sync.Mutex
	directory string
	layers    []Layer
	settings  originNode
	vaultURL  string
	lacking   []string
}

// originNode is a part of a path: where the value there came from, if there is
// one, and what is below.
type originNode struct {
	spelt    string // the spelling that came first, as Merge keeps it
	source   string // "" where no value is
	children map[string]*originNode
}

type origin struct{ path, source string }

// Layers is every layer in the order they were applied. A layer that was applied
// twice stands where it was applied last. The environment and the arguments are
// left out when they set nothing.
func (o *Origins) Layers() []Layer {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	layers := slices.Clone(o.layers)
	for i := range layers {
		layers[i].Keys = slices.Clone(layers[i].Keys)
	}
	return layers
}

// Of says where the setting at a path, spelt in any case, came from: a file's
// name, "environment variable FOO__BAR", "argument --Foo:Bar", or "secret
// Foo--Bar of https://...". For a section or an array it is every source of what
// is below, in the order of the paths, joined by ", ". False means that nothing
// is known to be set there.
func (o *Origins) Of(path string) (source string, ok bool) {
	folded := foldKey(path)
	var sources []string
	for _, found := range o.sorted() {
		at := foldKey(found.path)
		if at == folded {
			return found.source, true
		}
		if strings.HasPrefix(at, folded+pathDelimiter) && !slices.Contains(sources, found.source) {
			sources = append(sources, found.source)
		}
	}
	return strings.Join(sources, ", "), len(sources) > 0
}

// Directory is the directory of the file that the setting at a path came from,
// for what the setting names relative to it. It is empty where the setting is
// from no file, or from one of AppConfig.FS.
func (o *Origins) Directory(path string) string {
	source, ok := o.Of(path)
	if !ok {
		return ""
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	isFile := slices.ContainsFunc(o.layers, func(l Layer) bool { return l.Name == source && strings.HasSuffix(source, ".json") })
	switch {
	case !isFile:
		return ""
	case filepath.Base(source) != source: // the mounted file, whose name is a path
		return filepath.Dir(source)
	}
	return o.directory
}

// All is every setting's path, spelt as it is in the koanf and with arrays taken
// apart ("Scopes:0"), and where its value came from, sorted by path.
func (o *Origins) All() iter.Seq2[string, string] {
	found := o.sorted()
	return func(yield func(path, source string) bool) {
		for _, f := range found {
			if !yield(f.path, f.source) {
				return
			}
		}
	}
}

// Summary tells in one or two lines which layers were read, which files were
// looked for in vain and where, and whether a Key Vault was connected or what
// kvSetting lacks for that. It is meant for the error about a missing setting. Of
// a nil Origins it is empty.
func (o *Origins) Summary() string {
	if o == nil {
		return ""
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var clauses []string
	for _, part := range []struct {
		prefix string
		status Status
	}{
		{"settings read from ", StatusRead},
		{"not found: ", StatusMissing},
		{"not read in this environment: ", StatusIgnored},
	} {
		var names []string
		for _, layer := range o.layers {
			if layer.Status == part.status && (o.vaultURL == "" || layer.Name != o.vaultURL) {
				names = append(names, layer.Name)
			}
		}
		if len(names) > 0 {
			clauses = append(clauses, part.prefix+strings.Join(names, ", "))
		} else if part.status == StatusRead {
			clauses = append(clauses, "no settings read")
		}
	}
	if o.directory != "" {
		clauses = append(clauses, "looked in "+o.directory)
	}
	vault := "no Key Vault connected"
	if o.vaultURL != "" {
		vault = "Key Vault connected: " + o.vaultURL
	} else if len(o.lacking) > 0 {
		vault += ": kvSetting lacks " + strings.Join(o.lacking, ", ")
	}
	return strings.Join(clauses, "; ") + "\n" + vault
}

func (o *Origins) sorted() []origin {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var found []origin
	o.settings.collect("", &found)
	slices.SortFunc(found, func(x, y origin) int { return cmp.Compare(x.path, y.path) })
	return found
}

func (n *originNode) collect(path string, into *[]origin) {
	if n.source != "" {
		*into = append(*into, origin{path, n.source})
	}
	for _, child := range n.children {
		child.collect(joinPath(path, child.spelt), into)
	}
}

// lookedIn records the directory of the files that are named without one.
func (o *Origins) lookedIn(directory string) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.directory = directory
}

// vault records that the vault at url was connected, or, where url is empty, that
// kvSetting lacks these fields.
func (o *Origins) vault(url string, missing []string) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.vaultURL, o.lacking = url, slices.Clone(missing)
}

// record notes that tree was laid over the settings by [Merge]. It fills in
// layer.Keys, and asks source where the value at each of them came from. A layer
// of the same name as an earlier one takes its place.
func (o *Origins) record(layer Layer, tree map[string]any, source func(path string) string) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	layer.Keys = nil
	leaves("", tree, func(path string, value any) {
		if spelt, ok := o.settings.put(path, value, source); ok {
			layer.Keys = append(layer.Keys, spelt)
		}
	})
	slices.Sort(layer.Keys)
	o.layers = slices.DeleteFunc(o.layers, func(l Layer) bool { return l.Name == layer.Name })
	o.layers = append(o.layers, layer)
}

// put does to the record what Merge did to the settings: a value takes the place
// of what was at its path, above it and below it, but one that is empty takes
// nothing away from a section or an array. It gives the path as it is spelt there,
// and false where it took no place.
func (n *originNode) put(path string, value any, source func(path string) string) (string, bool) {
	spelt := ""
	var above []*originNode
	for part := range strings.SplitSeq(path, pathDelimiter) {
		above = append(above, n)
		folded := foldKey(part)
		child := n.children[folded]
		if child == nil {
			child = &originNode{spelt: part}
			if n.children == nil {
				n.children = map[string]*originNode{}
			}
			n.children[folded] = child
		}
		spelt = joinPath(spelt, child.spelt)
		n = child
	}
	if empty(value) && n.holdsBelow() {
		return "", false
	}
	for _, node := range above {
		node.source = ""
	}
	for _, child := range n.children {
		child.clear() // the spelling stays, as it does in the settings
	}
	n.source = source(spelt)
	return spelt, true
}

func (n *originNode) clear() {
	n.source = ""
	for _, child := range n.children {
		child.clear()
	}
}

func (n *originNode) holdsBelow() bool {
	for _, child := range n.children {
		if child.source != "" || child.holdsBelow() {
			return true
		}
	}
	return false
}

// leaves visits each value in a tree with its path, in the order that Merge takes
// them; sections and arrays count when they are empty.
func leaves(path string, value any, visit func(path string, value any)) {
	section, _ := value.(map[string]any)
	if array, ok := asArray(value); ok {
		section = byIndex(array)
	}
	for _, key := range slices.Sorted(gomaps.Keys(section)) {
		leaves(joinPath(path, key), section[key], visit)
	}
	if len(section) == 0 && path != "" {
		visit(path, value)
	}
}

func empty(value any) bool {
	section, isSection := value.(map[string]any)
	array, isArray := asArray(value)
	return value == nil || isSection && len(section) == 0 || isArray && len(array) == 0
}
