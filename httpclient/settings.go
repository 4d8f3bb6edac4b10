package httpclient

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
)

// MaskinportenSettings says which Maskinporten client this is, how it proves
// that, and what its tokens are for. The fields are those of Altinn's
// configuration section of the same name, of both its generations; the name in
// brackets is the setting's own where Go spells it otherwise. [ParseSettings]
// makes one from a configuration section.
//
// ClientID, Scope, a key, and Environment or Authority are required. Everything
// else may stay zero.
//
// A value of this type prints itself with its secrets replaced, through every
// verb of package fmt, log/slog and encoding/json. Package fmt does not ask it to
// where the value, or a pointer to it, sits in an unexported field of another
// struct: a type that keeps settings so needs a Format method of its own. No type
// of this package keeps them.
type MaskinportenSettings struct {
	// Environment is a name ("prod" or "test"; the retired "ver1" and "ver2"
	// are accepted and warned about) or an issuer's URL.
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
	// base64 of an RSA JWK. Secret.
	EncodedJWK string
	// JWK [Jwk] is the same as plain JSON. EncodedJWK wins over it. Secret.
	JWK string
	// EncodedX509 is the base64 of a PKCS#12 file without a password, holding
	// an enterprise certificate and its key. Secret.
	EncodedX509 string
	// CertificatePKCS12Path [CertificatePkcs12Path] names a PKCS#12 file, relative to the working
	// directory, or where it is not there to BaseDir.
	CertificatePKCS12Path string
	// CertificatePKCS12Password [CertificatePkcs12Password] opens that file. Secret.
	CertificatePKCS12Password string
	// CertificateStoreThumbprint names a certificate in Windows' store, which
	// Go has no access to: it is refused with what to do instead.
	CertificateStoreThumbprint string
	// KeyID [Kid] overrides the key id that the JWK carries.
	KeyID string

	// ExchangeToAltinnToken [ExhangeToAltinnToken, ExchangeToAltinnToken]
	// exchanges every Maskinporten token to an Altinn token.
	ExchangeToAltinnToken bool
	// TokenExchangeEnvironment is where to exchange: a name ("prod", "tt02",
	// "at21" to "at24", "yt01") or the platform's base URL. Empty: the one that
	// belongs to Environment.
	TokenExchangeEnvironment string
	// UseAltinnTestOrg asks for a token of the test organisation "ttd". Altinn
	// honours it for Digdir's own organisation only.
	UseAltinnTestOrg bool
	// EnterpriseUserName is sent with the exchange. Altinn abolished
	// enterprise users in 2026 and answers 410 Gone. Secret together with
	// EnterpriseUserPassword.
	EnterpriseUserName     string
	EnterpriseUserPassword string

	// EnableDebugLog [EnableDebugLog, EnableDebugLogging] logs each step at
	// level Info instead of Debug. Never a token, an assertion or a key.
	EnableDebugLog bool
	// OverwriteAuthorizationHeader replaces an Authorization header that a
	// request already has. False: the caller's own is kept, and that request
	// gets no token.
	OverwriteAuthorizationHeader bool

	// BaseDir is no setting of a file: it is the directory of the file that the
	// settings came from, for what they name relative to it. Empty for none.
	BaseDir string
	// Origin is no setting of a file either: it tells where a setting came from,
	// such as "appsettings.json", by the key it was found under, or "" where that
	// is not known. Errors and hints name it, those of Parse too where it is set
	// beforehand. Nil for none.
	Origin func(key string) string

	// tokenEndpoint is where [FromNAIS] found tokens of tokenIssuer to be asked
	// for; empty, and for another issuer, that is left to the issuer.
	tokenEndpoint, tokenIssuer string

	// spelt maps a field's name to the key that ParseSettings found it under,
	// so that errors speak the user's own spelling.
	spelt map[string]string
	// warnings are about unknown keys; NewTokenSource logs them.
	warnings []string
}

// redacted stands where a secret was.
const redacted = "[redacted]"

// shown is a setting's name and its printable value.
type shown struct {
	name  string
	value any
}

// visible lists the settings that are set, secrets replaced, in a fixed order.
func (s MaskinportenSettings) visible() []shown {
	var all []shown
	for _, f := range settingFields {
		switch p := f.target(&s).(type) {
		case *string:
			switch {
			case *p == "":
			case f.secret:
				all = append(all, shown{f.names[0], redacted})
			default:
				all = append(all, shown{f.names[0], *p})
			}
		case *bool:
			if *p {
				all = append(all, shown{f.names[0], true})
			}
		}
	}
	return all
}

// String lists the settings that are set, with secrets replaced.
func (s MaskinportenSettings) String() string {
	parts := []string{}
	for _, v := range s.visible() {
		parts = append(parts, fmt.Sprintf("%s:%v", v.name, v.value))
	}
	return "MaskinportenSettings{" + strings.Join(parts, " ") + "}"
}

