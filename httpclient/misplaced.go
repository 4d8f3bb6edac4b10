package httpclient

import (
	"errors"
	"fmt"
	"strings"

	"github.com/portnokkel/portnokkel/internal/paste"
)

// misplaced reports every setting that holds something else than it can, such as a
// key. Such a value is neither quoted nor sent anywhere.
func (s *MaskinportenSettings) misplaced() error {
	var problems []error
	for _, f := range settingFields {
		var value string
		switch p := f.target(s).(type) {
		case *string:
			value = *p
		case *Secret:
			value = p.Reveal()
		}
		if what := f.misplaced(value); what != "" {
			problems = append(problems, fmt.Errorf("%s %s", s.name(f.names[0]), what))
		}
	}
	return errors.Join(problems...)
}

// misplaced says why a text cannot be the setting's value, and what to do. It is empty
// if the text may be the value.
func (f settingField) misplaced(value string) string {
	switch {
	case f.most > 0:
		if what := paste.Problem(value, f.most); what != "" {
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
