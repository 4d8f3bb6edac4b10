package provider

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/internal/problems"
	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

// Unmarshal binds the section of k that has this name, in any case, to the struct
// that v points to. The name is a path as in [Section]; an array can be bound to a
// slice.
//
//	var mine struct {
//		Addr    string        `koanf:"addr"`
//		Timeout time.Duration `koanf:"timeout"`
//	}
//	err := provider.Unmarshal(k, "Saksvarsel", &mine)
//
// koanf's own Unmarshal takes a section only in its exact spelling, and leaves v as
// it is otherwise: a variable SAKSVARSEL__ADDR would be lost without an error. Its
// rules for values hold here too: tags are named koanf, and texts become numbers,
// booleans, durations and whatever has an UnmarshalText.
//
// Nothing there is an error that wraps [ErrNoSection] and lists near names. What
// does not fit v is an error that names each setting and holds no value.
func Unmarshal(k *koanf.Koanf, name string, v any) error {
	t, n, err := lookUp(k, name)
	if err == nil && (n == nil || n.Kind != tree.Array) {
		err = isSection(n, name)
	}
	if err != nil {
		return err
	}
	const key = "section"
	only := koanf.New(tree.Delimiter)
	if err := only.Load(confmap.Provider(map[string]any{key: t.Plain(n)}, ""), nil); err != nil {
		return fmt.Errorf("provider: section %s: %w", named(name), err)
	}
	err = only.Unmarshal(key, v)
	if err == nil {
		return nil
	}
	if misfits := misfits(name, err); len(misfits) > 0 {
		return problems.Join(misfits...)
	}
	return fmt.Errorf("provider: section %s: give Unmarshal a pointer to a struct - it got a %T", named(name), v)
}

// misfits names the settings that an error of mapstructure is about. Its own texts
// may quote values.
func misfits(section string, err error) []error {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, one := range several.Unwrap() {
			all = append(all, misfits(section, one)...)
		}
		return all
	}
	field, ok := err.(*mapstructure.DecodeError) //nolint:errorlint // the tree is walked here
	if !ok {
		if err = errors.Unwrap(err); err == nil {
			return nil
		}
		return misfits(section, err)
	}
	path := shown(section)
	if field.Name() != "" {
		path += tree.Delimiter + strings.NewReplacer("[", tree.Delimiter, "]", "", ".", tree.Delimiter).Replace(field.Name())
	}
	reason := "set a value that fits the field"
	var parse *mapstructure.ParseError
	var kind *mapstructure.UnconvertibleTypeError
	switch {
	case errors.As(field, &parse):
		reason = fmt.Sprintf("set a value that can be read as %v", parse.Expected.Type())
	case errors.As(field, &kind):
		reason = fmt.Sprintf("set a value that fits %v - it holds a %T", kind.Expected.Type(), kind.Value)
	}
	return []error{fmt.Errorf("provider: %s: %s", path, reason)}
}
