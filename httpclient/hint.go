package httpclient

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// knownRefusal is one way in which Maskinporten says no. Its code is often absent
// from the answer, so its text is recognised as well.
// https://docs.digdir.no/docs/Maskinporten/maskinporten_guide_apikonsument
type knownRefusal struct {
	code       string   // Maskinporten's own; may be empty
	oauth      string   // error, if neither code nor text says more; may be empty
	texts      []string // parts of error_description, lower case
	kind       error
	clientWide bool   // it concerns the client, whatever token it asks for
	identity   bool   // client and key may not belong together
	ending     bool   // the key's end is the cause if it is over
	cure       string // with the placeholders of hints
}

var knownRefusals = []knownRefusal{
	{
		texts: []string{"unknown key identifier", "unknown kid"}, kind: ErrUnknownKey, clientWide: true, identity: true, ending: true,
		cure: "check {kid}: {keyid} is not registered on the client; a new one takes up to 2 minutes to work",
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
		cure: "check {key}: the registration of {keyid} ended{end}; register it again or make a new key",
	},
	{
		code: "MP-130", texts: []string{"jwt is expired", "jwt has expired"}, kind: ErrClockSkew, clientWide: true,
		cure: "this machine's clock is {behind}: synchronise it",
	},
	{
		texts: []string{"issue time is after now", "issued in the future", "issue time is in the future"}, kind: ErrClockSkew, clientWide: true,
		cure: "this machine's clock is {ahead}: synchronise it",
	},
	{
		texts: []string{"too long lifetime"}, clientWide: true,
		cure: "report this as a bug: the assertion lives longer than the server allows",
	},
	{
		code: "MP-123", texts: []string{"x5c"}, clientWide: true,
		cure: "check {key}: the certificate chain is malformed; export it again with its chain",
	},
	{
		code: "MP-124", texts: []string{"invalid jwt signature", "invalid signature", "signature is invalid"}, kind: ErrUnknownKey, clientWide: true, identity: true,
		cure: "check {key}: the private key is not the one registered as {keyalg}",
	},
	{
		code: "MP-012", texts: []string{"grant is used before"},
		cure: "report this as a bug: the assertion was used before",
	},
	{
		code: "MP-011", texts: []string{"invalid parameter value"},
		cure: "check {Resource} and {ConsumerOrgNo}: a value is malformed",
	},
	{
		code: "MP-200", oauth: "invalid_scope", texts: []string{"invalid scope"}, kind: ErrScopeNotGranted,
		cure: "check {Scope}: {scope} is misspelt, or not registered on the client",
	},
	{
		code: "MP-201", kind: ErrScopeNotGranted,
		cure: "check {Scope}: {scope} is not registered on the client, or not for a client of its type",
	},
	{
		code: "MP-250", texts: []string{"has not been granted access"}, kind: ErrScopeNotGranted,
		cure: "check {Scope}: ask the API's owner to grant your organisation {scope}",
	},
	{
		code: "MP-251", texts: []string{"has not delegated"}, kind: ErrNotDelegated,
		cure: "check {ConsumerOrgNo}: ask that organisation to delegate {scope} in Altinn; delegations in production do not hold in test",
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
		cure: "check {details}: the issuer does not know this type of authorization details",
	},
	{
		code: "MP-302", texts: []string{"unknown authorization details field", "authorization_details field"},
		cure: "check {details}: the issuer does not know a field of the authorization details",
	},
	{
		code: "MP-303", oauth: "invalid_authorization_details", texts: []string{"invalid authorization details", "authorization_details value", "authorization details"},
		cure: "check {details}: the system user or consent does not exist, or is not for this client",
	},
	// Last, because Maskinporten opens many a refusal's text with these words.
	{
		code: "MP-100", texts: []string{"client authentication failed", "client not found"}, kind: ErrUnknownClient, clientWide: true, identity: true,
		cure: "check {ClientId}: it is misspelt, or the client belongs to another environment than {Environment}",
	},
	{
		oauth: "invalid_client", clientWide: true, identity: true, ending: true,
		cure: "check {ClientId}, {Environment} and {key}: they must belong together",
	},
	{
		oauth: "invalid_grant", identity: true, ending: true,
		cure: "check {ClientId}, {Environment} and {key}: they must belong together",
	},
}

// endedKey is the cure if the key has come to an end that was known.
const endedKey = "check {key}: {keyid} expired{end}; make a new key and register it"

// hints is what is known of a request, for the cure of a refusal.
type hints struct {
	key     *Key
	now     time.Time
	scope   string                      // asked for
	details string                      // asked for: authorization_details
	name    func(setting string) string // what to call a setting
	mixed   string                      // what to say if client and key may not belong together
}

// placeholder stands in a cure for a setting, or for what is known.
var placeholder = regexp.MustCompile(`\{\w+\}`)

// fill puts what is known in a cure's placeholders. If it is for the callers of other
// tokens, nothing of what the request asked for is in it.
func (h hints) fill(cure, clock string, others bool) string {
	return placeholder.ReplaceAllStringFunc(cure, func(p string) string {
		switch p {
		case "{key}":
			return h.key.setting
		case "{kid}":
			return h.key.namedBy()
		case "{keyid}", "{keyalg}":
			if h.key.bits == 0 {
				return "this key" // Texas's, of which nothing is known
			}
			return h.key.named(p == "{keyalg}")
		case "{end}":
			return h.key.ended(h.now)
		case "{behind}", "{ahead}":
			if clock == "" {
				clock = map[string]string{"{behind}": "behind", "{ahead}": "ahead of"}[p] + " Maskinporten's"
			}
			return clock
		case "{scope}":
			if others {
				return "a scope"
			}
			return briefScope(h.scope)
		case "{details}":
			return detailsBy(h.details)
		}
		return h.name(strings.Trim(p, "{}"))
	})
}

// explain finds what a refusal of Maskinporten's means: by its code if it gave one,
// else by its text, else by OAuth's error. The code MP-100 stands for many a failed
// authentication, of which the text tells more.
func explain(r refused, h hints) verdict {
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
		known := knownRefusals[i]
		if known.ending && h.key.expired(h.now) {
			cure := h.fill(endedKey, "", true)
			return verdict{known.kind, known.clientWide, cure, cure}
		}
		if known.identity && h.mixed != "" {
			return verdict{kind: known.kind, clientWide: known.clientWide, cure: "check " + h.mixed}
		}
		return verdict{known.kind, known.clientWide, h.fill(known.cure, r.clock, false), h.fill(known.cure, r.clock, true)}
	}
	return verdict{}
}

// detailsBy is the function that asked for these authorization details.
func detailsBy(details string) string {
	switch {
	case strings.Contains(details, typeSystemUser):
		return "ContextWithSystemUser"
	case strings.Contains(details, typeConsent):
		return "ContextWithConsent"
	}
	return "ContextWithSystemUser or ContextWithConsent"
}
