package provider

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/portnokkel/portnokkel/provider/internal/azure"
)

// VaultEvent is what [Vault.Watch] gives its callback: the names of the secrets that
// have changed, as the vault spells them and sorted, and no values. A name is in one of
// the lists only.
type VaultEvent struct {
	// Vault is the vault's address; "" if the Config did not give one.
	Vault string
	// Added are the secrets that were not there before, enabled or not.
	Added []string
	// Changed are those with a new version, or with other attributes, such as a later
	// expiry. The vault does not say which of the two.
	Changed []string
	// Removed are those that are not there any more.
	Removed []string
	// Enabled and Disabled are those that were switched on or off. An enabled one may
	// have a new version as well.
	Enabled, Disabled []string
}

// String is the event in one line, such as
// "https://my-vault.vault.azure.net: changed A, B; removed C".
func (e VaultEvent) String() string {
	var parts []string
	for _, list := range []struct {
		what  string
		names []string
	}{{"added", e.Added}, {"changed", e.Changed}, {"removed", e.Removed}, {"enabled", e.Enabled}, {"disabled", e.Disabled}} {
		if len(list.names) > 0 {
			parts = append(parts, list.what+" "+strings.Join(list.names, ", "))
		}
	}
	if len(parts) == 0 {
		parts = []string{"no secret has changed"}
	}
	vault := e.Vault
	if vault == "" {
		vault = "key vault"
	}
	return fmt.Sprintf("%s: %s", vault, strings.Join(parts, "; "))
}

func (e VaultEvent) isEmpty() bool {
	return len(e.Added)+len(e.Changed)+len(e.Removed)+len(e.Enabled)+len(e.Disabled) == 0
}

// snapshot is the secrets of a vault at one time, by name in lower case.
type snapshot map[string]sighting

// sighting is what tells whether a secret has changed.
type sighting struct {
	name     string
	updated  time.Time
	disabled bool
}

func (s snapshot) note(secret azure.Secret) {
	s[strings.ToLower(secret.Name)] = sighting{secret.Name, secret.Updated, secret.Disabled}
}

// changes is what became of the secrets between s and later, of those that are wanted.
func (s snapshot) changes(later snapshot, wanted func(name string) bool) VaultEvent {
	var e VaultEvent
	add := func(to *[]string, name string) {
		if wanted(name) {
			*to = append(*to, name)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(later)) {
		now := later[key]
		switch before, known := s[key]; {
		case !known:
			add(&e.Added, now.name)
		case before.disabled && !now.disabled:
			add(&e.Enabled, now.name)
		case !before.disabled && now.disabled:
			add(&e.Disabled, now.name)
		case !before.updated.Equal(now.updated):
			add(&e.Changed, now.name)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s)) {
		if _, still := later[key]; !still {
			add(&e.Removed, s[key].name)
		}
	}
	return e
}

// sighted is what a load that worked saw: what was listed, or what it was told to get.
func (r *reading) sighted() snapshot {
	if r.seen != nil {
		return r.seen
	}
	seen := snapshot{}
	for _, e := range r.entries {
		seen.note(azure.Secret{Name: e.name, Updated: e.updated})
	}
	return seen
}
