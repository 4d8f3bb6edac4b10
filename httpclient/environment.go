package httpclient

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/portnokkel/portnokkel/internal/paste"
)

// environment is one of Maskinporten's own, whose endpoints need no discovery.
// https://docs.digdir.no/docs/Maskinporten/maskinporten_func_wellknown
type environment struct {
	name     string
	issuer   string
	platform string // the Altinn platform that takes its tokens
	// tokenEndpoint gives its tokens. Empty means {issuer}token. For an issuer
	// without a name, empty means the endpoint in its metadata.
	tokenEndpoint string
	retired       bool // shut down on 2024-06-10
}

var environments = []environment{
	{name: "prod", issuer: "https://maskinporten.no/", platform: "https://platform.altinn.no"},
	{name: "test", issuer: "https://test.maskinporten.no/", platform: "https://platform.tt02.altinn.no"},
	{name: "ver1", issuer: "https://ver1.maskinporten.no/", platform: "https://platform.tt02.altinn.no", retired: true},
	{name: "ver2", issuer: "https://ver2.maskinporten.no/", platform: "https://platform.tt02.altinn.no", retired: true},
}

// platforms are the names that TokenExchangeEnvironment takes besides those of
// the environments.
var platforms = map[string]string{
	"tt02": "https://platform.tt02.altinn.no",
	"at21": "https://platform.at21.altinn.cloud",
	"at22": "https://platform.at22.altinn.cloud",
	"at23": "https://platform.at23.altinn.cloud",
	"at24": "https://platform.at24.altinn.cloud",
	"yt01": "https://platform.yt01.altinn.cloud",
}

// issuerOf is an issuer's URL with its trailing slash.
func issuerOf(url string) string { return strings.TrimSuffix(url, "/") + "/" }

// environment finds the issuer that the settings name.
func (s *MaskinportenSettings) environment() (environment, error) {
	setting, value := s.name("Environment"), s.Environment
	if s.Authority != "" {
		if value != "" {
			first, err := lookupEnvironment(value)
			other, err2 := lookupEnvironment(s.Authority)
			if err != nil || err2 != nil || first.issuer != other.issuer {
				return environment{}, fmt.Errorf("%s and %s name different issuers: keep one of them", setting, s.name("Authority"))
			}
		}
		setting, value = s.name("Authority"), s.Authority
	}
	if value == "" {
		if s.texas != "" {
			return environment{}, nil // Texas knows the issuer
		}
		return environment{}, s.missing([]string{"Environment", "Authority"}, `set it to "test" or "prod", or to the URL of an issuer`)
	}
	env, err := lookupEnvironment(value)
	if err != nil {
		return environment{}, fmt.Errorf("%s %w", setting, err)
	}
	return env, nil
}

// lookupEnvironment takes a name or an issuer's URL. An issuer that is not
// Maskinporten's own comes back without a name.
func lookupEnvironment(value string) (environment, error) {
	for _, env := range environments {
		if strings.EqualFold(value, env.name) || issuerOf(value) == env.issuer {
			return env, nil
		}
	}
	if !strings.Contains(value, "/") {
		if name := nameOf(value); name != "" {
			return environment{}, fmt.Errorf("is a host without https://: use %q", name)
		}
		hint := ""
		if strings.EqualFold(value, "tt02") || strings.EqualFold(value, "staging") {
			hint = `; for Altinn's TT02 it is "test"`
		}
		return environment{}, fmt.Errorf(`is %s: use "test" or "prod", or the URL of an issuer%s`, paste.Brief(value), hint)
	}
	if err := checkURL(value); err != nil {
		return environment{}, err
	}
	if issuer, ok := strings.CutSuffix(strings.TrimSuffix(value, "/"), "/token"); ok {
		return environment{}, fmt.Errorf("is a token endpoint: use the issuer%s", named(issuer))
	}
	if issuer, _, ok := strings.Cut(value, "/.well-known/"); ok {
		return environment{}, fmt.Errorf("is the address of metadata: use the issuer%s", named(issuer))
	}
	if name := nameOf(value); name != "" {
		return environment{}, fmt.Errorf("is not the URL of an issuer: use %q", name)
	}
	return environment{issuer: issuerOf(value)}, nil
}

// nameOf is the environment that a host of Maskinporten's or Altinn's belongs to. It is
// empty for another host. The value is an address, or only its host.
func nameOf(value string) string {
	host := foldHost(hostOf(value))
	for _, env := range environments {
		if host == hostOf(env.issuer) && !env.retired {
			return env.name
		}
	}
	switch production := productionOf(host); {
	case production == nil:
		return ""
	case *production:
		return "prod"
	}
	return "test"
}

