package vaultkey

import (
	"cmp"
	"context"
	"crypto/rsa"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/portnokkel/portnokkel/provider/internal/azure"
)

// vault reads one key of a vault, and signs with it.
type vault struct {
	cfg    Config
	at     target
	way    *azure.Lasting
	client *azkeys.Client

	mu     sync.Mutex
	known  map[string]*rsa.PublicKey // by version, of the last reading
	warned map[string]bool           // versions that were warned about
}

// version is what a vault tells of a version.
type version struct {
	id                          string
	disabled                    bool
	created, notBefore, expires time.Time // zero if the vault does not say
}

// note takes over what attributes say. Without a word on it a version is enabled.
func (v *version) note(a *azkeys.KeyAttributes) {
	if a == nil {
		return
	}
	keep := func(to, from *time.Time) {
		if from != nil {
			*to = *from
		}
	}
	keep(&v.created, a.Created)
	keep(&v.notBefore, a.NotBefore)
	keep(&v.expires, a.Expires)
	v.disabled = a.Enabled != nil && !*a.Enabled
}

// unusable says why a version cannot be used now, "" if it can.
func (v *version) unusable(now time.Time) string {
	switch {
	case v.disabled:
		return "is disabled"
	case !v.notBefore.IsZero() && now.Before(v.notBefore):
		return "is not valid before " + date(v.notBefore)
	case !v.expires.IsZero() && !now.Before(v.expires):
		return "expired on " + date(v.expires)
	}
	return ""
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// newest reads up to n versions.
func (v *vault) newest(ctx context.Context, n int) ([]*Key, error) {
	timeout := v.cfg.timeout(readTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, &azure.LateError{After: timeout})
	defer cancel()
	versions := []version{{id: v.at.version}}
	if v.at.version == "" {
		var err error
		if versions, err = v.list(ctx); err != nil {
			return nil, err
		}
	}
	var keys []*Key
	var unusable []string
	public := map[string]*rsa.PublicKey{}
	for _, found := range versions {
		if len(keys) == n {
			break
		}
		key, why, err := v.read(ctx, found)
		switch {
		case err != nil:
			return nil, err
		case why != "":
			unusable = append(unusable, "version "+found.id+" "+why)
		default:
			keys = append(keys, key)
			public[key.version] = key.public
		}
	}
	if len(keys) == 0 {
		return nil, v.noKey(unusable)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.known = public
	return keys, nil
}

// list reads the key's versions, newest first.
func (v *vault) list(ctx context.Context) ([]version, error) {
	call, session := v.way.Call(ctx)
	var versions []version
	pager := v.client.NewListKeyPropertiesVersionsPager(v.at.name, nil)
	err := azure.EachPage(call, session, pager, func(page azkeys.ListKeyPropertiesVersionsResponse) (*string, error) {
		if page.Value == nil {
			return nil, errNoList // the SDK takes an empty answer, null and {} for a page
		}
		for _, p := range page.Value {
			if p == nil {
				return nil, errOtherKey
			}
			id, err := v.versionOf(p.KID)
			if err != nil {
				return nil, err
			}
			found := version{id: id}
			found.note(p.Attributes)
			versions = append(versions, found)
		}
		return page.NextLink, nil
	})
	if err != nil {
		return nil, v.explain(ctx, session, azure.StepKeyVersions, v.at, err)
	}
	slices.SortFunc(versions, func(a, b version) int {
		return cmp.Or(b.created.Compare(a.created), strings.Compare(b.id, a.id))
	})
	if len(versions) > 1 && versions[0].created.Equal(versions[1].created) {
		v.latestFirst(ctx, versions)
	}
	return versions, nil
}

// latestFirst moves the version to the front that the vault calls the latest. Times are
// in whole seconds, and do not tell versions of one second apart. If the vault does not
// answer, the order stays: the reading of a version tells why.
func (v *vault) latestFirst(ctx context.Context, versions []version) {
	call, _ := v.way.Call(ctx)
	answer, err := azure.Await(call, func() (azkeys.GetKeyResponse, error) { return v.client.GetKey(call, v.at.name, "", nil) })
	if err != nil || answer.Key == nil {
		return
	}
	latest, _ := v.versionOf(answer.Key.KID)
	if i := slices.IndexFunc(versions, func(found version) bool { return found.id == latest }); i > 0 {
		found := versions[i]
		copy(versions[1:i+1], versions[:i])
		versions[0] = found
	}
}

var (
	errNoList    = azure.Strange("the answer holds no list of versions, not even an empty one")
	errNoKey     = azure.Strange("the answer holds no key")
	errOtherKey  = azure.Strange("the answer is about another key, or its id is malformed")
	errSignature = azure.Strange("the signature does not fit the version's public key")
)

// versionOf reads a version's id, such as
// https://my-vault.vault.azure.net/keys/NAME/VERSION; the SDK's own reading of it panics
// if it is malformed.
func (v *vault) versionOf(id *azkeys.ID) (string, error) {
	if id == nil {
		return "", errOtherKey
	}
	_, path, found := strings.Cut(string(*id), "/keys/")
	name, version, _ := strings.Cut(path, "/")
	if !found || !strings.EqualFold(name, v.at.name) || !versionID.MatchString(version) {
		return "", errOtherKey
	}
	return strings.ToLower(version), nil
}

// read makes a key of a version, or says why it cannot be used. It asks the vault unless
// the public key is known.
func (v *vault) read(ctx context.Context, found version) (key *Key, why string, err error) {
	if why := found.unusable(time.Now()); why != "" {
		return nil, why, nil
	}
	v.mu.Lock()
	public := v.known[found.id]
	v.mu.Unlock()
	if public == nil || v.at.version != "" {
		call, session := v.way.Call(ctx)
		answer, err := azure.Await(call, func() (azkeys.GetKeyResponse, error) {
			return v.client.GetKey(call, v.at.name, found.id, nil)
		})
		if err == nil {
			public, why, err = v.publicKey(answer.KeyBundle, found.id)
		}
		if err != nil {
			return nil, "", v.explain(ctx, session, azure.StepKey, v.at.at(found.id), err)
		}
		found.note(answer.Attributes)
		if why == "" {
			why = found.unusable(time.Now())
		} else {
			v.warn(ctx, found.id, why)
		}
	}
	if why != "" {
		return nil, why, nil
	}
	return v.key(found, public), "", nil
}

// warn tells once of a version that can never be used.
func (v *vault) warn(ctx context.Context, id, why string) {
	v.mu.Lock()
	known := v.warned[id]
	v.warned[id] = true
	v.mu.Unlock()
	if !known {
		v.cfg.Logger.WarnContext(ctx, "vaultkey: a version of the key "+why, slog.String("key", v.at.at(id).String()))
	}
}

// noKey says that there is no version, or why each cannot be used, newest first.
func (v *vault) noKey(unusable []string) error {
	if len(unusable) == 0 {
		return fmt.Errorf("vaultkey: create the key in the vault (a key, not a secret or a certificate), or correct its name - key %s has no version", v.at)
	}
	cure := "make a new version of the key and register it, or make one of these usable"
	if v.at.version != "" {
		cure = "make the version usable, or name another one in Key"
	}
	if more := len(unusable) - maxReasons; more > 0 {
		unusable = append(unusable[:maxReasons], fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("vaultkey: %s - key %s: %s", cure, v.at.at(""), strings.Join(unusable, ", "))
}
