package httpclient_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/faulttest"
)

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
		{"expired key", "invalid_grant", "Expired key", "", httpclient.ErrExpiredKey, keyID + "keys live for a year; register it again or make a new one"},
		{"unknown key", "invalid_grant", "Invalid assertion. Client authentication failed. Unknown key identifier (kid) for client", "", httpclient.ErrUnknownKey, keyID + "its key id is not registered on the client; a new key takes up to 2 minutes to work"},
		{"parameter", "invalid_request", "MP-011 Invalid parameter value", "MP-011", nil, "the request was malformed: check Resource and ConsumerOrgNo"},
		{"used grant", "invalid_grant", "Grant is used before", "", nil, "the assertion was used before: report this as a bug"},
		{"organisation number", "invalid_grant", "MP-122 organization number", "MP-122", nil, keyID + "use an enterprise certificate of the organisation that owns the client"},
		{"chain", "invalid_grant", "MP-123: x5c", "MP-123", nil, keyID + "the certificate chain is malformed; export it again with its chain"},
		{"signature", "invalid_grant", "MP-124: Invalid signature", "MP-124", httpclient.ErrUnknownKey, keyID + "the private key is not the one registered under this key id"},
		{"slow clock", "invalid_grant", "Client authentication failed. JWT is expired", "", httpclient.ErrClockSkew, "this machine's clock is behind: synchronise it"},
		{"fast clock", "invalid_grant", "Issue time is after now", "", httpclient.ErrClockSkew, "this machine's clock is ahead: synchronise it"},
		{"lifetime", "invalid_grant", "JWT has too long lifetime", "", nil, "the assertion lives longer than the server allows: report this as a bug"},
		{"scope", "invalid_scope", "MP-200 Invalid scope", "MP-200", httpclient.ErrScopeNotGranted, "check Scope: it is misspelt, or not registered on the client"},
		{"scope of another type of client", "invalid_scope", "MP-201", "MP-201", httpclient.ErrScopeNotGranted, "check Scope: a client of this type may not have it"},
		{"scope, in its error alone", "invalid_scope", "no", "", httpclient.ErrScopeNotGranted, "check Scope: it is misspelt, or not registered on the client"},
		{"scope, in its text alone", "invalid_grant", "Invalid scope(s)", "", httpclient.ErrScopeNotGranted, "check Scope: it is misspelt, or not registered on the client"},
		{"no access", "invalid_scope", "Consumer has not been granted access to the scope x", "", httpclient.ErrScopeNotGranted, "check Scope: ask the API's owner to grant your organisation access"},
		{"no delegation", "invalid_scope", "Consumer 1 has not delegated access to the scope", "", httpclient.ErrNotDelegated, "ask the organisation in ConsumerOrgNo to delegate the access in Altinn; a delegation in production does not hold in test"},
		{"scope that is called signature", "invalid_scope", "Invalid scope(s): digdir:signature.read (MP-200)", "MP-200", httpclient.ErrScopeNotGranted, "check Scope: it is misspelt, or not registered on the client"},
		{"code before text", "invalid_scope", "MP-250: not for JWT is expired", "MP-250", httpclient.ErrScopeNotGranted, "check Scope: ask the API's owner to grant your organisation access"},
		{"own organisation", "invalid_request", "Invalid combination consumer_org in claim and delegation scope", "", nil, "remove ConsumerOrgNo: it is the client's own organisation"},
		{"authorization details: type", "invalid_request", "MP-301", "MP-301", nil, "check WithSystemUser or WithConsent: the issuer does not know this type of authorization details"},
		{"authorization details: field", "invalid_request", "MP-302", "MP-302", nil, "check WithSystemUser or WithConsent: the issuer does not know a field of the authorization details"},
		{"authorization details: value", "invalid_request", "MP-303", "MP-303", nil, "check WithSystemUser or WithConsent: the system user or consent does not exist, or is not for this client"},
		{"authorization details, in its error alone", "invalid_authorization_details", "no", "", nil, "check WithSystemUser or WithConsent: the system user or consent does not exist, or is not for this client"},
		{"authorization details, in its text alone", "invalid_request", "Unknown authorization details type", "", nil, "check WithSystemUser or WithConsent: the issuer does not know this type of authorization details"},
		{"an organisation without access", "invalid_scope", "Organization number 991825827 has not been granted access to the scope x", "", httpclient.ErrScopeNotGranted, "check Scope: ask the API's owner to grant your organisation access"},
		{"a scope of the future", "invalid_scope", "Invalid scope(s): foo in the future", "", httpclient.ErrScopeNotGranted, "check Scope: it is misspelt, or not registered on the client"},
		{"something new", "invalid_thing", "Something new", "", nil, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := newDouble(t)
			body, _ := json.Marshal(map[string]string{"error": c.code, "error_description": c.description, "error_uri": "https://docs.example"})
			srv.Faults.Add(faulttest.Fault{Match: toToken, Times: -1, Status: 400, Body: string(body)})
			_, err := sourceOf(t, srv, nil).Token(t.Context())
			var failed *httpclient.TokenError
			if !errors.As(err, &failed) {
				t.Fatal(err)
			}
			want := fmt.Sprintf("httpclient: token request of client %s at %stoken: 400 Bad Request: %s: %s", srv.ClientID(), srv.Issuer(), c.code, c.description)
			if c.hint != "" {
				want += ": " + c.hint
			}
			if !strings.HasPrefix(err.Error(), want+" (failing since ") {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if failed.Code != c.code || failed.Description != c.description || failed.URI != "https://docs.example" || failed.MPCode != c.mp ||
				failed.Step != "token request" || failed.Temporary || failed.StatusCode != 400 {
				t.Errorf("fields %+v", *failed)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("is not %v", c.is)
			}
			if strings.Contains(c.description, "abc-1") != (failed.TraceID == "abc-1") {
				t.Errorf("trace id %q", failed.TraceID)
			}
		})
	}
}

