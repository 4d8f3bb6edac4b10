package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/portnokkel/portnokkel/internal/paste"
	"github.com/portnokkel/portnokkel/internal/problems"
	"github.com/portnokkel/portnokkel/provider/internal/azure"
)

const (
	// DefaultConcurrency is how many requests to a vault are under way at most
	// when Config.Concurrency is zero. .NET's provider does the same.
	DefaultConcurrency = 32
	// DefaultTimeout bounds a whole load when Config.Timeout is zero.
	DefaultTimeout = 30 * time.Second
)

// Credential is the identity that reads a vault: the GetToken method of a credential
// that azidentity makes. Give the method itself, without calling it:
//
//	cred, err := azidentity.NewDefaultAzureCredential(nil)
//	if err != nil {
//		return err
//	}
//	cfg := provider.Config{VaultURL: url, Credential: cred.GetToken}
//
// Every [azcore.TokenCredential] has that method, one of your own too. A credential
// may hold secrets, and a function cannot be looked into: so nothing that prints or
// encodes a Config, or a struct that holds one, shows them.
type Credential func(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error)

var _ azcore.TokenCredential = Credential(nil)

// GetToken calls c. It makes c an [azcore.TokenCredential].
func (c Credential) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if c == nil {
		return azcore.AccessToken{}, errors.New("provider: the Credential is nil")
	}
	return c(ctx, options)
}

// Config says which vault to read, as whom, and what of it. VaultURL and
// Credential are needed. The zero value of everything else is the safe default.
type Config struct {
	// VaultURL is the vault's address, such as https://my-vault.vault.azure.net.
	// One that holds a user name or password is refused.
	VaultURL string
	// Credential is the identity that reads: cred.GetToken of a credential from
	// azidentity, given without calling it.
	Credential Credential

	// Secrets names the secrets to load. Nothing is listed then, so the identity
	// only needs the permission to get. A secret that is missing or disabled is an
	// error, and so is Sections or Filter beside it. Empty loads what the vault
	// lists.
	Secrets []string
	// Sections keeps the listed secrets whose name is one of these keys or lies
	// below one, in any case: "Maskinporten" keeps Maskinporten--ClientId. Empty
	// keeps all.
	Sections []string
	// Filter keeps the listed secrets for whose names it returns true. Nil keeps
	// all. What Sections or Filter leave out is never read.
	Filter func(name string) bool
	// Map turns a secret into a key, in the syntax of secret names ("--" nests),
	// and a value. An empty key drops the secret. A map[string]any or []any becomes
	// many keys. A colon in a key nests too, as in a settings file. Nil keeps name
	// and value as they are. Map is called for one secret of a load at a time, in
	// the order of the listing. Loads at the same time call it, and Filter, at the
	// same time.
	Map func(name, value string) (key string, v any)

	// Concurrency is how many requests to the vault may be under way at once,
	// listing included. Zero means DefaultConcurrency; negative is an error. For
	// hundreds of Secrets more is faster, up to what the vault takes at once on an
	// HTTP/2 connection. All replicas of a service share the vault's 4,000 reads in
	// 10 seconds: https://learn.microsoft.com/azure/key-vault/general/service-limits
	Concurrency int
	// Timeout bounds a whole load. Zero means DefaultTimeout; negative is an error.
	Timeout time.Duration

	// WatchEvery is how often [Vault.Watch] lists the vault. Zero means
	// DefaultWatchEvery; less than 10 seconds is an error. In a [ConnectConfig], which
	// makes no Vault, it has to be zero.
	WatchEvery time.Duration

	// ClientOptions go to azsecrets: retries, API version, cloud, transport. An
	// *http.Client given as transport is used as a copy that follows no redirect;
	// without one, the transport is made here.
	//
	// Retry may say how often and for which statuses to try again. If it says
	// neither, a vault that throttles is asked again until Timeout is over. Other
	// temporary failures are tried again three times.
	ClientOptions azsecrets.ClientOptions
	// Logger gets warnings, and what was loaded at debug level. Nil means
	// [slog.Default].
	Logger *slog.Logger

	from vaultSetting
}

// vaultSetting is a vault's address, and what errors call the setting that it is from.
type vaultSetting struct{ url, name string }

// addressed is what errors call the setting of VaultURL; "" is its own name.
func (c Config) addressed() string {
	if c.VaultURL != c.from.url {
		return "" // it was changed since
	}
	return c.from.name
}

