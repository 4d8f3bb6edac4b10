package httpclient

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/portnokkel/portnokkel/internal/paste"
)

// normalizeScope lists each scope once, sorted, separated by single spaces: the
// order of scopes carries no meaning (RFC 6749 section 3.3).
func normalizeScope(scope string) string {
	scopes := strings.FieldsFunc(scope, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r' })
	slices.Sort(scopes)
	return strings.Join(slices.Compact(scopes), " ")
}

// isScope checks a list of scopes, by RFC 6749 section 3.3 and a bound of ours.
func isScope(list string) bool {
	return len(list) <= maxScopes && strings.IndexFunc(list, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) < 0
}

// misplacedScopes says why a text cannot be a list of scopes, and what to do. It is
// empty if the text may be one.
func misplacedScopes(list string) string {
	switch what := cmp.Or(paste.Problem(list, maxScopes), paste.Random(list)); {
	case what != "":
		return what
	case strings.Contains(list, ";"):
		return "has a semicolon: separate scopes by spaces or commas"
	case !isScope(normalizeScope(list)):
		return "has a character that no scope can have"
	}
	return ""
}

// scopeText is how Maskinporten's scopes look. Another text is a scope too, but it may
// be a secret in the wrong place.
var scopeText = regexp.MustCompile(`^[A-Za-z][\w.-]{0,40}:[\w./:-]{1,80}$`)

// isShownScope reports whether logs and errors may show a scope of ours.
func isShownScope(scope string) bool { return scopeText.MatchString(scope) || paste.Quotable(scope) }

// secretScopes are the scopes of a list that are not shown.
func secretScopes(list string) []string {
	return slices.DeleteFunc(strings.Fields(list), isShownScope)
}

// showScope is a list of scopes as logs and traces may show it.
func showScope(list string) string {
	if len(secretScopes(list)) > 0 {
		return fmt.Sprintf("a text of %d characters", len(list))
	}
	return cut(list, maxWords)
}

// briefScope is a list of scopes within a sentence.
func briefScope(list string) string {
	switch shown := showScope(list); {
	case len(secretScopes(list)) > 0:
		return "the scope, " + shown + ","
	case strings.Contains(list, " "):
		return "one of " + strings.ReplaceAll(shown, " ", ", ")
	default:
		return shown
	}
}
