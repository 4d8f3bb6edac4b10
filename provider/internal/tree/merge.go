package tree

import (
	"fmt"
	"maps"
	"slices"
)

// Merged is what laying one tree over another gave.
type Merged struct {
	Tree    *Tree
	Set     []string  // the paths that were set, in the order of their keys
	Refused []Refusal // what does not fit what is there, and was left out
}

// Refusal is a part of a tree that cannot be laid over what is there.
type Refusal struct {
	Path   string
	Reason string
	Node   *Node
}

// Merge lays src over t as .NET lays one configuration source over another, and
// leaves both as they were. The rules are those of provider.Merge.
func (t *Tree) Merge(src *Tree) Merged {
	m := merger{tree: &Tree{}}
	m.tree.root = m.holder("", t.root, src.root)
	return Merged{m.tree, m.set, m.refused}
}

// merger builds the merged nodes without changing the old ones, which are shared
// as far as they stay as they are.
type merger struct {
	tree    *Tree
	set     []string
	refused []Refusal
}

func (m *merger) refuse(path, reason string, src *Node) {
	m.refused = append(m.refused, Refusal{path, reason, src})
}

// value lays src over old, which is nil when nothing is there.
func (m *merger) value(path string, old, src *Node) *Node {
	isValue := old == nil || old.Kind == Value
	switch {
	case src.Kind != Value:
		return m.holder(path, old, src)
	case src.Value == nil && !isValue:
		return old // a null removes no section and no array
	case !isValue && old.Kind == Section:
		m.refuse(path, "a single value cannot replace the section that is there", src)
		return old
	}
	return m.replace(path, old, src)
}

// replace is src, without what it holds, in the place of old.
func (m *merger) replace(path string, old, src *Node) *Node {
	m.tree.looked++
	if len(src.children) == 0 {
		m.set = append(m.set, path)
	}
	n := &Node{Value: src.Value, Origin: src.Origin, Name: src.Name, slice: src.slice}
	n.hold(src.Kind, len(src.children))
	if old != nil {
		n.Name = old.Name
		n.Overrode = slices.DeleteFunc(m.tree.Sources(old), func(source string) bool { return source == src.Origin.Source })
	}
	return n
}

// holder lays a section or an array over old. What is there decides which of the
// two it is.
func (m *merger) holder(path string, old, src *Node) *Node {
	var n *Node
	if old == nil || old.Kind == Value {
		n = m.replace(path, old, src)
	} else {
		c := *old
		n = &c
		n.children, n.first = maps.Clone(old.children), maps.Clone(old.first)
		m.tree.looked += len(n.children)
	}
	for _, child := range m.tree.below(src) {
		name := child.Name
		there := m.tree.Child(n, name)
		if there != nil {
			name = there.Name
		}
		at := Join(path, name)
		switch i, isIndex := index(name); {
		case n.Kind == Array && !isIndex:
			m.refuse(at, "an array is there, and this is not an index of it", child)
		case n.Kind == Array && i > len(n.children):
			m.refuse(at, fmt.Sprintf("the index leaves a gap: the next free one is %d", len(n.children)), child)
		default:
			n.add(m.value(at, there, child))
		}
	}
	return n
}

// Sources are where n and what is below it came from: what was overridden goes
// before what is in force.
func (t *Tree) Sources(n *Node) []string {
	var sources []string
	seen := map[string]bool{"": true}
	t.sources(n, func(source string) {
		if !seen[source] {
			seen[source] = true
			sources = append(sources, source)
		}
	})
	return sources
}

func (t *Tree) sources(n *Node, add func(string)) {
	for _, source := range n.Overrode {
		add(source)
	}
	nodes := t.below(n)
	for _, child := range nodes {
		t.sources(child, add)
	}
	if len(nodes) == 0 {
		add(n.Origin.Source)
	}
}
