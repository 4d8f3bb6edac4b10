package httpclient_test

import (
	"context"
	"maps"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// What a request's context asks for stands in its assertion, over the settings.
func TestRequestOptions(t *testing.T) {
	t.Parallel()
	systemUser := func(orgNo, ref string) []any {
		details := map[string]any{"type": "urn:altinn:systemuser", "systemuser_org": map[string]any{"authority": "iso6523-actorid-upis", "ID": "0192:" + orgNo}}
		if ref != "" {
			details["externalRef"] = ref
		}
		return []any{details}
	}
	consent := func(from string) []any {
		return []any{map[string]any{"type": "urn:altinn:consent", "id": consentID, "from": from}}
	}
	type ctx = context.Context
	cases := []struct {
		name    string
		context func(ctx) ctx
		want    map[string]any // nil removes a claim of the settings
	}{
		{"nothing", func(c ctx) ctx { return c }, nil},
		{"scope", func(c ctx) ctx { return httpclient.ContextWithScope(c, "other:scope") }, map[string]any{"scope": "other:scope"}},
		{"scopes", func(c ctx) ctx { return httpclient.ContextWithScope(c, scope+",other:scope", scope) }, map[string]any{"scope": scope + " other:scope"}},
		{"resource", func(c ctx) ctx { return httpclient.ContextWithResource(c, "https://b.example/") }, map[string]any{"resource": "https://b.example/"}},
		{"no resource", func(c ctx) ctx { return httpclient.ContextWithResource(c, "") }, map[string]any{"resource": nil}},
		{"consumer", func(c ctx) ctx { return httpclient.ContextWithConsumerOrg(c, "991825827") }, map[string]any{"consumer_org": "991825827"}},
		{"no consumer", func(c ctx) ctx { return httpclient.ContextWithConsumerOrg(c, "") }, map[string]any{"consumer_org": nil}},
		{"person", func(c ctx) ctx { return httpclient.ContextWithPerson(c, httpclient.NewSecret("01017012345")) }, map[string]any{"pid": "01017012345"}},
		{"system user", func(c ctx) ctx {
			return httpclient.ContextWithSystemUser(c, httpclient.SystemUser{OrgNo: "991825827"})
		}, map[string]any{"authorization_details": systemUser("991825827", "")}},
		{"system user with a reference", func(c ctx) ctx {
			return httpclient.ContextWithSystemUser(c, httpclient.SystemUser{OrgNo: "0192:991825827", ExternalRef: "Ærlig_Øl-1"})
		}, map[string]any{"authorization_details": systemUser("991825827", "Ærlig_Øl-1")}},
		{"consent of a person", func(c ctx) ctx {
			return httpclient.ContextWithConsent(c, httpclient.Consent{ID: consentID, From: httpclient.NewSecret("01017012345")})
		}, map[string]any{"authorization_details": consent("urn:altinn:person:identifier-no:01017012345")}},
		{"consent of an organisation", func(c ctx) ctx {
			return httpclient.ContextWithConsent(c, httpclient.Consent{ID: consentID, From: httpclient.NewSecret("urn:altinn:organization:identifier-no:991825827")})
		}, map[string]any{"authorization_details": consent("urn:altinn:organization:identifier-no:991825827")}},
		{"several, the later of one kind", func(c ctx) ctx {
			c = httpclient.ContextWithSystemUser(c, httpclient.SystemUser{OrgNo: "974760673"})
			return httpclient.ContextWithConsumerOrg(httpclient.ContextWithSystemUser(c, httpclient.SystemUser{OrgNo: "991825827"}), "")
		}, map[string]any{"authorization_details": systemUser("991825827", ""), "consumer_org": nil}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := supplier(t)
			source := sourceOf(t, srv, map[string]any{"Scope": scope, "Resource": "https://a.example/", "ConsumerOrgNo": "889640782"})
			req, _ := http.NewRequestWithContext(c.context(t.Context()), http.MethodGet, srv.PlatformURL()+"/api", nil)
			var seen map[string]any
			srv.Handle("/seen", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				token, _ := maskinportentest.TokenFrom(r.Context())
				seen = token.Assertion
			}))
			req.URL.Path = "/seen"
			resp, err := source.Client().Do(req)
			read(t, resp, err)
			want := map[string]any{"aud": srv.Issuer(), "iss": srv.ClientID(), "scope": scope, "resource": "https://a.example/", "consumer_org": "889640782"}
			maps.Copy(want, c.want)
			maps.DeleteFunc(want, func(_ string, v any) bool { return v == nil })
			got := maps.Clone(seen)
			for _, name := range []string{"iat", "exp", "jti"} {
				delete(got, name)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWrongRequestOptions(t *testing.T) {
	t.Parallel()
	ctx := httpclient.ContextWithScope(t.Context(), " , ")
	ctx = httpclient.ContextWithConsumerOrg(ctx, "12345678x")
	ctx = httpclient.ContextWithPerson(ctx, httpclient.NewSecret("CANARY"))
	ctx = httpclient.ContextWithSystemUser(ctx, httpclient.SystemUser{OrgNo: "1", ExternalRef: "a b"})
	ctx = httpclient.ContextWithConsent(ctx, httpclient.Consent{ID: "x", From: httpclient.NewSecret("12345")})
	const want = "httpclient: ContextWithScope: no scope is named\n" +
		"httpclient: ContextWithConsumerOrg: not an organisation number: nine digits\n" +
		"httpclient: ContextWithPerson: not a national identity number: eleven digits\n" +
		"httpclient: ContextWithSystemUser: OrgNo is not an organisation number: nine digits\n" +
		"httpclient: ContextWithSystemUser: ExternalRef has another character than letters, digits, _ and -, or more than 255\n" +
		"httpclient: ContextWithConsent: ID is not a UUID\n" +
		"httpclient: ContextWithConsent: From is neither a national identity number nor an organisation number\n" +
		"httpclient: ContextWithConsent: a token is of a system user or of a consent, not of both"
	srv := newDouble(t)
	source := sourceOf(t, srv, nil)
	if _, err := source.Token(ctx); message(err) != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	body := &closeCounter{Reader: strings.NewReader("x")}
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "https://a.example/", body)
	if _, err := source.Client().Do(req); err == nil || body.closed.Load() == 0 || srv.Stats().TokenRequests != 0 {
		t.Errorf("the client: got %v, want an error, a closed body and no token request", err)
	}
	for want, ctx := range map[string]context.Context{
		"httpclient: ContextWithResource: not a text of at most 2,000 printable characters":                     httpclient.ContextWithResource(t.Context(), "a\x00b"),
		"httpclient: ContextWithScope: the scope has a semicolon: separate scopes by spaces or commas":          httpclient.ContextWithScope(t.Context(), "a:b;c:d"),
		"httpclient: ContextWithScope: the scope has a character that no scope can have":                        httpclient.ContextWithScope(t.Context(), `a"b`),
		"httpclient: ContextWithConsent: ID is not a UUID":                                                      httpclient.ContextWithConsent(t.Context(), httpclient.Consent{ID: consentID + "x", From: httpclient.NewSecret("991825827")}),
		"httpclient: ContextWithConsent: From is neither a national identity number nor an organisation number": httpclient.ContextWithConsent(t.Context(), httpclient.Consent{ID: consentID, From: httpclient.NewSecret("urn:altinn:person:identifier-no:991825827")}),
	} {
		if _, err := source.Token(ctx); message(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	// What one context adds, another that comes from the same one does not see.
	parent := httpclient.ContextWithScope(t.Context(), "")
	_ = httpclient.ContextWithResource(parent, "\x00")
	if _, err := source.Token(httpclient.ContextWithPerson(parent, httpclient.NewSecret("1"))); message(err) != "httpclient: ContextWithScope: no scope is named\nhttpclient: ContextWithPerson: not a national identity number: eleven digits" {
		t.Errorf("got %v, want both problems", err)
	}
	long := httpclient.ContextWithSystemUser(t.Context(), httpclient.SystemUser{OrgNo: "991825827", ExternalRef: strings.Repeat("a", 256)})
	if _, err := source.Token(long); !strings.Contains(message(err), "or more than 255") {
		t.Errorf("got %v, want an error about the length", err)
	}
}

// Tokens of different requests are kept apart, and each is fetched once.
func TestRequestsAreKeptApart(t *testing.T) {
	t.Parallel()
	srv := supplier(t)
	source := sourceOf(t, srv, map[string]any{"Scope": scope, "ExhangeToAltinnToken": true})
	seen := map[string]string{}
	for range 3 {
		for _, orgNo := range []string{"", "991825827", "889640782"} {
			ctx := t.Context()
			if orgNo != "" {
				ctx = httpclient.ContextWithSystemUser(ctx, httpclient.SystemUser{OrgNo: orgNo})
			}
			token, err := source.Token(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if before, ok := seen[orgNo]; ok && before != token.AccessToken() {
				t.Errorf("got another token for %q, want the same", orgNo)
			}
			seen[orgNo] = token.AccessToken()
		}
	}
	if s := srv.Stats(); len(seen) != 3 || s.TokenRequests != 3 || s.Exchanges != 3 {
		t.Errorf("got %d tokens and %+v, want 3 of each", len(seen), s)
	}
	// What asks for the same as the settings is served with the settings' own.
	if _, err := source.Token(httpclient.ContextWithScope(t.Context(), scope)); err != nil || srv.Stats().TokenRequests != 3 {
		t.Errorf("got error %v and %d token requests, want the settings' own token and 3", err, srv.Stats().TokenRequests)
	}
	// A rejected token is replaced for the request that it was of, and no other.
	ctx := httpclient.ContextWithSystemUser(t.Context(), httpclient.SystemUser{OrgNo: "991825827"})
	srv.Revoke(seen["991825827"])
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, srv.PlatformURL()+"/api", nil)
	resp, err := source.Client().Do(req)
	if status, _ := read(t, resp, err); status != 200 || srv.Stats().TokenRequests != 4 {
		t.Errorf("got %d and %d token requests, want 200 and 4", status, srv.Stats().TokenRequests)
	}
	if token, err := source.Token(t.Context()); err != nil || token.AccessToken() != seen[""] {
		t.Errorf("got another token or error %v, want the settings' own token as before", err)
	}
}

// Requests of one kind do not wait for those of another.
func TestRequestsDoNotWaitForOneAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn, maskinportentest.WithClient(maskinportentest.Client{Scopes: []string{scope, "slow:scope"}}))
		defer srv.Close()
		slow := roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := srv.Transport().RoundTrip(r)
			if assertion := srv.Stats().LastAssertion; assertion.Claims["scope"] == "slow:scope" {
				pass(5 * time.Second)
			}
			return resp, err
		})
		source := sourceOf(t, srv, map[string]any{"Scope": scope}, httpclient.WithTokenTransport(slow))
		defer source.Close()
		defer srv.Transport().CloseIdleConnections()
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if _, err := source.Token(httpclient.ContextWithScope(t.Context(), "slow:scope")); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		start := time.Now()
		if _, err := source.Token(t.Context()); err != nil || time.Since(start) != 0 {
			t.Errorf("got %v after %v, want a token at once", err, time.Since(start))
		}
		waiting.Wait()
	})
}

