package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/portnokkel/portnokkel/internal/paste"
	"github.com/portnokkel/portnokkel/internal/problems"
	"github.com/portnokkel/portnokkel/provider/internal/azure"
	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

// The fields of kvSetting.
const (
	clientID     = "ClientId"
	tenantID     = "TenantId"
	clientSecret = "ClientSecret"
	secretURI    = "SecretUri"
)

// kvFields are all of them.
var kvFields = [...]string{clientID, tenantID, clientSecret, secretURI}

// kvSetting is the section that says how to reach the vault. It is passed between
// functions and kept nowhere.
type kvSetting struct {
	name   string                // as the settings spell it
	fields map[string]*tree.Node // those that are there
}

// misplaced says why a text cannot be this field of kvSetting, such as a key in the
// place of a name, and what to do. It quotes nothing.
func misplaced(field, value string) string {
	what := paste.Problem(value, maxField)
	switch {
	case field != clientSecret:
		return cmp.Or(what, paste.Random(value))
	case paste.IsQuoted(value):
		return "is in quotation marks: remove them"
	case strings.Contains(what, "belongs in ClientSecret of kvSetting"):
		return ""
	}
	return what
}

// maxField is longer than an address, a domain or an id, in characters.
const maxField = 300

// bindKVSetting finds the section: kvSetting, or if that is blank kvSettings.
func bindKVSetting(t *tree.Tree) (kvSetting, error) {
	first := kvSetting{name: "kvSetting"}
	for i, name := range []string{"kvSetting", "kvSettings"} {
		n := t.Child(t.Root(), name)
		if n != nil {
			name = n.Name
		}
		err := isSection(n, name)
		if errors.Is(err, ErrNoSection) {
			continue
		}
		if err != nil {
			return kvSetting{}, err
		}
		kv, err := bindFields(t, n)
		if err != nil || !kv.blank() {
			return kv, err
		}
		if i == 0 {
			first = kv
		}
	}
	return first, nil
}

func bindFields(t *tree.Tree, section *tree.Node) (kvSetting, error) {
	kv := kvSetting{section.Name, map[string]*tree.Node{}}
	var wrong []error
	for _, field := range kvFields {
		n := t.Child(section, field)
		if n == nil {
			continue
		}
		kv.fields[field] = n
		if _, isText := n.Value.(string); !isText && (n.Kind != tree.Value || n.Value != nil) {
			wrong = append(wrong, fmt.Errorf("provider: %s is not a text: put it in quotation marks", kv.setting(field)))
		}
		if what := misplaced(field, kv.text(field)); what != "" {
			wrong = append(wrong, fmt.Errorf("provider: %s %s", kv.setting(field), what))
		}
	}
	return kv, problems.Join(wrong...)
}

// text is a field's value, "" if it is blank.
func (kv kvSetting) text(field string) string {
	if n := kv.fields[field]; n != nil {
		text, _ := n.Value.(string)
		return strings.TrimSpace(text)
	}
	return ""
}

// setting is a field's path and, if that is known, its source.
func (kv kvSetting) setting(field string) string {
	source := ""
	if n := kv.fields[field]; n != nil {
		source = n.Origin.Source
	}
	return setting(tree.Join(kv.name, field), source)
}

func (kv kvSetting) blank() bool {
	return strings.Join([]string{kv.text(clientID), kv.text(tenantID), kv.text(clientSecret), kv.text(secretURI)}, "") == ""
}

// missing lists the fields of an identity that are blank but needed.
func (kv kvSetting) missing(cfg ConnectConfig) []string {
	if cfg.Credential != nil {
		return nil
	}
	return slices.DeleteFunc([]string{clientID, tenantID, clientSecret}, func(field string) bool { return kv.text(field) != "" })
}

// missingForVault lists what is blank but needed to reach a vault.
func (kv kvSetting) missingForVault(cfg ConnectConfig) []string {
	missing := kv.missing(cfg)
	if kv.text(secretURI) == "" && cfg.VaultURL == "" {
		missing = append(missing, secretURI)
	}
	return missing
}