// ConnectConfig is what the second stage takes: a [Config] for the vault that the
// settings name, and what only that stage uses. The zero value is ready for use:
// a complete section kvSetting says which vault, and as whom.
type ConnectConfig struct {
	// Config is for the vault that the settings name. SecretUri of kvSetting goes
	// before VaultURL. A Credential goes before the fields of kvSetting that make
	// one; nil means a client secret from them.
	Config

	// CredentialOptions are for the credential that is made from kvSetting. Beside
	// a Credential they are an error.
	CredentialOptions azidentity.ClientSecretCredentialOptions
	// Require makes an incomplete kvSetting section an error.
	Require bool
	// Origins, when not nil, is told which setting came from which secret.
	Origins *Origins
}

// Format prints which secrets of which vault the Config is about. It leaves out
// everything that might hold a credential.
func (c Config) Format(f fmt.State, _ rune) {
	vault, _ := cleanVaultURL(c.VaultURL)
	_, _ = fmt.Fprintf(f, "provider.Config{VaultURL: %q, Secrets: %q, Sections: %q}", vault, allShown(c.Secrets), allShown(c.Sections))
}

// MarshalText gives encoders what Format prints.
func (c Config) MarshalText() ([]byte, error) { return fmt.Append(nil, c), nil }

// Format prints what Config's does, and Require.
func (c ConnectConfig) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "provider.ConnectConfig{Config: %v, Require: %v}", c.Config, c.Require)
}

// MarshalText gives encoders what Format prints.
func (c ConnectConfig) MarshalText() ([]byte, error) { return fmt.Append(nil, c), nil }

func (c Config) logger() *slog.Logger { return usable(c.Logger) }

// usable is l, or [slog.Default] if l is nil or zero: a zero Logger panics.
func usable(l *slog.Logger) *slog.Logger {
	if l == nil || azure.IsNil(l.Handler()) {
		return slog.Default()
	}
	return l
}

// checked returns c with its defaults filled in, its lists copied and its secrets'
// names made unique, or all that is wrong with it.
func (c Config) checked(withURL bool) (Config, error) {
	var errs []error
	problem := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("provider: "+format, args...))
	}
	if withURL {
		clean, err := cleanVaultURL(c.VaultURL)
		if err != nil {
			problem("VaultURL %w", err)
		}
		c.VaultURL = clean
	}
	for i, name := range c.Secrets {
		if what := notASecret(name, false); what != "" {
			problem("Secrets: give 1 to 127 letters, digits and dashes, with -- between the parts of a key - name %d %s", i+1, what)
		}
	}
	for i, name := range c.Sections {
		if what := notASecret(name, true); what != "" {
			problem("Sections: give letters, digits and dashes, with -- between the parts of a key - name %d %s", i+1, what)
		}
	}
	c.Secrets, c.Sections = uniqueFold(c.Secrets), slices.Clone(c.Sections)
	if len(c.Secrets) > 0 && (len(c.Sections) > 0 || c.Filter != nil) {
		problem("Secrets: leave it empty, or Sections and Filter - those choose from a listing, and with Secrets nothing is listed")
	}
	if c.Concurrency < 0 {
		problem("Concurrency: set 1 or more, or 0 for %d - it is %d", DefaultConcurrency, c.Concurrency)
	}
	if c.Timeout < 0 {
		problem("Timeout: set a duration, or 0 for %v - it is %v", DefaultTimeout, c.Timeout)
	}
	if what := paste.Problem(c.ClientOptions.APIVersion, maxVersion); what != "" {
		problem("ClientOptions.APIVersion %s", what)
	}
	if what := paste.Problem(c.ClientOptions.Telemetry.ApplicationID, maxField); what != "" {
		problem("ClientOptions.Telemetry.ApplicationID %s", what)
	}
	if c.WatchEvery != 0 && c.WatchEvery < minWatchEvery {
		problem("WatchEvery: set %v or more, or zero for %v - it is %v", minWatchEvery, DefaultWatchEvery, c.WatchEvery)
	}
	if c.Concurrency == 0 {
		c.Concurrency = DefaultConcurrency
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.WatchEvery == 0 {
		c.WatchEvery = DefaultWatchEvery
	}
	return c, problems.Join(errs...)
}

// maxVersion is longer than a version of Key Vault's interface, such as
// "2025-06-01-preview", in characters.
const maxVersion = 40

