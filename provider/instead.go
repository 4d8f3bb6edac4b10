package provider

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/portnokkel/portnokkel/provider/internal/azure"
	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

// maxInstead is the most characters that a second finding may make of [Origin.Instead].
const maxInstead = 200

// vaultNote is what is known of the vault that the settings name.
type vaultNote struct {
	url     string   // "" if none was connected
	lacking []string // what kvSetting lacks for one
	instead []string // what was perhaps meant for that, and what would have been read
	named   bool     // Secrets names what is read
	mapped  bool     // Map names the keys
}

// condition says when secrets will be read, if none are.
func (v vaultNote) condition() string {
	if n := len(v.lacking); n > 0 && n < len(kvFields) {
		return "once kvSetting has " + strings.Join(v.lacking, ", ")
	}
	return "with a vault"
}

// instead is Origin.Instead for a path at which nothing is set.
func (o *Origins) instead(path string) string {
	if len(o.layers) == 0 || letters(path) == "" {
		return ""
	}
	if o.names == nil {
		o.names = newNameIndex(o.settings, o.skipped)
	}
	found := o.names.near(path)
	isSkipped := len(found) > 0 && found[0].rank == rankSkipped && strings.EqualFold(found[0].name.text, secretName(path))
	clauses := append(clausesOf(found[:min(len(found), 2)]), o.nearFiles...)
	lookedFor := o.lookedFor(path, !isSkipped)
	text := lookedFor
	for i := range clauses[:min(len(clauses), 2)] {
		longer := strings.Join(append(slices.Clone(clauses[:i+1]), lookedFor), "; ")
		if i == 0 || utf8.RuneCountInString(longer) < maxInstead {
			text = longer
		}
	}
	return text
}

// lookedFor says which names set what is at a path.
func (o *Origins) lookedFor(path string, withSecret bool) string {
	section, _, isInSection := strings.Cut(path, tree.Delimiter)
	secret := secretName(path)
	if isKVSetting(letters(section)) || !azure.IsSecretName(secret) {
		withSecret = false
	}
	variable := "variable " + variableName(path)
	if !isInSection {
		variable, secret = variable+"__...", secret+"--..."
	}
	switch {
	case !withSecret:
	case o.vault.url == "":
		return "looked for " + variable + ", key " + path + " and, " + o.vault.condition() + ", secret " + secret
	case o.vault.mapped:
		secret = "a secret that Map calls " + secret
	case o.vault.named:
		secret = "secret " + secret + " (if Secrets names it)"
	default:
		secret = "secret " + secret
	}
	if withSecret {
		return "looked for " + secret + ", " + variable + " and key " + path
	}
	return "looked for " + variable + " and key " + path
}
