package azure

import (
	"context"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// gatedCredential opens the gate as soon as there is a token. A refusal does not
// open it: the other requests would only ask for the same token again.
type gatedCredential struct {
	inner azcore.TokenCredential
	gate  *gate
}

// credentialError marks an error as the credential's.
type credentialError struct{ error }

func (e credentialError) Unwrap() error { return e.error }

// GetToken returns when ctx ends, even if the credential ignores ctx.
func (c gatedCredential) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	ctx = context.WithValue(ctx, gateKey{}, c.gate)
	c.gate.waiting.Add(1)
	token, err := await(ctx, func() (azcore.AccessToken, error) { return c.inner.GetToken(ctx, options) })
	if ctx.Err() != nil {
		// waiting stays raised: it tells what the load was waiting for.
		return azcore.AccessToken{}, credentialError{ctx.Err()}
	}
	if err != nil {
		return azcore.AccessToken{}, credentialError{err}
	}
	c.gate.waiting.Add(-1)
	c.gate.token.Store(&token.Token)
	c.gate.open()
	return token, nil
}

// clientSecret is a client secret credential whose traffic can be asked about.
type clientSecret struct {
	azcore.TokenCredential
	tenant, client string
	secret         func() string // out of reach of fmt
	byDomain       bool
	names          Names
	wire           *wire // what each session's wire to Entra is made like
}

var (
	guid       = regexp.MustCompile(`(?i)^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	domainName = regexp.MustCompile(`(?i)^([0-9a-z]([0-9a-z-]{0,61}[0-9a-z])?\.)+[a-z][0-9a-z-]{0,61}[0-9a-z]$`)
)

// IsTenant reports whether a text can name a tenant: a GUID or a domain name.
func IsTenant(text string) bool { return guid.MatchString(text) || domainName.MatchString(text) }

// ClientSecret makes a client secret credential for a tenant, which is a GUID in
// any case or one of the tenant's domains. names are of the settings that gave it. It
// may be used as long as a service lives, by sessions of several vaults. Its idle
// connections close by themselves after a while. The function that it returns closes
// all of them.
func ClientSecret(tenant, client, secret string, names Names, options azidentity.ClientSecretCredentialOptions) (azcore.TokenCredential, func(), error) {
	byDomain := !guid.MatchString(tenant)
	if !byDomain {
		// The SDK compares it, as text, with the GUID in the vault's challenge.
		tenant = strings.ToLower(tenant)
	}
	transport, closeAll := newTransport(options.Transport, 1)
	w := newPerCall(transport, &options.Retry)
	options.Transport = w
	credential, err := azidentity.NewClientSecretCredential(tenant, client, secret, &options)
	if err != nil {
		return nil, nil, err
	}
	return &clientSecret{credential, tenant, client, func() string { return secret }, byDomain, names, w.outside}, closeAll, nil
}

// GetToken asks the tenant that was set. The vault's challenge names its tenant by
// GUID, which the SDK does not take for the same tenant as a domain: a domain is
// left to Entra, which knows whether it exists.
//
// A session that asks gets to know the credential, even if it was given a function that
// calls it. What is counted and told of the requests belongs to that session.
func (c *clientSecret) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if c.byDomain {
		options.TenantID = ""
	}
	w := c.wire.again()
	if g, ok := ctx.Value(gateKey{}).(*gate); ok {
		w = g.asks(c).wire
	}
	ctx = context.WithValue(ctx, carrier{c.wire}, w)
	return c.TokenCredential.GetToken(ctx, options)
}
