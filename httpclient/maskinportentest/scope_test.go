package maskinportentest_test

import (
	"net/http"
	"testing"

	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// Who may have which scope: see [maskinportentest.Client].
func TestScopes(t *testing.T) {
	t.Parallel()
	const invalid = "Token request contains invalid scopes for client, "
	const notAllowed = "Token request contains scopes not allowed for maskinporten"
	const notGranted = "Consumer has not been granted access to the scope "
	type claims = []func(map[string]any)
	for name, tc := range map[string]struct {
		granted []string
		scope   string
		more    claims
		status  int // 0: accepted
		code    string
		mp      string
		text    string
	}{
		"registered, all granted":     {scope: "a b"},
		"registered and granted":      {granted: []string{"b", "a", "c"}, scope: "a b"},
		"unknown":                     {scope: "a x", status: 400, code: "invalid_scope", mp: "MP-200", text: invalid + "x"},
		"another client's":            {scope: "a others", status: 400, code: "invalid_scope", mp: "MP-201", text: notAllowed},
		"granted, not registered":     {granted: []string{"a", "c"}, scope: "c", status: 400, code: "invalid_scope", mp: "MP-201", text: notAllowed},
		"granted to another client":   {scope: "theirs", status: 400, code: "invalid_scope", mp: "MP-201", text: notAllowed},
		"registered, another granted": {granted: []string{"a"}, scope: "a b", status: 403, code: "forbidden", mp: "MP-250", text: notGranted + "b"},
		"registered, nothing granted": {granted: []string{}, scope: "a", status: 403, code: "forbidden", mp: "MP-250", text: notGranted + "a"},
		"unknown and not granted":     {granted: []string{}, scope: "x", status: 400, code: "invalid_scope", mp: "MP-200", text: invalid + "x"},
		"not granted, but delegated":  {granted: []string{}, scope: "a", more: claims{set("consumer_org", "123456789")}},
		"delegated, not registered":   {scope: "x", more: claims{set("consumer_org", "123456789")}, status: 400, code: "invalid_scope", mp: "MP-200", text: invalid + "x"},
		"not delegated":               {scope: "b a", more: claims{set("consumer_org", "987654321")}, status: 403, code: "forbidden", mp: "MP-251", text: "Consumer 987654321 has not delegated access to the scope b to supplier " + org},
		"not delegated to itself":     {scope: "a", more: claims{set("consumer_org", org)}, status: 400, code: "invalid_request", text: "Validation of JWT claim failed: The combination consumer_org in claim and delegation scope on client is invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t,
				maskinportentest.WithClient(maskinportentest.Client{
					Scopes: []string{"a", "b"}, Granted: tc.granted, ConsumerOrgs: []string{"123456789"},
				}),
				maskinportentest.WithClient(maskinportentest.Client{ID: "two", Scopes: []string{"others"}, Granted: []string{"theirs"}}),
			)
			got := w.post(sign(t, key(), header(), w.claims(append(tc.more, set("scope", tc.scope))...)))
			if tc.status != 0 {
				checkRefusal(t, w, got, tc.status, tc.code, tc.mp, tc.text)
			} else if got.status != http.StatusOK || got.json["scope"] != tc.scope {
				t.Errorf("got %d %s, want 200 with scope %q", got.status, got.raw, tc.scope)
			}
		})
	}
}
