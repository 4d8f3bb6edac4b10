package httpclient

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/portnokkel/portnokkel/internal/paste"
)

// misplaced reports every setting that holds something else than it can, such as a
// key. Such a value is neither quoted nor sent anywhere. rest is the settings without
// these values, for the other checks.
func (s *MaskinportenSettings) misplaced() (rest *MaskinportenSettings, wrong []error) {
	copied := *s
	for _, f := range settingFields {
		var what string
		switch p := f.target(&copied).(type) {
		case *string:
			if what = f.misplaced(*p); what != "" {
				*p = ""
			}
		case *Secret:
			if what = f.misplaced(p.Reveal()); what != "" {
				*p = Secret{}
			}
		}
		if what != "" {
			wrong = append(wrong, fmt.Errorf("%s %s", s.name(f.names[0]), what))
		}
	}
	return &copied, wrong
}

// isReference recognises a reference to a secret as App Service writes them, and one
// that is misspelt. The provider has replaced those that it can read.
var isReference = regexp.MustCompile(`(?i)^\s*@[\w. ]*key ?vault\b`)

// misplaced says why a text cannot be the setting's value, and what to do. It is empty
// if the text may be the value.
func (f settingField) misplaced(value string) string {
	switch {
	case isReference.MatchString(value):
		return "looks like a Key Vault reference, but it was not followed: write it as @Microsoft.KeyVault(VaultName=my-vault;SecretName=my-secret)"
	case f.most > 0:
		what := paste.Problem(value, f.most)
		if what == "" && f.names[0] != "Kid" {
			what = paste.Random(value) // a key's id may be random
		}
		if what != "" {
			return what
		}
		if f.names[0] == "Scope" && strings.Contains(value, ";") {
			return "has a semicolon: separate scopes by spaces or commas"
		}
	case !f.verbatim && paste.IsQuoted(value):
		return "is in quotation marks: remove them"
	}
	return ""
}
