package vaultkey

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/portnokkel/portnokkel/internal/paste"
	"github.com/portnokkel/portnokkel/internal/problems"
	"github.com/portnokkel/portnokkel/provider/internal/azure"
)

// Config says which key to sign with, and as whom. Key and Credential are needed. The
// zero value of everything else is the safe default.
type Config struct {
	// Key is the key's address, as the portal shows it (Key Identifier), or its name in
	// the vault at VaultURL. Either may go on with a version:
	//
	//	https://my-vault.vault.azure.net/keys/maskinporten
	//	https://my-vault.vault.azure.net/keys/maskinporten/0123456789abcdef0123456789abcdef
	//	maskinporten
	//	maskinporten/0123456789abcdef0123456789abcdef
	//
	// Without a version the newest ones that can be used are taken.
	Key string
	// VaultURL is the vault's address, such as https://my-vault.vault.azure.net. It may
	// be empty if Key is an address.
	VaultURL string
	// Credential is the identity that signs: cred.GetToken of a credential from
	// azidentity, given without calling it. A function cannot be looked into, so nothing
	// that prints a Config shows the credential's secret.
	Credential func(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error)

	// KeyID is what each version is registered as (kid). {name} stands for the key's
	// name in lower case, and {version} for the version. Empty means "{name}.{version}".
	// Without {version} it is for a Key with a version. No two customers of Digdir may
	// have the same key id.
	KeyID string
	// Algorithm is RS256, RS384 or RS512. Empty means RS256.
	Algorithm string

	// Timeout bounds each signature, and each reading of the keys. Zero means
	// DefaultTimeout for a signature, and 30 seconds for a reading. Negative is an error.
	Timeout time.Duration
	// ClientOptions go to azkeys: retries, cloud, transport. An *http.Client given as
	// transport is used as a copy that follows no redirect; without one, the transport
	// is made here.
	//
	// Retry may say how often and for which statuses to try again. If it says neither, a
	// vault that throttles is asked again until Timeout is over. Other temporary
	// failures are tried again three times.
	ClientOptions azkeys.ClientOptions
	// Logger gets warnings. Nil means [slog.Default].
	Logger *slog.Logger
}

// Format prints the key's address and nothing else of the Config.
func (c Config) Format(f fmt.State, _ rune) {
	at, _ := parseTarget(c.Key, c.VaultURL)
	_, _ = fmt.Fprintf(f, "vaultkey.Config{Key: %q}", at)
}

// MarshalText gives encoders what Format prints.
func (c Config) MarshalText() ([]byte, error) { return fmt.Append(nil, c), nil }

const (
	placeName    = "{name}"
	placeVersion = "{version}"
)

// algorithms are those that Maskinporten takes, with their digests.
var algorithms = map[string]crypto.Hash{"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512}

// checked returns c with its defaults filled in and the key that it is about, or all
// that is wrong with it.
func (c Config) checked() (Config, target, error) {
	at, err := parseTarget(c.Key, c.VaultURL)
	wrong := []error{err}
	problem := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("vaultkey: "+format, args...))
	}
	if c.Credential == nil {
		problem("Credential is nil: set the GetToken of one, such as azidentity.NewDefaultAzureCredential's")
	}
	c.KeyID = cmp.Or(c.KeyID, placeName+"."+placeVersion)
	if err := checkKeyID(c.KeyID, at); err != nil {
		problem("KeyID %w", err)
	}
	c.Algorithm = cmp.Or(c.Algorithm, "RS256")
	if algorithms[c.Algorithm] == 0 {
		problem("Algorithm is not one that Maskinporten takes: set RS256, RS384 or RS512")
	}
	if c.Timeout < 0 {
		problem("Timeout %v is negative: set how long a signature may take", c.Timeout)
	}
	if c.ClientOptions.Retry.RetryDelay == 0 {
		c.ClientOptions.Retry.RetryDelay = firstRetry
	}
	if c.Logger == nil || azure.IsNil(c.Logger.Handler()) { // a zero Logger panics
		c.Logger = slog.Default()
	}
	return c, at, problems.Join(wrong...)
}

// checkKeyID's errors go on from the field's name.
func checkKeyID(keyID string, at target) error {
	if what := paste.Problem(keyID, maxKeyID); what != "" {
		return errors.New(what)
	}
	for _, r := range keyID {
		if r <= ' ' || r > '~' {
			return errors.New("holds a character that is not visible ASCII: use letters, digits, dots and dashes")
		}
	}
	if at.name != "" && at.version == "" && !strings.Contains(keyID, placeVersion) {
		return fmt.Errorf("lacks %s: each version is a key of its own, so add it, or name a version in Key", placeVersion)
	}
	return nil
}

// keyID is what a version is registered as.
func (c Config) keyID(name, version string) string {
	return strings.NewReplacer(placeName, strings.ToLower(name), placeVersion, version).Replace(c.KeyID)
}

// addressed is the field that names the vault.
func (c Config) addressed() string {
	if strings.TrimSpace(c.VaultURL) == "" {
		return "Key"
	}
	return "VaultURL"
}

// timeout is Timeout, or what stands for zero.
func (c Config) timeout(zero time.Duration) time.Duration { return cmp.Or(c.Timeout, zero) }

// credential is a Config's, as the SDK takes it.
type credential func(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error)

// GetToken calls c.
func (c credential) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return c(ctx, options)
}
