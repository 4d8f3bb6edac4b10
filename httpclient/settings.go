package httpclient

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portnokkel/portnokkel/internal/paste"
)

// MaskinportenSettings says which Maskinporten client this is, how it proves
// that, and what its tokens are for. The fields are those of Altinn's
// configuration section of the same name, of both its generations. If a setting
// has another name there, the name stands in brackets. [ParseSettings] makes one
// from a configuration section.
//
// Required are ClientID, a key, and Environment or Authority, except with the Texas of
// [FromNAIS], which knows them itself. Scope is required
// too, unless each request names its scopes with [ContextWithScope]. Everything
// else may stay zero.
//
// The key comes from one source. If Origin tells the order of sources, the latest one
// that has a key counts, in whichever setting it has it: EncodedJWK, JWKS, JWK,
// EncodedX509 or CertificatePKCS12Path. Keys of earlier sources are not used.
//
// Secrets have the type [Secret], so that nothing prints or encodes them.
type MaskinportenSettings struct {
	// Environment is a name or an issuer's URL. The names are "prod" and "test",
	// and the retired "ver1" and "ver2", which NewTokenSource warns about.
	Environment string
	// Authority is an issuer's URL. It means the same as a URL in Environment.
	Authority string

	// ClientID [ClientId] is the client's id in Maskinporten.
	ClientID string
	// Scope lists what the tokens are for, separated by spaces or commas.
	Scope string
	// Resource is the API that the token is meant for (claim "resource").
	Resource string
	// ConsumerOrgNo is the organisation on whose behalf a supplier asks
	// (claim "consumer_org"), nine digits.
	ConsumerOrgNo string

	// EncodedJWK [EncodedJwk, JwkBase64] is the client's private key: the
	// base64 of an RSA JWK.
	EncodedJWK Secret
	// JWK [Jwk] is the same as plain JSON. EncodedJWK wins over it.
	JWK Secret
	// JWKS [Jwks] is several of the client's private keys, newest first: a JWK Set or an
	// array, as JSON or its base64. The next one signs while Maskinporten does not know
	// the newest. A Jwk or EncodedJwk beside it must be one of its keys. EncodedJWK and
	// JWK may hold a set too.
	JWKS Secret
	// EncodedX509 is the base64 of a PKCS#12 archive without a password. The
	// archive holds an enterprise certificate and its key.
	EncodedX509 Secret
	// CertificatePKCS12Path [CertificatePkcs12Path] names a PKCS#12 file. A
	// relative name is looked up in the working directory, then in BaseDir.
	CertificatePKCS12Path string
	// CertificatePKCS12Password [CertificatePkcs12Password] opens that file.
	CertificatePKCS12Password Secret
	// CertificateStoreThumbprint names a certificate in Windows' store, which
	// Go cannot read. The setting is refused, and the error says what to do.
	CertificateStoreThumbprint string
	// KeyVaultKey is the name or the address of a key that never leaves its Key Vault.
	// Settings cannot sign with it: package fxmodule does so if it is told to, and other
	// programs give [WithKeySource] the keys of package vaultkey.
	KeyVaultKey string
	// KeyID [Kid] replaces the key id that the JWK carries. Several keys each carry
	// their own.
	KeyID string

	// ExchangeToAltinnToken [ExhangeToAltinnToken, ExchangeToAltinnToken]
	// exchanges every Maskinporten token to an Altinn token.
	ExchangeToAltinnToken bool
	// TokenExchangeEnvironment is where to exchange: a name ("prod", "tt02",
	// "at21" to "at24", "yt01") or the platform's base URL. Empty means the
	// platform that belongs to Environment.
	TokenExchangeEnvironment string
	// UseAltinnTestOrg asks for a token of the test organisation "ttd". Altinn
	// gives one to Digdir's own organisation only.
	UseAltinnTestOrg bool
	// EnterpriseUserName and EnterpriseUserPassword are sent with the exchange.
	// Altinn abolished enterprise users in 2026 and answers 410 Gone. The name
	// is a secret too, because the two together are one credential.
	EnterpriseUserName     Secret
	EnterpriseUserPassword Secret

	// EnableDebugLog [EnableDebugLog, EnableDebugLogging] logs each step at
	// level Info instead of Debug. No step logs a token, an assertion or a key.
	EnableDebugLog bool
	// EnableAuditLog [EnableAuditLog, EnableAuditLogging] writes a record about each
	// token request, to the logger of [WithLogger]. [WithAuditLog] says what is in it,
	// and names another logger.
	EnableAuditLog bool
	// OverwriteAuthorizationHeader replaces an Authorization header that a
	// request already has. Otherwise the request keeps its own and gets no token.
	OverwriteAuthorizationHeader bool

	// BaseDir is the directory of the file that the settings came from. Empty
	// means there is no such file. It is not a setting, and encoders leave it out.
	BaseDir string `json:"-" xml:"-" yaml:"-"`
	// Origin tells where a setting came from, by the key that it was found under.
	// Errors and hints name the source, those of Parse too if Origin is set before.
	// Nil means that no source is known. It is not a setting either.
	Origin func(key string) Origin `json:"-" xml:"-" yaml:"-"`

	// tokenEndpoint is the endpoint that [FromNAIS] found, of tokenIssuer's
	// tokens. It is not used for another issuer.
	tokenEndpoint, tokenIssuer string
	// texas is the address of Texas's token endpoint that [FromNAIS] found.
	texas string

	// spelt maps a field's name to the key that ParseSettings found it under,
	// so that errors use the user's own spelling.
	spelt map[string]string
	// aside are the spellings of a field's name whose value gave way to another's.
	aside map[string][]string
	// unknown are the keys that ParseSettings does not know.
	unknown []string
}

