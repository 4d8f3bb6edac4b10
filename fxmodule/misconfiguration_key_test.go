package fxmodule_test

import (
	"encoding/base64"
	"os"
	"strings"
)

// key plants an EncodedJwk in the vault.
func key(encode func(s *site) string) func(*site) {
	return func(s *site) { s.vault.Set(jwkSecret, encode(s)) }
}

// file is a file of testdata/keys.
func (s *site) file(name string) []byte {
	data, err := os.ReadFile("../testdata/keys/" + name)
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

func base64Of(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// jwk is the key's JWK, changed.
func jwk(replace ...string) string {
	data, err := base64.StdEncoding.DecodeString(testKey().EncodedJWK())
	if err != nil {
		panic(err) // the double encodes in base64
	}
	return strings.NewReplacer(replace...).Replace(string(data))
}

// ofVault is what names the key's source.
const ofVault = "EncodedJwk (secret " + jwkSecret + " of " + vaultURL + ")"

var wrongKeys = []misconfiguration{
	{
		name: "the key is not base64", tells: atStart,
		plant: inVault(jwkSecret, "%CANARY%"),
		names: []string{ofVault, "base64", "private JWK"}, never: []string{"CANARY"},
	},
	{
		name: "the key is base64 of something else", tells: atStart,
		plant: inVault(jwkSecret, base64Of("CANARY is not a key")),
		names: []string{ofVault, "JSON", "private JWK"}, never: []string{"CANARY"},
	},
	{
		name: "the key is the name of a file", tells: atStart,
		plant: inVault(jwkSecret, "./keys/client.jwk.json"),
		names: []string{ofVault, "base64", "private JWK"},
	},
	{
		name: "the key is public only", tells: atStart,
		plant: key(func(*site) string { return base64Of(`{"kty":"RSA","kid":"k","e":"AQAB","n":"CANARY"}`) }),
		names: []string{ofVault, "public key", "export the private key"}, never: []string{"CANARY"},
	},
	{
		name: "the key is too small", tells: atStart,
		plant: key(func(s *site) string { return base64Of(string(s.file("small.jwk.json"))) }),
		names: []string{ofVault, "1024", "2048"},
	},
	{
		name: "the key is an elliptic curve's", tells: atStart,
		plant: key(func(s *site) string { return base64Of(string(s.file("ec.jwk.json"))) }),
		names: []string{ofVault, "RSA"},
	},
	{
		name: "the key is PEM", tells: atStart,
		plant: pasted("PEM", func(s *site, secret string) { s.vault.Set(jwkSecret, secret) }),
		names: []string{ofVault, "PEM", "JWK"},
	},
	{
		name: "the key is base64 of PEM", tells: atStart,
		plant: pasted("base64 of PEM", func(s *site, secret string) { s.vault.Set(jwkSecret, secret) }),
		names: []string{ofVault, "PEM", "JWK"},
	},
	{
		name: "the key is a PKCS#12 archive", tells: atStart,
		plant: pasted("base64 of PKCS#12", func(s *site, secret string) { s.vault.Set(jwkSecret, secret) }),
		names: []string{ofVault, "EncodedX509"},
	},
	{
		name: "the key is a token", tells: atStart,
		plant: pasted("JWT", func(s *site, secret string) { s.vault.Set(jwkSecret, secret) }),
		names: []string{ofVault, "token (JWT)"},
	},
	{
		name: "the base64 is cut", tells: atStart,
		plant: key(func(*site) string { return testKey().EncodedJWK()[:1000] }),
		names: []string{ofVault, "cut"},
	},
	{
		name: "the base64 is cut within a group", tells: atStart,
		plant: key(func(*site) string { return testKey().EncodedJWK()[:1001] }),
		names: []string{ofVault, "cut"},
	},
	{
		name: "base64 of base64", tells: atStart,
		plant: key(func(*site) string { return base64Of(testKey().EncodedJWK()) }),
		names: []string{ofVault, "twice"},
	},
	{
		name: "the key has no key id", tells: atStart,
		plant: key(func(*site) string { return base64Of(jwk(`"kid":"for-tests-only",`, "")) }),
		names: []string{ofVault, "kid", "Kid"},
	},
	{
		name: "the key's numbers do not fit", tells: atStart,
		plant: key(func(*site) string { return base64Of(jwk(`"q":"`, `"q":"AQ`)) }),
		names: []string{ofVault, "do not fit together"},
	},
	{
		name: "two private keys with one key id", tells: atStart,
		plant: key(func(*site) string { return base64Of(`{"keys":[` + jwk() + `,` + jwk() + `]}`) }),
		names: []string{ofVault, "key id"}, cures: []string{"remove one"},
	},
	{
		name: "more private keys than Maskinporten takes", tells: atStart,
		plant: key(func(*site) string { return base64Of(`[` + strings.Repeat(jwk()+`,`, 5) + jwk() + `]`) }),
		names: []string{ofVault, "5 private keys"}, cures: []string{"remove the oldest"},
	},
	{
		name: "Kid beside two private keys", tells: atStart,
		plant: func(s *site) {
			s.vault.Set(jwkSecret, base64Of(`[`+jwk()+`,`+jwk("for-tests-only", "other")+`]`))
			s.section["Kid"] = "for-tests-only"
		},
		names: []string{ofVault, "Kid (appsettings.json)"}, cures: []string{"remove Kid"},
	},
	{
		name: "the key is for another algorithm", tells: atStart,
		plant: key(func(*site) string { return base64Of(jwk(`"alg":"RS256"`, `"alg":"PS256"`)) }),
		names: []string{ofVault, "PS256", "RS256"},
	},
	{
		name: "a key and a certificate", tells: atStart,
		plant: func(s *site) {
			s.vault.Set("MaskinportenSettings--EncodedX509", base64Of(string(s.file("enterprise.p12"))))
		},
		names: []string{ofVault, "EncodedX509 (secret MaskinportenSettings--EncodedX509 of " + vaultURL + ")", "keep one"},
	},
	{
		name: "an archive with a password", tells: atStart,
		plant: func(s *site) {
			s.vault.Delete(jwkSecret)
			s.section["EncodedX509"] = base64Of(string(s.file("enterprise.p12")))
		},
		names: []string{"EncodedX509 (appsettings.json)", "password"}, cures: []string{"CertificatePkcs12Password"},
	},
	{
		name: "a wrong password of an archive", tells: atStart,
		plant: func(s *site) {
			s.vault.Delete(jwkSecret)
			s.section["CertificatePkcs12Path"] = "../testdata/keys/enterprise.p12"
			s.section["CertificatePkcs12Password"] = "CANARY-0123456789"
		},
		names: []string{"CertificatePkcs12Password (appsettings.json)", "CertificatePkcs12Path (appsettings.json)"}, never: []string{"CANARY"},
	},
	{
		name: "an archive's file is not there", tells: atStart,
		plant: func(s *site) {
			s.vault.Delete(jwkSecret)
			s.section["CertificatePkcs12Path"] = "client.p12"
		},
		names: []string{"CertificatePkcs12Path (appsettings.json)", "working directory"}, cures: []string{"no such file"},
	},
	{
		name: "the archive is a PEM file", tells: atStart,
		plant: func(s *site) {
			s.vault.Delete(jwkSecret)
			s.section["CertificatePkcs12Path"] = "../testdata/keys/enterprise-root.pem"
		},
		names: []string{"CertificatePkcs12Path (appsettings.json)", "PKCS#12"},
	},
	{
		name: "a wrong Kid", tells: atRequest,
		plant: set("Kid", "my-old-key"),
		names: []string{"Kid (appsettings.json)", "not registered"}, cures: []string{"my-old-key", "2 minutes", "2048"},
	},
}