// A hundred thousand customers take no more memory than ten thousand.
func TestCacheIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	// Not parallel: it measures the heap.
	source, asked := instant(t)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var full uint64
	for i := range 100_000 {
		if _, err := source.Token(customer(t, i)); err != nil {
			t.Fatal(err)
		}
		if i == 20_000 {
			full = heap()
		}
	}
	if asked.Load() != 100_000 || httpclient.Cached(source) != httpclient.DefaultCacheSize {
		t.Errorf("got %d token requests and %d tokens kept, want 100000 and %d", asked.Load(), httpclient.Cached(source), httpclient.DefaultCacheSize)
	}
	if now := heap(); now > full+full/2+8<<20 {
		t.Errorf("got %d bytes in use, want about the %d at 20,000 customers", now, full)
	}
}

// The least recently used leave first.
func TestCacheKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	source, asked := instant(t, httpclient.WithCacheSize(3))
	for _, i := range []int{1, 2, 3, 1, 4} { // 2 leaves
		if _, err := source.Token(customer(t, i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		customer int
		asked    int64
	}{{1, 4}, {3, 4}, {4, 4}, {2, 5}, {1, 6}} {
		if _, err := source.Token(customer(t, c.customer)); err != nil || asked.Load() != c.asked {
			t.Errorf("customer %d: got error %v and %d token requests, want %d", c.customer, err, asked.Load(), c.asked)
		}
	}
	if _, err := httpclient.NewTokenSource(httpclient.MaskinportenSettings{}, httpclient.WithCacheSize(0)); !strings.Contains(message(err), "httpclient: WithCacheSize: 0 is less than 1") {
		t.Errorf("got %v, want an error about the size", err)
	}
}

// After Close, requests with options fail as the others do.
func TestCloseDropsThemAll(t *testing.T) {
	t.Parallel()
	source, _ := instant(t)
	if _, err := source.Token(customer(t, 1)); err != nil {
		t.Fatal(err)
	}
	source.Close()
	for i := range 3 {
		if _, err := source.Token(customer(t, i)); message(err) != httpclient.ErrClosed.Error() {
			t.Errorf("got %v, want ErrClosed", err)
		}
	}
}

// What is just allowed, and what is just not.
func TestBoundsOfRequestOptions(t *testing.T) {
	t.Parallel()
	source, _ := instant(t)
	systemUser := func(ref string) context.Context {
		return httpclient.ContextWithSystemUser(t.Context(), httpclient.SystemUser{OrgNo: "991825827", ExternalRef: ref})
	}
	consent := func(id, from string) context.Context {
		return httpclient.ContextWithConsent(t.Context(), httpclient.Consent{ID: id, From: httpclient.NewSecret(from)})
	}
	for name, c := range map[string]struct {
		ctx context.Context
		ok  bool
	}{
		"a reference of 255":           {systemUser(strings.Repeat("ø", 255)), true},
		"a reference of 256":           {systemUser(strings.Repeat("ø", 256)), false},
		"a reference with a dot":       {systemUser("a.b"), false},
		"a UUID in upper case":         {consent(strings.ToUpper(consentID), "991825827"), true},
		"a UUID without dashes":        {consent(strings.ReplaceAll(consentID, "-", ""), "991825827"), false},
		"a person as Altinn's URN":     {consent(consentID, "urn:altinn:person:identifier-no:01017012345"), true},
		"a person of ten digits":       {consent(consentID, "0101701234"), false},
		"a resource of 2,000":          {httpclient.ContextWithResource(t.Context(), strings.Repeat("r", 2000)), true},
		"a resource of 2,001":          {httpclient.ContextWithResource(t.Context(), strings.Repeat("r", 2001)), false},
		"a resource with a space":      {httpclient.ContextWithResource(t.Context(), "a b"), false},
		"scopes of 8,000":              {httpclient.ContextWithScope(t.Context(), strings.Repeat("s", 8000)), true},
		"scopes of 8,001":              {httpclient.ContextWithScope(t.Context(), strings.Repeat("s", 8001)), false},
		"a scope with a backslash":     {httpclient.ContextWithScope(t.Context(), `a\b`), false},
		"an organisation of ten":       {httpclient.ContextWithConsumerOrg(t.Context(), "9918258270"), false},
		"an organisation with 0192":    {httpclient.ContextWithConsumerOrg(t.Context(), "0192:991825827"), true},
		"a person with another script": {httpclient.ContextWithPerson(t.Context(), httpclient.NewSecret("٠١٢٣٤٥٦٧٨٩٠")), false},
	} {
		if _, err := source.Token(c.ctx); (err == nil) != c.ok {
			t.Errorf("%s: got %v, want a token: %v", name, err, c.ok)
		}
	}
}
