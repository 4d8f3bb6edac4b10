// Package tree holds settings as one tree, in which every value knows its source.
//
// Settings files, variables, arguments and secrets each become a [Tree]. Laying
// one over another ([Tree.Merge]) gives the settings and the sources in one step,
// so that the two cannot disagree. [Tree.Map] makes koanf's map of it.
//
// Upper and lower case are the same in every key, and the spelling that came
// first stays. Each operation takes time in proportion to the number of keys.
package tree

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Origin says where a value came from.
type Origin struct {
	// Source is for people: "appsettings.json", "environment variable A__B".
	Source string
	// Layer is what was laid over the settings as one: a file, the environment.
	Layer string
	// Order is the place of that layer among the layers: larger is later, 0 unknown.
	Order int
	// Secret is the secret's name when the value came from a vault. Version is the one
	// that a reference names, "" for the latest.
	Secret, Version string
	// Created and Expires are the secret's, zero if the vault did not tell.
	Created, Expires time.Time
}

// Kind is what stands at a place of the tree.
type Kind int

// The kinds.
const (
	Value   Kind = iota // a single value, null included
	Section             // keys, each with a place of its own
	Array               // elements
)

// Node is a place in a tree. A nil *Node is a place with nothing in it.
type Node struct {
	Name     string // as it was spelt first
	Kind     Kind
	Value    any      // of a Value
	Origin   Origin   // of a section or array: who made it
	Overrode []Former // what stood here before, oldest first

	children map[string]*Node // by name; an array's are "0" to "n-1"
	first    map[string]*Node // the same by folded name: the first in byte order
	slice    reflect.Type     // of an Array that came as a typed slice, such as []string
	filled   bool             // the value was not blank, in a tree that holds none
}

// Former is a value that gave way to a later one.
type Former struct {
	Origin Origin
	Value  any
}

// hidden stands for a value in a tree that holds none.
type hidden struct{}

// Tree is settings. Make it with [New] or [FromMap]. It is not safe for
// concurrent use.
type Tree struct {
	root   *Node
	layers int // how many were laid over one another
	looked int // how many nodes were looked at: see TestCostIsLinear
}

// New is a tree without settings.
func New() *Tree { return FromMap(nil, Origin{}) }

// FromMap is a tree of koanf's form: sections are map[string]any, arrays are
// slices of anything but bytes, and everything else is a value. Keys that differ
// in case only stay apart until the tree is laid over another.
func FromMap(m map[string]any, o Origin) *Tree {
	t := &Tree{}
	t.root = t.node("", m, o)
	return t
}

// node is v as a place of its own. v may be a *Node, or hold some.
func (t *Tree) node(name string, v any, o Origin) *Node {
	t.looked++
	n := &Node{Name: name, Origin: o}
	if other, ok := v.(*Node); ok {
		*n = *other
		n.Name = name
		return n
	}
	if section, ok := v.(map[string]any); ok {
		n.hold(Section, len(section))
		for key, value := range section {
			n.add(t.node(key, value, o))
		}
		return n
	}
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Slice || r.Type().Elem().Kind() == reflect.Uint8 {
		n.Value = v
		return n
	}
	n.hold(Array, r.Len())
	if _, plain := v.([]any); !plain {
		n.slice = r.Type()
	}
	for i := range r.Len() {
		n.add(t.node(strconv.Itoa(i), r.Index(i).Interface(), o))
	}
	return n
}

// Replace sets a value in the place of one that only said what to set.
func (n *Node) Replace(value any, o Origin) {
	n.Value, n.Origin = value, o
}

// hold makes n a value, or a section or an array with nothing in it yet.
func (n *Node) hold(kind Kind, size int) {
	n.Kind = kind
	if kind != Value {
		n.children, n.first = make(map[string]*Node, size), make(map[string]*Node, size)
	}
}

