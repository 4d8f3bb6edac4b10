package provider

import (
	"cmp"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

// Status says what became of a [Layer].
type Status string

// What can become of a layer.
const (
	StatusRead    Status = "read"    // it was read and applied
	StatusMissing Status = "missing" // it does not exist, which is not an error
	StatusIgnored Status = "ignored" // it exists, but not for this environment
)

// Layer is one source of settings, without their values.
type Layer struct {
	// Name is a file's name ("appsettings.json"), or its path when it was given
	// as one, "environment", "arguments", or a Key Vault's URL.
	Name string
	// Status is what became of the layer.
	Status Status
	// Keys is the paths that the layer set, parts joined by ":", sorted.
	Keys []string
}

// Origins remembers where settings came from: which layers were tried, for each
// setting the layer whose value is in force, and what was there and set nothing. It
// never holds a value.
//
// It tells about one koanf: [LoadAppConfig] and [Load] forget what was there
// before. The zero value is ready for use. Several goroutines may use it. A nil
// *Origins knows nothing.
type Origins struct {
	mu        sync.Mutex
	directory string
	layers    []Layer
	settings  *tree.Tree // without values
	skipped   []Skipped
	nearFiles []string // clauses about files with almost the name of one that is missing
	vault     vaultNote
	names     *nameIndex // of settings and skipped; nil until it is needed
}

// placed is a value's path and where it came from.
type placed struct {
	path string
	tree.Origin
}

// Layers is every layer in the order they were applied. A layer that was applied
// twice stands where it was applied last. The environment and the arguments are
// left out when they set nothing.
func (o *Origins) Layers() []Layer {
	if !o.lock() {
		return nil
	}
	defer o.mu.Unlock()
	layers := slices.Clone(o.layers)
	for i := range layers {
		layers[i].Keys = slices.Clone(layers[i].Keys)
	}
	return layers
}

// Origin is what is known of one setting. It holds no value.
type Origin struct {
	// Source is where the value came from: a file's name, "environment variable
	// FOO__BAR", "argument --Foo:Bar", or "secret Foo--Bar of https://...". For a
	// section or an array it is every source of what is below, in the order of the
	// paths, joined by ", ". It is empty if nothing is known to be set.
	Source string
	// Layer is the name of the [Layer] that the source is part of. Of a secret that
	// a reference names it is the vault's address. Several are joined like sources.
	Layer string
	// Overrode names the layers whose values gave way to this one, the oldest first. A
	// layer that said the same, or nothing, is not among them. A key set has those of its
	// array "keys".
	Overrode []string
	// Order is the place of the layer among those that were applied: the larger one is
	// the later one. Of a secret that a reference names it is that of the layer with the
	// reference, and of a section the largest one below. It is 0 if that is unknown.
	Order int
	// Mixed is true of a section or an array if what is below it is of several layers.
	Mixed bool
	// Secret names the Key Vault secret that the value came from, whose vault is Layer. It
	// is NAME, or NAME/VERSION if a reference names a version. It is empty if the value is
	// from elsewhere, and of a section that is of several secrets.
	Secret string
	// Created and Expires are those of the secret that the value came from, zero if it
	// is from elsewhere or the vault does not say. Of a section they are those of the
	// secret below that expires first.
	Created, Expires time.Time
	// Instead tells, of a setting that is not set or blank, what is there in its place
	// and which names would have been read: "there is a secret Foo-Bar; looked for
	// secret Foo--Bar, variable Foo__Bar and key Foo:Bar". It is empty if nothing was
	// loaded.
	Instead string
}

// Of tells about the setting at a path, spelt in any case.
func (o *Origins) Of(path string) Origin {
	if !o.lock() {
		return Origin{}
	}
	defer o.mu.Unlock()
	n := o.find(path)
	found := o.origin(n)
	if !n.IsSet() {
		found.Instead = o.instead(path)
	}
	return found
}

// origin is what is known of a setting that is there.
func (o *Origins) origin(n *tree.Node) (found Origin) {
	if n == nil {
		return found
	}
	var sources, layers []string
	for _, leaf := range o.below(n) {
		sources, layers = append(sources, leaf.Source), append(layers, leaf.Layer)
		found.include(leaf.Origin, len(sources) == 1)
	}
	found.Source, found.Layer = each(sources), each(layers)
	for _, former := range n.GaveWay() {
		if layer := former.Origin.Layer; !slices.Contains(found.Overrode, layer) {
			found.Overrode = append(found.Overrode, layer)
		}
	}
	return found
}

// include takes over what o says of one value, the first or a further one.
func (found *Origin) include(o tree.Origin, first bool) {
	found.Mixed = found.Mixed || !first && o.Order != found.Order
	found.Order = max(found.Order, o.Order)
	switch secret := secretOf(o); {
	case first:
		found.Secret = secret
	case found.Secret != secret:
		found.Secret = ""
	}
	if first || !o.Expires.IsZero() && (found.Expires.IsZero() || o.Expires.Before(found.Expires)) {
		found.Created, found.Expires = o.Created, o.Expires
	}
}

// secretOf is a secret's name, with the version that a reference names.
func secretOf(o tree.Origin) string {
	if o.Version == "" {
		return o.Secret
	}
	return o.Secret + "/" + o.Version
}

// each joins names, each once.
func each(names []string) string {
	var unique []string
	for _, name := range names {
		if name != "" && !slices.Contains(unique, name) {
			unique = append(unique, name)
		}
	}
	return strings.Join(unique, ", ")
}

// Directory is the directory of the file that the setting at a path came from,
// for what the setting names relative to it. It is empty when the setting is
// from no file, or from one of AppConfig.FS.
func (o *Origins) Directory(path string) string {
	if !o.lock() {
		return ""
	}
	defer o.mu.Unlock()
	source := o.origin(o.find(path)).Source
	isFile := slices.ContainsFunc(o.layers, func(l Layer) bool { return l.Name == source })
	switch {
	case !isFile:
		return ""
	case filepath.Base(source) != source: // a mounted file, whose name is a path
		return filepath.Dir(source)
	}
	return o.directory
}

// All is every setting's path and where its value came from, sorted by path. Paths
// are spelt as in the koanf, with arrays taken apart ("Scopes:0").
func (o *Origins) All() iter.Seq2[string, string] {
	var found []placed
	if o.lock() {
		defer o.mu.Unlock()
		if o.settings != nil {
			found = o.below(o.settings.Root())
		}
	}
	return func(yield func(path, source string) bool) {
		for _, f := range found {
			if !yield(f.path, f.Source) {
				return
			}
		}
	}
}

// Summary is two lines for an error about a missing section. The first tells which
// layers were read, which files were not found and where, and which have almost their
// names. The second tells whether a Key Vault was connected and which of its secrets
// were skipped, or what kvSetting lacks for that. Of a nil Origins it is empty.
func (o *Origins) Summary() string {
	if !o.lock() {
		return ""
	}
	defer o.mu.Unlock()
	var clauses []string
	for _, part := range []struct {
		prefix string
		status Status
	}{
		{"settings read from ", StatusRead},
		{"not found: ", StatusMissing},
		{"read with APP_ENVIRONMENT=Development only: ", StatusIgnored},
	} {
		var names []string
		for _, layer := range o.layers {
			if layer.Status == part.status && (o.vault.url == "" || layer.Name != o.vault.url) {
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
	clauses = append(clauses, o.nearFiles...)
	return strings.Join(clauses, "; ") + "\n" + o.vaultSummary()
}

func (o *Origins) vaultSummary() string {
	if o.vault.url == "" {
		summary := "no Key Vault connected"
		if len(o.vault.lacking) > 0 {
			summary += ": kvSetting lacks " + strings.Join(o.vault.lacking, ", ")
		}
		clauses := append([]string{summary}, o.vault.instead...)
		return strings.Join(clauses, "; ")
	}
	var skipped []string
	for _, s := range o.skipped {
		if strings.HasPrefix(s.Source, secretPrefix) {
			skipped = append(skipped, s.name()+" ("+s.Reason+")")
		}
	}
	summary := "Key Vault connected: " + o.vault.url
	if more := len(skipped) - maxNamed; more > 0 {
		skipped = append(skipped[:maxNamed], fmt.Sprintf("%d more", more))
	}
	if len(skipped) > 0 {
		summary += "; skipped: " + strings.Join(skipped, ", ")
	}
	return summary
}

// maxNamed is how many skipped secrets a summary names.
const maxNamed = 3

// lock is false for a nil o, which has nothing to lock.
func (o *Origins) lock() bool {
	if o != nil {
		o.mu.Lock()
	}
	return o != nil
}

func (o *Origins) find(path string) *tree.Node {
	if o.settings == nil {
		return nil
	}
	return o.settings.Find(path, tree.Delimiter)
}

// below is the known sources of what stands at n and below, sorted by path.
func (o *Origins) below(n *tree.Node) []placed {
	var found []placed
	if n != nil {
		o.settings.WalkFrom(n, nil, func(path []string, leaf *tree.Node) {
			if leaf.Origin.Source != "" {
				found = append(found, placed{strings.Join(path, tree.Delimiter), leaf.Origin})
			}
		})
	}
	slices.SortFunc(found, func(x, y placed) int { return cmp.Compare(x.path, y.path) })
	return found
}

// begin forgets everything, and records the directory of the files that are named
// without one.
func (o *Origins) begin(directory string) {
	if !o.lock() {
		return
	}
	defer o.mu.Unlock()
	o.directory, o.layers, o.settings, o.skipped, o.nearFiles, o.vault, o.names = directory, nil, nil, nil, nil, vaultNote{}, nil
}

// connected records what is known of the vault.
func (o *Origins) connected(vault vaultNote) {
	if !o.lock() {
		return
	}
	defer o.mu.Unlock()
	o.vault = vault
}

// near records what files have almost the name of one that is missing.
func (o *Origins) near(files []string) {
	if !o.lock() {
		return
	}
	defer o.mu.Unlock()
	o.nearFiles = files
}

// record notes a layer and, unless it is nil, what the settings are with it. A
// layer of the same name as an earlier one takes its place.
func (o *Origins) record(layer Layer, settings *tree.Tree) {
	if !o.lock() {
		return
	}
	defer o.mu.Unlock()
	if settings != nil {
		o.settings, o.names = settings.WithoutValues(), nil
	}
	slices.Sort(layer.Keys)
	layer.Keys = slices.Compact(layer.Keys)
	o.layers = slices.DeleteFunc(o.layers, func(l Layer) bool { return l.Name == layer.Name })
	o.layers = append(o.layers, layer)
}

// lend tells t the sources of its values as far as they are known.
func (o *Origins) lend(t *tree.Tree) {
	if !o.lock() {
		return
	}
	defer o.mu.Unlock()
	t.Adopt(o.settings)
}

// missing is which of these files do not exist.
func (o *Origins) missing(names ...string) []string {
	return slices.DeleteFunc(names, func(name string) bool {
		return !slices.ContainsFunc(o.Layers(), func(l Layer) bool { return l.Name == name && l.Status == StatusMissing })
	})
}
