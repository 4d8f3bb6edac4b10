package httpclient

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// refusal is one way in which Maskinporten says no. Its code is often absent
// from the answer, so its text is recognised as well.
// https://docs.digdir.no/docs/Maskinporten/maskinporten_guide_apikonsument
type refusal struct {
	code  string   // Maskinporten's own; may be empty
	texts []string // parts of error_description, lower case
	kind  error
	wide  bool // it is of the client, whatever token it asks for
	cure  string
}

var refusals = []refusal{
	{
		"",
		[]string{"unknown key identifier", "unknown kid"},
		ErrUnknownKey, true,
		"{key}: its key id is not registered on the client; a new key takes up to 2 minutes to work",
	},
	{
		"MP-110",
		[]string{"invalid jwt claim aud", "claim aud"},
		nil, true,
		"check {Environment}: the assertion was made for another environment's issuer",
	},
	{
		"MP-120",
		[]string{"invalid certificate"},
		nil, true,
		"{key}: a test certificate does not work in production, nor the reverse",
	},
	{
		"MP-121",
		[]string{"expired key", "key is expired", "key has expired"},
		ErrExpiredKey, true,
		"{key}: keys live for a year; register it again or make a new one",
	},
	{
		"MP-130",
		[]string{"jwt is expired", "jwt has expired"},
		ErrClockSkew, true,
		"this machine's clock is behind: synchronise it",
	},
	{
		"",
		[]string{"issue time is after now", "issued in the future", "issue time is in the future"},
		ErrClockSkew, true,
		"this machine's clock is ahead: synchronise it",
	},
	{
		"",
		[]string{"too long lifetime"},
		nil, true,
		"the assertion lives longer than the server allows: report this as a bug",
	},
	{
		"MP-123",
		[]string{"x5c"},
		nil, true,
		"{key}: the certificate chain is malformed; export it again with its chain",
	},
	{
		"MP-124",
		[]string{"invalid jwt signature", "invalid signature", "signature is invalid"},
		ErrUnknownKey, true,
		"{key}: the private key is not the one registered under this key id",
	},
	{
		"MP-012",
		[]string{"grant is used before"},
		nil, false,
		"the assertion was used before: report this as a bug",
	},
	{
		"MP-011",
		[]string{"invalid parameter value"},
		nil, false,
		"the request was malformed: check {Resource} and {ConsumerOrgNo}",
	},
	{
		"MP-200",
		[]string{"invalid scope"},
		ErrScopeNotGranted, false,
		"check {Scope}: it is misspelt, or not registered on the client",
	},
	{
		"MP-201", nil, ErrScopeNotGranted, false,
		"check {Scope}: a client of this type may not have it",
	},
	{
		"MP-250",
		[]string{"has not been granted access"},
		ErrScopeNotGranted, false,
		"check {Scope}: ask the API's owner to grant your organisation access",
	},
	{
		"MP-251",
		[]string{"has not delegated"},
		ErrNotDelegated, false,
		"ask the organisation in {ConsumerOrgNo} to delegate the access in Altinn; a delegation in production does not hold in test",
	},
	{
		"MP-122",
		[]string{"invalid organization number", "organization number"},
		nil, true,
		"{key}: use an enterprise certificate of the organisation that owns the client",
	},
	{
		"",
		[]string{"consumer_org in claim"},
		nil, false,
		"remove {ConsumerOrgNo}: it is the client's own organisation",
	},
	{
		"MP-301",
		[]string{"unknown authorization details type", "authorization_details type"},
		nil, false,
		"check WithSystemUser or WithConsent: the issuer does not know this type of authorization details",
	},
	{
		"MP-302",
		[]string{"unknown authorization details field", "authorization_details field"},
		nil, false,
		"check WithSystemUser or WithConsent: the issuer does not know a field of the authorization details",
	},
	{
		"MP-303",
		[]string{"invalid authorization details", "authorization_details value", "authorization details"},
		nil, false,
		"check WithSystemUser or WithConsent: the system user or consent does not exist, or is not for this client",
	},
	// Last, because Maskinporten opens many a refusal's text with these words.
	{
		"MP-100",
		[]string{"client authentication failed", "client not found"},
		ErrUnknownClient, true,
		"check {ClientId}: it is misspelt, or the client belongs to another environment than {Environment}",
	},
}

// placeholder stands in a cure for a setting, or for where the key is from.
var placeholder = regexp.MustCompile(`\{\w+\}`)

// explain fills in the error's kind and cure from what Maskinporten answered:
// by its code where it gave one, else by its text.
func (e *TokenError) explain(key *Key, name func(setting string) string) {
	description := strings.ToLower(e.Description)
	for _, matches := range []func(refusal) bool{
		func(r refusal) bool { return r.code != "" && r.code == e.MPCode },
		func(r refusal) bool {
			return slices.ContainsFunc(r.texts, func(text string) bool { return strings.Contains(description, text) })
		},
		func(r refusal) bool {
			return r.code == "MP-200" && e.Code == "invalid_scope" || r.code == "MP-303" && e.Code == "invalid_authorization_details"
		},
	} {
		if i := slices.IndexFunc(refusals, matches); i >= 0 {
			if refusals[i].kind != nil {
				e.Err = refusals[i].kind
			}
			e.wide = refusals[i].wide
			e.Hint = placeholder.ReplaceAllStringFunc(refusals[i].cure, func(p string) string {
				if p == "{key}" {
					return "check " + key.setting
				}
				return name(strings.Trim(p, "{}"))
			})
			return
		}
	}
}

// statusHint is the cure where only the status is known.
func statusHint(status int) string {
	switch {
	case status == http.StatusTooManyRequests:
		return "too many requests: it is tried again later"
	case status >= 500:
		return "the server is in trouble: it is tried again later"
	case status >= 300 && status < 400:
		return "redirects of token requests are not followed: check the URL in the settings"
	case status == http.StatusNotFound:
		return "the endpoint does not exist: check the URL in the settings"
	}
	return ""
}
