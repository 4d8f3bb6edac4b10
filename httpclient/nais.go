package httpclient

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/portnokkel/portnokkel/internal/paste"
)

// tokenEndpointSetting is what errors call the endpoint that FromNAIS found.
const tokenEndpointSetting = "MASKINPORTEN_TOKEN_ENDPOINT"

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
	get := func(variable, canonical string) string {
		s.spelt[canonical] = variable
		return strings.TrimSpace(getenv(variable))
	}
	s.ClientID = get("MASKINPORTEN_CLIENT_ID", "ClientId")
	s.JWK = NewSecret(get("MASKINPORTEN_CLIENT_JWK", "Jwk"))
	s.Scope = get("MASKINPORTEN_SCOPES", "Scope")
	s.Authority = get("MASKINPORTEN_ISSUER", "Authority")
	s.tokenEndpoint = get(tokenEndpointSetting, tokenEndpointSetting)
	// Errors about a missing key or issuer name these variables.
	s.spelt["EncodedJwk"], s.spelt["Environment"] = "MASKINPORTEN_CLIENT_JWK", "MASKINPORTEN_ISSUER"

	s.tokenIssuer = issuerOf(s.Authority)

	const variable = "MASKINPORTEN_WELL_KNOWN_URL"
	wellKnown := strings.TrimSpace(getenv(variable))
	if wellKnown == "" {
		return s, nil
	}
	issuer, ok := strings.CutSuffix(wellKnown, metadataPath)
	if !ok {
		return s, fmt.Errorf("httpclient: %s must end with %s", variable, metadataPath)
	}
	if s.Authority == "" {
		s.Authority = issuer
		s.tokenIssuer = issuerOf(issuer)
		s.spelt["Authority"] = variable
	}
	if issuerOf(s.Authority) != issuerOf(issuer) {
		return s, errors.New("httpclient: MASKINPORTEN_ISSUER and MASKINPORTEN_WELL_KNOWN_URL name different issuers: keep one of them")
	}
	return s, nil
}

// useTokenEndpoint takes the endpoint that FromNAIS found, for its own issuer.
func (s *MaskinportenSettings) useTokenEndpoint(env *environment) error {
	if s.tokenEndpoint == "" || s.Authority == "" || issuerOf(s.Authority) != s.tokenIssuer {
		return nil
	}
	env.tokenEndpoint = s.tokenEndpoint
	if what := paste.Problem(s.tokenEndpoint, maxAddress); what != "" {
		return fmt.Errorf("%s %s", s.name(tokenEndpointSetting), what)
	}
	if err := checkURL(s.tokenEndpoint); err != nil {
		return fmt.Errorf("%s %w", s.name(tokenEndpointSetting), err)
	}
	return nil
}
