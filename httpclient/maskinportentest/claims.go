package maskinportentest

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

const systemUserType = "urn:altinn:systemuser"

// knownClaims are all that an assertion may hold.
var knownClaims = []string{
	"aud", "iss", "iat", "exp", "jti", "scope",
	"resource", "consumer_org", "pid", "authorization_details",
}

var (
	orgNumber      = regexp.MustCompile(`^[0-9]{9}$`)
	personNumber   = regexp.MustCompile(`^[0-9]{11}$`)
	iso6523        = regexp.MustCompile(`^0192:[0-9]{9}$`)
	externalRef    = regexp.MustCompile(`^[A-Za-z0-9_\-æøåÆØÅ]{1,255}$`)
	uuidText       = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	absoluteURI    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]+$`)
	consentGranter = regexp.MustCompile(`^urn:altinn:(person:identifier-no:[0-9]{11}|organization:identifier-no:[0-9]{9})$`)
)

// verifyClaims checks everything except what the client is allowed to have.
func (a assertion) verifyClaims(issuer string, now time.Time) *refusal {
	if aud, _ := a.claims["aud"].(string); aud != issuer {
		return authFailed("MP-110", "Invalid JWT claim aud")
	}
	for _, name := range slices.Sorted(maps.Keys(a.claims)) {
		if !slices.Contains(knownClaims, name) {
			return malformed(fmt.Sprintf("Unknown claim %q", name))
		}
	}
	iat, iatOK := numericDate(a.claims["iat"])
	exp, expOK := numericDate(a.claims["exp"])
	id, _ := a.claims["jti"].(string)
	switch {
	case !iatOK || !expOK:
		return malformed("The claims iat and exp must be whole seconds")
	case id == "":
		return malformed("The claim jti is required")
	case time.Unix(iat, 0).After(now.Add(maxAhead)):
		return notValid("", "Issue time is after now")
	case !time.Unix(exp, 0).After(now):
		return authFailed("MP-130", "JWT is expired")
	case exp-iat > int64(maxLife/time.Second):
		return notValid("", "JWT has too long lifetime")
	case exp <= iat:
		return malformed("The claim exp must be after iat")
	}
	return a.verifyOptional()
}

func (a assertion) verifyOptional() *refusal {
	if org, given := a.claims["consumer_org"]; given && !matches(orgNumber, org) {
		return malformed("The claim consumer_org must be nine digits")
	}
	if pid, given := a.claims["pid"]; given && !matches(personNumber, pid) {
		return malformed("The claim pid must be eleven digits")
	}
	if resource, given := a.claims["resource"]; given && !validResource(resource) {
		return malformed("The claim resource must be an absolute URI without a fragment")
	}
	if details, given := a.claims["authorization_details"]; given {
		return verifyDetails(details)
	}
	return nil
}

// validResource accepts a string, as every known client sends, and the documented
// array. RFC 8707 section 2 says what each entry must be.
func validResource(v any) bool {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	return len(list) > 0 && !slices.ContainsFunc(list, func(entry any) bool { return !isResource(entry) })
}

func isResource(v any) bool {
	s, _ := v.(string)
	u, err := url.Parse(s)
	if err != nil || !absoluteURI.MatchString(s) {
		return false
	}
	return u.Host != "" || u.Scheme != "https" && u.Scheme != "http"
}

// verifyAccess checks what an assertion asks for against what the client may have,
// as [Client] describes. Digdir's page on errors separates MP-200 from MP-201 less
// clearly, so that a client must understand both.
// https://docs.digdir.no/docs/Maskinporten/maskinporten_feilsoking
func (s *Server) verifyAccess(a assertion, client registration) ([]string, *refusal) {
	scope, ok := a.claims["scope"].(string)
	if !ok {
		return nil, malformed("The claim scope must be a string")
	}
	scopes := strings.Split(scope, " ")
	for _, one := range scopes {
		switch {
		case slices.Contains(client.Scopes, one) && one != "":
		case s.scopeExists(one):
			return nil, &refusal{http.StatusBadRequest, "invalid_scope", "MP-201", "Token request contains scopes not allowed for maskinporten"}
		default:
			return nil, &refusal{http.StatusBadRequest, "invalid_scope", "MP-200", "Token request contains invalid scopes for client, " + one}
		}
	}
	forbidden := func(mp, text string) *refusal { return &refusal{http.StatusForbidden, "forbidden", mp, text} }
	consumer, delegated := a.claims["consumer_org"].(string)
	if !delegated {
		for _, one := range scopes {
			if client.Granted != nil && !slices.Contains(client.Granted, one) {
				return nil, forbidden("MP-250", "Consumer has not been granted access to the scope "+one)
			}
		}
		return scopes, nil
	}
	if consumer == client.OrgNo {
		return nil, &refusal{http.StatusBadRequest, "invalid_request", "", "Validation of JWT claim failed: The combination consumer_org in claim and delegation scope on client is invalid"}
	}
	if client.ConsumerOrgs != nil && !slices.Contains(client.ConsumerOrgs, consumer) {
		return nil, forbidden("MP-251", "Consumer "+consumer+" has not delegated access to the scope "+scopes[0]+" to supplier "+client.organisation())
	}
	return scopes, nil
}

// member says what one member of an authorization detail must be.
type member struct {
	valid    func(any) bool
	optional bool
}

// detailMembers are the two types of authorization detail that are known.
var detailMembers = map[string]map[string]member{
	systemUserType: {
		"systemuser_org": {valid: validSystemUserOrg},
		"externalRef":    {valid: func(v any) bool { return matches(externalRef, v) }, optional: true},
	},
	"urn:altinn:consent": {
		"id":   {valid: func(v any) bool { return matches(uuidText, v) }},
		"from": {valid: func(v any) bool { return matches(consentGranter, v) }},
	},
}

// verifyDetails checks authorization_details (RFC 9396): an array of one.
func verifyDetails(v any) *refusal {
	invalid := func(mp, why string) *refusal {
		return &refusal{http.StatusBadRequest, "invalid_authorization_details", mp, "Validation of JWT failed. " + why}
	}
	list, _ := v.([]any)
	if len(list) != 1 {
		return invalid("MP-303", "Invalid authorization details values: must be an array of one")
	}
	detail, _ := list[0].(map[string]any)
	typ, _ := detail["type"].(string)
	members, known := detailMembers[typ]
	if !known {
		return invalid("MP-301", "Unknown authorization details type")
	}
	for name := range detail {
		if _, known := members[name]; !known && name != "type" {
			return invalid("MP-302", "Unknown fields in the authorization details")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		value, given := detail[name]
		if given && !members[name].valid(value) || !given && !members[name].optional {
			return invalid("MP-303", "Invalid authorization details values: "+name)
		}
	}
	return nil
}

func validSystemUserOrg(v any) bool {
	org, _ := v.(map[string]any)
	return len(org) == 2 && org["authority"] == "iso6523-actorid-upis" && matches(iso6523, org["ID"])
}

func matches(pattern *regexp.Regexp, v any) bool {
	s, ok := v.(string)
	return ok && pattern.MatchString(s)
}