// incomplete tells that there is no vault to connect to, as loudly as it should: near
// is what was perhaps meant for the missing fields.
func (kv kvSetting) incomplete(ctx context.Context, cfg ConnectConfig, missing []string, near []finding) error {
	if cfg.Require {
		return errors.New("provider: set " + kv.settings(missing, cfg) + " - " +
			strings.Join(append([]string{"no key vault was connected" + kv.others()}, kv.instead(missing, near)...), "; "))
	}
	level, message := slog.LevelWarn, "provider: no key vault was connected: "+kv.name+" lacks "+strings.Join(missing, ", ")
	if kv.blank() && !slices.ContainsFunc(near, finding.isLikely) {
		level, message = slog.LevelDebug, "provider: no key vault is configured"
	}
	cfg.logger().Log(ctx, level, message, "missing", missing, "hint", strings.Join(kv.instead(missing, near), "; "))
	return nil
}

// settings lists missing fields, each with its source if a blank value has one.
func (kv kvSetting) settings(missing []string, cfg ConnectConfig) string {
	var names []string
	for _, field := range missing {
		names = append(names, kv.setting(field))
	}
	if cfg.Credential != nil {
		names = append(names, "or VaultURL of ConnectConfig")
	}
	return strings.Join(names, ", ")
}

// others tells which fields are set, and where, such as
// ": kvSetting has ClientId, TenantId from appsettings.json"; it is empty if none is.
func (kv kvSetting) others() string {
	fields := map[string][]string{}
	var sources []string
	for _, field := range kvFields {
		if kv.text(field) == "" {
			continue
		}
		source := kv.fields[field].Origin.Source
		if fields[source] == nil {
			sources = append(sources, source)
		}
		fields[source] = append(fields[source], field)
	}
	for i, source := range sources {
		sources[i] = strings.Join(fields[source], ", ")
		if source != "" {
			sources[i] += " from " + source
		}
	}
	if len(sources) == 0 {
		return ""
	}
	return ": " + kv.name + " has " + strings.Join(sources, ", ")
}

// instead tells what is there in the place of missing fields, and what would have been
// read.
func (kv kvSetting) instead(missing []string, near []finding) []string {
	clauses := clausesOf(near)
	clauses = clauses[:min(len(clauses), 2)]
	path := tree.Join(kv.name, missing[0])
	form := "looked for variable %s and key %s"
	if len(missing) > 1 {
		form = "looked for variables such as %s and keys such as %s"
	}
	return append(clauses, fmt.Sprintf(form, variableName(path), path))
}

// nearKVSetting is what was perhaps meant for missing fields of kvSetting, the
// likeliest first.
func (s *settings) nearKVSetting(kv kvSetting, missing []string) []finding {
	names := newNameIndex(s.tree, s.skipped)
	near := s.otherFields(kv)
	for _, field := range missing {
		near = append(near, names.near(tree.Join(kv.name, field))...)
	}
	return sortFindings(near)
}

// otherFields are the settings in the section that it does not have, such as VaultUri.
func (s *settings) otherFields(kv kvSetting) (found []finding) {
	section := s.tree.Child(s.tree.Root(), kv.name)
	if section == nil {
		return nil
	}
	for _, field := range s.tree.Names(section) {
		known := slices.ContainsFunc(kvFields[:], func(known string) bool { return strings.EqualFold(known, field) })
		if !known && paste.Random(field) == "" {
			path := tree.Join(kv.name, field)
			found = append(found, finding{rankNearSection, name{text: path, path: path, origin: s.tree.Child(section, field).Origin}})
		}
	}
	return found
}

// credential makes the client secret credential that the section describes, and
// a function that closes its connections.
func (kv kvSetting) credential(options azidentity.ClientSecretCredentialOptions) (azcore.TokenCredential, func(), error) {
	var references []string
	for _, field := range kvFields {
		if isReference(kv.text(field)) {
			references = append(references, kv.setting(field))
		}
	}
	if len(references) > 0 {
		return nil, nil, fmt.Errorf("provider: %s: set it by other means - a Key Vault reference cannot be what reaches the vault",
			strings.Join(references, ", "))
	}
	if !azure.IsTenant(kv.text(tenantID)) {
		return nil, nil, fmt.Errorf("provider: %s is neither a GUID nor a domain name: set the directory (tenant) ID of the app registration", kv.setting(tenantID))
	}
	names := azure.Names{TenantID: kv.setting(tenantID), ClientID: kv.setting(clientID), ClientSecret: kv.setting(clientSecret)}
	credential, closeAll, err := azure.ClientSecret(kv.text(tenantID), kv.text(clientID), kv.text(clientSecret), names, options)
	if err != nil {
		return nil, nil, errors.New("provider: check CredentialOptions - azidentity makes no credential with them")
	}
	return credential, closeAll, nil
}
