package tree

import "slices"

// The members of RFC 7517 by which a JSON Web Key and a set of them are known.
const (
	keyType = "kty"
	setKeys = "keys"
)

// IsKey reports whether n is a JSON Web Key, an array of them, or a key set: what may be
// written as one text, too.
func (n *Node) IsKey() bool { return n.isWhole() || n.isSet() }

// isWhole reports whether n is a key or an array of keys. Each is one thing: members of
// two keys make a broken key, and a key of an older set has no place in a newer one.
func (n *Node) isWhole() bool {
	if n == nil || n.Kind != Array {
		return n.hasKeyType()
	}
	for _, element := range n.children {
		if !element.hasKeyType() {
			return false
		}
	}
	return len(n.children) > 0
}

// isSet reports whether n is a section with an array of keys. It may hold other settings,
// so it is not one thing.
func (n *Node) isSet() bool {
	keys := n.member(setKeys)
	return keys != nil && keys.Kind == Array && keys.isWhole()
}

// GaveWay is what stood in n's place, oldest first. What an array "keys" replaced gave way
// to the key set that it belongs to, too. It needs no values.
func (n *Node) GaveWay() []Former {
	if keys := n.member(setKeys); keys != nil && keys.Kind == Array {
		return slices.Concat(n.Overrode, keys.Overrode)
	}
	return n.Overrode
}

// replaces reports whether n takes the place of all that old holds.
func (n *Node) replaces(old *Node) bool { return n.isWhole() || n.isSet() && old.hasKeyType() }

func (n *Node) hasKeyType() bool { return n.member(keyType).isText() }

// isText reports whether n is a text that is not blank: a key may be written as one.
func (n *Node) isText() bool {
	if n == nil {
		return false
	}
	_, isText := n.Value.(string)
	return isText && !isBlank(n.Value)
}

// member is what n holds at a name in any case.
func (n *Node) member(name string) *Node {
	if n == nil {
		return nil
	}
	return n.first[Fold(name)]
}
