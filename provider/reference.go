package provider

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// secretID is a secret's place. The name is in lower case, since Key Vault's names
// have none.
type secretID struct{ vault, name, version string }

const referencePrefix = "@Microsoft.KeyVault("

func isReference(text string) bool {
	text = strings.TrimSpace(text)
	return len(text) >= len(referencePrefix) && strings.EqualFold(text[:len(referencePrefix)], referencePrefix)
}

var (
	vaultName     = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z-]{1,22}[0-9A-Za-z]$`)
	secretVersion = regexp.MustCompile(`^[0-9A-Za-z]{1,64}$`)
)

// vaultSuffixes are the hosts of Key Vault in Azure's clouds.
// https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#vault-name-and-object-name
var vaultSuffixes = []string{".vault.azure.net", ".vault.azure.cn", ".vault.usgovcloudapi.net", ".vault.microsoftazure.de"}

// parseReference reads a reference. Its errors do not quote it.
func parseReference(text, own string) (secretID, error) {
	text = strings.TrimSpace(text)
	inner, closed := strings.CutSuffix(text[len(referencePrefix):], ")")
	if !closed {
		return secretID{}, errors.New(`does not end with ")"`)
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(inner, ";") {
		name, value, _ := strings.Cut(part, "=")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch _, twice := parts[name]; {
		case name == "" && value == "":
			continue // a semicolon at the end
		case twice:
			return secretID{}, errors.New("names a part twice")
		case name != "secreturi" && name != "vaultname" && name != "secretname" && name != "secretversion":
			return secretID{}, errors.New("has a part that is not SecretUri, VaultName, SecretName or SecretVersion")
		}
		parts[name] = value
	}
	var id secretID
	if uri, ok := parts["secreturi"]; ok {
		if len(parts) > 1 {
			return secretID{}, errors.New("has other parts beside SecretUri")
		}
		var err error
		if id, err = parseSecretURI(uri); err != nil {
			return secretID{}, err
		}
	} else {
		if !vaultName.MatchString(parts["vaultname"]) || strings.Contains(parts["vaultname"], "--") {
			return secretID{}, errors.New("has no VaultName, or one that cannot be a vault's: 3 to 24 letters, digits and dashes")
		}
		id = secretID{"https://" + strings.ToLower(parts["vaultname"]) + suffixLike(own), parts["secretname"], parts["secretversion"]}
	}
	switch {
	case !secretName.MatchString(id.name):
		return secretID{}, errors.New("has no secret's name, or one that cannot be a secret's: 1 to 127 letters, digits and dashes")
	case id.version != "" && !secretVersion.MatchString(id.version):
		return secretID{}, errors.New("has a version that cannot be a secret's")
	case id.vault != own && !isVaultHost(id.vault):
		return secretID{}, errors.New("names a host that is neither Key Vault's nor kvSetting's own vault")
	}
	id.name = strings.ToLower(id.name)
	return id, nil
}

// parseSecretURI reads https://VAULT/secrets/NAME, with a version or without.
func parseSecretURI(uri string) (secretID, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return secretID{}, errors.New("its SecretUri is not a URL")
	}
	segments := strings.Split(strings.Trim(u.EscapedPath(), "/"), "/")
	if segments[0] != "secrets" || len(segments) < 2 || len(segments) > 3 || u.RawQuery != "" || u.Fragment != "" {
		return secretID{}, errors.New("its SecretUri is not of the form https://VAULT/secrets/NAME")
	}
	u.Path, u.RawPath = "", ""
	vault, err := cleanVaultURL(u.String())
	if err != nil {
		return secretID{}, fmt.Errorf("its SecretUri %w", err)
	}
	return secretID{vault, segments[1], strings.Join(segments[2:], "")}, nil
}

func isVaultHost(vault string) bool { return suffixOf(vault) != "" }

func suffixOf(vault string) string {
	for _, suffix := range vaultSuffixes {
		name := strings.TrimSuffix(strings.TrimPrefix(vault, "https://"), suffix)
		if strings.HasSuffix(vault, suffix) && vaultName.MatchString(name) {
			return suffix
		}
	}
	return ""
}

// suffixLike is the cloud of the settings' own vault, or else the public one.
func suffixLike(own string) string {
	if suffix := suffixOf(own); suffix != "" {
		return suffix
	}
	return vaultSuffixes[0]
}
