package httpclient_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
)

// whole is the text of an error about a step: what to do, and what happened there.
func whole(step, text string) string {
	cure, cause, _ := strings.Cut(text, " - ")
	return "httpclient: " + cure + " - " + step + cause
}

const (
	tokenRequest  = "token request of client maskinportentest-client at https://test.maskinporten.no/token: "
	tokenExchange = "token exchange of client maskinportentest-client at https://pipe.invalid/authentication/api/v1/exchange/maskinporten: "
)

func encodedURL(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// What Maskinporten says, and what the user reads.
func TestRefusals(t *testing.T) {
	t.Parallel()
	const keyID = "check EncodedJwk: "
	cases := []struct {
		name, code, description string
		mp                      string
		is                      error
		hint                    string
	}{
		{"unknown client", "invalid_client", "MP-100: Client authentication failed (trace_id: abc-1)", "MP-100", httpclient.ErrUnknownClient, "check ClientId: it is misspelt, or the client belongs to another environment than Environment"},
		{"unknown client, no code", "invalid_client", "Client not found", "", httpclient.ErrUnknownClient, "check ClientId: it is misspelt, or the client belongs to another environment than Environment"},
		{"audience", "invalid_grant", "Invalid JWT claim aud (MP-110)", "MP-110", nil, "check Environment: the assertion was made for another environment's issuer"},
		{"certificate of another environment", "invalid_grant", "MP-120: signed with an invalid certificate", "MP-120", nil, keyID + "a test certificate does not work in production, nor the reverse"},
		{"expired key", "invalid_grant", "Expired key", "", httpclient.ErrExpiredKey, keyID + "the registration of key for-tests-only (RSA 2048) ended; register it again or make a new key"},
		{"unknown key", "invalid_grant", "Invalid assertion. Client authentication failed. Unknown key identifier (kid) for client", "", httpclient.ErrUnknownKey, keyID + "key for-tests-only (RSA 2048) is not registered on the client; a new one takes up to 2 minutes to work"},
		{"parameter", "invalid_request", "MP-011 Invalid parameter value", "MP-011", nil, "check Resource and ConsumerOrgNo: a value is malformed"},
		{"used grant", "invalid_grant", "Grant is used before", "", nil, "report this as a bug: the assertion was used before"},
		{"organisation number", "invalid_grant", "MP-122 organization number", "MP-122", nil, keyID + "use an enterprise certificate of the organisation that owns the client"},
		{"chain", "invalid_grant", "MP-123: x5c", "MP-123", nil, keyID + "the certificate chain is malformed; export it again with its chain"},
		{"signature", "invalid_grant", "MP-124: Invalid signature", "MP-124", httpclient.ErrUnknownKey, keyID + "the private key is not the one registered as key for-tests-only (RSA 2048, RS256)"},
		{"slow clock", "invalid_grant", "Client authentication failed. JWT is expired", "", httpclient.ErrClockSkew, "this machine's clock is behind Maskinporten's: synchronise it"},
		{"fast clock", "invalid_grant", "Issue time is after now", "", httpclient.ErrClockSkew, "this machine's clock is ahead of Maskinporten's: synchronise it"},
		{"lifetime", "invalid_grant", "JWT has too long lifetime", "", nil, "report this as a bug: the assertion lives longer than the server allows"},
		{"scope", "invalid_scope", "MP-200 Invalid scope", "MP-200", httpclient.ErrScopeNotGranted, "check Scope: altinn:serviceowner/instances.read is misspelt, or not registered on the client"},
		{"scope of another type of client", "invalid_scope", "MP-201", "MP-201", httpclient.ErrScopeNotGranted, "check Scope: altinn:serviceowner/instances.read is not registered on the client, or not for a client of its type"},
		{"scope, only in its error", "invalid_scope", "no", "", httpclient.ErrScopeNotGranted, "check Scope: altinn:serviceowner/instances.read is misspelt, or not registered on the client"},
		{"scope, only in its text", "invalid_grant", "Invalid scope(s)", "", httpclient.ErrScopeNotGranted, "check Scope: altinn:serviceowner/instances.read is misspelt, or not registered on the client"},
		{"no access", "invalid_scope", "Consumer has not been granted access to the scope x", "", httpclient.ErrScopeNotGranted, "check Scope: ask the API's owner to grant your organisation altinn:serviceowner/instances.read"},
		{"no delegation", "invalid_scope", "Consumer 1 has not delegated access to the scope", "", httpclient.ErrNotDelegated, "check ConsumerOrgNo: ask that organisation to delegate altinn:serviceowner/instances.read in Altinn; delegations in production do not hold in test"},
		{"scope that is called signature", "invalid_scope", "Invalid scope(s): digdir:signature.read (MP-200)", "MP-200", httpclient.ErrScopeNotGranted, "check Scope: altinn:serviceowner/instances.read is misspelt, or not registered on the client"},
		{"code before text", "invalid_scope", "MP-250: not for JWT is expired", "MP-250", httpclient.ErrScopeNotGranted, "check Scope: ask the API's owner to grant your organisation altinn:serviceowner/instances.read"},
		{"own organisation", "invalid_request", "Invalid combination consumer_org in claim and delegation scope", "", nil, "remove ConsumerOrgNo: it is the client's own organisation"},
		{"authorization details: type", "invalid_request", "MP-301", "MP-301", nil, "check ContextWithSystemUser or ContextWithConsent: the issuer does not know this type of authorization details"},
		{"authorization details: field", "invalid_request", "MP-302", "MP-302", nil, "check ContextWithSystemUser or ContextWithConsent: the issuer does not know a field of the authorization details"},
		{"authorization details: value", "invalid_request", "MP-303", "MP-303", nil, "check ContextWithSystemUser or ContextWithConsent: the system user or consent does not exist, or is not for this client"},
		{"authorization details, only in its error", "invalid_authorization_details", "no", "", nil, "check ContextWithSystemUser or ContextWithConsent: the system user or consent does not exist, or is not for this client"},
		{"authorization details, only in its text", "invalid_request", "Unknown authorization details type", "", nil, "check ContextWithSystemUser or ContextWithConsent: the issuer does not know this type of authorization details"},
		{"an organisation without access", "invalid_scope", "Organization number 991825827 has not been granted access to the scope x", "", httpclient.ErrScopeNotGranted, "check Scope: ask the API's owner to grant your organisation altinn:serviceowner/instances.read"},
		{"a scope of the future", "invalid_scope", "Invalid scope(s): foo in the future", "", httpclient.ErrScopeNotGranted, "check Scope: altinn:serviceowner/instances.read is misspelt, or not registered on the client"},
		{"something new", "invalid_thing", "Something new", "", nil, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			body, _ := json.Marshal(map[string]string{"error": c.code, "error_description": c.description, "error_uri": "https://docs.example"})
			err := answered(t, nil, faulttest.Fault{Match: toToken, Status: 400, Body: string(body)})
			var failed *httpclient.TokenError
			if !errors.As(err, &failed) {
				t.Fatal(err)
			}
			want := tokenRequest + "400 " + c.code + ": " + c.description
			if c.hint != "" {
				want = c.hint + " - " + want
			}
			if want = "httpclient: " + want; err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if failed.Code != c.code || failed.Description != c.description || failed.URI != "https://docs.example" || failed.MPCode != c.mp ||
				failed.Step != "token request" || failed.Temporary || failed.StatusCode != 400 {
				t.Errorf("got %+v, want the fields of the refusal", *failed)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v, want %v", err, c.is)
			}
			if strings.Contains(c.description, "abc-1") != (failed.TraceID == "abc-1") {
				t.Errorf("got the trace id %q, want it if the server gave one", failed.TraceID)
			}
		})
	}
}