// Origin is what is known of where a setting came from. The zero value knows nothing.
// A provider.Origin of this module has the same fields and converts to it.
type Origin struct {
	// Source is where the value is from, as errors name it: "appsettings.json".
	Source string
	// Layer is what the source is part of, such as one file, the environment or one
	// vault. Settings of one layer belong together.
	Layer string
	// Overrode names the layers whose values gave way to this one, the oldest first.
	Overrode []string
	// Order is the place of the layer among the layers: the larger one is the later one.
	// Of a section it is the largest one below. It is 0 if that is unknown.
	Order int
	// Mixed is true of a section or an array if what is below it is of several layers.
	Mixed bool
	// Secret names the Key Vault secret that the value came from, whose vault is Layer. It
	// is NAME, or NAME/VERSION if a reference names a version. It is empty if the value is
	// from elsewhere, and of a section that is of several secrets.
	Secret string
	// Created and Expires are those of the Key Vault secret that the value came from,
	// zero if it is from elsewhere or the vault does not say.
	Created, Expires time.Time
	// Instead tells, of a setting that is missing, what is there in its place. Errors
	// about the missing setting end with it. Several clauses are joined by "; ". The last
	// one may begin with "looked for" and tell the exact names.
	Instead string
}

// name is the key that a setting was found under, or else its usual name. The
// source follows if it is known: a setting that was left blank has one too.
func (s *MaskinportenSettings) name(canonical string) string { return s.from(s.spelling(canonical)) }

// spelling is the key that a setting was found under, or else its usual name.
func (s *MaskinportenSettings) spelling(canonical string) string {
	if key, ok := s.spelt[canonical]; ok {
		return key
	}
	return canonical
}

// origin is what is known of where a setting came from. A spelling of it that gave way is
// overridden, too.
func (s *MaskinportenSettings) origin(canonical string) Origin {
	if s.Origin == nil {
		return Origin{}
	}
	origin := s.Origin(s.spelling(canonical))
	for _, key := range s.aside[canonical] {
		former := s.Origin(key)
		origin.Overrode = slices.Concat(former.Overrode, layersOf(former), origin.Overrode)
	}
	return origin
}

// from is a key of the configuration, and where it came from if that is known. A key
// that may be a secret in the wrong place is not shown.
func (s *MaskinportenSettings) from(key string) string {
	shown := key
	if paste.Problem(key, maxKey) != "" || paste.Random(key) != "" {
		shown = fmt.Sprintf("a key of %d characters", len(key))
	}
	if s.Origin != nil {
		if source := s.Origin(key).named(); source != "" && shown == key {
			return key + " (" + source + ")"
		}
	}
	return shown
}

// named is the source, or the layers of an object that has many sources, such as one
// variable for each member of a key.
func (o Origin) named() string {
	if o.Layer != "" && strings.Count(o.Source, ", ") > 1 {
		return o.Layer
	}
	return o.Source
}

// names keeps what errors call these settings, without keeping the settings.
func (s *MaskinportenSettings) names(canonical ...string) map[string]string {
	names := make(map[string]string, len(canonical))
	for _, c := range canonical {
		names[c] = s.name(c)
	}
	names["Environment"] = s.issuerSetting()
	return names
}

