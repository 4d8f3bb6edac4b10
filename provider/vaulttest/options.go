package vaulttest

import (
	"maps"
	"time"
)

// tokenLife is about what Entra gives.
const tokenLife = time.Hour

// Option changes a server before it starts. A nil Option changes nothing.
type Option func(*config)

type config struct {
	secrets                  map[string]string
	vaultHost, authorityHost string
	clock                    func() time.Time // nil: time.Now
	latency                  time.Duration
	tokenLife                time.Duration
	roleDelay                time.Duration
	noList, noGet            bool
	noKeys, noSign           bool
	firewall                 bool
	apiVersions              []string // empty: every well-formed one
	paging                   Paging
}

func newConfig(opts []Option) config {
	c := config{secrets: map[string]string{}, tokenLife: tokenLife}
	for _, opt := range opts {
		if opt != nil {
			opt(&c)
		}
	}
	return c
}

// WithSecrets stores secrets, name to value, as [Server.Set] does.
func WithSecrets(secrets map[string]string) Option {
	return func(c *config) { maps.Copy(c.secrets, secrets) }
}

// WithLatency makes each answer of the vault and of Entra take at least d.
func WithLatency(d time.Duration) Option { return func(c *config) { c.latency = d } }

// WithClock sets the clock by which tokens and keys expire, secrets and keys are
// stamped and [WithRoleDelay] counts. The server calls it concurrently. Without it the clock
// is [time.Now].
func WithClock(now func() time.Time) Option { return func(c *config) { c.clock = now } }

// WithTokenLifetime sets how long tokens live, one hour by default.
func WithTokenLifetime(d time.Duration) Option { return func(c *config) { c.tokenLife = d } }

// WithVaultHost gives the vault a host name of its own, such as
// "my-vault.vault.azure.net". Only [Server.Transport] reaches that name.
// Under any other name the vault is then not found.
func WithVaultHost(host string) Option { return func(c *config) { c.vaultHost = host } }

// WithAuthorityHost gives Entra a host name of its own, such as
// "login.microsoftonline.com", as [WithVaultHost] does for the vault.
func WithAuthorityHost(host string) Option { return func(c *config) { c.authorityHost = host } }

// WithoutList takes the permission to list secrets and their versions from the
// client: the vault answers 403 ForbiddenByRbac.
func WithoutList() Option { return func(c *config) { c.noList = true } }

// WithoutGet takes the permission to read secrets from the client: the vault
// answers 403 ForbiddenByRbac.
func WithoutGet() Option { return func(c *config) { c.noGet = true } }

// WithoutKeys takes the permission to read keys and to sign with them from the client,
// as one has it who may only read secrets: the vault answers 403 ForbiddenByRbac.
func WithoutKeys() Option { return func(c *config) { c.noKeys = true } }

// WithoutSign takes the permission to sign with keys from the client. It may still read
// them, as the role Key Vault Reader lets it. The vault answers 403 ForbiddenByRbac.
func WithoutSign() Option { return func(c *config) { c.noSign = true } }

// WithRoleDelay makes the client's role take effect d after the server started.
// Until then the vault answers 403 ForbiddenByRbac. In Azure a new role can take
// up to 10 minutes.
func WithRoleDelay(d time.Duration) Option { return func(c *config) { c.roleDelay = d } }

// WithFirewall puts the client outside the vault's network: the vault answers 403
// ForbiddenByFirewall and names the client's address, 203.0.113.7.
func WithFirewall() Option { return func(c *config) { c.firewall = true } }

// WithAPIVersions sets the versions of the REST API that the vault serves, oldest
// first. It refuses others as Azure Stack Hub's vault does. Without it the vault
// serves every version that has the form of one, such as "7.4" or "2025-07-01".
func WithAPIVersions(versions ...string) Option {
	return func(c *config) { c.apiVersions = versions }
}

// Paging changes how the vault links the pages of a listing. Key Vault has been
// seen doing each of these. The zero value is what it does most often.
type Paging struct {
	// Port writes ":443" into nextLink. It needs [WithVaultHost]: without a host
	// name the vault's address has another port.
	Port bool
	// APIVersion replaces the client's api-version in nextLink, unless it is "".
	APIVersion string
	// EmptyPages is how many empty pages come before each page with entries.
	EmptyPages int
}

// WithPaging changes how the vault links the pages of a listing.
func WithPaging(p Paging) Option { return func(c *config) { c.paging = p } }