// add gives n a child, in the place of the one with the same spelling.
func (n *Node) add(child *Node) {
	n.children[child.Name] = child
	folded := Fold(child.Name)
	if first := n.first[folded]; first == nil || child.Name <= first.Name {
		n.first[folded] = child
	}
}

// Child is the place at a key of n. The exact spelling goes before any other, then
// the one that is first in byte order.
func (t *Tree) Child(n *Node, key string) *Node {
	t.looked++
	if child := n.children[key]; child != nil {
		return child
	}
	return n.first[Fold(key)]
}

// below is what n holds, indices first and in the order of their numbers, then
// names in byte order.
func (t *Tree) below(n *Node) []*Node {
	t.looked += len(n.children)
	return slices.SortedFunc(maps.Values(n.children), func(a, b *Node) int {
		i, isIndex := index(a.Name)
		j, alsoIndex := index(b.Name)
		switch {
		case isIndex && alsoIndex:
			return cmp.Compare(i, j)
		case isIndex:
			return -1
		case alsoIndex:
			return 1
		}
		return cmp.Compare(a.Name, b.Name)
	})
}

// Section is the section at a path, made if nothing is there. Changing it changes
// t. It is false when a value or an array is in the way.
func (t *Tree) Section(path []string, o Origin) (section *Tree, ok bool) {
	at, ok := t.descend(path, o)
	return &Tree{root: at}, ok
}

// descend is Section with what is in the way instead of the section.
func (t *Tree) descend(path []string, o Origin) (at *Node, ok bool) {
	n := t.root
	for i, key := range path {
		next := t.Child(n, key)
		if next == nil {
			next = t.node(key, map[string]any{}, o)
			n.add(next)
		}
		path[i] = next.Name
		if next.Kind != Section {
			return next, false
		}
		n = next
	}
	return n, true
}

// Put sets what is at a path, and returns what stood there. It is false, and
// changes nothing, when a section stands there or a value or an array is in the
// way: then that is what it returns. The path takes on the spelling of the tree.
func (t *Tree) Put(path []string, value any, o Origin) (old *Node, ok bool) {
	last := len(path) - 1
	at, ok := t.descend(path[:last], o)
	if !ok {
		return at, false
	}
	if old = t.Child(at, path[last]); old != nil {
		path[last] = old.Name
		if old.Kind == Section {
			return old, false
		}
	}
	at.add(t.node(path[last], value, o))
	return old, true
}

// MakeArrays turns each section below the top whose keys are exactly "0" to "n-1"
// into an array: in variables, arguments and names of secrets there is no other
// way to write one.
func (t *Tree) MakeArrays() {
	for _, n := range t.below(t.root) {
		t.makeArrays(n)
	}
}

func (t *Tree) makeArrays(n *Node) {
	isArray := len(n.children) > 0
	for i, child := range t.below(n) {
		t.makeArrays(child)
		isArray = isArray && child.Name == strconv.Itoa(i)
	}
	if isArray {
		n.Kind = Array
	}
}

// Find is the place at a path, spelt in any case, whose parts the delimiter
// joins; a key may hold the delimiter itself. An array's elements are found by
// their index. It is nil when nothing is there.
func (t *Tree) Find(path, delimiter string) *Node { return t.find(t.root, path, delimiter) }

func (t *Tree) find(n *Node, path, delimiter string) *Node {
	for end := 0; delimiter != ""; {
		i := strings.Index(path[end:], delimiter)
		if i < 0 {
			break
		}
		end += i
		if child := t.Child(n, path[:end]); child != nil {
			if found := t.find(child, path[end+len(delimiter):], delimiter); found != nil {
				return found
			}
		}
		end += len(delimiter)
	}
	return t.Child(n, path)
}

// Names are the keys of a section, sorted.
func (t *Tree) Names(n *Node) []string { return slices.Sorted(maps.Keys(n.children)) }

// Root is the section that holds everything.
func (t *Tree) Root() *Node { return t.root }

