package netcause

import (
	"crypto/x509"
	"regexp"
	"strings"
)

// privateLink is the name of a private endpoint, in each of Azure's clouds.
// https://learn.microsoft.com/azure/private-link/private-endpoint-dns
var privateLink = regexp.MustCompile(`(?i)^([0-9a-z-]{3,24})(?:\.privatelink)?\.vaultcore\.(azure\.net|azure\.cn|usgovcloudapi\.net)$`)

// OwnName is the vault's own address if host is that of its private endpoint, and else
// "". The certificate of a vault is for its own name only.
func OwnName(host string) string {
	m := privateLink.FindStringSubmatch(host)
	if m == nil {
		return ""
	}
	return strings.ToLower(m[1] + ".vault." + m[2])
}

// CurePrivate says to use the vault's own name instead of its private endpoint's. It is
// "" if the host is not a private endpoint's.
func CurePrivate(host, address string) string {
	name := OwnName(host)
	if name == "" {
		return ""
	}
	return strings.ReplaceAll(curePrivate(name), "{address}", address)
}

func curePrivate(name string) string {
	return "set {address} to the vault's own name https://" + name + ", which DNS inside the network resolves to the private endpoint"
}

// vaultDomain is the domain of key vaults that a certificate is for, and else "".
func vaultDomain(certificate *x509.Certificate) string {
	if certificate == nil {
		return ""
	}
	for _, name := range certificate.DNSNames {
		for _, domain := range []string{".vault.azure.net", ".vault.azure.cn", ".vault.usgovcloudapi.net"} {
			if strings.EqualFold(name, "*"+domain) {
				return domain
			}
		}
	}
	return ""
}
