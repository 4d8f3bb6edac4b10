package httpclient

import (
	"regexp"
	"slices"
	"strings"
)

// knownRefusal is one way in which Maskinporten says no. Its code is often absent
// from the answer, so its text is recognised as well.
// https://docs.digdir.no/docs/Maskinporten/maskinporten_guide_apikonsument
type knownRefusal struct {
	code       string   // Maskinporten's own; may be empty
	oauth      string   // error, if neither code nor text says more; may be empty
	texts      []string // parts of error_description, lower case
	kind       error
	clientWide bool // it concerns the client, whatever token it asks for
	cure       string
}

var knownRefusals = []knownRefusal{
	{
		texts: []string{"unknown key identifier", "unknown kid"}, kind: ErrUnknownKey, clientWide: true,
		cure: "check {kid}: its key id is not registered on the client; a new key takes up to 2 minutes to work",
	},
	{
		code: "MP-110", texts: []string{"invalid jwt claim aud", "claim aud"}, clientWide: true,
		cure: "check {Environment}: the assertion was made for another environment's issuer",
	},
	{
		code: "MP-120", texts: []string{"invalid certificate"}, clientWide: true,
		cure: "check {key}: a test certificate does not work in production, nor the reverse",
	},
	{
		code: "MP-121", texts: []string{"expired key", "key is expired", "key has expired"}, kind: ErrExpiredKey, clientWide: true,
		cure: "check {key}: keys live for a year; register it again or make a new one",
	},
	{
		code: "MP-130", texts: []string{"jwt is expired", "jwt has expired"}, kind: ErrClockSkew, clientWide: true,
		cure: "this machine's clock is behind: synchronise it",
	},
	{
		texts: []string{"issue time is after now", "issued in the future", "issue time is in the future"}, kind: ErrClockSkew, clientWide: true,
		cure: "this machine's clock is ahead: synchronise it",
	},
	{
		texts: []string{"too long lifetime"}, clientWide: true,
		cure: "the assertion lives longer than the server allows: report this as a bug",
	},
	{
		code: "MP-123", texts: []string{"x5c"}, clientWide: true,
		cure: "check {key}: the certificate chain is malformed; export it again with its chain",
	},
	{
		code: "MP-124", texts: []string{"invalid jwt signature", "invalid signature", "signature is invalid"}, kind: ErrUnknownKey, clientWide: true,
		cure: "check {key}: the private key is not the one registered under this key id",
	},
	{
		code: "MP-012", texts: []string{"grant is used before"},
		cure: "the assertion was used before: report this as a bug",
	},
	{
		code: "MP-011", texts: []string{"invalid parameter value"},
		cure: "the request was malformed: check {Resource} and {ConsumerOrgNo}",
	},
	{
		code: "MP-200", oauth: "invalid_scope", texts: []string{"invalid scope"}, kind: ErrScopeNotGranted,
		cure: "check {Scope}: it is misspelt, or not registered on the client",
	},
	{
		code: "MP-201", kind: ErrScopeNotGranted,
		cure: "check {Scope}: a client of this type may not have it",
	},
	{
		code: "MP-250", texts: []string{"has not been granted access"}, kind: ErrScopeNotGranted,
		cure: "check {Scope}: ask the API's owner to grant your organisation access",
	},
	{
		code: "MP-251", texts: []string{"has not delegated"}, kind: ErrNotDelegated,
		cure: "ask the organisation in {ConsumerOrgNo} to delegate the access in Altinn; a delegation in production does not hold in test",
	},
	{
		code: "MP-122", texts: []string{"invalid organization number"}, clientWide: true,
		cure: "check {key}: use an enterprise certificate of the organisation that owns the client",
	},
	{
		texts: []string{"consumer_org in claim"},
		cure:  "remove {ConsumerOrgNo}: it is the client's own organisation",
	},
	{
		code: "MP-301", texts: []string{"unknown authorization details type", "authorization_details type"},
		cure: "check ContextWithSystemUser or ContextWithConsent: the issuer does not know this type of authorization details",
	},
	{
		code: "MP-302", texts: []string{"unknown authorization details field", "authorization_details field"},
		cure: "check ContextWithSystemUser or ContextWithConsent: the issuer does not know a field of the authorization details",
	},
	{
		code: "MP-303", oauth: "invalid_authorization_details", texts: []string{"invalid authorization details", "authorization_details value", "authorization details"},
		cure: "check ContextWithSystemUser or ContextWithConsent: the system user or consent does not exist, or is not for this client",
	},
	// Last, because Maskinporten opens many a refusal's text with these words.
	{
		code: "MP-100", texts: []string{"client authentication failed", "client not found"}, kind: ErrUnknownClient, clientWide: true,
		cure: "check {ClientId}: it is misspelt, or the client belongs to another environment than {Environment}",
	},
	{
		oauth: "invalid_client", clientWide: true,
		cure: "check {ClientId}, {Environment} and {key}: they must belong together",
	},
	{
		oauth: "invalid_grant",
		cure:  "check {Environment} and {key}: the client, its key and the environment must belong together",
	},
}

// placeholder stands in a cure for a setting, or for the key's source.
var placeholder = regexp.MustCompile(`\{\w+\}`)

// explain finds what a refusal of Maskinporten's means: by its code if it gave one,
// else by its text, else by OAuth's error. The code MP-100 stands for many a failed
// authentication, of which the text tells more. name is what to call a setting.
func explain(r refused, key *Key, name func(setting string) string) verdict {
	description := strings.ToLower(r.description)
	for _, matches := range []func(knownRefusal) bool{
		func(k knownRefusal) bool { return k.code != "" && k.code == r.mpCode && k.code != "MP-100" },
		func(k knownRefusal) bool {
			return slices.ContainsFunc(k.texts, func(text string) bool { return strings.Contains(description, text) })
		},
		func(k knownRefusal) bool { return k.code != "" && k.code == r.mpCode },
		func(k knownRefusal) bool { return k.oauth != "" && k.oauth == r.code },
	} {
		i := slices.IndexFunc(knownRefusals, matches)
		if i < 0 {
			continue
		}
		cure := placeholder.ReplaceAllStringFunc(knownRefusals[i].cure, func(p string) string {
			switch p {
			case "{key}":
				return key.setting
			case "{kid}":
				return key.namedBy()
			}
			return name(strings.Trim(p, "{}"))
		})
		return verdict{knownRefusals[i].kind, knownRefusals[i].clientWide, cure}
	}
	return verdict{}
}
