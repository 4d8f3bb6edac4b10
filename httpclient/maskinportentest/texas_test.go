package maskinportentest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
	plain    = `{"identity_provider":"maskinporten","target":"` + scope + `"}`
)

// texasWorld is Texas in front of a server with a clock that the test moves.
type texasWorld struct {
	*world
	texas *maskinportentest.Texas
}

func newTexasWorld(t *testing.T, opts ...maskinportentest.Option) texasWorld {
	t.Helper()
	w := newWorld(t, opts...)
	texas := maskinportentest.NewTexas(w.Server)
	t.Cleanup(texas.Close)
	w.client = &http.Client{Transport: texas.Transport()}
	t.Cleanup(w.client.CloseIdleConnections)
	return texasWorld{w, texas}
}

func (w texasWorld) ask(contentType, body string, edits ...func(*http.Request)) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.texas.TokenURL(), strings.NewReader(body))
	if err == nil {
		req.Header.Set("Content-Type", contentType)
		for _, edit := range edits {
			edit(req)
		}
	}
	return w.do(req, err)
}

// token asks and wants a token.
func (w texasWorld) token(body string) string {
	w.t.Helper()
	a := w.ask(jsonType, body)
	if a.status != http.StatusOK {
		w.t.Fatalf("got %d %s, want 200", a.status, a.raw)
	}
	return a.json["access_token"].(string)
}

func TestTexasAnswer(t *testing.T) {
	t.Parallel()
	w := newTexasWorld(t)
	a := w.ask(jsonType+"; charset=utf-8", plain)
	token, _ := a.json["access_token"].(string)
	delete(a.json, "access_token")
	want := map[string]any{"expires_in": 120., "token_type": "Bearer"}
	if diff := cmp.Diff(want, a.json); a.status != http.StatusOK || diff != "" || a.header.Get("Content-Type") != jsonType {
		t.Errorf("got %d %s, want 200 and JSON; -want +got:\n%s", a.status, a.header.Get("Content-Type"), diff)
	}
	w.Handle("/api", http.HandlerFunc(tell), scope)
	if got := w.get(w.PlatformURL()+"/api", token); got.status != http.StatusOK {
		t.Errorf("got %d of the API, want 200", got.status)
	}
	if !strings.HasPrefix(w.texas.TokenURL(), "http://127.0.0.1:") || w.texas.TokenURL() != w.texas.URL()+"/api/v1/token" {
		t.Errorf("got %s, want plain http on this machine", w.texas.TokenURL())
	}
}

