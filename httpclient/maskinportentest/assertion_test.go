package maskinportentest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

func TestAssertionAccepted(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		header func(map[string]any)
		claims func(map[string]any)
	}{
		"plain":                      {},
		"no typ":                     {header: without("typ")},
		"RS384":                      {header: set("alg", "RS384")},
		"RS512":                      {header: set("alg", "RS512")},
		"life of 120 s":              {claims: at(0, 120)},
		"iat 10 s ahead":             {claims: at(10, 100)},
		"slow clock":                 {claims: at(-100, 20)},
		"two scopes":                 {claims: set("scope", scope+" second")},
		"resource as string":         {claims: set("resource", "https://api.example/v1?a=b")},
		"resource as array":          {claims: set("resource", []any{"https://api.example", "HTTP://[::1]:80/%20"})},
		"resource as URN":            {claims: set("resource", "urn:example:api")},
		"consumer_org":               {claims: set("consumer_org", "123456789")},
		"pid":                        {claims: set("pid", "12345678901")},
		"system user":                {claims: set("authorization_details", systemUser())},
		"system user without ref":    {claims: set("authorization_details", systemUser(without("externalRef")))},
		"consent of a person":        {claims: set("authorization_details", consent())},
		"consent of an organisation": {claims: set("authorization_details", consent(set("from", "urn:altinn:organization:identifier-no:123456789")))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			anyAlg := key()
			anyAlg.Algorithm = ""
			w := newWorld(t, maskinportentest.WithClient(maskinportentest.Client{
				Scopes: []string{scope, "second"}, Keys: []maskinportentest.Key{anyAlg},
			}))
			h, c := header(), w.claims()
			if tc.header != nil {
				tc.header(h)
			}
			if tc.claims != nil {
				tc.claims(c)
			}
			got := w.post(sign(t, anyAlg, h, c))
			token, _ := got.json["access_token"].(string)
			want := map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 120.0, "scope": c["scope"]}
			if diff := cmp.Diff(want, got.json); got.status != http.StatusOK || diff != "" {
				t.Errorf("got status %d, want 200; -want +got:\n%s", got.status, diff)
			}
			if cc := got.header.Get("Cache-Control"); cc != "no-store" {
				t.Errorf("got Cache-Control %q, want no-store", cc)
			}
		})
	}
}

