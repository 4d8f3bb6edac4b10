package httpclient

import (
	"encoding/json"
	"strings"

	"github.com/portnokkel/portnokkel/internal/paste"
)

// named is whom the authorization details name: a system user, or a consent. Who gave
// the consent is not told.
func (r tokenRequest) named() (user SystemUser, isConsent bool) {
	var details []systemUserDetails
	if r.details == "" || json.Unmarshal([]byte(r.details), &details) != nil || len(details) == 0 {
		return SystemUser{}, false
	}
	if details[0].Type != typeSystemUser {
		return SystemUser{}, details[0].Type == typeConsent
	}
	return SystemUser{OrgNo: strings.TrimPrefix(details[0].Org.ID, iso6523), ExternalRef: details[0].ExternalRef}, false
}

// shownScope is the whole list of scopes, without those that may be secrets.
func (r tokenRequest) shownScope() string { return showScopes(r.scope, isShownScope) }

// showScopes is a list of scopes with those redacted that are not to be shown.
func showScopes(list string, isShown func(scope string) bool) string {
	scopes := strings.Fields(list)
	for i, scope := range scopes {
		if !isShown(scope) {
			scopes[i] = redacted
		}
	}
	return strings.Join(scopes, " ")
}

// shownResource is the resource, unless it may be a secret.
func (r tokenRequest) shownResource() string {
	if r.resource != "" && !paste.Quotable(r.resource) {
		return redacted
	}
	return r.resource
}
