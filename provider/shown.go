package provider

import (
	"strings"

	"github.com/portnokkel/portnokkel/internal/paste"
)

// pasted says what the name of a variable, an argument or a key looks like that is not
// a name, such as "looks like a private key (JWK): it belongs in EncodedJwk". It is
// empty for a name, and never quotes it.
func pasted(name string) string {
	// This keeps the cost of thousands of ordinary names small.
	if len(name) < 24 && !strings.ContainsFunc(name, notInName) {
		return ""
	}
	if what := paste.Kind(name); what != "" {
		return "looks like " + what
	}
	return ""
}

// notInName reports whether r is not in ordinary names of settings.
func notInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_:.-", r)
}

// shown is a text that may be printed: the given one unless it looks like a secret.
func shown(text string) string {
	if paste.Kind(text) != "" {
		return paste.Brief(text)
	}
	return text
}
