package httpclient

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/portnokkel/portnokkel/internal/paste"
	"github.com/portnokkel/portnokkel/internal/problems"
)

// tokenRequest is what a token is asked for: all that varies between requests
// of one client. It is comparable, so that a cache can be keyed by it.
type tokenRequest struct {
	scope       string // normalized
	resource    string
	consumerOrg string
	person      string
	details     string // authorization_details, as JSON
}

var personNo = regexp.MustCompile(`\d{11}`)

// secrets are what no error may show of the request: national identity numbers, and a
// scope or resource that may be a secret in the wrong place.
func (r tokenRequest) secrets() []string {
	secrets := append(personNo.FindAllString(r.details, -1), r.person)
	if !paste.Quotable(r.resource) {
		secrets = append(secrets, r.resource)
	}
	return append(secrets, secretScopes(r.scope)...)
}

// SystemUser names a system user at Altinn: an organisation that lets your system
// act for it. https://docs.digdir.no/docs/Maskinporten/maskinporten_func_systembruker
type SystemUser struct {
	// OrgNo is the organisation, nine digits, with or without "0192:" before it.
	OrgNo string
	// ExternalRef tells several system users of one organisation apart. It has at
	// most 255 letters (æøå included), digits, "_" and "-", and may be empty.
	ExternalRef string
}

// Consent names a consent that a person or an organisation has given.
// https://docs.altinn.studio/authorization/guides/consent/
type Consent struct {
	// ID is the consent's UUID.
	ID string
	// From is who gave it: a national identity number (eleven digits), an
	// organisation number (nine digits), or one of the two as Altinn's URN.
	From Secret
}

// overrides is what a context says about the tokens of its requests.
type overrides struct {
	scope, resource, consumerOrg, person *string
	details                              *string
	problems                             []problem
}

// problem is what a call of a function got wrong. A later call of the same
// function takes its place.
type problem struct {
	function string
	err      error
}

type overridesKey struct{}

// carried is what a context holds. It is a function, so that a printer of contexts
// cannot show the person or who gave the consent.
type carried func() *overrides

// overridesOf gives what the context says, nil if it says nothing.
func overridesOf(ctx context.Context) *overrides {
	if c, ok := ctx.Value(overridesKey{}).(carried); ok {
		return c()
	}
	return nil
}

// with adds what a function changes to what the context says.
func with(ctx context.Context, function string, change func(*overrides)) context.Context {
	next := &overrides{}
	if earlier := overridesOf(ctx); earlier != nil {
		*next = *earlier
		next.problems = nil
		for _, p := range earlier.problems {
			if p.function != function {
				next.problems = append(next.problems, p)
			}
		}
	}
	change(next)
	return context.WithValue(ctx, overridesKey{}, carried(func() *overrides { return next }))
}

func (o *overrides) problem(function, what string) {
	o.problems = append(o.problems, problem{function, fmt.Errorf("httpclient: %s: %s", function, what)})
}

// ContextWithScope asks for these scopes in place of the settings' Scope. They may be
// separated by spaces or commas, or be one by one.
//
// What is true of this function is true of the other ContextWith functions, too:
//
//   - It concerns the token of the requests that are made with the context.
//   - If a function is called twice, the last call counts.
//   - A wrong value is an error of those requests and of [TokenSource.Token]. It is
//     not a [*TokenError].
//   - Tokens of different requests are kept apart.
func ContextWithScope(ctx context.Context, scopes ...string) context.Context {
	return with(ctx, "ContextWithScope", func(o *overrides) {
		list := strings.Join(scopes, " ")
		scope := normalizeScope(list)
		if scope == "" {
			o.problem("ContextWithScope", "no scope is named")
		} else if what := misplacedScopes(list); what != "" {
			o.problem("ContextWithScope", "the scope "+what)
		}
		o.scope = &scope
	})
}

// ContextWithResource asks for a token that only this API accepts (claim "resource"),
// in place of the settings' Resource. Empty asks for a token without a resource.
func ContextWithResource(ctx context.Context, resource string) context.Context {
	return with(ctx, "ContextWithResource", func(o *overrides) {
		switch what := cmp.Or(paste.Problem(resource, maxText), paste.Random(resource)); {
		case what != "":
			o.problem("ContextWithResource", "the resource "+what)
		case !isResource(resource):
			o.problem("ContextWithResource", "not a text of at most 2,000 printable characters")
		}
		o.resource = &resource
	})
}

// ContextWithConsumerOrg asks on behalf of this organisation (claim "consumer_org"),
// in place of the settings' ConsumerOrgNo. The number is nine digits, with or without
// "0192:" before them. Empty asks on behalf of the client's own organisation.
//
// https://docs.digdir.no/docs/Maskinporten/maskinporten_func_delegering
func ContextWithConsumerOrg(ctx context.Context, orgNo string) context.Context {
	return with(ctx, "ContextWithConsumerOrg", func(o *overrides) {
		number := strings.TrimPrefix(orgNo, iso6523)
		if orgNo != "" && !isOrgNo(number) {
			o.problem("ContextWithConsumerOrg", "not an organisation number: nine digits")
		}
		o.consumerOrg = &number
	})
}

