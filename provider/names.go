package provider

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// leaf is one value and where it belongs.
type leaf struct {
	from  *entry
	path  []string
	value any
}

// node is a key of the tree that is being built.
type node struct {
	name     string           // as it was spelt first
	children map[string]*node // by lower-case name
	leaf     *leaf            // the value, when it has one
	below    *entry           // the first secret that put something below
}

// nest builds the tree out of the secrets, in their order.
func nest(entries []*entry, cfg Config) (loaded, error) {
	var leaves []*leaf
	for _, e := range entries {
		key, value := e.name, any(e.value)
		if cfg.Map != nil {
			if key, value = cfg.Map(e.name, e.value); key == "" {
				continue
			}
		}
		leaves = flatten(leaves, e, keysOf(strings.Split(key, "--")...), value)
	}
	root := &node{children: map[string]*node{}}
	var conflicts []error
	for _, l := range leaves {
		if other := root.put(l, cfg); other != nil {
			conflicts = append(conflicts, conflict(cfg.VaultURL, other, l.from))
		}
	}
	if len(conflicts) > 0 {
		return loaded{}, errors.Join(conflicts...)
	}
	got := loaded{tree: root.section()}
	for _, l := range leaves {
		if root.at(l.path).leaf == l {
			got.secrets = append(got.secrets, loadedSecret{name: l.from.name, path: l.path})
		}
	}
	return got, nil
}

// keysOf takes keys with colons apart, as settings files do: koanf would find two
// things under one path.
func keysOf(keys ...string) []string {
	var all []string
	for _, key := range keys {
		if parts, ok := splitPath(key); ok {
			all = append(all, parts...)
		} else {
			all = append(all, key)
		}
	}
	return all
}

// flatten takes a value apart into leaves, so that secrets below the same key
// meet one by one. What Config.Map made is walked in the order of its keys.
func flatten(leaves []*leaf, from *entry, path []string, value any) []*leaf {
	below := func(key string) []string { return append(slices.Clone(path), keysOf(key)...) }
	switch v := value.(type) {
	case map[string]any:
		if len(v) > 0 {
			for _, key := range slices.Sorted(maps.Keys(v)) {
				leaves = flatten(leaves, from, below(key), v[key])
			}
			return leaves
		}
	case []any:
		if len(v) > 0 {
			for i, item := range v {
				leaves = flatten(leaves, from, below(strconv.Itoa(i)), item)
			}
			return leaves
		}
	}
	return append(leaves, &leaf{from: from, path: path, value: value})
}

// put hangs a leaf in the tree and gives its path the tree's spelling. It returns
// the secret that is in the way, if one is.
func (n *node) put(l *leaf, cfg Config) *entry {
	for i, name := range l.path {
		if n.leaf != nil {
			return n.leaf.from
		}
		if n.below == nil {
			n.below = l.from
		}
		lower := strings.ToLower(name)
		child := n.children[lower]
		if child == nil {
			child = &node{name: name, children: map[string]*node{}}
			n.children[lower] = child
		}
		l.path[i] = child.name
		n = child
	}
	if n.below != nil {
		return n.below
	}
	if n.leaf == nil {
		n.leaf = l
		return nil
	}
	winner, loser := n.leaf, l
	if l.from.updated.After(n.leaf.from.updated) {
		winner, loser = l, n.leaf
	}
	n.leaf = winner
	cfg.logger().Warn("provider: two secrets give the same key; the one that was updated later is used, else the first",
		"vault", cfg.VaultURL, "key", strings.Join(l.path, "--"), "used", winner.from.name, "ignored", loser.from.name)
	return nil
}

func (n *node) at(path []string) *node {
	for _, name := range path {
		n = n.children[strings.ToLower(name)]
	}
	return n
}

func (n *node) value() any {
	if n.leaf != nil {
		return n.leaf.value
	}
	list := make([]any, len(n.children))
	for i := range list {
		child := n.children[strconv.Itoa(i)]
		if child == nil {
			return n.section()
		}
		list[i] = child.value()
	}
	return list
}

func (n *node) section() map[string]any {
	section := make(map[string]any, len(n.children))
	for _, child := range n.children {
		section[child.name] = child.value()
	}
	return section
}

func conflict(vault string, a, b *entry) error {
	return &Error{
		Vault: vault, Step: stepMap, Secret: b.name,
		reason: fmt.Sprintf("the secrets %s and %s make a value and a section of the same key", a.name, b.name),
		Hint:   "remove or rename one of them, or leave it out with Config.Sections, Filter or Map",
	}
}
