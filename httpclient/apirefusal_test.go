package httpclient_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/httpclient"
)

// refusing is a source in a bubble, whose API answers with next.
type refusing struct {
	source *httpclient.TokenSource
	next   func() *http.Response
	out    logs
	tokens int
}

func refusingAPI(t *testing.T, changes map[string]any) *refusing {
	t.Helper()
	api := &refusing{}
	section := map[string]any{"Environment": "test", "ClientId": "id", "Scope": "a:b", "EncodedJwk": encoded(keyFile(t, "client.jwk.json"))}
	for key, value := range changes {
		section[key] = value
	}
	s := httpclient.MaskinportenSettings{Origin: from(map[string]string{"Environment": "appsettings.json", "Scope": "appsettings.json"})}
	if err := s.Parse(section); err != nil {
		t.Fatal(err)
	}
	var err error
	api.source, err = httpclient.NewTokenSource(s, httpclient.WithLogger(api.out.logger(slog.LevelDebug)),
		httpclient.WithTokenTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
			api.tokens++
			if r.Method == http.MethodGet { // the exchange
				return body(http.StatusOK, "e30."+encodedURL(`{"iat":1,"exp":1801}`)+".CANARY-altinn-token-of-a-test", nil), nil
			}
			return tokenAnswer(fmt.Sprintf("CANARY-maskinporten-token-%d", api.tokens), 3600), nil
		})),
		httpclient.WithBaseTransport(roundTripper(func(*http.Request) (*http.Response, error) { return api.next(), nil })))
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// call makes a request to the host, which answers with the status.
func (a *refusing) call(t *testing.T, host string, status int) {
	t.Helper()
	a.next = func() *http.Response { return answer(status, nil) }
	a.get(t, host)
}

func (a *refusing) get(t *testing.T, host string) {
	t.Helper()
	_, _ = get(t, a.source.Client(), "https://"+host+"/x")
	httpclient.Flush(a.source)
}

func (a *refusing) warnings() int { return strings.Count(a.out.String(), " refuses fresh tokens: ") }

// Two refusals of fresh tokens in a row are warned about once.
func TestRefusalsOfFreshTokens(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string][]struct {
		after  time.Duration
		status int
		host   string // empty: one.example
		want   int    // warnings so far
	}{
		"403 twice":                            {{0, 403, "", 0}, {0, 403, "", 1}, {0, 403, "", 1}},
		"401, which is tried again":            {{0, 401, "", 1}, {0, 401, "", 1}},
		"a 401 of an old token, and again":     {{2 * time.Minute, 200, "", 0}, {2 * time.Minute, 401, "", 0}, {0, 401, "", 1}},
		"a 403 of an old token":                {{0, 200, "", 0}, {61 * time.Second, 403, "", 0}, {0, 403, "", 0}},
		"a token of a minute":                  {{0, 200, "", 0}, {time.Minute, 403, "", 0}, {0, 403, "", 1}},
		"a success in between":                 {{0, 403, "", 0}, {0, 200, "", 0}, {0, 403, "", 0}, {0, 200, "", 0}, {0, 403, "", 0}},
		"a success in between, in capitals":    {{0, 403, "", 0}, {0, 200, "ONE.example", 0}, {0, 403, "", 0}},
		"a redirect in between":                {{0, 403, "", 0}, {0, 304, "", 0}, {0, 403, "", 0}},
		"another failure in between":           {{0, 403, "", 0}, {0, 500, "", 0}, {0, 404, "", 0}, {0, 403, "", 1}},
		"two hosts":                            {{0, 403, "", 0}, {0, 403, "two.example", 0}, {0, 403, "TWO.example", 1}, {0, 403, "", 2}},
		"401 again after a success":            {{0, 401, "", 1}, {0, 200, "", 1}, {15 * time.Second, 401, "", 2}},
		"403 again after a success, too early": {{0, 403, "", 0}, {0, 403, "", 1}, {0, 200, "", 1}, {0, 403, "", 1}, {0, 403, "", 1}},
		"again an hour later":                  {{0, 401, "", 1}, {59 * time.Minute, 401, "", 1}, {time.Minute, 401, "", 2}},
		"403 an hour after, a success between": {{0, 403, "", 0}, {0, 403, "", 1}, {time.Hour, 200, "", 1}, {0, 403, "", 1}, {0, 403, "", 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				api := refusingAPI(t, nil)
				defer api.source.Close()
				for i, step := range steps {
					pass(step.after)
					host := step.host
					if host == "" {
						host = "one.example"
					}
					api.call(t, host, step.status)
					if got := api.warnings(); got != step.want {
						t.Errorf("step %d: got %d warnings, want %d:\n%s", i, got, step.want, api.out.String())
					}
				}
			})
		})
	}
}

