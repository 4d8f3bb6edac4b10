package tree

// The members of RFC 7517 by which a JSON Web Key and a set of them are known.
const (
	keyType = "kty"
	setKeys = "keys"
)

// IsKey reports whether n is a JSON Web Key, an array of such keys, or a key set. Each
// is one thing: members of two keys make a broken key, and a key of an older set has
// no place in a newer one.
func (n *Node) IsKey() bool {
	if n == nil {
		return false
	}
	switch n.Kind {
	case Section:
		keys := n.member(setKeys)
		return n.hasKeyType() || keys != nil && keys.Kind == Array && keys.IsKey()
	case Array:
		for _, element := range n.children {
			if !element.hasKeyType() {
				return false
			}
		}
		return len(n.children) > 0
	}
	return false
}

func (n *Node) hasKeyType() bool {
	return n.member(keyType).isText()
}

// isText reports whether n is a text that is not blank: a key may be written as one.
func (n *Node) isText() bool {
	if n == nil {
		return false
	}
	_, isText := n.Value.(string)
	return isText && !isBlank(n.Value)
}

// member is a key of n in any case.
func (n *Node) member(name string) *Node { return n.first[Fold(name)] }