func TestExchangeRefusals(t *testing.T) {
	t.Parallel()
	const garbage = "check TokenExchangeEnvironment and the proxy: something else answers in the server's place - "
	cases := []struct {
		name      string
		fault     faulttest.Fault
		temporary bool
		want      string
	}{
		{"401", faulttest.Fault{Status: 401}, false, "check that TokenExchangeEnvironment belongs to Environment: Altinn does not take this Maskinporten token - 401 Unauthorized"},
		{"403", faulttest.Fault{Status: 403}, false, "check that TokenExchangeEnvironment belongs to Environment: Altinn does not take this Maskinporten token - 403 Forbidden"},
		{"404", faulttest.Fault{Status: 404, Body: "CANARY"}, false, "check TokenExchangeEnvironment: there is no such endpoint - 404 Not Found"},
		{"307", faulttest.Fault{Status: 307, Header: http.Header{"Location": {"https://CANARY.example/"}}}, false, "check TokenExchangeEnvironment: it leads to a redirect, which token requests do not follow - 307 Temporary Redirect"},
		{"429", faulttest.Fault{Status: 429}, true, "wait: the request is tried again later - 429 Too Many Requests"},
		{"429 for long", faulttest.Fault{Status: 429, Header: http.Header{"Retry-After": {"30"}}}, true, "wait: the request is tried again later - 429 Too Many Requests"},
		{"500", faulttest.Fault{Status: 500, Body: "CANARY"}, true, "wait: the request is tried again later - 500 Internal Server Error"},
		{"503", faulttest.Fault{Status: 503, Body: "CANARY"}, true, "wait: the request is tried again later - 503 Service Unavailable"},
		{"words", faulttest.Fault{Status: 200, Body: "CANARY, not a token"}, true, garbage + "200 OK: the answer holds no usable token"},
		{"empty", faulttest.Fault{Status: 200}, true, garbage + "200 OK: the answer holds no usable token"},
		{"half a string", faulttest.Fault{Status: 200, Body: `"CANARY`}, true, garbage + "200 OK: the answer is neither a token nor a JSON string"},
		{"a word", faulttest.Fault{Status: 200, Body: "CANARY"}, true, garbage + "200 OK: the answer holds no usable token"},
		{"no life", faulttest.Fault{Status: 200, Body: "e30." + encodedURL(`{"iat":1}`) + ".CANARY"}, true, garbage + "200 OK: the token does not say how long it lives"},
		{"expired", faulttest.Fault{Status: 200, Body: "e30." + encodedURL(`{"iat":2,"exp":1}`) + ".CANARY"}, true, garbage + "200 OK: the token has already expired"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.fault.Match = toExchange
			err := answered(t, map[string]any{"ExhangeToAltinnToken": true}, c.fault)
			if message(err) != whole(tokenExchange, c.want) || errors.Is(err, httpclient.ErrTemporary) != c.temporary {
				t.Errorf("got  %v\nwant %s", err, whole(tokenExchange, c.want))
			}
		})
	}
	t.Run("enterprise user", func(t *testing.T) {
		t.Parallel()
		err := answered(t, map[string]any{"ExhangeToAltinnToken": true, "EnterpriseUserName": "u", "EnterpriseUserPassword": "CANARY"}, faulttest.Fault{})
		const want = "remove EnterpriseUserName and EnterpriseUserPassword, and use a system user: Altinn abolished enterprise users in 2026 - 410 Gone"
		if message(err) != whole(tokenExchange, want) {
			t.Errorf("got  %v\nwant %s", err, whole(tokenExchange, want))
		}
	})
}