func TestAssertionRefused(t *testing.T) {
	t.Parallel()
	const failed = "Invalid assertion. Client authentication failed. "
	const invalid = "Invalid assertion. Validation of JWT failed. "
	const value = "Invalid assertion. Invalid parameter value. "
	const resource = value + "The claim resource must be an absolute URI without a fragment"
	const scopes = "Token request contains invalid scopes for client, "
	const details = "Validation of JWT failed. "
	for name, tc := range map[string]struct {
		key    func() maskinportentest.Key
		header func(map[string]any)
		claims func(map[string]any)
		status int    // 400 if zero
		code   string // invalid_grant if empty
		mp     string
		text   string
	}{
		"unknown client":          {claims: set("iss", "nobody"), status: 401, code: "invalid_client", mp: "MP-100", text: failed + "Client not found"},
		"iss not a string":        {claims: set("iss", 1), status: 401, code: "invalid_client", mp: "MP-100", text: failed + "Client not found"},
		"wrong signature":         {key: other, mp: "MP-124", text: failed + "Invalid JWT signature"},
		"alg in lower case":       {header: set("alg", "rs256"), text: failed + "Invalid JWT. The algorithm must be RS256, RS384 or RS512"},
		"alg none":                {header: set("alg", "none"), text: failed + "Invalid JWT. The algorithm must be RS256, RS384 or RS512"},
		"alg HS256":               {header: set("alg", "HS256"), text: failed + "Invalid JWT. The algorithm must be RS256, RS384 or RS512"},
		"alg PS256":               {header: set("alg", "PS256"), text: failed + "Invalid JWT. The algorithm must be RS256, RS384 or RS512"},
		"alg absent":              {header: without("alg"), text: failed + "Invalid JWT. The algorithm must be RS256, RS384 or RS512"},
		"alg not the key's":       {header: set("alg", "RS512"), text: failed + "Invalid JWT. The key is registered for another algorithm"},
		"typ":                     {header: set("typ", "at+jwt"), text: failed + "Invalid JWT. The header typ must be JWT"},
		"crit":                    {header: set("crit", []any{"b64"}), text: failed + "Invalid JWT. The header member \"crit\" is not supported"},
		"private key leaked":      {header: set("jwk", map[string]any{"d": "x"}), text: failed + "Invalid JWT. The header member \"jwk\" is not supported"},
		"kid beside x5c":          {header: set("x5c", []any{}), text: failed + "Invalid JWT. The header has both kid and x5c"},
		"unknown kid":             {header: set("kid", "nope"), text: failed + "Unknown key identifier (kid) for client"},
		"no kid":                  {header: without("kid"), text: failed + "Invalid JWT. The client requires pre-registered jwk and no key identifier (kid) provided"},
		"aud elsewhere":           {claims: set("aud", "https://maskinporten.no/"), mp: "MP-110", text: failed + "Invalid JWT claim aud"},
		"aud as array":            {claims: func(m map[string]any) { m["aud"] = []any{m["aud"]} }, mp: "MP-110", text: failed + "Invalid JWT claim aud"},
		"aud is the token URL":    {claims: func(m map[string]any) { m["aud"] = m["aud"].(string) + "token" }, mp: "MP-110", text: failed + "Invalid JWT claim aud"},
		"aud without slash":       {claims: func(m map[string]any) { m["aud"] = strings.TrimSuffix(m["aud"].(string), "/") }, mp: "MP-110", text: failed + "Invalid JWT claim aud"},
		"aud absent":              {claims: without("aud"), mp: "MP-110", text: failed + "Invalid JWT claim aud"},
		"life of 121 s":           {claims: at(0, 121), text: invalid + "JWT has too long lifetime"},
		"life beyond numbers":     {claims: at(0, 1<<39), text: invalid + "JWT has too long lifetime"},
		"iat 11 s ahead":          {claims: at(11, 100), text: invalid + "Issue time is after now"},
		"expired":                 {claims: at(-100, 0), mp: "MP-130", text: failed + "JWT is expired"},
		"exp before iat":          {claims: at(9, 5), code: "invalid_request", mp: "MP-011", text: value + "The claim exp must be after iat"},
		"iat a string":            {claims: set("iat", "1"), code: "invalid_request", mp: "MP-011", text: value + "The claims iat and exp must be whole seconds"},
		"iat negative":            {claims: set("iat", -1), code: "invalid_request", mp: "MP-011", text: value + "The claims iat and exp must be whole seconds"},
		"exp beyond counting":     {claims: set("exp", int64(1)<<62), code: "invalid_request", mp: "MP-011", text: value + "The claims iat and exp must be whole seconds"},
		"exp a fraction":          {claims: set("exp", 1.5), code: "invalid_request", mp: "MP-011", text: value + "The claims iat and exp must be whole seconds"},
		"exp absent":              {claims: without("exp"), code: "invalid_request", mp: "MP-011", text: value + "The claims iat and exp must be whole seconds"},
		"jti absent":              {claims: without("jti"), code: "invalid_request", mp: "MP-011", text: value + "The claim jti is required"},
		"unknown claim":           {claims: set("extra", 1), code: "invalid_request", mp: "MP-011", text: value + `Unknown claim "extra"`},
		"nbf":                     {claims: set("nbf", epoch.Unix()), code: "invalid_request", mp: "MP-011", text: value + `Unknown claim "nbf"`},
		"sub":                     {claims: set("sub", "me"), code: "invalid_request", mp: "MP-011", text: value + `Unknown claim "sub"`},
		"claim in other case":     {claims: set("Scope", scope), code: "invalid_request", mp: "MP-011", text: value + `Unknown claim "Scope"`},
		"unregistered scope":      {claims: set("scope", scope+" other"), code: "invalid_scope", mp: "MP-200", text: scopes + "other"},
		"scopes with comma":       {claims: set("scope", scope+","+scope), code: "invalid_scope", mp: "MP-200", text: scopes + scope + "," + scope},
		"two spaces":              {claims: set("scope", scope+"  "+scope), code: "invalid_scope", mp: "MP-200", text: scopes},
		"scope empty":             {claims: set("scope", ""), code: "invalid_scope", mp: "MP-200", text: scopes},
		"scope as array":          {claims: set("scope", []any{scope}), code: "invalid_request", mp: "MP-011", text: value + "The claim scope must be a string"},
		"resource empty":          {claims: set("resource", ""), code: "invalid_request", mp: "MP-011", text: resource},
		"resource empty array":    {claims: set("resource", []any{}), code: "invalid_request", mp: "MP-011", text: resource},
		"resource a number":       {claims: set("resource", 1), code: "invalid_request", mp: "MP-011", text: resource},
		"resource relative":       {claims: set("resource", "/api"), code: "invalid_request", mp: "MP-011", text: resource},
		"resource a host":         {claims: set("resource", "api.example"), code: "invalid_request", mp: "MP-011", text: resource},
		"resource no host":        {claims: set("resource", "https:///api"), code: "invalid_request", mp: "MP-011", text: resource},
		"resource a scheme":       {claims: set("resource", "urn:"), code: "invalid_request", mp: "MP-011", text: resource},
		"resource fragment":       {claims: set("resource", "https://api.example/#a"), code: "invalid_request", mp: "MP-011", text: resource},
		"resource empty fragment": {claims: set("resource", "https://api.example/#"), code: "invalid_request", mp: "MP-011", text: resource},
		"resource with a space":   {claims: set("resource", "https://api.example/a b"), code: "invalid_request", mp: "MP-011", text: resource},
		"resource bad escape":     {claims: set("resource", "https://api.example/%zz"), code: "invalid_request", mp: "MP-011", text: resource},
		"resource one of two":     {claims: set("resource", []any{"https://api.example", "https://api.example#a"}), code: "invalid_request", mp: "MP-011", text: resource},
		"consumer_org number":     {claims: set("consumer_org", 123456789), code: "invalid_request", mp: "MP-011", text: value + "The claim consumer_org must be nine digits"},
		"consumer_org 0192":       {claims: set("consumer_org", "0192:123456789"), code: "invalid_request", mp: "MP-011", text: value + "The claim consumer_org must be nine digits"},
		"pid":                     {claims: set("pid", "1234567890"), code: "invalid_request", mp: "MP-011", text: value + "The claim pid must be eleven digits"},
		"own consumer_org": {
			claims: set("consumer_org", "991825827"), code: "invalid_request",
			text: "Validation of JWT claim failed: The combination consumer_org in claim and delegation scope on client is invalid",
		},
		"consumer_org without delegation": {
			claims: set("consumer_org", "987654321"), status: 403, code: "forbidden", mp: "MP-251",
			text: "Consumer 987654321 has not delegated access to the scope " + scope + " to supplier 991825827",
		},
		"details not an array":    {claims: set("authorization_details", systemUser()[0]), code: "invalid_authorization_details", mp: "MP-303", text: details + "Invalid authorization details values: must be an array of one"},
		"two details":             {claims: set("authorization_details", append(consent(), consent()...)), code: "invalid_authorization_details", mp: "MP-303", text: details + "Invalid authorization details values: must be an array of one"},
		"detail of unknown type":  {claims: set("authorization_details", consent(set("type", "urn:x"))), code: "invalid_authorization_details", mp: "MP-301", text: details + "Unknown authorization details type"},
		"detail not an object":    {claims: set("authorization_details", []any{"x"}), code: "invalid_authorization_details", mp: "MP-301", text: details + "Unknown authorization details type"},
		"detail with extra field": {claims: set("authorization_details", systemUser(set("x", 1))), code: "invalid_authorization_details", mp: "MP-302", text: details + "Unknown fields in the authorization details"},
		"system user without org": {claims: set("authorization_details", systemUser(without("systemuser_org"))), code: "invalid_authorization_details", mp: "MP-303", text: details + "Invalid authorization details values: systemuser_org"},
		"system user without 0192": {
			claims: set("authorization_details", systemUser(set("systemuser_org", map[string]any{"authority": "iso6523-actorid-upis", "ID": "123456789"}))),
			code:   "invalid_authorization_details", mp: "MP-303", text: details + "Invalid authorization details values: systemuser_org",
		},
		"system user of other authority": {
			claims: set("authorization_details", systemUser(set("systemuser_org", map[string]any{"authority": "x", "ID": "0192:123456789"}))),
			code:   "invalid_authorization_details", mp: "MP-303", text: details + "Invalid authorization details values: systemuser_org",
		},
		"system user org with more": {
			claims: set("authorization_details", systemUser(set("systemuser_org", map[string]any{"authority": "iso6523-actorid-upis", "ID": "0192:123456789", "x": 1}))),
			code:   "invalid_authorization_details", mp: "MP-303", text: details + "Invalid authorization details values: systemuser_org",
		},
		"externalRef with a space": {claims: set("authorization_details", systemUser(set("externalRef", "a b"))), code: "invalid_authorization_details", mp: "MP-303", text: details + "Invalid authorization details values: externalRef"},
		"externalRef of 256":       {claims: set("authorization_details", systemUser(set("externalRef", strings.Repeat("ø", 256)))), code: "invalid_authorization_details", mp: "MP-303", text: details + "Invalid authorization details values: externalRef"},
		"consent id not a uuid":    {claims: set("authorization_details", consent(set("id", "x"))), code: "invalid_authorization_details", mp: "MP-303", text: details + "Invalid authorization details values: id"},
		"consent without from":     {claims: set("authorization_details", consent(without("from"))), code: "invalid_authorization_details", mp: "MP-303", text: details + "Invalid authorization details values: from"},
		"consent from elsewhere":   {claims: set("authorization_details", consent(set("from", "12345678901"))), code: "invalid_authorization_details", mp: "MP-303", text: details + "Invalid authorization details values: from"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, maskinportentest.WithClient(maskinportentest.Client{ConsumerOrgs: []string{"123456789"}}))
			h, c := header(), w.claims()
			if tc.header != nil {
				tc.header(h)
			}
			if tc.claims != nil {
				tc.claims(c)
			}
			if tc.key == nil {
				tc.key = key
			}
			if tc.status == 0 {
				tc.status = http.StatusBadRequest
			}
			if tc.code == "" {
				tc.code = "invalid_grant"
			}
			got := w.post(sign(t, tc.key(), h, c))
			checkRefusal(t, w, got, tc.status, tc.code, tc.mp, tc.text)
		})
	}
}

func TestExpiryIsToTheSecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := sign(t, key(), header(), w.claims(at(-100, 1)))
	w.advance(400 * time.Millisecond) // to exp exactly
	if got := w.post(a); !strings.Contains(got.raw, "JWT is expired") {
		t.Errorf("got %d %s, want that the JWT is expired", got.status, got.raw)
	}
}