// hostOf is what stands between the scheme, if there is one, and the path.
func hostOf(address string) string {
	if _, rest, ok := strings.Cut(address, "://"); ok {
		address = rest
	}
	host, _, _ := strings.Cut(address, "/")
	return host
}

// platform finds the Altinn platform that exchanges the tokens of env.
func (s *MaskinportenSettings) platform(env environment) (string, error) {
	setting, value := s.name("TokenExchangeEnvironment"), s.TokenExchangeEnvironment
	if value == "" {
		if env.platform == "" {
			why := "the issuer is not Maskinporten's own"
			if env.issuer == "" {
				why = "the issuer is not named"
			}
			return "", s.missing([]string{"TokenExchangeEnvironment"}, fmt.Sprintf(`set it to "tt02", "prod" or the platform's base URL, or turn off %s: %s`,
				s.name("ExhangeToAltinnToken"), why))
		}
		return env.platform, nil
	}
	if base, ok := platforms[strings.ToLower(value)]; ok {
		return base, nil
	}
	for _, env := range environments {
		if strings.EqualFold(value, env.name) {
			return env.platform, nil
		}
	}
	if !strings.Contains(value, "/") {
		if productionOf(foldHost(value)) != nil {
			return "", fmt.Errorf("%s is a host without https://: use the platform's base URL", setting)
		}
		return "", fmt.Errorf(`%s is %s: use "tt02", "prod", "at21" to "at24", "yt01", or the platform's base URL`, setting, paste.Brief(value))
	}
	if err := checkURL(value); err != nil {
		return "", fmt.Errorf("%s %w", setting, err)
	}
	base, _, goesOn := strings.Cut(value, exchangePath)
	if goesOn {
		return "", fmt.Errorf("%s is the exchange's own address: use the platform's base URL%s", setting, named(strings.TrimSuffix(base, "/")))
	}
	return strings.TrimSuffix(value, "/"), nil
}

// crossed reports whether production is mixed with a test environment. It is false
// for an issuer or platform that is not known.
func (s *MaskinportenSettings) crossed(env environment, platform string) bool {
	const production = "https://platform.altinn.no"
	known := platform == production
	for _, base := range platforms {
		known = known || platform == base
	}
	return env.name != "" && known && (env.platform == production) != (platform == production)
}

// checkURL admits what a secret may be sent to: https, or http to this machine.
func checkURL(value string) error {
	u, err := url.Parse(value)
	switch {
	case err != nil:
		return errors.New("is not a URL")
	case u.User != nil:
		return errors.New("holds a user name or password: remove it")
	case u.Hostname() == "":
		return fmt.Errorf("is %s: a URL starts with https:// and a host", paste.Brief(value))
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(value, "#"):
		return fmt.Errorf("is %s: remove what follows the path", paste.Brief(u.Scheme+"://"+u.Host+u.Path))
	case u.Port() != "" && !isPort(u.Port()):
		return fmt.Errorf("is %s: a port is a number up to 65535", paste.Brief(value))
	case u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("is %s: use https; plain http would show the token to the network", paste.Brief(value))
}

func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// named is an issuer's address for the end of a sentence, if it may be shown.
func named(issuer string) string {
	if paste.Quotable(issuer) {
		return ", " + issuer + "/"
	}
	return ""
}

// isLoopback reports whether host is this machine by its literal name: a name
// that needs a look-up could be made to point elsewhere. Net/http sends another
// spelling, such as "LOCALHOST" or an address with a zone, to the proxy.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Zone() == "" && addr.Unmap().IsLoopback()
}

// canonicalHost spells a host, without brackets and port, in the way in which
// allowed hosts are compared. An IP address gets its shortest form.
func canonicalHost(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String()
	}
	return foldHost(host)
}

// origin is the scheme, host and port that a token is bound to (RFC 6454
// section 4), spelt one way. A host with a trailing dot is another host.
func origin(u *url.URL) string {
	scheme, port := foldHost(u.Scheme), u.Port()
	switch {
	case port != "":
	case scheme == "https":
		port = "443"
	case scheme == "http":
		port = "80"
	}
	return scheme + "://" + net.JoinHostPort(foldHost(u.Hostname()), port)
}

// foldHost lowers A to Z and nothing else: to Unicode, "İ" is an upper-case "i",
// but to DNS the two are different names.
func foldHost(host string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, host)
}