// Statuses without the JSON of an error.
func TestStatuses(t *testing.T) {
	t.Parallel()
	cases := []struct {
		fault     faulttest.Fault
		temporary bool
		want      string
	}{
		{faulttest.Fault{Status: 302, Header: http.Header{"Location": {"https://CANARY.example/"}}}, false, "check Environment: it leads to a redirect, which token requests do not follow - 302 Found"},
		{faulttest.Fault{Status: 400, Body: "CANARY"}, false, "check Environment and the proxy: something else may answer in the server's place, without a reason - 400 Bad Request"},
		{faulttest.Fault{Status: 408, Body: "CANARY"}, true, "wait: the request is tried again later - 408 Request Timeout"},
		{faulttest.Fault{Status: 404, Body: "CANARY"}, false, "check Environment: there is no such endpoint - 404 Not Found"},
		{faulttest.Fault{Status: 429, Header: http.Header{"Retry-After": {"30"}}}, true, "wait: the request is tried again later - 429 Too Many Requests"},
		{faulttest.Fault{Status: 500, Body: "CANARY"}, true, "wait: the request is tried again later - 500 Internal Server Error"},
		{faulttest.Fault{Status: 502, Body: "<html>CANARY"}, true, "wait: the request is tried again later - 502 Bad Gateway"},
		{faulttest.Fault{Status: 503, Header: http.Header{"Retry-After": {"3600"}}}, true, "wait: the request is tried again later - 503 Service Unavailable"},
	}
	for _, c := range cases {
		t.Run(fmt.Sprint(c.fault.Status), func(t *testing.T) {
			t.Parallel()
			c.fault.Match = toToken
			err := answered(t, nil, c.fault)
			if message(err) != whole(tokenRequest, c.want) || errors.Is(err, httpclient.ErrTemporary) != c.temporary {
				t.Errorf("got  %v\nwant %s", err, whole(tokenRequest, c.want))
			}
		})
	}
}