func TestExchangeRefusals(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		changes map[string]any
		fault   faulttest.Fault
		want    string
	}{
		{"enterprise user", map[string]any{"EnterpriseUserName": "u", "EnterpriseUserPassword": "CANARY"}, faulttest.Fault{}, "410 Gone: Altinn abolished enterprise users in 2026: remove EnterpriseUserName and EnterpriseUserPassword, and use a system user"},
		{"401", nil, faulttest.Fault{Status: 401}, "401 Unauthorized: Altinn does not take this Maskinporten token: check that TokenExchangeEnvironment belongs to Environment"},
		{"404", nil, faulttest.Fault{Status: 404, Body: "CANARY"}, "404 Not Found: the endpoint does not exist: check the URL in the settings"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := newDouble(t)
			if c.fault.Status != 0 {
				c.fault.Match, c.fault.Times = toExchange, -1
				srv.Faults.Add(c.fault)
			}
			changes := map[string]any{"ExhangeToAltinnToken": true}
			for k, v := range c.changes {
				changes[k] = v
			}
			_, err := sourceOf(t, srv, changes).Token(t.Context())
			if !strings.Contains(message(err), "httpclient: token exchange of client ") || !strings.Contains(message(err), c.want) {
				t.Errorf("got %v", err)
			}
			if strings.Contains(prints(err), "CANARY") {
				t.Error("a secret is printed")
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
		t.Errorf("got %v", err)
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
		t.Errorf("got %v", err)
	}
}

// Answers that are no token.
func TestUnusableAnswers(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		``:             "the answer is empty",
		`<html>CANARY`: "the answer is not the JSON of a token",
		`{}`:           "the answer holds no usable access_token",
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
			srv := newDouble(t)
			srv.Faults.Add(faulttest.Fault{Match: toToken, Times: -1, Status: 200, Body: body})
			token, err := sourceOf(t, srv, nil).Token(t.Context())
			if want == "" {
				if err != nil || token.AccessToken() != "t" || token.Lifetime() <= 0 {
					t.Errorf("got %v, %v", token, err)
				}
				return
			}
			if !strings.Contains(message(err), "200 OK: "+want+": something between here and Maskinporten answers in its place, or the settings name another server") {
				t.Errorf("got %v", err)
			}
			if strings.Contains(prints(err), "CANARY") {
				t.Error("the answer is quoted")
			}
		})
	}
}

