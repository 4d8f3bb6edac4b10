package vaultkey

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/portnokkel/portnokkel/internal/paste"
	"github.com/portnokkel/portnokkel/provider/internal/azure"
)

// target is which key, or which version of it, to use.
type target struct {
	vault   string // as in https://my-vault.vault.azure.net
	name    string
	version string // "" for the newest
}

// String is the key's address.
func (t target) String() string {
	if t.name == "" {
		return ""
	}
	return strings.TrimSuffix(t.vault+"/keys/"+t.name+"/"+t.version, "/")
}

// at is the same key in another version.
func (t target) at(version string) target {
	t.version = version
	return t
}

var versionID = regexp.MustCompile(`^[0-9a-fA-F]{32}$`)

const exampleKey = "https://my-vault.vault.azure.net/keys/my-key"

// parseTarget reads Config.Key and Config.VaultURL. Its errors quote neither: what was
// pasted there may be a secret.
func parseTarget(key, vaultURL string) (target, error) {
	key, vaultURL = strings.TrimSpace(key), strings.TrimSpace(vaultURL)
	if key == "" {
		return target{}, errors.New("vaultkey: Key is empty: set the key's address, such as " + exampleKey)
	}
	if what := paste.Problem(key, maxKey); what != "" {
		return target{}, errors.New("vaultkey: Key " + what)
	}
	var at target
	path := key
	if strings.Contains(key, "://") {
		u, err := url.Parse(key)
		if err != nil {
			return target{}, errors.New("vaultkey: Key is not a URL: set the key's address, such as " + exampleKey)
		}
		if at.vault, err = vaultOf(u); err != nil {
			return target{}, fmt.Errorf("vaultkey: Key %w", err)
		}
		if path, err = pathOf(u); err != nil {
			return target{}, fmt.Errorf("vaultkey: Key %w", err)
		}
	}
	if vaultURL != "" {
		vault, err := parseVault(vaultURL)
		switch {
		case err != nil:
			return target{}, fmt.Errorf("vaultkey: VaultURL %w", err)
		case at.vault != "" && at.vault != vault:
			return target{}, errors.New("vaultkey: Key is in another vault than VaultURL: leave VaultURL empty")
		}
		at.vault = vault
	}
	name, version, versioned := strings.Cut(path, "/")
	switch {
	case at.vault == "":
		return target{}, errors.New("vaultkey: VaultURL is empty: set the vault's address, or set Key to the key's address, such as " + exampleKey)
	case !azure.IsSecretName(name):
		return target{}, errors.New("vaultkey: Key is not a key's name: set 1 to 127 letters, digits and dashes, or the key's address")
	case versioned && !versionID.MatchString(version):
		return target{}, errors.New("vaultkey: Key has a version that is not 32 hexadecimal digits: copy the Key Identifier, or leave the version out")
	}
	at.name, at.version = name, strings.ToLower(version)
	return at, nil
}

// parseVault's errors go on from the name of the field.
func parseVault(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", errors.New("is not a URL: set the vault's address, such as https://my-vault.vault.azure.net")
	}
	if strings.Trim(u.Path, "/") != "" {
		return "", errors.New("goes on after the host: set the vault's address, and the key in Key")
	}
	return vaultOf(u)
}

// vaultOf is the vault that an address is in. Its errors go on from the name of the
// field.
func vaultOf(u *url.URL) (string, error) {
	switch {
	case u.Scheme != "https":
		return "", errors.New("does not begin with https://")
	case strings.EqualFold(u.Hostname(), "portal.azure.com"):
		return "", errors.New(`is a page of the Azure portal: set the "Key Identifier" that the key's page shows`)
	case u.Hostname() == "":
		return "", errors.New("has no host")
	case strings.HasSuffix(u.Hostname(), "."):
		return "", errors.New("has a host that ends with a dot: remove it")
	case u.User != nil:
		return "", errors.New("holds a user name: remove it")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("goes on after the path: remove what begins with ? or #")
	}
	return "https://" + azure.PlainHost(u), nil
}

// pathOf is NAME or NAME/VERSION of a key's address. Its errors go on from the name of
// the field.
func pathOf(u *url.URL) (string, error) {
	collection, path, _ := strings.Cut(strings.Trim(u.EscapedPath(), "/"), "/")
	switch collection {
	case "keys":
		return path, nil
	case "secrets", "certificates":
		return "", fmt.Errorf("is the address of one of the vault's %s: set a key's, such as %s", collection, exampleKey)
	}
	return "", errors.New("is not a key's address: set one such as " + exampleKey)
}