// A server's text is made fit for a log: cut, without control characters, and
// without the assertion should it come back.
func TestQuotedText(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	srv.Faults.Add(faulttest.Fault{Match: toToken, Status: 400, Body: `{"error":"a\nb","error_description":"` + strings.Repeat("ø", 2000) + `"}`})
	_, err := sourceOf(t, srv, nil).Token(t.Context())
	var failed *httpclient.TokenError
	if !errors.As(err, &failed) || failed.Code != "a b" || failed.Description != strings.Repeat("ø", 999)+"…" {
		t.Errorf("got %v, want the text cleaned and cut", err)
	}

	// Not UTF-8, not printable, and a code that is told elsewhere.
	odd := newDouble(t)
	odd.Faults.Add(faulttest.Fault{
		Match: toToken, Status: 400, Header: http.Header{"Retry-After": {"-5"}},
		Body: "{\"error\":\"a\",\"error_description\":\"b\xff\u200b\u2028c\",\"error_uri\":\"https://docs.example/MP-251\"}",
	})
	_, err = sourceOf(t, odd, nil).Token(t.Context())
	if !errors.As(err, &failed) || failed.Description != "b\ufffd  c" || failed.MPCode != "MP-251" || failed.RetryAfter != 0 || !errors.Is(err, httpclient.ErrNotDelegated) {
		t.Errorf("got %q and error %v, want ErrNotDelegated with the text cleaned", failed.Description, err)
	}

	echoing := newDouble(t)
	var assertion string
	source := sourceOf(t, echoing, nil, httpclient.WithTokenTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodGet {
			return echoing.Transport().RoundTrip(r)
		}
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
		assertion = r.PostForm.Get("assertion")
		resp := answer(400, nil)
		resp.Body = io.NopCloser(strings.NewReader(`{"error":"x","error_description":"bad ` + assertion + `"}`))
		return resp, nil
	})))
	if _, err = source.Token(t.Context()); assertion == "" || strings.Contains(prints(err), assertion) || !strings.Contains(message(err), "bad [redacted]") {
		t.Errorf("got %v, want the assertion redacted", err)
	}
}

// Answers that are no token.
func TestUnusableAnswers(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		``:       "the answer is empty",
		`CANARY`: "the answer is not the JSON of a token",
		`{}`:     "the answer holds no usable access_token",
		`{"access_token":"CANARY\r\nX: y","expires_in":60}`:                 "the answer holds no usable access_token",
		`{"access_token":"CANARY"}`:                                         "the answer has no expires_in",
		`{"access_token":"CANARY","expires_in":null}`:                       "the answer has no expires_in",
		`{"access_token":"CANARY","expires_in":0}`:                          "the answer's expires_in is not positive",
		`{"access_token":"CANARY","expires_in":-1}`:                         "the answer's expires_in is not positive",
		`{"access_token":"CANARY","expires_in":"soon"}`:                     "the answer's expires_in is not a number",
		`{"access_token":"CANARY","expires_in":60,"token_type":"DPoP"}`:     "the answer's token_type is not Bearer",
		`{"access_token":"t","expires_in":"60"}`:                            "",
		`{"access_token":"t","expires_in":1e300,"token_type":"bearer"}`:     "",
		`{"access_token":"t","expires_in":59.5,"scope":"given","extra":{}}`: "",
	}
	for body, want := range cases {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			if want != "" {
				err := answered(t, nil, faulttest.Fault{Match: toToken, Status: 200, Body: body})
				want := whole(tokenRequest, "check Environment and the proxy: something else answers in the server's place - 200 OK: "+want)
				if message(err) != want || !errors.Is(err, httpclient.ErrTemporary) {
					t.Errorf("got  %v\nwant %s", err, want)
				}
				return
			}
			srv := newDouble(t)
			srv.Faults.Add(faulttest.Fault{Match: toToken, Status: 200, Body: body})
			token, err := sourceOf(t, srv, nil).Token(t.Context())
			if err != nil || token.AccessToken() != "t" || token.Lifetime() <= 0 {
				t.Errorf("got %v and error %v, want the token", token, err)
			}
		})
	}
}
