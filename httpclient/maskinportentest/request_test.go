package maskinportentest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

func TestRequestRefused(t *testing.T) {
	t.Parallel()
	const only = "Invalid assertion. Invalid parameter value. Only grant_type and assertion are allowed"
	for name, tc := range map[string]struct {
		form   func(url.Values)
		body   string // instead of the form
		edit   func(*http.Request)
		status int // 400 if zero
		code   string
		mp     string
		text   string
	}{
		"GET":                 {edit: func(r *http.Request) { r.Method = http.MethodGet }, status: 405, code: "invalid_request", text: "Invalid request. Method must be POST"},
		"JSON":                {edit: func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, code: "invalid_request", text: "Invalid request. Content-Type must be application/x-www-form-urlencoded"},
		"no content type":     {edit: func(r *http.Request) { r.Header.Del("Content-Type") }, code: "invalid_request", text: "Invalid request. Content-Type must be application/x-www-form-urlencoded"},
		"query":               {edit: func(r *http.Request) { r.URL.RawQuery = "a=b" }, code: "invalid_request", text: "Invalid request. The URL must have no query"},
		"empty query":         {edit: func(r *http.Request) { r.URL.ForceQuery = true }, code: "invalid_request", text: "Invalid request. The URL must have no query"},
		"Authorization":       {edit: func(r *http.Request) { r.SetBasicAuth("a", "b") }, code: "invalid_request", text: "Invalid request. The header Authorization must be absent"},
		"cookie":              {edit: func(r *http.Request) { r.Header.Set("Cookie", "a=b") }, code: "invalid_request", text: "Invalid request. The header Cookie must be absent"},
		"enterprise user":     {edit: func(r *http.Request) { r.Header.Set("X-Altinn-EnterpriseUser-Authentication", "x") }, code: "invalid_request", text: "Invalid request. The header X-Altinn-EnterpriseUser-Authentication must be absent"},
		"compressed":          {edit: func(r *http.Request) { r.Header.Set("Content-Encoding", "x") }, code: "invalid_request", text: "Invalid request. The header Content-Encoding must be absent"},
		"proxy's password":    {edit: func(r *http.Request) { r.Header.Set("Proxy-Authorization", "x") }, code: "invalid_request", text: "Invalid request. The header Proxy-Authorization must be absent"},
		"extra field":         {form: func(v url.Values) { v.Set("client_id", "x") }, code: "invalid_request", mp: "MP-011", text: only},
		"scope in the form":   {form: func(v url.Values) { v.Set("scope", scope) }, code: "invalid_request", mp: "MP-011", text: only},
		"assertion twice":     {form: func(v url.Values) { v.Add("assertion", "x") }, code: "invalid_request", mp: "MP-011", text: "Invalid assertion. Invalid parameter value. A parameter is repeated"},
		"grant_type twice":    {form: func(v url.Values) { v.Add("grant_type", grant) }, code: "invalid_request", mp: "MP-011", text: "Invalid assertion. Invalid parameter value. A parameter is repeated"},
		"other grant_type":    {form: func(v url.Values) { v.Set("grant_type", "client_credentials") }, code: "unsupported_grant_type", text: "Invalid request. Unsupported grant_type"},
		"no grant_type":       {form: func(v url.Values) { v.Del("grant_type") }, code: "unsupported_grant_type", text: "Invalid request. Unsupported grant_type"},
		"no assertion":        {form: func(v url.Values) { v.Del("assertion") }, code: "invalid_request", mp: "MP-011", text: "Invalid assertion. Invalid parameter value. Not a compact JWS"},
		"malformed form":      {body: "grant_type=%zz", code: "invalid_request", mp: "MP-011", text: "Invalid assertion. Invalid parameter value. Malformed form"},
		"body of over 64 KiB": {body: strings.Repeat("a", 64<<10+1), code: "invalid_request", text: "Invalid request. Unreadable body"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			form := url.Values{"grant_type": {grant}, "assertion": {sign(t, key(), header(), w.claims())}}
			if tc.form != nil {
				tc.form(form)
			}
			if tc.body == "" {
				tc.body = form.Encode()
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.TokenURL(), strings.NewReader(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
			if tc.edit != nil {
				tc.edit(req)
			}
			if tc.status == 0 {
				tc.status = http.StatusBadRequest
			}
			checkRefusal(t, w, w.do(req, nil), tc.status, tc.code, tc.mp, tc.text)
		})
	}
}

func TestMalformedAssertion(t *testing.T) {
	t.Parallel()
	good := func(t *testing.T, w *world) string { return sign(t, key(), header(), w.claims()) }
	for name, tc := range map[string]struct {
		make func(t *testing.T, w *world) string
		why  string
	}{
		"two parts":        {func(t *testing.T, w *world) string { return "a.b" }, "Not a compact JWS"},
		"four parts":       {func(t *testing.T, w *world) string { return good(t, w) + ".a" }, "Not a compact JWS"},
		"trailing newline": {func(t *testing.T, w *world) string { return good(t, w) + "\n" }, "Not a compact JWS"},
		"padding":          {func(t *testing.T, w *world) string { return good(t, w) + "==" }, "Not a compact JWS"},
		"loose last bits": {func(t *testing.T, w *world) string {
			const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
			a := good(t, w)
			last := strings.IndexByte(alphabet, a[len(a)-1])
			return a[:len(a)-1] + alphabet[last+1:last+2]
		}, "Not a compact JWS"},
		"header not JSON":   {func(t *testing.T, w *world) string { return sign(t, key(), "x", w.claims()) }, "JWT header: not one JSON object"},
		"header an array":   {func(t *testing.T, w *world) string { return sign(t, key(), "[]", w.claims()) }, "JWT header: not one JSON object"},
		"not UTF-8":         {func(t *testing.T, w *world) string { return sign(t, key(), header(), "{\"a\":\"\xff\"}") }, "JWT claims: not one JSON object"},
		"something after":   {func(t *testing.T, w *world) string { return sign(t, key(), header(), `{}{}`) }, "JWT claims: not one JSON object"},
		"unfinished object": {func(t *testing.T, w *world) string { return sign(t, key(), header(), `{"a":1`) }, "JWT claims: not one JSON object"},
		"unfinished array":  {func(t *testing.T, w *world) string { return sign(t, key(), header(), `{"a":[1`) }, "JWT claims: not one JSON object"},
		"member not string": {func(t *testing.T, w *world) string { return sign(t, key(), header(), `{1:1}`) }, "JWT claims: not one JSON object"},
		"bad in an array":   {func(t *testing.T, w *world) string { return sign(t, key(), header(), `{"a":[x]}`) }, "JWT claims: not one JSON object"},
		"too deep": {func(t *testing.T, w *world) string {
			return sign(t, key(), header(), `{"a":`+strings.Repeat("[", 30)+strings.Repeat("]", 30)+`}`)
		}, "JWT claims: not one JSON object"},
		"claim twice":       {func(t *testing.T, w *world) string { return sign(t, key(), header(), `{"iss":"a","iss":"b"}`) }, "JWT claims: a member is repeated"},
		"claim twice below": {func(t *testing.T, w *world) string { return sign(t, key(), header(), `{"a":[{"b":1,"b":1}]}`) }, "JWT claims: a member is repeated"},
		"header twice": {func(t *testing.T, w *world) string {
			return sign(t, key(), `{"alg":"RS256","alg":"RS256"}`, w.claims())
		}, "JWT header: a member is repeated"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			checkRefusal(t, w, w.post(tc.make(t, w)), http.StatusBadRequest, "invalid_request", "MP-011",
				"Invalid assertion. Invalid parameter value. "+tc.why)
		})
	}
}

