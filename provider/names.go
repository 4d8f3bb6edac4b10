package provider

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/portnokkel/portnokkel/internal/problems"
	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

// nesting builds a tree out of secrets.
type nesting struct {
	cfg       Config
	tree      *tree.Tree
	entries   map[string]*entry // by name
	dropped   []Skipped
	conflicts []error
}

// nest builds the tree out of the secrets, in their order. It also tells which of them
// Map dropped.
func nest(entries []*entry, cfg Config) (*tree.Tree, []Skipped, error) {
	n := nesting{cfg: cfg, tree: tree.New(), entries: map[string]*entry{}}
	for _, e := range entries {
		n.entries[e.name] = e
		key, value := e.name, any(e.value)
		if cfg.Map != nil {
			if key, value = cfg.Map(e.name, e.value); key == "" {
				n.dropped = append(n.dropped, Skipped{cfg.secretSource(e.name), "dropped by Map"})
				continue
			}
		}
		n.put(e, keysOf(strings.Split(key, "--")...), value)
	}
	n.tree.MakeArrays()
	return n.tree, n.dropped, problems.Join(n.conflicts...)
}

// keysOf takes keys with colons apart, as settings files do: koanf would find two
// things under one path.
func keysOf(keys ...string) []string {
	var all []string
	for _, key := range keys {
		if parts, ok := tree.Split(key); ok {
			all = append(all, parts...)
		} else {
			all = append(all, key)
		}
	}
	return all
}

// put takes a value apart, so that secrets below the same key meet one by one.
// What Config.Map made is walked in the order of its keys.
func (n *nesting) put(e *entry, path []string, value any) {
	below := func(key string) []string { return append(slices.Clone(path), keysOf(key)...) }
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			n.put(e, below(key), v[key])
		}
		if len(v) > 0 {
			return
		}
	case []any:
		for i, item := range v {
			n.put(e, below(strconv.Itoa(i)), item)
		}
		if len(v) > 0 {
			return
		}
	}
	n.leaf(e, path, value)
}

// leaf sets one value. Of two for one key, the secret that was updated later wins,
// then the one that comes first.
func (n *nesting) leaf(e *entry, path []string, value any) {
	old, ok := n.tree.Put(path, value, tree.Origin{Source: n.cfg.secretSource(e.name), Secret: e.name, Created: e.created, Expires: e.expires})
	if old == nil {
		return
	}
	other := n.entries[old.Origin.Secret]
	if !ok {
		n.conflicts = append(n.conflicts, conflict(n.cfg.VaultURL, other, e))
		return
	}
	used, ignored := other, e
	if e.updated.After(other.updated) {
		used, ignored = e, other
	} else {
		n.tree.Put(path, old, old.Origin)
	}
	n.cfg.logger().Warn("provider: two secrets give the same key; the one that was updated later is used, else the first",
		"vault", n.cfg.VaultURL, "key", strings.Join(path, "--"), "used", used.name, "ignored", ignored.name)
}

const secretPrefix = "secret " // begins the source of a setting

// secretSource is how a secret is named as the source of a setting.
func (c Config) secretSource(name string) string {
	source := secretPrefix + name
	if c.VaultURL != "" {
		source += " of " + c.VaultURL
	}
	return source
}

func conflict(vault string, a, b *entry) error {
	return &Error{
		Vault: vault, Step: stepMap, Secret: b.name,
		reason: fmt.Sprintf("the secrets %s and %s make a value and a section of the same key", a.name, b.name),
		Hint:   "remove or rename one of them, or leave it out with Config.Sections, Filter or Map",
	}
}