// Format implements [fmt.Formatter]: every verb prints what String returns.
func (s MaskinportenSettings) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, s.String()) }

// LogValue implements [slog.LogValuer], with secrets replaced.
func (s MaskinportenSettings) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, v := range s.visible() {
		attrs = append(attrs, slog.Any(v.name, v.value))
	}
	return slog.GroupValue(attrs...)
}

// MarshalJSON implements [json.Marshaler], with secrets replaced: the result is
// for reading, not for configuring another service.
func (s MaskinportenSettings) MarshalJSON() ([]byte, error) {
	m := map[string]any{}
	for _, v := range s.visible() {
		m[v.name] = v.value
	}
	return json.Marshal(m)
}

// name is the key that a setting was found under, and where that was if it is
// known; else its usual name.
func (s *MaskinportenSettings) name(canonical string) string {
	key, ok := s.spelt[canonical]
	if !ok {
		return canonical
	}
	return s.from(key)
}

// from is a key of the configuration, and where it came from if that is known.
func (s *MaskinportenSettings) from(key string) string {
	if s.Origin != nil {
		if origin := s.Origin(key); origin != "" {
			return key + " (" + origin + ")"
		}
	}
	return key
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
	names  []string // the canonical name first, then every other spelling
	target func(*MaskinportenSettings) any
	secret bool
	// verbatim keeps white space at the ends: a password may have it.
	verbatim bool
}

func text(p func(*MaskinportenSettings) *string, names ...string) settingField {
	return settingField{names: names, target: func(s *MaskinportenSettings) any { return p(s) }}
}

func secretText(p func(*MaskinportenSettings) *string, names ...string) settingField {
	f := text(p, names...)
	f.secret = true
	return f
}

func password(p func(*MaskinportenSettings) *string, names ...string) settingField {
	f := secretText(p, names...)
	f.verbatim = true
	return f
}

func flag(p func(*MaskinportenSettings) *bool, names ...string) settingField {
	return settingField{names: names, target: func(s *MaskinportenSettings) any { return p(s) }}
}

// settingFields is every setting of Altinn.ApiClients.Maskinporten and of
// Altinn.App.Core, with the spellings of Altinn's guides.
var settingFields = []settingField{
	text(func(s *MaskinportenSettings) *string { return &s.Environment }, "Environment"),
	text(func(s *MaskinportenSettings) *string { return &s.Authority }, "Authority"),
	text(func(s *MaskinportenSettings) *string { return &s.ClientID }, "ClientId"),
	text(func(s *MaskinportenSettings) *string { return &s.Scope }, "Scope"),
	text(func(s *MaskinportenSettings) *string { return &s.Resource }, "Resource"),
	text(func(s *MaskinportenSettings) *string { return &s.ConsumerOrgNo }, "ConsumerOrgNo"),
	secretText(func(s *MaskinportenSettings) *string { return &s.EncodedJWK }, "EncodedJwk", "JwkBase64"),
	secretText(func(s *MaskinportenSettings) *string { return &s.JWK }, "Jwk"),
	secretText(func(s *MaskinportenSettings) *string { return &s.EncodedX509 }, "EncodedX509"),
	text(func(s *MaskinportenSettings) *string { return &s.CertificatePKCS12Path }, "CertificatePkcs12Path"),
	password(func(s *MaskinportenSettings) *string { return &s.CertificatePKCS12Password }, "CertificatePkcs12Password"),
	text(func(s *MaskinportenSettings) *string { return &s.CertificateStoreThumbprint }, "CertificateStoreThumbprint"),
	text(func(s *MaskinportenSettings) *string { return &s.KeyID }, "Kid"),
	flag(func(s *MaskinportenSettings) *bool { return &s.ExchangeToAltinnToken }, "ExhangeToAltinnToken", "ExchangeToAltinnToken"),
	text(func(s *MaskinportenSettings) *string { return &s.TokenExchangeEnvironment }, "TokenExchangeEnvironment"),
	flag(func(s *MaskinportenSettings) *bool { return &s.UseAltinnTestOrg }, "UseAltinnTestOrg"),
	secretText(func(s *MaskinportenSettings) *string { return &s.EnterpriseUserName }, "EnterpriseUserName"),
	password(func(s *MaskinportenSettings) *string { return &s.EnterpriseUserPassword }, "EnterpriseUserPassword"),
	flag(func(s *MaskinportenSettings) *bool { return &s.EnableDebugLog }, "EnableDebugLog", "EnableDebugLogging"),
	flag(func(s *MaskinportenSettings) *bool { return &s.OverwriteAuthorizationHeader }, "OverwriteAuthorizationHeader"),
}
