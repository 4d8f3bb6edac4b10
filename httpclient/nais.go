package httpclient

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// What errors call the endpoints and the metadata that FromNAIS found. Texas's has this
// name if no variable named it.
const (
	tokenEndpointSetting = "MASKINPORTEN_TOKEN_ENDPOINT"
	wellKnownSetting     = "MASKINPORTEN_WELL_KNOWN_URL"
	texasSetting         = "NAIS_TOKEN_ENDPOINT"
)

// texasPath is where Texas gives tokens, below its base URL.
const texasPath = "/api/v1/token"

// FromNAIS makes settings of the variables that the NAIS platform, and Kartverket's
// SKIP, give a service with a Maskinporten client. getenv is [os.Getenv] or a function
// like it, and nil means os.Getenv. Errors name the variables. A program may change the
// result before it uses it, such as by [MaskinportenSettings.Parse].
//
// With Texas, the platform's token service, the tokens come from there, and the service
// needs no key:
//
//   - NAIS_TOKEN_ENDPOINT is the address of its token endpoint. Without it, TEXAS_URL is
//     its base URL. Plain http is for this machine only, as both platforms have it.
//   - Scope is required, from MASKINPORTEN_SCOPES or from the program. The variables
//     MASKINPORTEN_CLIENT_ID and _ISSUER are not required. The issuer tells which Altinn
//     platform exchanges the tokens, unless TokenExchangeEnvironment does.
//   - A key in the settings, ConsumerOrgNo, [WithKeySource], [ContextWithConsumerOrg] and
//     [ContextWithPerson] are errors: Texas cannot pass them on.
//   - Texas writes the authorization details of a system user or consent to its traces,
//     with the identity number of a person who gave the consent.
//
// Without these two variables, the service signs with its own key, from
// MASKINPORTEN_CLIENT_ID, _CLIENT_JWK, _SCOPES, _ISSUER, _TOKEN_ENDPOINT and
// _WELL_KNOWN_URL. NAIS no longer documents them for this use, so that Texas comes first
// if both are there. A getenv that leaves out NAIS_TOKEN_ENDPOINT and TEXAS_URL chooses
// the key.
//
// https://doc.nais.io/auth/maskinporten/reference/
func FromNAIS(getenv func(string) string) (MaskinportenSettings, error) {
	if getenv == nil {
		getenv = os.Getenv
	}
	s := MaskinportenSettings{spelt: map[string]string{}}
	var wrong []error
	// A value that cannot be the variable's, such as a key, is refused and not kept.
	get := func(variable, canonical string) string {
		s.spelt[canonical] = variable
		value := strings.TrimSpace(getenv(variable))
		field, known := fieldNamed(canonical)
		if !known {
			field = settingField{names: []string{canonical}, most: maxAddress}
		}
		if what := field.misplaced(value); what != "" {
			wrong = append(wrong, fmt.Errorf("%s %s", variable, what))
			return ""
		}
		return value
	}
	s.ClientID = get("MASKINPORTEN_CLIENT_ID", "ClientId")
	s.Scope = get("MASKINPORTEN_SCOPES", "Scope")
	s.Authority = get("MASKINPORTEN_ISSUER", "Authority")
	wellKnown := get(wellKnownSetting, wellKnownSetting)
	// Errors about a missing issuer name this variable.
	s.spelt["Environment"] = "MASKINPORTEN_ISSUER"
	if !s.findTexas(get) {
		s.JWK = NewSecret(get("MASKINPORTEN_CLIENT_JWK", "Jwk"))
		s.spelt["EncodedJwk"] = "MASKINPORTEN_CLIENT_JWK" // likewise, about a missing key
		s.tokenEndpoint = get(tokenEndpointSetting, tokenEndpointSetting)
	}

	issuer, ok := strings.CutSuffix(wellKnown, metadataPath)
	if !ok {
		issuer, ok = strings.CutSuffix(wellKnown, openIDMetadataPath)
	}
	switch {
	case wellKnown == "":
	case !ok:
		wrong = append(wrong, fmt.Errorf("%s must end with %s or %s", wellKnownSetting, metadataPath, openIDMetadataPath))
	case s.Authority == "":
		s.Authority, s.spelt["Authority"] = issuer, wellKnownSetting
	case issuerOf(s.Authority) != issuerOf(issuer):
		wrong = append(wrong, errors.New("MASKINPORTEN_ISSUER and MASKINPORTEN_WELL_KNOWN_URL name different issuers: keep one of them"))
	}
	s.tokenIssuer = issuerOf(s.Authority)
	return s, prefixed(wrong)
}

// useTokenEndpoint takes the endpoint that FromNAIS found, for its own issuer.
func (s *MaskinportenSettings) useTokenEndpoint(env *environment) error {
	if s.tokenEndpoint == "" || s.Authority == "" || issuerOf(s.Authority) != s.tokenIssuer {
		return nil
	}
	env.tokenEndpoint = s.tokenEndpoint
	if err := checkURL(s.tokenEndpoint); err != nil {
		return fmt.Errorf("%s %w", s.name(tokenEndpointSetting), err)
	}
	return nil
}

// findTexas reports whether a variable names Texas. TEXAS_URL may hold the whole address
// too.
func (s *MaskinportenSettings) findTexas(get func(variable, canonical string) string) bool {
	if s.texas = get(texasSetting, texasSetting); s.texas != "" {
		return true
	}
	base := strings.TrimSuffix(get("TEXAS_URL", texasSetting), "/")
	if base == "" {
		return false
	}
	s.texas = strings.TrimSuffix(base, texasPath) + texasPath
	return true
}