// Networks that do not carry.
func TestNetworkErrors(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name      string
		err       error
		temporary bool
		want      string
	}{
		{"DNS", &net.DNSError{Err: "no such host", Name: "maskinporten.example", IsNotFound: true}, true, "lookup maskinporten.example: no such host: the host name does not resolve: check the spelling in the settings, and this machine's DNS and egress rules"},
		{"refused", &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}, true, "dial tcp: connection refused: nothing answers at that address: check the URL, the proxy and the egress rules"},
		{"not TLS", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, false, "the server does not speak TLS: check the URL's scheme and port"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				s := httpclient.MaskinportenSettings{Environment: "test", ClientID: "id", Scope: "s", JWK: keyFile(t, "client.jwk.json")}
				source, err := httpclient.NewTokenSource(s, httpclient.WithTokenTransport(roundTripper(func(*http.Request) (*http.Response, error) {
					asked++
					return nil, c.err
				})))
				if err != nil {
					t.Fatal(err)
				}
				defer source.Close()
				_, err = source.Token(t.Context())
				if !strings.HasPrefix(message(err), "httpclient: token request of client id at https://test.maskinporten.no/token: ") ||
					!strings.Contains(message(err), c.want+" (failing since") || errors.Is(err, httpclient.ErrTemporary) != c.temporary {
					t.Errorf("got %v", err)
				}
				if want := map[bool]int{true: 3, false: 1}[c.temporary]; asked != want {
					t.Errorf("asked %d times, want %d", asked, want)
				}
			})
		})
	}
}

// net/http quotes a server that does not speak HTTP: what it says may be a token.
func TestAnswersThatAreNotHTTP(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"no status line": "CANARY\r\n\r\n",
		"no status":      "HTTP/1.1 CANARY\r\n\r\n",
		"no header":      "HTTP/1.1 200 OK\r\nCANARY\r\n\r\n",
		"no length":      "HTTP/1.1 200 OK\r\nContent-Length: CANARY\r\n\r\n",
		"no encoding":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: CANARY\r\n\r\n",
		"no chunk":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nCANARY\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				base := &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
					client, server := net.Pipe()
					go func() {
						_, _ = http.ReadRequest(bufio.NewReader(server))
						_, _ = io.WriteString(server, raw)
						_ = server.Close()
					}()
					return client, nil
				}}
				s := httpclient.MaskinportenSettings{Environment: "test", ClientID: "id", Scope: "s", JWK: keyFile(t, "client.jwk.json")}
				source, err := httpclient.NewTokenSource(s, httpclient.WithTokenTransport(base))
				if err != nil {
					t.Fatal(err)
				}
				defer source.Close()
				_, err = source.Token(t.Context())
				if err == nil || strings.Contains(prints(err), "CANARY") {
					t.Errorf("got %v", err)
				}
				for e := err; e != nil; e = errors.Unwrap(e) {
					if strings.Contains(e.Error(), "CANARY") {
						t.Errorf("%T quotes the answer", e)
					}
				}
			})
		})
	}
}

// A certificate that is not trusted is an error for good, and says so.
func TestUntrustedServer(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.StartTLS()
	defer srv.Close()
	s := httpclient.MaskinportenSettings{Environment: srv.URL, ClientID: "id", Scope: "s", JWK: keyFile(t, "client.jwk.json")}
	source, err := httpclient.NewTokenSource(s, httpclient.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	_, err = source.Token(t.Context())
	if errors.Is(err, httpclient.ErrTemporary) || !strings.Contains(message(err), "the server's certificate is not trusted: a proxy that opens TLS needs its root certificate installed on this machine") {
		t.Errorf("got %v", err)
	}
}