// The warning says what to check. What is known not to fit comes alone.
func TestWarningsOfRefusals(t *testing.T) {
	t.Parallel()
	const all = "check ExhangeToAltinnToken, Environment (appsettings.json) and Scope (appsettings.json): the API may want "
	for name, c := range map[string]struct {
		changes   map[string]any
		host      string
		challenge []string
		want      string
	}{
		"nothing is known":                      {nil, "api.example", nil, all + "an Altinn token, another environment's, or another scope than a:b - api.example refuses fresh tokens: 403 Forbidden"},
		"an exchanged token":                    {map[string]any{"ExhangeToAltinnToken": true}, "api.example:8443", nil, all + "Maskinporten's own token, another environment's, or another scope than a:b - api.example:8443 refuses fresh tokens: 403 Forbidden"},
		"production's token in tt02":            {map[string]any{"Environment": "prod"}, "platform.tt02.altinn.no", nil, "check Environment (appsettings.json): its tokens are for production, and the host is in test - platform.tt02.altinn.no refuses"},
		"production's token in at22":            {map[string]any{"Environment": "prod"}, "platform.at22.altinn.cloud:443", nil, "check Environment (appsettings.json): its tokens are for production, and the host is in test - "},
		"a test token in production":            {nil, "ttd.apps.altinn.no", nil, "check Environment (appsettings.json): its tokens are for test, and the host is in production - "},
		"a test token in tt02":                  {nil, "ttd.apps.tt02.altinn.no", nil, all},
		"production's token in production":      {map[string]any{"Environment": "prod"}, "platform.altinn.no", nil, all},
		"another host in altinn.no's name":      {map[string]any{"Environment": "prod"}, "tt02.altinn.no.example", nil, all},
		"another issuer":                        {map[string]any{"Environment": "https://i.example"}, "platform.altinn.no", nil, all},
		"the API names the scope":               {nil, "api.example", []string{`Bearer realm="x", error="insufficient_scope", scope="c:d e:f"`}, "check Scope (appsettings.json): the API wants c:d e:f, and the token is for a:b - api.example refuses fresh tokens: 403 insufficient_scope"},
		"the API names no scope":                {nil, "api.example", []string{`Bearer error=insufficient_scope`}, all + "an Altinn token, another environment's, or another scope than a:b - api.example refuses fresh tokens: 403 insufficient_scope"},
		"words":                                 {nil, "api.example", []string{`Bearer Error="invalid_token" , error_description = "The \"issuer\" is invalid", x="CANARY"`}, ` - api.example refuses fresh tokens: 403 invalid_token: The \"issuer\" is invalid`},
		"the second challenge":                  {nil, "api.example", []string{`Basic realm="error=CANARY"`, `Bearer error="invalid_token"`}, ` - api.example refuses fresh tokens: 403 invalid_token`},
		"two that name an error":                {nil, "api.example", []string{`Bearer error="invalid_token", error_description="first"`, `DPoP error="use_dpop_nonce", scope="x"`}, " - api.example refuses fresh tokens: 403 invalid_token: first"},
		"the token, echoed":                     {nil, "api.example", []string{`Bearer error="invalid_token", error_description="CANARY-maskinporten-token-1 is bad"`}, `403 invalid_token: [redacted] is bad`},
		"the Maskinporten token of an exchange": {map[string]any{"ExhangeToAltinnToken": true}, "api.example", []string{`Bearer error="invalid_token", error_description="CANARY-maskinporten-token-1 is bad"`}, `403 invalid_token: [redacted] is bad`},
		"control characters, and long":          {nil, "api.example", []string{"Bearer error=\"a\x01b\", error_description=\"" + strings.Repeat("x", 5000) + `"`}, "403 a b"},
		"long words":                            {nil, "api.example", []string{`Bearer error="e", error_description="` + strings.Repeat("x", 300) + `"`}, "403 e: " + strings.Repeat("x", 119) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				api := refusingAPI(t, c.changes)
				defer api.source.Close()
				api.next = func() *http.Response { return answer(403, http.Header{"Www-Authenticate": c.challenge}) }
				api.get(t, c.host)
				api.get(t, c.host)
				if !strings.Contains(api.out.String(), c.want) || strings.Contains(api.out.String(), "CANARY") || api.warnings() != 1 {
					t.Errorf("got log\n%s\nwant %s", api.out.String(), c.want)
				}
				for _, attr := range []string{"client_id=id", "status=403", "host=" + strings.ToLower(c.host)} {
					if !strings.Contains(api.out.String(), attr) {
						t.Errorf("got no %s in the log:\n%s", attr, api.out.String())
					}
				}
			})
		})
	}
}

