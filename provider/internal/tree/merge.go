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
	Cure   string // what to do, such as "use the index 2"
	Reason string
	Node   *Node
}

// Merge lays src over t as .NET lays one configuration source over another, and
// leaves both as they were. The rules are those of provider.Merge. What src sets is
// of the given layer from then on.
func (t *Tree) Merge(src *Tree, layer string) Merged {
	m := merger{tree: &Tree{layers: t.layers + 1}, layer: layer}
	m.tree.root = m.holder("", t.root, src.root, false)
	return Merged{m.tree, m.set, m.refused}
}

// merger builds the merged nodes without changing the old ones, which are shared
// as far as they stay as they are.
type merger struct {
	tree    *Tree
	layer   string
	set     []string
	refused []Refusal
}

func (m *merger) refuse(path, cure, reason string, src *Node) {
	m.refused = append(m.refused, Refusal{path, cure, reason, src})
}

// value lays src over old, which is nil when nothing is there.
func (m *merger) value(path string, old, src *Node) *Node {
	isValue := old == nil || old.Kind == Value
	switch {
	case src.Kind != Value:
		return m.holder(path, old, src, src.replaces(old))
	case src.Value == nil && !isValue:
		return old // a null removes no section and no array
	case !isValue && old.Kind == Section && !(src.isText() && old.IsKey()):
		m.refuse(path, "set the keys below it, or remove it", "a single value cannot replace the section that is there", src)
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
	n.Origin.Layer, n.Origin.Order = m.layer, m.tree.layers
	n.hold(src.Kind, len(src.children))
	if old != nil {
		n.Name = old.Name
		n.Overrode = slices.DeleteFunc(m.tree.formers(old), func(f Former) bool { return f.Origin.Source == src.Origin.Source })
	}
	return n
}

// holder lays a section or an array over old. What is there decides which of the
// two it is, unless src takes its place whole.
func (m *merger) holder(path string, old, src *Node, whole bool) *Node {
	var n *Node
	if whole || old == nil || old.Kind == Value {
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
			m.refuse(at, fmt.Sprintf("use an index from 0 to %d", len(n.children)), "an array is there, and this is not an index of it", child)
		case n.Kind == Array && i > len(n.children):
			m.refuse(at, fmt.Sprintf("use the index %d", len(n.children)), "this one leaves a gap in the array", child)
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
	for _, former := range t.formers(n) {
		sources = append(sources, former.Origin.Source)
	}
	return sources
}

// formers are what stands at n and below it, one of each source: what was overridden
// goes before what is in force.
func (t *Tree) formers(n *Node) []Former {
	var formers []Former
	seen := map[string]bool{"": true}
	t.addFormers(n, func(f Former) {
		if !seen[f.Origin.Source] {
			seen[f.Origin.Source] = true
			formers = append(formers, f)
		}
	})
	return formers
}

func (t *Tree) addFormers(n *Node, add func(Former)) {
	for _, former := range n.Overrode {
		add(former)
	}
	nodes := t.below(n)
	for _, child := range nodes {
		t.addFormers(child, add)
	}
	if len(nodes) == 0 {
		add(Former{n.Origin, n.Value})
	}
}
