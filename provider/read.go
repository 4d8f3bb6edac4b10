package provider

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/portnokkel/portnokkel/provider/internal/azure"
	"github.com/portnokkel/portnokkel/provider/internal/tree"
)

// entry is one secret on its way.
type entry struct {
	name                                 string
	version                              string // "" is the latest
	value                                string
	created, updated, notBefore, expires time.Time
}

// note takes over what the vault said, as far as it said it.
func (e *entry) note(s azure.Secret) {
	keep := func(to *time.Time, from time.Time) {
		if !from.IsZero() {
			*to = from
		}
	}
	keep(&e.created, s.Created)
	keep(&e.updated, s.Updated)
	keep(&e.notBefore, s.NotBefore)
	keep(&e.expires, s.Expires)
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
	session *azure.Session
	entries []*entry
	read    atomic.Int64
	// Of what was listed: what set nothing, and how many of that are disabled.
	skipped  []Skipped
	disabled int
	// What was listed; nil if nothing was.
	seen snapshot

	slots chan struct{} // one for each request that may be under way
	wg    sync.WaitGroup
	once  sync.Once
	first *failure
	stop  context.CancelFunc
}

// bounded is a context for a load, which ends with its Timeout.
func (c Config) bounded(parent context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(parent, c.Timeout, &azure.LateError{After: c.Timeout})
}

var errNoVault = errors.New("provider: make the Vault with KeyVault or KeyVaultWithClient - this one is empty")

// load reads the secrets and nests them. It also tells which of the listed ones set
// nothing.
func (v *Vault) load(parent context.Context) (*tree.Tree, []Skipped, error) {
	if v == nil || v.begin == nil {
		return nil, nil, errNoVault
	}
	start := time.Now()
	r, err := v.begin()
	if err != nil {
		return nil, nil, err
	}
	defer r.session.Close()
	ctx, cancel := r.cfg.bounded(parent)
	defer cancel()
	if failed := r.run(ctx); failed != nil {
		return nil, nil, r.explain(ctx, *failed)
	}
	v.watches().load(r.sighted())
	r.warn(time.Now())
	secrets, dropped, err := nest(r.entries, r.cfg)
	if err != nil {
		return nil, nil, err
	}
	r.cfg.logger().Debug("provider: key vault read", "vault", r.cfg.VaultURL,
		"secrets", len(r.entries), "disabled", r.disabled, "took", time.Since(start))
	return secrets, append(r.skipped, dropped...), nil
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
		r.first = &failure{step: azure.StepGet, err: ctx.Err()} // those that waited for their turn
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

// named reads secrets that are known by name: one goes first, then all at once.
func (r *reading) named(ctx context.Context) {
	for i, e := range r.entries {
		r.wg.Go(func() {
			if i == 0 || r.session.Wait(ctx) == nil {
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
	r.seen = snapshot{}
	for page, err := range r.session.Pages(ctx) {
		if err != nil {
			r.fail(failure{step: azure.StepList, err: err})
			return
		}
		r.take(ctx, page)
	}
}

// take starts to read a page's secrets.
func (r *reading) take(ctx context.Context, page []azure.Secret) {
	for _, secret := range page {
		r.seen.note(secret)
		reason := "disabled"
		if secret.Disabled {
			r.disabled++
		} else {
			reason = r.cfg.leavesOut(secret.Name)
		}
		if reason != "" {
			r.skipped = append(r.skipped, Skipped{r.cfg.secretSource(secret.Name), reason})
			continue
		}
		e := &entry{name: secret.Name}
		e.note(secret)
		r.entries = append(r.entries, e)
		r.wg.Go(func() { r.get(ctx, e) })
	}
}

// get reads one secret's value when a slot is free.
func (r *reading) get(ctx context.Context, e *entry) {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return // run tells, unless a request that was sent tells more
	}
	secret, err := r.session.Get(ctx, e.name, e.version)
	<-r.slots
	if err != nil {
		r.fail(failure{step: azure.StepGet, secret: e.name, err: err})
		return
	}
	e.value = secret.Value
	e.note(secret)
	r.read.Add(1)
}

// warn tells of secrets outside their time, and of Sections that hold nothing.
func (r *reading) warn(now time.Time) {
	names := make([]string, 0, len(r.entries))
	for _, e := range r.entries {
		names = append(names, e.name)
		log := r.cfg.logger().With("vault", r.cfg.VaultURL, "secret", e.name)
		if !e.expires.IsZero() && !now.Before(e.expires) {
			log.Warn("provider: renew "+e.of(r)+": it expired on "+e.expires.UTC().Format(time.DateOnly)+" - it is loaded all the same", "expires", e.expires)
		}
		if now.Before(e.notBefore) {
			log.Warn("provider: check "+e.of(r)+": it is not yet valid, before "+e.notBefore.UTC().Format(time.DateOnly)+" - it is loaded all the same", "notBefore", e.notBefore)
		}
	}
	for _, section := range r.cfg.unmatched(names) {
		r.cfg.logger().Warn("provider: check Sections: no secret of "+r.cfg.VaultURL+" is in "+named(section), "vault", r.cfg.VaultURL, "section", section)
	}
}

// of names a secret and its vault.
func (e *entry) of(r *reading) string { return "secret " + e.name + " of " + r.cfg.VaultURL }