// A request's own scope is named by the function that asked for it.
func TestWarningOfARequestsOwnScope(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := refusingAPI(t, nil)
		defer api.source.Close()
		api.next = func() *http.Response { return answer(403, nil) }
		for range 2 {
			req, _ := http.NewRequestWithContext(httpclient.ContextWithScope(t.Context(), "x:y"), http.MethodGet, "https://api.example/", nil)
			resp, err := api.source.Client().Do(req)
			_, _ = read(t, resp, err)
		}
		httpclient.Flush(api.source)
		if want := "and ContextWithScope: the API may want an Altinn token, another environment's, or another scope than x:y"; !strings.Contains(api.out.String(), want) {
			t.Errorf("got log %s, want %s", api.out.String(), want)
		}
	})
}

// The memory of refusing hosts is bounded, and empty when all take tokens again.
func TestManyRefusingHosts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := refusingAPI(t, nil)
		defer api.source.Close()
		for i := range 200 {
			api.call(t, fmt.Sprintf("h%d.example", i), 403)
			pass(time.Millisecond)
		}
		if got := httpclient.Refusing(api.source); got != 64 {
			t.Errorf("got %d hosts, want 64", got)
		}
		api.call(t, "h0.example", 403) // it was forgotten
		api.call(t, "h199.example", 403)
		if got := api.warnings(); got != 1 || !strings.Contains(api.out.String(), "h199.example refuses") {
			t.Errorf("got %d warnings, want one about the last host:\n%s", got, api.out.String())
		}
		pass(2 * time.Hour)
		for i := range 200 {
			api.call(t, fmt.Sprintf("h%d.example", i), 200)
		}
		if got := httpclient.Refusing(api.source); got != 0 {
			t.Errorf("got %d hosts, want 0", got)
		}
	})
}

// The log says why a token was replaced, and why a request got none.
func TestLogOfTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := refusingAPI(t, nil)
		defer api.source.Close()
		calls := 0
		api.next = func() *http.Response {
			if calls++; calls == 1 {
				return answer(401, http.Header{"Www-Authenticate": {`Bearer error="invalid_token", error_description="it expired"`}})
			}
			return answer(200, nil)
		}
		api.get(t, "api.example")
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://own.example/", nil)
		req.Header.Set("Authorization", "CANARY")
		resp, err := api.source.Client().Do(req)
		_, _ = read(t, resp, err)
		api.next = func() *http.Response {
			if calls++; calls == 4 {
				return answer(302, http.Header{"Location": {"https://elsewhere.example/"}})
			}
			return answer(200, nil)
		}
		api.get(t, "start.example")
		for _, want := range []string{
			`level=DEBUG msg="httpclient: the API rejected the token; it is replaced, and the request sent again" host=api.example answer="401 invalid_token: it expired"`,
			`level=DEBUG msg="httpclient: the request gets no token: it has an Authorization header of its own, and OverwriteAuthorizationHeader is off" host=own.example`,
			`level=DEBUG msg="httpclient: the request gets no token: a redirect brought it here, from another host or with an Authorization header of its own" host=elsewhere.example`,
		} {
			if strings.Count(api.out.String(), want) != 1 {
				t.Errorf("got log\n%s\nwant once %s", api.out.String(), want)
			}
		}
		if strings.Contains(api.out.String(), "CANARY") || api.warnings() != 0 {
			t.Errorf("got a secret or a warning, want neither:\n%s", api.out.String())
		}
	})
}
