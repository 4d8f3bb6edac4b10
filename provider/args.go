package provider

import (
	"errors"
	"fmt"
	"strings"

	"github.com/knadh/koanf/v2"
)

const argumentsLayer = "arguments"

type argument struct {
	key, value string
	parts      []string
}

// arguments is those of a.Args that set something. What .NET's command line
// provider would ignore or refuse is ignored, and told at debug level by its
// position, for an argument's text may be a secret.
func (a AppConfig) arguments() []argument {
	var found []argument
	for i := 0; i < len(a.Args); i++ {
		position := i + 1
		skip := func(why string) {
			a.logger().Debug("provider: argument skipped: "+why, "position", position)
		}
		key, value, hasValue := strings.Cut(a.Args[i], "=")
		prefix := argumentPrefix(key)
		key = key[len(prefix):]
		switch {
		case prefix == "-":
			skip("settings take two dashes")
			continue
		case prefix == "" && (!hasValue || !strings.Contains(key, pathDelimiter)):
			skip("it is not of the form section:key=value")
			continue
		case prefix != "--" && strings.Contains(key, "/"):
			skip("it looks like a file's path or an address")
			continue
		case !hasValue && (i+1 == len(a.Args) || strings.HasPrefix(a.Args[i+1], "--")):
			skip("it has no value")
			continue
		case !hasValue:
			i++
			value = a.Args[i]
		}
		parts, ok := splitPath(key)
		if !ok {
			skip("its key is no setting's path")
			continue
		}
		found = append(found, argument{key, value, parts})
	}
	return found
}

func argumentPrefix(arg string) string {
	for _, prefix := range []string{"--", "-", "/"} {
		if strings.HasPrefix(arg, prefix) {
			return prefix
		}
	}
	return ""
}

// loadArguments applies the arguments; of two for one setting the later wins.
func (a AppConfig) loadArguments(k *koanf.Koanf) error {
	tree := map[string]any{}
	keys := map[string]string{}
	var problems []error
	for _, arg := range a.arguments() {
		if !place(tree, arg.parts, arg.value) {
			problems = append(problems, fmt.Errorf(
				"provider: argument --%s: other arguments give this path both a value and keys below it", arg.key))
			continue
		}
		keys[foldKey(arg.key)] = arg.key
	}
	if len(tree) > 0 {
		withArrays(tree)
		problems = append(problems, a.apply(k, argumentsLayer, tree, func(path string) string {
			if key, ok := keys[foldKey(path)]; ok {
				return "argument --" + key
			}
			return argumentsLayer
		}))
	}
	return errors.Join(problems...)
}
