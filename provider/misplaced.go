package provider

import "github.com/portnokkel/portnokkel/internal/paste"

// Misplaced says what a text looks like that cannot be a setting's value, with what to
// do, such as "looks like a private key (JWK): it belongs in EncodedJwk". It is "" if the
// text may be the value. The value has at most the given number of characters. The text
// is never quoted.
//
// It is for settings of your own. What was pasted into the wrong one by mistake, such as
// a key or a token, is then refused before anything prints it or sends it somewhere.
func Misplaced(text string, most int) string { return paste.Problem(text, most) }
