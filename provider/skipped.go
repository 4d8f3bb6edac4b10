package provider

import (
	"slices"
	"strings"
)

// Skipped is a secret or an environment variable that was there and set nothing.
type Skipped struct {
	// Source names it as [Origin] names sources: "secret Foo--Bar of https://...", or
	// "environment variable FOO__BAR".
	Source string
	// Reason says why, such as "disabled" or "left out by Sections".
	Reason string
}

// name is the secret's or the variable's name.
func (s Skipped) name() string {
	if name, isVariable := strings.CutPrefix(s.Source, variablePrefix); isVariable {
		return name
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(s.Source, secretPrefix), " of ")
	return name
}

// maxSkipped is how many names of one load are remembered: more secrets than vaults
// have, and more variables than a process gets.
const maxSkipped = 20_000

// Skipped lists what could have set something and did not:
//
//   - secrets that are disabled, that Sections or Filter left out, or that Map dropped;
//   - environment variables whose name has an empty part, or that do not fit the
//     settings that are there.
func (o *Origins) Skipped() []Skipped {
	if !o.lock() {
		return nil
	}
	defer o.mu.Unlock()
	return slices.Clone(o.skipped)
}

// skip records all that was skipped so far.
func (o *Origins) skip(all []Skipped) {
	if !o.lock() {
		return
	}
	defer o.mu.Unlock()
	o.skipped, o.names = slices.Clone(all), nil
}

// skip notes what set nothing.
func (s *settings) skip(more ...Skipped) {
	s.skipped = append(s.skipped, more[:min(len(more), maxSkipped-len(s.skipped))]...)
	s.origins.skip(s.skipped)
}

// skippedOf notes which secrets of a vault set nothing, in the place of what an earlier
// load of it told.
func (s *settings) skippedOf(vault string, secrets []Skipped) {
	s.skipped = slices.DeleteFunc(s.skipped, func(old Skipped) bool { return strings.HasSuffix(old.Source, " of "+vault) })
	s.skip(secrets...)
}
