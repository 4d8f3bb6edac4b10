package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/portnokkel/portnokkel/internal/problems"
	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

// maxBrackets keeps hujson, which recurses without a limit, from overflowing the
// stack.
const maxBrackets = 100_000

// jsonFile is one settings file while it becomes a tree. It walks hujson's
// syntax tree because only that still knows the order, the repetitions and the
// places of keys, and the digits of numbers.
type jsonFile struct {
	name     string
	origin   tree.Origin
	data     []byte
	seen     map[string]jsonKey
	problems []error
}

type jsonKey struct {
	path    string
	offset  int
	section bool
}

// parseJSON reads a settings file: JSON with comments, trailing commas and a
// byte order mark allowed.
//
// As in .NET, a key with colons is a path ("Logging:LogLevel") unless one of its
// parts would be empty. A key that is set twice, in whatever case, is an error. A
// whole number is an int64, any other number a float64. What does not fit
// is a [json.Number].
func parseJSON(name string, data []byte) (*tree.Tree, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil, fmt.Errorf("provider: %s: the file is UTF-16: save it as UTF-8", name)
	}
	if n := bytes.Count(data, []byte("{")) + bytes.Count(data, []byte("[")); n > maxBrackets {
		return nil, fmt.Errorf("provider: %s: the file has more than %d objects and arrays", name, maxBrackets)
	}
	root, err := parseHuJSON(data)
	if err != nil {
		return nil, fmt.Errorf("provider: %s: %w", name, syntaxError(err))
	}
	f := &jsonFile{name: name, origin: tree.Origin{Source: name}, data: data, seen: map[string]jsonKey{}}
	if _, ok := root.Value.(*hujson.Object); !ok {
		return nil, f.errorAt(root.StartOffset, "the file must hold one object, {...}")
	}
	settings := tree.New()
	f.value(root, "", 1, settings)
	return settings, problems.Join(f.problems...)
}

// parseHuJSON lets a file end in a comment without a line end, as .NET does and
// hujson does not.
func parseHuJSON(data []byte) (hujson.Value, error) {
	root, err := hujson.Parse(data)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		if ended, endedErr := hujson.Parse(append(bytes.Clone(data), '\n')); endedErr == nil {
			return ended, nil
		}
	}
	return root, err
}

// value is what stands at a path, inside depth-1 other objects and arrays. An
// object's members go into section; nil makes a new one.
func (f *jsonFile) value(v hujson.Value, path string, depth int, section *tree.Tree) any {
	if _, single := v.Value.(hujson.Literal); !single && depth > tree.MaxDepth {
		f.problems = append(f.problems, f.errorAt(v.StartOffset, fmt.Sprintf("more than %d objects and arrays in one another", tree.MaxDepth)))
		return nil
	}
	switch v := v.Value.(type) {
	case *hujson.Object:
		if section == nil {
			section = tree.FromMap(nil, f.origin)
		}
		for _, member := range v.Members {
			f.member(member, path, depth, section)
		}
		return section.Root()
	case *hujson.Array:
		array := make([]any, len(v.Elements))
		for i, element := range v.Elements {
			array[i] = f.value(element, tree.Join(path, strconv.Itoa(i)), depth+1, nil)
		}
		return array
	case hujson.Literal:
		return literal(v)
	}
	return nil
}

// member puts a member of the object at a path into a section.
func (f *jsonFile) member(member hujson.ObjectMember, path string, depth int, into *tree.Tree) {
	name := member.Name.Value.(hujson.Literal).String()
	if what := pasted(name); what != "" {
		f.problems = append(f.problems, f.errorAt(member.Name.StartOffset, "the key "+what))
		return
	}
	parts, ok := tree.Split(name)
	if !ok {
		parts = []string{name}
	}
	_, isSection := member.Value.Value.(*hujson.Object)
	key := jsonKey{tree.Join(path, name), member.Name.StartOffset, isSection}
	if first, again := f.seen[tree.Fold(key.path)]; again && !(isSection && first.section) {
		f.refuse(key, fmt.Sprintf("remove %q or the %q of line %d - upper and lower case are the same", key.path, first.path, f.line(first.offset)))
		return
	}
	f.seen[tree.Fold(key.path)] = key
	var section *tree.Tree
	if isSection {
		section, ok = into.Section(parts, f.origin)
	} else {
		_, ok = into.Put(parts, f.value(member.Value, key.path, depth+1, nil), f.origin)
	}
	if !ok {
		f.refuse(key, fmt.Sprintf("remove %q or what clashes with it - a setting has either a value or keys below it", key.path))
	} else if isSection {
		f.value(member.Value, key.path, depth+1, section)
	}
}

func literal(l hujson.Literal) any {
	switch l.Kind() {
	case '"':
		return l.String()
	case 't', 'f':
		return l.Bool()
	case '0':
		text := string(l)
		if !strings.ContainsAny(text, ".eE") {
			if n, err := strconv.ParseInt(text, 10, 64); err == nil {
				return n
			}
		} else if n, err := strconv.ParseFloat(text, 64); err == nil {
			return n
		}
		return json.Number(text)
	}
	return nil
}

func (f *jsonFile) refuse(key jsonKey, reason string) {
	f.problems = append(f.problems, f.errorAt(key.offset, reason))
}

func (f *jsonFile) errorAt(offset int, reason string) error {
	column := offset - bytes.LastIndexByte(f.data[:offset], '\n')
	return fmt.Errorf("provider: %s: line %d, column %d: %s", f.name, f.line(offset), column, reason)
}

func (f *jsonFile) line(offset int) int {
	return 1 + bytes.Count(f.data[:offset], []byte("\n"))
}

// syntaxError keeps the place that hujson names and the kind of the problem. The
// rest of hujson's text quotes the file, which may hold secrets.
func syntaxError(err error) error {
	var line, column int
	if _, scanErr := fmt.Sscanf(err.Error(), "hujson: line %d, column %d:", &line, &column); scanErr != nil {
		return errors.New("not JSON")
	}
	reason := "not a valid value: put texts in quotation marks, write a backslash as two, and true, false and null in small letters"
	if errors.Is(err, io.ErrUnexpectedEOF) {
		reason = "the file ends too early"
	}
	for _, place := range []string{
		"after top-level value",
		"at start of value",
		"at start of object name",
		"after object name",
		"after object value (expecting ',' or '}')",
		"after array value (expecting ',' or ']')",
	} {
		if strings.HasSuffix(err.Error(), " "+place) {
			reason = "unexpected character " + place
			if strings.HasPrefix(place, "at start") {
				reason += `: put names and texts in straight quotation marks "`
			}
		}
	}
	return fmt.Errorf("line %d, column %d: %s", line, column, reason)
}