// ContextWithPerson asks for a token that concerns this person (claim "pid"), by the
// eleven digits of the national identity number. The number appears in no error or
// log.
func ContextWithPerson(ctx context.Context, identityNo Secret) context.Context {
	return with(ctx, "ContextWithPerson", func(o *overrides) {
		person := identityNo.Reveal()
		if !isPersonNo(person) {
			o.problem("ContextWithPerson", "not a national identity number: eleven digits")
		}
		o.person = &person
	})
}

// The types of authorization details.
const (
	typeSystemUser = "urn:altinn:systemuser"
	typeConsent    = "urn:altinn:consent"
)

var externalRef = regexp.MustCompile(`^[0-9A-Za-zæøåÆØÅ_-]{0,255}$`)

const iso6523 = "0192:" // of Norwegian organisation numbers

// ContextWithSystemUser asks for a token of this system user. It excludes [ContextWithConsent].
func ContextWithSystemUser(ctx context.Context, user SystemUser) context.Context {
	return with(ctx, "ContextWithSystemUser", func(o *overrides) {
		orgNo := strings.TrimPrefix(user.OrgNo, iso6523)
		if !isOrgNo(orgNo) {
			o.problem("ContextWithSystemUser", "OrgNo is not an organisation number: nine digits")
		}
		if !externalRef.MatchString(user.ExternalRef) {
			o.problem("ContextWithSystemUser", "ExternalRef has another character than letters, digits, _ and -, or more than 255")
		} else if user.ExternalRef != "" && paste.Kind(user.ExternalRef) != "" {
			o.problem("ContextWithSystemUser", "ExternalRef looks like "+paste.Kind(user.ExternalRef))
		}
		o.setDetails("ContextWithSystemUser", systemUserDetails{
			Type:        typeSystemUser,
			Org:         systemUserOrg{Authority: "iso6523-actorid-upis", ID: iso6523 + orgNo},
			ExternalRef: user.ExternalRef,
		})
	})
}

type systemUserDetails struct {
	Type        string        `json:"type"`
	Org         systemUserOrg `json:"systemuser_org"`
	ExternalRef string        `json:"externalRef,omitempty"`
}

type systemUserOrg struct {
	Authority string `json:"authority"`
	ID        string `json:"ID"`
}

var uuid = regexp.MustCompile(`(?i)^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

const (
	personURN       = "urn:altinn:person:identifier-no:"
	organisationURN = "urn:altinn:organization:identifier-no:"
)

// ContextWithConsent asks for a token of this consent. It excludes [ContextWithSystemUser].
func ContextWithConsent(ctx context.Context, consent Consent) context.Context {
	return with(ctx, "ContextWithConsent", func(o *overrides) {
		if !uuid.MatchString(consent.ID) {
			o.problem("ContextWithConsent", "ID is not a UUID")
		}
		from := consent.From.Reveal()
		switch person, organisation := strings.TrimPrefix(from, personURN), strings.TrimPrefix(from, organisationURN); {
		case isPersonNo(person):
			from = personURN + person
		case isOrgNo(organisation):
			from = organisationURN + organisation
		default:
			o.problem("ContextWithConsent", "From is neither a national identity number nor an organisation number")
		}
		o.setDetails("ContextWithConsent", consentDetails{Type: typeConsent, ID: consent.ID, From: from})
	})
}

type consentDetails struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	From string `json:"from"`
}

// setDetails refuses a second kind of details: a token has one.
func (o *overrides) setDetails(function string, details any) {
	encoded, _ := json.Marshal(details) // of texts, which always encode
	text := "[" + string(encoded) + "]"
	kind := func(details string) string { kind, _, _ := strings.Cut(details, ","); return kind }
	if o.details != nil && kind(*o.details) != kind(text) {
		o.problem(function, "a token is of a system user or of a consent, not of both")
	}
	o.details = &text
}

// apply lays what the context says over the settings' own request. A request
// without any scope gets the error noScope. Nil says nothing.
func (o *overrides) apply(own tokenRequest, noScope error) (tokenRequest, error) {
	if o != nil {
		var wrong []error
		for _, p := range o.problems {
			wrong = append(wrong, p.err)
		}
		if len(wrong) > 0 {
			return tokenRequest{}, problems.Join(wrong...)
		}
		override(&own.scope, o.scope)
		override(&own.resource, o.resource)
		override(&own.consumerOrg, o.consumerOrg)
		override(&own.person, o.person)
		override(&own.details, o.details)
	}
	if own.scope == "" {
		return tokenRequest{}, noScope
	}
	return own, nil
}

func override(setting, value *string) {
	if value != nil {
		*setting = *value
	}
}

func isOrgNo(value string) bool { return isDigits(value, 9) }

func isResource(resource string) bool {
	return len(resource) <= maxText && strings.IndexFunc(resource, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// isID reports whether a text can be a client's or a key's id: Maskinporten's are
// UUIDs or words. Another text may be a password in the wrong place.
func isID(id string) bool { return idText.MatchString(id) }

var idText = regexp.MustCompile(`^[0-9A-Za-z._:@~=+/#-]+$`)

func isPersonNo(value string) bool { return isDigits(value, 11) }

func isDigits(value string, n int) bool {
	return len(value) == n && strings.Trim(value, "0123456789") == ""
}
