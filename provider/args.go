package provider

import (
	"fmt"
	"strings"

	"github.com/portnokkel/portnokkel/internal/problems"
	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

const argumentsLayer = "arguments"

type argument struct {
	key, value string
	parts      []string
}

// arguments is those of a.Args that set something. What .NET's command line
// provider would ignore or refuse is ignored. That is logged at debug level by its
// position only, because an argument's text may be a secret.
func (a AppConfig) arguments() []argument {
	if a.Args == nil {
		return nil
	}
	var found []argument
	args := a.Args()
	for i := 0; i < len(args); i++ {
		position := i + 1
		skip := func(why string) {
			a.logger().Debug("provider: argument skipped: "+why, "position", position)
		}
		key, value, hasValue := strings.Cut(args[i], "=")
		prefix := argumentPrefix(key)
		key = key[len(prefix):]
		switch {
		case pasted(key) != "":
			a.logger().Warn("provider: argument skipped: its name "+pasted(key), "position", position)
			continue
		case prefix == "-":
			skip("settings take two dashes")
			continue
		case prefix == "" && (!hasValue || !strings.Contains(key, tree.Delimiter)):
			skip("it is not of the form section:key=value")
			continue
		case prefix != "--" && strings.Contains(key, "/"):
			skip("it looks like a file's path or an address")
			continue
		case !hasValue && (i+1 == len(args) || strings.HasPrefix(args[i+1], "--")):
			skip("it has no value")
			continue
		case !hasValue:
			i++
			value = args[i]
		}
		parts, ok := tree.Split(key)
		if !ok {
			skip("its key is not the path of a setting")
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

// loadArguments applies the arguments. Of two for one setting the later wins.
func (a AppConfig) loadArguments(s *settings) error {
	args := tree.New()
	var clashes []error
	found := a.arguments()
	for _, arg := range found {
		if _, ok := args.Put(arg.parts, arg.value, tree.Origin{Source: "argument --" + arg.key}); !ok {
			clashes = append(clashes, fmt.Errorf(
				"provider: argument --%s: set either a value or the keys below it - the arguments set both", arg.key))
		}
	}
	args.MakeArrays()
	if len(found) > 0 {
		clashes = append(clashes, a.apply(s, argumentsLayer, args))
	}
	return problems.Join(clashes...)
}