// The signature is over the bytes that were sent, not over their meaning.
func TestSignatureIsOverTheExactBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	claims := w.claims()
	first := strings.Split(sign(t, key(), header(), claims), ".")
	spaced := strings.Split(sign(t, key(), ` {"alg":"RS256","kid":"`+kid+`"}`, claims), ".")
	for name, assertion := range map[string]string{
		"another header": spaced[0] + "." + first[1] + "." + first[2],
		"no signature":   first[0] + "." + first[1] + ".",
		"a short one":    first[0] + "." + first[1] + "." + first[2][:100],
	} {
		if got := w.post(assertion); !strings.Contains(got.raw, "Invalid JWT signature") {
			t.Errorf("%s: got %d %s, want that the signature is invalid", name, got.status, got.raw)
		}
	}
}

func TestReplay(t *testing.T) {
	t.Parallel()
	const used = "Invalid assertion. Validation of JWT failed. Grant is used before. (trace_id: "
	replay := func(t *testing.T, w *world, a string) {
		t.Helper()
		got := w.post(a)
		if d, _ := got.json["error_description"].(string); got.status != http.StatusBadRequest || !strings.HasPrefix(d, used) {
			t.Errorf("got %d %s, want that it was used before", got.status, got.raw)
		}
	}
	t.Run("after success", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		a := sign(t, key(), header(), w.claims(at(0, 120)))
		if got := w.post(a); got.status != http.StatusOK {
			t.Fatalf("got %d %s, want 200", got.status, got.raw)
		}
		w.advance(119 * time.Second)
		replay(t, w, a)
		if st := w.Stats(); st.JTIs != 1 || st.TokensIssued != 1 {
			t.Errorf("got %+v, want 1 assertion, 1 token", st)
		}
	})
	t.Run("same jti in another assertion", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.token(set("jti", "same"))
		replay(t, w, sign(t, key(), header(), w.claims(set("jti", "same"), at(1, 90))))
	})
	t.Run("after a fault", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.Faults.Add(faulttest.Fault{Status: http.StatusServiceUnavailable})
		a := sign(t, key(), header(), w.claims())
		if got := w.post(a); got.status != http.StatusServiceUnavailable {
			t.Fatalf("got %d %s, want 503", got.status, got.raw)
		}
		replay(t, w, a)
	})
	t.Run("after a redirect that was followed", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.client.CheckRedirect = nil
		w.Faults.Add(faulttest.Fault{Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"/token"}}})
		replay(t, w, sign(t, key(), header(), w.claims()))
	})
	t.Run("another client's", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.AddClient(maskinportentest.Client{ID: "two", Scopes: []string{scope}, Keys: []maskinportentest.Key{key()}})
		w.token(set("jti", "same"))
		w.token(set("jti", "same"), set("iss", "two"))
		if st := w.Stats(); st.JTIs != 2 {
			t.Errorf("got %+v, want 2 assertions", st)
		}
	})
}