// Texas gives what it has until near the end, or until it is told to skip that.
func TestTexasCache(t *testing.T) {
	t.Parallel()
	for life, kept := range map[time.Duration]time.Duration{
		time.Hour: 58 * time.Minute, 130 * time.Second: 10 * time.Second, 2 * time.Minute: time.Minute, time.Minute: 30 * time.Second,
	} {
		t.Run(life.String(), func(t *testing.T) {
			t.Parallel()
			w := newTexasWorld(t, maskinportentest.WithTokenLifetime(life))
			first := w.token(plain)
			w.advance(kept - time.Second)
			a := w.ask(formType, "identity_provider=maskinporten&target="+scope+"&skip_cache=false")
			if a.json["access_token"] != first || a.json["expires_in"] != (life-kept+time.Second).Seconds() {
				t.Errorf("got a token for %v s, the same %t; want the first, for %v", a.json["expires_in"], a.json["access_token"] == first, life-kept+time.Second)
			}
			w.advance(time.Second)
			if w.token(plain) == first {
				t.Error("got the first token, want another near its end")
			}
			if diff := cmp.Diff(maskinportentest.TexasStats{Requests: 3, Cached: 1, Issued: 2}, w.texas.Stats()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestTexasSkipCache(t *testing.T) {
	t.Parallel()
	w := newTexasWorld(t)
	first := w.token(plain)
	w.RevokeAll()
	if w.token(plain) != first {
		t.Error("got another token, want the first: Texas does not know that it is revoked")
	}
	second := w.token(`{"identity_provider":"maskinporten","target":"` + scope + `","skip_cache":true}`)
	if second == first || w.token(plain) != second {
		t.Error("got the first token, want a new one that stays")
	}
	if a := w.ask(formType, "identity_provider=maskinporten&skip_cache=true&target="+scope); a.json["access_token"] == second {
		t.Error("got the same token by a form, want a new one")
	}
	if got := w.texas.Stats().SkipCache; got != 2 {
		t.Errorf("got %d requests with skip_cache, want 2", got)
	}
}

// Each way of asking for the same leads to the same claims, and to tokens of their own.
func TestTexasParameters(t *testing.T) {
	t.Parallel()
	details, err := json.Marshal(systemUser())
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(string(details))
	for name, tc := range map[string]struct {
		contentType, body string
		want              map[string]any
	}{
		"nothing":           {jsonType, plain, map[string]any{}},
		"nulls":             {jsonType, `{"identity_provider":"maskinporten","target":"` + scope + `","resource":null,"authorization_details":null,"skip_cache":null}`, map[string]any{}},
		"resource":          {jsonType, `{"identity_provider":"maskinporten","target":"` + scope + `","resource":"https://a.example"}`, map[string]any{"resource": "https://a.example"}},
		"resource, form":    {formType, "identity_provider=maskinporten&target=" + scope + "&resource=https://a.example", map[string]any{"resource": "https://a.example"}},
		"system user":       {jsonType, `{"identity_provider":"maskinporten","target":"` + scope + `","authorization_details":` + string(details) + `}`, map[string]any{"authorization_details": systemUser()}},
		"system user, text": {jsonType, `{"identity_provider":"maskinporten","target":"` + scope + `","authorization_details":` + string(text) + `}`, map[string]any{"authorization_details": systemUser()}},
		"system user, form": {formType, "identity_provider=maskinporten&target=" + scope + "&authorization_details=" + string(details), map[string]any{"authorization_details": systemUser()}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTexasWorld(t)
			if a := w.ask(tc.contentType, tc.body); a.status != http.StatusOK {
				t.Fatalf("got %d %s, want 200", a.status, a.raw)
			}
			claims := w.Server.Stats().LastAssertion.Claims
			for _, usual := range []string{"aud", "iss", "iat", "exp", "jti", "scope"} {
				delete(claims, usual)
			}
			if diff := cmp.Diff(tc.want, claims); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			before := w.texas.Stats().Cached
			w.token(plain)
			if same := w.texas.Stats().Cached > before; same != (len(tc.want) == 0) {
				t.Errorf("got the same token as for a plain request: %t, want %t", same, len(tc.want) == 0)
			}
		})
	}
}

func TestTexasRefuses(t *testing.T) {
	t.Parallel()
	const (
		inJSON = "Failed to deserialize the JSON body into the target type: "
		inForm = "Failed to deserialize form body: "
		known  = "`azuread`, `entra_id`, `tokenx`, `maskinporten`, `idporten`"
		fields = "expected one of `target`, `identity_provider`, `resource`, `authorization_details`, `skip_cache`"
	)
	with := func(more string) string { return strings.TrimSuffix(plain, "}") + "," + more + "}" }
	form := "identity_provider=maskinporten&target=" + scope
	for name, tc := range map[string]struct {
		contentType, body string
		edit              func(*http.Request)
		text              string
	}{
		"no content type":        {"", plain, nil, "unsupported media type: : expected one of `application/json`, `application/x-www-form-urlencoded`"},
		"another type":           {"text/plain", plain, nil, "unsupported media type: text/plain: expected one of `application/json`, `application/x-www-form-urlencoded`"},
		"not JSON":               {jsonType, "{", nil, "Failed to parse the request body as JSON"},
		"an array":               {jsonType, "[]", nil, "Failed to parse the request body as JSON"},
		"a malformed form":       {formType, "a=%zz", nil, "Failed to deserialize form body"},
		"too long":               {formType, strings.Repeat("a", 64<<10+1), nil, "Failed to buffer the request body"},
		"no target":              {jsonType, `{"identity_provider":"maskinporten"}`, nil, inJSON + "missing field `target`"},
		"no target, form":        {formType, "identity_provider=maskinporten", nil, inForm + "missing field `target`"},
		"a null target":          {jsonType, `{"identity_provider":"maskinporten","target":null}`, nil, inJSON + "target: invalid type"},
		"a list of targets":      {jsonType, `{"identity_provider":"maskinporten","target":["a"]}`, nil, inJSON + "target: invalid type"},
		"no provider":            {jsonType, `{"target":"a"}`, nil, inJSON + "missing field `identity_provider`"},
		"an unknown provider":    {jsonType, `{"identity_provider":"Maskinporten","target":"a"}`, nil, inJSON + "identity_provider: unknown variant `Maskinporten`, expected one of " + known},
		"another provider":       {formType, "identity_provider=entra_id&target=a", nil, "identity provider 'entra_id' is not enabled"},
		"consumer_org":           {jsonType, with(`"consumer_org":"889640782"`), nil, inJSON + "unknown field `consumer_org`, " + fields},
		"scope, form":            {formType, form + "&scope=a", nil, inForm + "unknown field `scope`, " + fields},
		"twice":                  {jsonType, with(`"target":"a"`), nil, inJSON + "duplicate field"},
		"twice, form":            {formType, form + "&target=a", nil, inForm + "duplicate field"},
		"a text for skip_cache":  {jsonType, with(`"skip_cache":"true"`), nil, inJSON + "skip_cache: invalid type"},
		"skip_cache by number":   {formType, form + "&skip_cache=1", nil, inForm + "skip_cache: invalid type"},
		"resource by number":     {jsonType, with(`"resource":1`), nil, inJSON + "resource: invalid type"},
		"details, an object":     {jsonType, with(`"authorization_details":{}`), nil, inJSON + "authorization_details: data did not match any variant of untagged enum RequestValue"},
		"details of texts":       {jsonType, with(`"authorization_details":["a"]`), nil, inJSON + "authorization_details: data did not match any variant of untagged enum RequestValue"},
		"details, not JSON":      {formType, form + "&authorization_details=[", nil, inForm + "authorization_details: data did not match any variant of untagged enum RequestValue"},
		"details and more":       {formType, form + `&authorization_details=[],"a":[]`, nil, inForm + "authorization_details: data did not match any variant of untagged enum RequestValue"},
		"a query":                {jsonType, plain, func(r *http.Request) { r.URL.RawQuery = "a=b" }, "the URL must have no query"},
		"an Authorization":       {jsonType, plain, func(r *http.Request) { r.SetBasicAuth("a", "b") }, "the header Authorization must be absent"},
		"a cookie":               {jsonType, plain, func(r *http.Request) { r.Header.Set("Cookie", "a=b") }, "the header Cookie must be absent"},
		"an unknown field, long": {jsonType, with(`"` + strings.Repeat("a", 100) + `":1`), nil, inJSON + "unknown field `" + strings.Repeat("a", 40) + "`, " + fields},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTexasWorld(t)
			if tc.edit == nil {
				tc.edit = func(*http.Request) {}
			}
			if tc.contentType == formType {
				tc.body = strings.ReplaceAll(strings.ReplaceAll(tc.body, `"`, "%22"), "[", "%5B")
			}
			a := w.ask(tc.contentType, tc.body, tc.edit)
			want := map[string]any{"error": "invalid_request", "error_description": tc.text}
			if diff := cmp.Diff(want, a.json); a.status != http.StatusBadRequest || diff != "" {
				t.Errorf("got %d, want 400; -want +got:\n%s", a.status, diff)
			}
			if diff := cmp.Diff([]string{"texas: 400 invalid_request: " + tc.text}, w.texas.Refusals()); diff != "" {
				t.Errorf("refusals, -want +got:\n%s", diff)
			}
			if st := w.texas.Stats(); st != (maskinportentest.TexasStats{Requests: 1, Refused: 1}) || w.Server.Stats().TokenRequests != 0 {
				t.Errorf("got %+v and %d requests to Maskinporten, want 1 refused and 0", st, w.Server.Stats().TokenRequests)
			}
		})
	}
}

func TestTexasRefusesMethod(t *testing.T) {
	t.Parallel()
	w := newTexasWorld(t)
	got := w.get(w.texas.TokenURL(), "")
	if got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != http.MethodPost || got.raw != "" {
		t.Errorf("got %d %q, want 405 without a body", got.status, got.raw)
	}
	if diff := cmp.Diff([]string{"texas: 405 invalid_request: the method must be POST"}, w.texas.Refusals()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := w.get(w.texas.URL()+"/api/v1/tokens", "").status; got != http.StatusNotFound {
		t.Errorf("got %d, want 404", got)
	}
}

// What fails behind Texas comes out in its shape.
func TestTexasHandsOn(t *testing.T) {
	t.Parallel()
	atToken := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/token") }
	for name, tc := range map[string]struct {
		fault  *faulttest.Fault
		target string
		status int
		code   string
		text   string // how the description begins
	}{
		"a refusal":  {nil, "no:such", 400, "invalid_scope", "Token request contains invalid scopes for client, no:such"},
		"an outage":  {&faulttest.Fault{Drop: true}, scope, 500, "server_error", "Upstream request failed: error sending request for url (https://"},
		"not JSON":   {&faulttest.Fault{Status: 503, Body: "<html>"}, scope, 500, "server_error", "Failed to parse JSON"},
		"no reason":  {&faulttest.Fault{Status: 503, Body: "{}"}, scope, 500, "server_error", "Failed to parse JSON"},
		"no token":   {&faulttest.Fault{Status: 200, Body: `{"token_type":"Bearer"}`}, scope, 500, "server_error", "Failed to parse JSON"},
		"other type": {&faulttest.Fault{Status: 200, Body: `{"access_token":"a","token_type":"MAC"}`}, scope, 500, "server_error", "Failed to parse JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTexasWorld(t)
			if tc.fault != nil {
				tc.fault.Match = atToken
				w.Server.Faults.Add(*tc.fault)
			}
			a := w.ask(jsonType, `{"identity_provider":"maskinporten","target":"`+tc.target+`"}`)
			description, _ := a.json["error_description"].(string)
			if a.status != tc.status || a.json["error"] != tc.code || !strings.HasPrefix(description, tc.text) || len(a.json) != 2 {
				t.Errorf("got %d %s, want %d %s with a text that begins with %q", a.status, a.raw, tc.status, tc.code, tc.text)
			}
			if st := w.texas.Stats(); st.Refused != 1 || st.Issued != 0 {
				t.Errorf("got %+v, want 1 refused, 0 issued", st)
			}
		})
	}
}

func TestTexasDisabled(t *testing.T) {
	t.Parallel()
	w := newTexasWorld(t)
	w.token(plain)
	w.texas.DisableMaskinporten()
	a := w.ask(jsonType, plain)
	if want := "identity provider 'maskinporten' is not enabled"; a.status != http.StatusBadRequest || a.json["error_description"] != want {
		t.Errorf("got %d %s, want 400 and %q", a.status, a.raw, want)
	}
}

func TestTexasFaults(t *testing.T) {
	t.Parallel()
	w := newTexasWorld(t)
	w.texas.Faults.Add(faulttest.Fault{Status: http.StatusTeapot})
	if got := w.ask(jsonType, plain).status; got != http.StatusTeapot {
		t.Errorf("got %d, want 418", got)
	}
	if diff := cmp.Diff(maskinportentest.TexasStats{Requests: 1}, w.texas.Stats()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTexasVariablesAndText(t *testing.T) {
	t.Parallel()
	w := newTexasWorld(t)
	token := w.token(plain)
	got := map[string]string{}
	for _, name := range []string{"NAIS_TOKEN_ENDPOINT", "MASKINPORTEN_CLIENT_ID", "MASKINPORTEN_SCOPES", "MASKINPORTEN_ISSUER", "MASKINPORTEN_CLIENT_JWK"} {
		got[name] = w.texas.Getenv(name)
	}
	want := map[string]string{
		"NAIS_TOKEN_ENDPOINT": w.texas.TokenURL(), "MASKINPORTEN_CLIENT_ID": w.ClientID(), "MASKINPORTEN_SCOPES": scope,
		"MASKINPORTEN_ISSUER": w.Issuer(), "MASKINPORTEN_CLIENT_JWK": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got, want := fmt.Sprintf("%+v %#v %d", w.texas, w.texas, w.texas), "maskinportentest.Texas("+w.texas.URL()+")"; got != want+" "+want+" "+want {
		t.Errorf("got %s, want %s by every verb", got, want)
	}
	wrong := "%w" // not a constant: vet knows that it is the wrong verb
	if got := fmt.Errorf(wrong, w.texas).Error(); strings.Contains(got, token) {
		t.Error("got a token by a wrong verb, want it hidden")
	}
}

// A nil or zero Texas serves nothing and panics nowhere.
func TestTexasNilAndZero(t *testing.T) {
	t.Parallel()
	for name, texas := range map[string]*maskinportentest.Texas{
		"nil": nil, "zero": {}, "of a nil server": maskinportentest.NewTexas(nil), "of a zero server": maskinportentest.NewTexas(&maskinportentest.Server{}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			texas.DisableMaskinporten()
			got := []any{texas.URL(), texas.TokenURL(), texas.Getenv("NAIS_TOKEN_ENDPOINT"), texas.Stats(), texas.Refusals(), fmt.Sprint(texas)}
			want := []any{"", "", "", maskinportentest.TexasStats{}, []string(nil), "maskinportentest.Texas()"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			client := &http.Client{Transport: texas.Transport()}
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/", http.NoBody)
			if resp, err := client.Do(req); err == nil {
				_ = resp.Body.Close()
				t.Errorf("got %d, want an error", resp.StatusCode)
			}
			texas.Close()
		})
	}
}

// Texas may be closed twice, and a request that hangs ends with it.
func TestTexasClose(t *testing.T) {
	t.Parallel()
	w := newTexasWorld(t)
	arrived := make(chan struct{})
	w.texas.Faults.Add(faulttest.Fault{Hang: true, Match: func(*http.Request) bool {
		close(arrived)
		return true
	}})
	ended := make(chan error, 1)
	go func() {
		resp, err := w.client.Post(w.texas.TokenURL(), jsonType, strings.NewReader(plain))
		if err == nil {
			_ = resp.Body.Close()
		}
		ended <- err
	}()
	select {
	case <-arrived:
	case err := <-ended:
		t.Fatalf("got %v before the close, want the request to hang", err)
	}
	w.texas.Close()
	w.texas.Close()
	if err := <-ended; err == nil {
		t.Error("got an answer, want an error")
	}
}