// Walk visits each value, with the keys that lead to it. A section or an array
// that is empty counts as a value.
func (t *Tree) Walk(visit func(path []string, n *Node)) { t.WalkFrom(t.root, nil, visit) }

// WalkFrom visits what is below n, which stands at path. The path given to visit
// is valid during the call only.
func (t *Tree) WalkFrom(n *Node, path []string, visit func(path []string, n *Node)) {
	nodes := t.below(n)
	for _, child := range nodes {
		t.WalkFrom(child, append(path, child.Name), visit)
	}
	if len(nodes) == 0 && n != t.root {
		visit(path, n)
	}
}

// Map is the settings as koanf has them. It shares no section and no array with
// t. Of a nil *Tree it is nil.
func (t *Tree) Map() map[string]any {
	if t == nil {
		return nil
	}
	m, _ := t.Plain(t.root).(map[string]any)
	return m
}

// Plain is n as koanf has it. An array that came as a typed slice stays one while
// its elements fit.
func (t *Tree) Plain(n *Node) any {
	t.looked++
	switch n.Kind {
	case Section:
		section := make(map[string]any, len(n.children))
		for name, child := range n.children {
			section[name] = t.Plain(child)
		}
		return section
	case Array:
		array := make([]any, len(n.children))
		for i := range array {
			array[i] = t.Plain(n.children[strconv.Itoa(i)])
		}
		return typed(array, n.slice)
	}
	return n.Value
}

func typed(array []any, slice reflect.Type) any {
	if slice == nil {
		return array
	}
	result := reflect.MakeSlice(slice, len(array), len(array))
	for i, v := range array {
		if v == nil && slice.Elem().Kind() == reflect.Interface {
			continue
		}
		if v == nil || !reflect.TypeOf(v).AssignableTo(slice.Elem()) {
			return array
		}
		result.Index(i).Set(reflect.ValueOf(v))
	}
	return result.Interface()
}

// Adopt takes over what from knows of the sources. What stands in both places has
// to be of one kind.
func (t *Tree) Adopt(from *Tree) {
	if from != nil {
		t.layers = max(t.layers, from.layers)
		t.adopt(t.root, from.root)
	}
}

func (t *Tree) adopt(n, from *Node) {
	if from == nil || n.Kind != from.Kind {
		return
	}
	n.Origin, n.Overrode = from.Origin, from.Overrode
	for _, child := range t.below(n) {
		t.adopt(child, t.Child(from, child.Name))
	}
}

// WithoutValues is a copy of t that holds no value, only sources. Of what a value
// overrode it keeps what had another value.
func (t *Tree) WithoutValues() *Tree { return &Tree{root: t.bare(t.root), layers: t.layers} }

func (t *Tree) bare(n *Node) *Node {
	t.looked++
	c := *n
	c.Value, c.Overrode, c.filled = nil, nil, n.isFilled()
	for _, former := range n.Overrode {
		if !isBlank(former.Value) && !reflect.DeepEqual(former.Value, n.Value) {
			c.Overrode = append(c.Overrode, Former{former.Origin, hidden{}})
		}
	}
	c.hold(n.Kind, len(n.children))
	for _, child := range n.children {
		c.add(t.bare(child))
	}
	return &c
}

// IsSet reports whether n, or anything below it, is a value that is neither null nor a
// blank text.
func (n *Node) IsSet() bool {
	if n == nil || n.Kind == Value {
		return n.isFilled()
	}
	for _, child := range n.children {
		if child.IsSet() {
			return true
		}
	}
	return false
}

func (n *Node) isFilled() bool {
	return n != nil && n.Kind == Value && (n.filled || !isBlank(n.Value))
}

// isBlank reports whether v counts as not set.
func isBlank(v any) bool {
	text, isText := v.(string)
	return v == nil || isText && strings.TrimSpace(text) == ""
}
