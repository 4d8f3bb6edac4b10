package httpclient

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// What errors call the endpoint and the metadata that FromNAIS found.
const (
	tokenEndpointSetting = "MASKINPORTEN_TOKEN_ENDPOINT"
	wellKnownSetting     = "MASKINPORTEN_WELL_KNOWN_URL"
)

// FromNAIS makes settings of the variables that the NAIS platform gives a service
// with a Maskinporten client: MASKINPORTEN_CLIENT_ID, _CLIENT_JWK, _SCOPES,
// _ISSUER, _TOKEN_ENDPOINT and _WELL_KNOWN_URL. getenv is [os.Getenv] or a function
// like it, and nil means os.Getenv. A program may change the result before it uses
// it. Errors name the variables.
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
	s.JWK = NewSecret(get("MASKINPORTEN_CLIENT_JWK", "Jwk"))
	s.Scope = get("MASKINPORTEN_SCOPES", "Scope")
	s.Authority = get("MASKINPORTEN_ISSUER", "Authority")
	s.tokenEndpoint = get(tokenEndpointSetting, tokenEndpointSetting)
	wellKnown := get(wellKnownSetting, wellKnownSetting)
	// Errors about a missing key or issuer name these variables.
	s.spelt["EncodedJwk"], s.spelt["Environment"] = "MASKINPORTEN_CLIENT_JWK", "MASKINPORTEN_ISSUER"

	issuer, ok := strings.CutSuffix(wellKnown, metadataPath)
	switch {
	case wellKnown == "":
	case !ok:
		wrong = append(wrong, fmt.Errorf("%s must end with %s", wellKnownSetting, metadataPath))
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
