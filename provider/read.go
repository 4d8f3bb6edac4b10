package provider

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

// maxPages bounds a listing that never ends: 25,000 secrets.
const maxPages = 1000

// entry is one secret on its way.
type entry struct {
	name                        string
	version                     string // "" is the latest
	value                       string
	updated, notBefore, expires time.Time
}

// failure is what ended a load.
type failure struct {
	step   string
	secret string
	err    error
}

// reading is one load of a vault.
type reading struct {
	cfg     Config
	session session
	entries []*entry
	read    atomic.Int64
	skipped int

	slots chan struct{} // one for each request that may be under way
	wg    sync.WaitGroup
	once  sync.Once
	first *failure
	stop  context.CancelFunc
}

func (v *Vault) load(parent context.Context) (*tree.Tree, error) {
	if v == nil || v.begin == nil {
		return nil, errors.New("provider: a Vault is made by KeyVault or KeyVaultWithClient")
	}
	start := time.Now()
	r, err := v.begin()
	if err != nil {
		return nil, err
	}
	defer r.session.close()
	ctx, cancel := context.WithTimeout(parent, r.cfg.Timeout)
	defer cancel()
	if failed := r.run(ctx); failed != nil {
		return nil, r.explain(*failed, parent, ctx)
	}
	r.warn(time.Now())
	secrets, err := nest(r.entries, r.cfg)
	if err != nil {
		return nil, err
	}
	r.cfg.logger().Debug("provider: key vault read", "vault", r.cfg.VaultURL,
		"secrets", len(r.entries), "disabled", r.skipped, "took", time.Since(start))
	return secrets, nil
}

// run reads everything, or until something fails.
func (r *reading) run(ctx context.Context) *failure {
	ctx, r.stop = context.WithCancel(ctx)
	defer r.stop()
	for _, name := range r.cfg.Secrets {
		r.entries = append(r.entries, &entry{name: name})
	}
	if len(r.entries) > 0 {
		r.named(ctx)
	} else {
		r.listed(ctx)
	}
	r.wg.Wait()
	if r.first == nil && ctx.Err() != nil {
		r.first = &failure{step: stepGet, err: ctx.Err()} // those that waited for their turn
	}
	return r.first
}

// fail keeps the first failure and ends the rest of the load.
func (r *reading) fail(f failure) {
	r.once.Do(func() {
		r.first = &f
		r.stop()
	})
}

// named reads secrets that are known by name: one probes, then all at once.
func (r *reading) named(ctx context.Context) {
	for i, e := range r.entries {
		r.wg.Go(func() {
			if i == 0 {
				r.get(ctx, e)
				r.session.gate.open()
			} else if r.session.gate.wait(ctx) == nil {
				r.get(ctx, e)
			}
		})
	}
}

// listed reads what the vault lists, while it is still being listed. The listing
// keeps one slot for itself until it ends: with only one, reading comes after it.
func (r *reading) listed(ctx context.Context) {
	r.slots <- struct{}{}
	defer func() { <-r.slots }()
	pager := r.session.client.NewListSecretPropertiesPager(nil)
	if pager == nil {
		r.fail(failure{step: stepList, err: errors.New("the client's pager is nil")})
		return
	}
	seen := map[string]bool{}
	for pager.More() {
		page, err := pager.NextPage(ctx)
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = r.take(ctx, page.Value)
		}
		if err == nil && page.NextLink != nil {
			err = checkLink(*page.NextLink, r.cfg.VaultURL, seen)
		}
		if err != nil {
			r.fail(failure{step: stepList, err: err})
			return
		}
	}
}

// take starts to read a page's secrets.
func (r *reading) take(ctx context.Context, page []*azsecrets.SecretProperties) error {
	for _, p := range page {
		name, err := listedName(p)
		if err != nil {
			return err
		}
		e := &entry{name: name}
		if a := p.Attributes; a != nil {
			// No word on it means enabled.
			if a.Enabled != nil && !*a.Enabled {
				r.skipped++
				continue
			}
			e.note(a)
		}
		if !r.cfg.wants(name) {
			continue
		}
		r.entries = append(r.entries, e)
		r.wg.Go(func() { r.get(ctx, e) })
	}
	return nil
}

// get reads one secret's value when a slot is free.
func (r *reading) get(ctx context.Context, e *entry) {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return // run tells, unless a request that was sent tells more
	}
	answer, err := r.session.client.GetSecret(ctx, e.name, e.version, nil)
	<-r.slots
	switch {
	case err != nil:
		r.fail(failure{step: stepGet, secret: e.name, err: err})
	case answer.Value == nil:
		r.fail(failure{step: stepGet, secret: e.name, err: errNoValue})
	default:
		e.value = *answer.Value
		if answer.Attributes != nil {
			e.note(answer.Attributes)
		}
		r.read.Add(1)
	}
}

func (e *entry) note(a *azsecrets.SecretAttributes) {
	keep := func(to, from *time.Time) {
		if from != nil {
			*to = *from
		}
	}
	keep(&e.updated, a.Updated)
	keep(&e.notBefore, a.NotBefore)
	keep(&e.expires, a.Expires)
}

func (r *reading) warn(now time.Time) {
	names := make([]string, 0, len(r.entries))
	for _, e := range r.entries {
		names = append(names, e.name)
		log := r.cfg.logger().With("vault", r.cfg.VaultURL, "secret", e.name)
		if !e.expires.IsZero() && !now.Before(e.expires) {
			log.Warn("provider: the secret has expired; it is loaded all the same", "expires", e.expires)
		}
		if now.Before(e.notBefore) {
			log.Warn("provider: the secret is not valid yet; it is loaded all the same", "notBefore", e.notBefore)
		}
	}
	for _, section := range r.cfg.unmatched(names) {
		r.cfg.logger().Warn("provider: no secret was loaded for one of Sections", "vault", r.cfg.VaultURL, "section", section)
	}
}

var (
	errNoValue   = errors.New("the answer holds no value")
	errNoID      = errors.New("the listing holds a secret without a proper id")
	errOtherHost = errors.New("the listing goes on at another host, which must not get the token")
	errLoop      = errors.New("the listing does not end")
)

// listedName is the name in a listed secret's id, as in
// https://my-vault.vault.azure.net/secrets/NAME.
func listedName(p *azsecrets.SecretProperties) (string, error) {
	if p == nil || p.ID == nil {
		return "", errNoID
	}
	u, err := url.Parse(string(*p.ID))
	if err != nil {
		return "", errNoID
	}
	parts := strings.Split(strings.Trim(u.EscapedPath(), "/"), "/")
	if len(parts) < 2 || len(parts) > 3 || parts[0] != "secrets" || !secretName.MatchString(parts[1]) {
		return "", errNoID
	}
	return parts[1], nil
}

// checkLink refuses to leave the vault's host, where the SDK would take the token
// along, and to go round in circles.
func checkLink(link, vault string, seen map[string]bool) error {
	if link == "" {
		return nil
	}
	u, err := url.Parse(link)
	relative := err == nil && u.Scheme == "" && u.Host == ""
	if vault != "" && !relative && (err != nil || u.Scheme+"://"+plainHost(u) != vault) {
		return errOtherHost
	}
	if seen[link] || len(seen)+1 >= maxPages {
		return errLoop
	}
	seen[link] = true
	return nil
}
