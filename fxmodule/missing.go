package fxmodule

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/portnokkel/portnokkel/internal/problems"
)

// How fx says what is missing. It hands an error hook nothing but this text.
// TestWhatFxSays pins it, and tells what to do if it changes.
var (
	missingTypes = regexp.MustCompile(`(?s)^.*(?:missing dependencies|could not build arguments) for function "(.*?)"\.(\S+) \((.*):(\d+)\): missing types?: (.*)$`)
	missingType  = regexp.MustCompile(`(?:^|; )(\*http\.Client|\*httpclient\.TokenSource|\*koanf\.Koanf|\*provider\.Origins)\b(?:\[name=("(?:[^"\\]|\\.)*")\])?`)
	buildsClient = regexp.MustCompile(`failed to build \*(?:http\.Client|httpclient\.TokenSource)\[name=("(?:[^"\\]|\\.)*")\]: could not build arguments for function "github\.com/portnokkel/portnokkel/fxmodule"\.`)
)

// failedElsewhere is in fx's text about a constructor's own error.
const failedElsewhere = "received non-nil error from function"

// missing says what to do about an error of fx about a client, or a configuration, that
// no module provides. It is nil if fx's error is about something else.
func (r roster) missing(err error) error {
	text := err.Error()
	parts := missingTypes.FindStringSubmatch(text)
	if parts == nil || strings.Contains(text, failedElsewhere) {
		return nil
	}
	pkg, function, file, line, list := parts[1], parts[2], parts[3], parts[4], parts[5]
	who := fmt.Sprintf("%s.%s (%s:%s)", pkg, function, filepath.Base(file), line)
	if client := buildsClient.FindStringSubmatch(text); client != nil {
		who = "client " + client[1]
	} else if pkg == "reflect" {
		who = "the application" // fx.Populate, or a function that fx.Annotate wraps
	}
	var found []error
	for _, entry := range missingType.FindAllStringSubmatch(list, -1) {
		found = append(found, r.advice(entry[1], entry[2], who))
	}
	return problems.Join(found...)
}

// advice is what to do about one type that is missing. name is quoted; it is "" if the
// type is asked for without a name.
func (r roster) advice(kind, name, who string) error {
	names := make([]string, 0, len(r.Members))
	for _, n := range r.names() {
		names = append(names, strconv.Quote(n))
	}
	there := "there is no such module"
	if len(names) > 0 {
		there = "the names are " + strings.Join(names, ", ")
	}
	switch {
	case kind == "*koanf.Koanf" || kind == "*provider.Origins":
		return fmt.Errorf("fxmodule: add fxmodule.Config() to the application, or provide a %s of your own - %s needs it", kind, who)
	case name == "" && len(names) > 0:
		return fmt.Errorf("fxmodule: ask for the %s by its name, with the field tag `name:%s` in a struct with fx.In - %s asks for one without a name; %s", kind, names[0], who, there)
	case name == "":
		return fmt.Errorf("fxmodule: add fxmodule.Module(\"altinn\") to the application, and ask for the %s with the field tag `name:\"altinn\"` in a struct with fx.In - %s asks for one without a name; %s", kind, who, there)
	case len(names) > 0:
		return fmt.Errorf("fxmodule: ask for %s, or add fxmodule.Module(%s) to the application - %s asks for a %s named %[2]s", strings.Join(names, " or "), name, who, kind)
	}
	return fmt.Errorf("fxmodule: add fxmodule.Module(%s) to the application - %s asks for a %s of that name; %s", name, who, kind, there)
}