// notASecret says why a name is not one of a secret, or of a section of secrets. It is
// empty if the name may be one.
func notASecret(name string, isSection bool) string {
	switch what := cmp.Or(paste.Problem(name, 127), paste.Random(name)); {
	case what != "":
		return what
	case name == "":
		return "is empty"
	case isSection && strings.HasSuffix(name, "--"):
		return "ends with --"
	case !azure.IsSecretName(name):
		return "has other characters"
	}
	return ""
}

func allShown(names []string) []string {
	var all []string
	for _, name := range names {
		all = append(all, shown(name))
	}
	return all
}

// unmatched lists the Sections without a secret among the names.
func (c Config) unmatched(names []string) []string {
	return slices.DeleteFunc(slices.Clone(c.Sections), func(section string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return inSection(name, section) })
	})
}

func inSection(name, section string) bool {
	name, section = strings.ToLower(name), strings.ToLower(section)
	return name == section || strings.HasPrefix(name, section+"--")
}

// leavesOut says why a listed secret is not to be read; it is empty for one that is.
func (c Config) leavesOut(name string) string {
	switch {
	case len(c.Sections) > 0 && !slices.ContainsFunc(c.Sections, func(section string) bool { return inSection(name, section) }):
		return "left out by Sections"
	case c.Filter != nil && !c.Filter(name):
		return "left out by Filter"
	}
	return ""
}

// cleanVaultURL returns a vault's address without what may be left out. Its
// errors go on from the name of the setting, and do not quote it: a pasted URL
// may hold a password.
func cleanVaultURL(raw string) (string, error) {
	raw = strings.TrimSpace(raw)
	u, err := url.Parse(raw)
	what := paste.Problem(raw, maxField)
	switch {
	case what != "":
		return "", errors.New(what)
	case raw == "":
		return "", errors.New("is empty: set the vault's address, such as https://my-vault.vault.azure.net")
	case err != nil:
		return "", errors.New("is not a URL: set the vault's address, such as https://my-vault.vault.azure.net")
	case strings.EqualFold(u.Hostname(), "portal.azure.com"):
		return "", errors.New(`is a page of the Azure portal: set the "Vault URI" that the vault's overview page shows`)
	case u.Scheme != "https":
		return "", errors.New("does not begin with https://: set the vault's address, such as https://my-vault.vault.azure.net")
	case u.Hostname() == "":
		return "", errors.New("has no host: set the vault's address, such as https://my-vault.vault.azure.net")
	case !isHost(u.Hostname()):
		return "", errors.New("has a host that cannot be one: set the vault's address, such as https://my-vault.vault.azure.net")
	case strings.HasSuffix(u.Hostname(), "."):
		return "", errors.New("has a host that ends with a dot: remove it")
	case u.User != nil:
		return "", errors.New("holds a user name: set the vault's address only")
	case (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		if slices.ContainsFunc(vaultSuffixes, func(suffix string) bool { return strings.HasSuffix(u.Host, suffix) }) {
			return "", fmt.Errorf("goes on after the host: set https://%s", u.Host)
		}
		return "", errors.New("goes on after the host: set the vault's address only")
	}
	return "https://" + azure.PlainHost(u), nil
}

// isHost reports whether a host can be one: a literal address, or a name whose parts
// have at most 63 letters, digits, dashes and underscores. Anything else may be a secret.
func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	for label := range strings.SplitSeq(host, ".") {
		if len(label) > 63 || strings.ContainsFunc(label, notInHost) {
			return false
		}
	}
	return true
}

func notInHost(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_'
}

func uniqueFold(names []string) []string {
	var unique []string
	seen := map[string]bool{}
	for _, name := range names {
		if lower := strings.ToLower(name); !seen[lower] {
			seen[lower] = true
			unique = append(unique, name)
		}
	}
	return unique
}

// checked is Config's. A VaultURL is not needed here, but it must not be wrong.
func (c ConnectConfig) checked() (Config, error) {
	checked, err := c.Config.checked(c.VaultURL != "")
	if c.Credential != nil && !reflect.ValueOf(c.CredentialOptions).IsZero() {
		err = problems.Join(err, errors.New("provider: CredentialOptions: leave them empty beside a Credential - they are for the one that kvSetting makes"))
	}
	if c.WatchEvery != 0 {
		err = problems.Join(err, errors.New("provider: WatchEvery: leave it zero here - it is for the Watch of a Vault that KeyVault makes"))
	}
	return checked, err
}