// issuerSetting is what names the issuer.
func (s *MaskinportenSettings) issuerSetting() string {
	if s.Authority != "" {
		return s.name("Authority")
	}
	return s.name("Environment")
}

// settingField ties a setting's names to its place in MaskinportenSettings.
type settingField struct {
	names []string // the canonical name first, then every other spelling
	// target gives a *string, a *Secret or a *bool.
	target func(*MaskinportenSettings) any
	// verbatim keeps white space at both ends: a password may have it.
	verbatim bool
	// most is how long a text can be, in characters; 0 for a secret.
	most int
}

func text(most int, p func(*MaskinportenSettings) *string, names ...string) settingField {
	return settingField{names: names, most: most, target: func(s *MaskinportenSettings) any { return p(s) }}
}

func secret(p func(*MaskinportenSettings) *Secret, names ...string) settingField {
	return settingField{names: names, target: func(s *MaskinportenSettings) any { return p(s) }}
}

func password(p func(*MaskinportenSettings) *Secret, names ...string) settingField {
	f := secret(p, names...)
	f.verbatim = true
	return f
}

func flag(p func(*MaskinportenSettings) *bool, names ...string) settingField {
	return settingField{names: names, target: func(s *MaskinportenSettings) any { return p(s) }}
}

// settingFields is every setting of Altinn.ApiClients.Maskinporten and of
// Altinn.App.Core, with the spellings of Altinn's guides.
var settingFields = []settingField{
	text(maxAddress, func(s *MaskinportenSettings) *string { return &s.Environment }, "Environment"),
	text(maxAddress, func(s *MaskinportenSettings) *string { return &s.Authority }, "Authority"),
	text(maxName, func(s *MaskinportenSettings) *string { return &s.ClientID }, "ClientId"),
	text(maxScopes, func(s *MaskinportenSettings) *string { return &s.Scope }, "Scope"),
	text(maxText, func(s *MaskinportenSettings) *string { return &s.Resource }, "Resource"),
	text(maxName, func(s *MaskinportenSettings) *string { return &s.ConsumerOrgNo }, "ConsumerOrgNo"),
	secret(func(s *MaskinportenSettings) *Secret { return &s.EncodedJWK }, "EncodedJwk", "JwkBase64"),
	secret(func(s *MaskinportenSettings) *Secret { return &s.JWK }, "Jwk"),
	secret(func(s *MaskinportenSettings) *Secret { return &s.JWKS }, "Jwks"),
	secret(func(s *MaskinportenSettings) *Secret { return &s.EncodedX509 }, "EncodedX509"),
	text(maxText, func(s *MaskinportenSettings) *string { return &s.CertificatePKCS12Path }, "CertificatePkcs12Path"),
	password(func(s *MaskinportenSettings) *Secret { return &s.CertificatePKCS12Password }, "CertificatePkcs12Password"),
	text(maxName, func(s *MaskinportenSettings) *string { return &s.CertificateStoreThumbprint }, "CertificateStoreThumbprint"),
	text(maxAddress, func(s *MaskinportenSettings) *string { return &s.KeyVaultKey }, "KeyVaultKey"),
	text(maxName, func(s *MaskinportenSettings) *string { return &s.KeyID }, "Kid"),
	flag(func(s *MaskinportenSettings) *bool { return &s.ExchangeToAltinnToken }, "ExhangeToAltinnToken", "ExchangeToAltinnToken"),
	text(maxAddress, func(s *MaskinportenSettings) *string { return &s.TokenExchangeEnvironment }, "TokenExchangeEnvironment"),
	flag(func(s *MaskinportenSettings) *bool { return &s.UseAltinnTestOrg }, "UseAltinnTestOrg"),
	secret(func(s *MaskinportenSettings) *Secret { return &s.EnterpriseUserName }, "EnterpriseUserName"),
	password(func(s *MaskinportenSettings) *Secret { return &s.EnterpriseUserPassword }, "EnterpriseUserPassword"),
	flag(func(s *MaskinportenSettings) *bool { return &s.EnableDebugLog }, "EnableDebugLog", "EnableDebugLogging"),
	flag(func(s *MaskinportenSettings) *bool { return &s.EnableAuditLog }, "EnableAuditLog", "EnableAuditLogging"),
	flag(func(s *MaskinportenSettings) *bool { return &s.OverwriteAuthorizationHeader }, "OverwriteAuthorizationHeader"),
}
