package httpclient

import (
	"slices"
	"strings"
	"testing"
)

// Which refusals concern the whole client, whatever token it asks for.
func TestClientWideRefusals(t *testing.T) {
	t.Parallel()
	unnamed := hints{key: &Key{}, name: func(string) string { return "" }}
	for text, want := range map[string]bool{
		"Unknown key identifier (kid) for client":         true,
		"Invalid JWT claim aud":                           true,
		"signed with an invalid certificate":              true,
		"Expired key":                                     true,
		"JWT is expired":                                  true,
		"Issue time is after now":                         true,
		"JWT has too long lifetime":                       true,
		"malformed x5c":                                   true,
		"Invalid JWT signature":                           true,
		"Invalid organization number":                     true,
		"Client not found":                                true,
		"Grant is used before":                            false,
		"Invalid parameter value":                         false,
		"Invalid scope":                                   false,
		"has not been granted access to the scope":        false,
		"has not delegated access to the scope":           false,
		"The combination consumer_org in claim and scope": false,
		"Unknown authorization details type":              false,
		"Unknown authorization details field":             false,
		"Invalid authorization details":                   false,
	} {
		if got := explain(refused{description: text}, unnamed); got.clientWide != want || got.cure == "" {
			t.Errorf("%s: got %+v, want client-wide %t and what to do", text, got, want)
		}
	}
	for code, want := range map[string]bool{"invalid_client": true, "invalid_grant": false, "invalid_scope": false, "invalid_authorization_details": false} {
		if got := explain(refused{code: code}, unnamed); got.clientWide != want || got.cure == "" {
			t.Errorf("%s: got %+v, want client-wide %t and what to do", code, got, want)
		}
	}
	if got := explain(refused{code: "other", description: "other"}, hints{}); got != (verdict{}) {
		t.Errorf("an unknown refusal: got %+v, want nothing", got)
	}
}

// A short user name may be a word of any answer, and is not redacted.
func TestUserNamesThatAreRedacted(t *testing.T) {
	t.Parallel()
	for user, want := range map[string]bool{"1234567": false, "12345678": true} {
		s := MaskinportenSettings{EnterpriseUserName: NewSecret(user), EnterpriseUserPassword: NewSecret("pw")}
		p, wrong := s.exchange(environments[0], true)
		if len(wrong) > 0 {
			t.Fatal(wrong)
		}
		if got := slices.Contains(p.secrets, user); got != want {
			t.Errorf("%s: got %t, want %t", user, got, want)
		}
		if !slices.Contains(p.secrets, "pw") || !slices.Contains(p.secrets, user+":pw") {
			t.Errorf("%s: the password is missing among what is redacted", user)
		}
	}
}

// The characters at the ends of what a scope and a resource may have.
func TestCharactersOfScopes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"a!": true, "a~": true, "a\x7f": false, "a\x1f": false, `a"`: false, `a\`: false, "aø": false} {
		if got := isScope(text); got != want {
			t.Errorf("scope %q: got %t, want %t", text, got, want)
		}
	}
	for text, want := range map[string]bool{"a!": true, "a~": true, "a\x7f": false, "a b": false} {
		if got := isResource(text); got != want {
			t.Errorf("resource %q: got %t, want %t", text, got, want)
		}
	}
	if isScope(strings.Repeat("a", maxScopes+1)) || !isScope(strings.Repeat("a", maxScopes)) {
		t.Error("got another limit of a list of scopes, want maxScopes")
	}
}
