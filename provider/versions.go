package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/portnokkel/portnokkel/internal/paste"
	"github.com/portnokkel/portnokkel/provider/internal/azure"
)

// SecretVersion is one version of a secret. Times that the vault does not give are
// zero.
type SecretVersion struct {
	// Version is the version's id in the vault.
	Version string
	// Created is when this version was stored, Updated when its attributes changed last.
	Created, Updated time.Time
	// NotBefore and Expires are the time in which the version is to be used.
	NotBefore, Expires time.Time

	// These are functions, because reflection reads fields and calls nothing: no
	// printer and no encoder shows the value.
	value    func() string
	settings func() (map[string]any, error)
}

// Value is the secret itself. Nothing that prints or encodes a SecretVersion shows it.
func (v SecretVersion) Value() string {
	if v.value == nil {
		return ""
	}
	return v.value()
}

// Settings is what a load makes of the version by the secret's name and [Config.Map], as
// [Vault.ReadContext] nests it.
func (v SecretVersion) Settings() (map[string]any, error) {
	if v.settings == nil {
		return nil, errors.New("provider: take the SecretVersion from Versions - this one is empty")
	}
	return v.settings()
}

// Versions reads the newest n enabled versions of a secret, newest first. There may be
// fewer. It is what the rotation of a key takes: the new one first, and the previous
// one to fall back on.
//
// A version that has expired or is not valid yet is left out. If there is no other, the
// newest n of those are returned with a warning, as a load does it. Nothing at all is
// an error.
//
// It lists the versions, which takes the permission to list, and then reads n of them
// at once. Secrets, Sections and Filter of the Config are for loads and do not count
// here. The error is mostly an [*Error]. ctx and [Config.Timeout] bound the call.
func (v *Vault) Versions(ctx context.Context, name string, n int) ([]SecretVersion, error) {
	switch {
	case v == nil || v.begin == nil:
		return nil, errNoVault
	case !azure.IsSecretName(name):
		return nil, fmt.Errorf("provider: name the secret that Versions reads by 1 to 127 letters, digits and dashes - the name is %s", paste.Brief(name))
	case n < 1:
		return nil, fmt.Errorf("provider: ask Versions for one version or more - n is %d", n)
	}
	r, err := v.begin()
	if err != nil {
		return nil, err
	}
	defer r.session.Close()
	if !r.session.ListsVersions() {
		return nil, errors.New("provider: give KeyVaultWithClient a client with the method NewListSecretPropertiesVersionsPager, such as an azsecrets.Client, to read Versions")
	}
	r.cfg.Secrets, r.cfg.Sections = nil, nil
	ctx, cancel := r.cfg.bounded(ctx)
	defer cancel()
	return r.versions(ctx, name, n)
}

func (r *reading) versions(ctx context.Context, name string, n int) ([]SecretVersion, error) {
	var listed []azure.Secret
	for page, err := range r.session.Versions(ctx, name) {
		if err != nil {
			return nil, r.explain(ctx, failure{step: azure.StepVersions, secret: name, err: err})
		}
		listed = append(listed, page...)
	}
	for _, version := range newest(listed, n, time.Now()) {
		e := &entry{name: name, version: version.Version}
		e.note(version)
		r.entries = append(r.entries, e)
	}
	if len(r.entries) == 0 {
		return nil, r.noVersion(name, len(listed))
	}
	if failed := r.run(ctx); failed != nil {
		return nil, r.explain(ctx, *failed)
	}
	r.warn(time.Now())
	versions := make([]SecretVersion, 0, len(r.entries))
	for _, e := range r.entries {
		versions = append(versions, SecretVersion{
			Version: e.version, Created: e.created, Updated: e.updated, NotBefore: e.notBefore, Expires: e.expires,
			value: func() string { return e.value },
			settings: func() (map[string]any, error) {
				settings, _, err := nest([]*entry{e}, r.cfg)
				return settings.Map(), err
			},
		})
	}
	return versions, nil
}

// noVersion says why there is nothing to read. A vault lists no versions of a secret
// that it does not have, without an error.
func (r *reading) noVersion(name string, disabled int) error {
	e := &Error{
		Vault: r.cfg.VaultURL, Step: azure.StepVersions, Secret: name,
		reason: "the vault has no such secret", Hint: "create the secret in the vault, or correct its name",
	}
	if disabled > 0 {
		e.reason, e.Hint = fmt.Sprintf("each of its versions (%d) is disabled", disabled), "enable one of them in the vault"
	}
	return e
}

// newest chooses the n versions to read, newest first.
func newest(versions []azure.Secret, n int, now time.Time) []azure.Secret {
	enabled := slices.DeleteFunc(slices.Clone(versions), func(s azure.Secret) bool { return s.Disabled })
	chosen := slices.DeleteFunc(slices.Clone(enabled), func(s azure.Secret) bool {
		return now.Before(s.NotBefore) || !s.Expires.IsZero() && !now.Before(s.Expires)
	})
	if len(chosen) == 0 {
		chosen = enabled
	}
	slices.SortFunc(chosen, func(a, b azure.Secret) int {
		return cmp.Or(b.Created.Compare(a.Created), b.Updated.Compare(a.Updated), cmp.Compare(a.Version, b.Version))
	})
	return chosen[:min(n, len(chosen))]
}
