package provider

import (
	"errors"
	"fmt"
	gomaps "maps"

	"github.com/knadh/koanf/maps"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/internal/problems"
	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

// Merge lays src over dest as .NET lays one configuration source over another.
// It is meant for [koanf.WithMergeFunc]:
//
//	err := k.Load(source, parser, koanf.WithMergeFunc(provider.Merge))
//
// What src holds is copied, so that neither side sees later changes to the
// other. On an error dest is as it was. All problems are reported at once, each
// with the path of its setting, whose parts are joined by ":".
//
//   - Keys: upper and lower case are the same, at every level, inside arrays
//     too. The spelling already in dest stays. Of two keys in src that differ in
//     case only, the one that sorts last in byte order wins.
//   - Sections (map[string]any) merge key by key.
//   - Arrays (any slice but []byte) overlay by index: element i changes element
//     i, elements that are sections merge, further ones are appended, and what
//     src does not mention stays. A section whose keys are all indices ("0",
//     "1", ... without leading zeros) does the same to an array. An index that
//     would leave a gap is an error, and so is any other key.
//   - An array over a section sets the keys "0", "1" and so on: a section stays
//     a section. Onto nothing a section stays a section, whatever its keys.
//   - A single value replaces a single value or an array, of any type. Over a
//     section it is an error, because the section's keys would be lost.
//   - A section or an array over a single value replaces it, as koanf does.
//     (.NET keeps both, which a koanf cannot hold.)
//   - A JSON Web Key (a section below the top with a text "kty") is one thing, and so is
//     an array of keys, as in a key set. In src it replaces what is there whole. A text
//     replaces a key or a key set that is there. (.NET mixes the members of two keys,
//     which breaks the key.)
//   - A null changes single values only. It removes no section and no array.
func Merge(src, dest map[string]any) error {
	own := maps.Copy(src)
	if len(own) != len(src) {
		return errors.New("provider: leave out of src what is not plain data - it holds a value that cannot be copied")
	}
	if dest == nil && len(src) > 0 {
		return errors.New("provider: give Merge a map to merge into - dest is nil")
	}
	merged := tree.FromMap(dest, tree.Origin{}).Merge(tree.FromMap(own, tree.Origin{}), "")
	if err := refusals(merged.Refused); err != nil {
		return err
	}
	gomaps.Copy(dest, merged.Tree.Map())
	return nil
}

// refusals is what was refused, each with its source if that is known.
func refusals(refused []tree.Refusal) error {
	var errs []error
	for _, r := range refused {
		errs = append(errs, fmt.Errorf("provider: %s: %s - %s", setting(r.Path, r.Node.Origin.Source), r.Cure, r.Reason))
	}
	return problems.Join(errs...)
}

// setting is how errors name a setting: its path and, if that is known, its source.
func setting(path, source string) string {
	if source == "" {
		return path
	}
	return path + " (" + source + ")"
}

// settings are an app's settings while layers are laid over one another.
type settings struct {
	tree       *tree.Tree
	skipped    []Skipped
	origins    *Origins
	credential Credential // what was made from kvSetting
	closeIdle  func()     // closes what credential keeps open
}

// settingsOf is the settings in k, with the sources that origins knows.
func settingsOf(k *koanf.Koanf, origins *Origins) *settings {
	s := &settings{tree: tree.FromMap(k.Raw(), tree.Origin{}), skipped: origins.Skipped(), origins: origins}
	origins.lend(s.tree)
	return s
}

// apply lays one layer over the settings and records it. On an error they are as
// they were.
func (s *settings) apply(layer string, src *tree.Tree) error {
	merged := s.tree.Merge(src, layer)
	if err := refusals(merged.Refused); err != nil {
		return err
	}
	s.accept(layer, merged)
	return nil
}

// accept is apply without what was refused.
func (s *settings) accept(layer string, merged tree.Merged) {
	s.tree = merged.Tree
	s.origins.record(Layer{Name: layer, Status: StatusRead, Keys: merged.Set}, merged.Tree)
}

// into makes the settings the content of k.
func (s *settings) into(k *koanf.Koanf) error {
	replace := func(src, dest map[string]any) error {
		gomaps.Copy(dest, src) // no key is ever removed
		return nil
	}
	return k.Load(confmap.Provider(s.tree.Map(), ""), nil, koanf.WithMergeFunc(replace))
}
