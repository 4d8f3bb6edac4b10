package httpclient_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/httpclient"
)

// hostile is a server that puts into its answers whatever it was sent, and a token.
type hostile struct {
	answer func(sent, token string) (status int, body any)
	sent   []string // every secret of the requests
}

// hostileToken is what it gives as a token, of a life of 2 minutes.
var hostileToken = strings.Join([]string{
	base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","canary":"CANARY-token"}`)),
	base64.RawURLEncoding.EncodeToString([]byte(`{"iat":946684800,"exp":946684920}`)), "CANARYsignature",
}, ".")

func (h *hostile) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return nil, errors.New("no body")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, _ := url.ParseQuery(string(body))
	assertion := form.Get("assertion")
	for _, secret := range append(strings.Split(assertion, "."), assertion, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) {
		if secret != "" {
			h.sent = append(h.sent, secret)
		}
	}
	sent := strings.Join(append([]string{assertion, string(body)}, r.Header.Values("Authorization")...), " ")
	if parts := strings.Split(assertion, "."); len(parts) == 3 {
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		sent += " " + string(payload)
	}
	status, content := h.answer(sent, hostileToken)
	encoded, isText := content.(string)
	if !isText {
		data, err := json.Marshal(content)
		if err != nil {
			return nil, err
		}
		encoded = string(data)
	}
	resp := answer(status, nil)
	resp.Body = io.NopCloser(strings.NewReader(encoded))
	return resp, nil
}

// No record of any kind of request holds a secret, a person or a server's words, even
// if the server puts them where a record looks.
func TestAuditHoldsNoSecret(t *testing.T) {
	t.Parallel()
	const person, giver, organisation = "01017012345", "02029054321", "310028258"
	consent := func(from string) func(context.Context) context.Context {
		return func(ctx context.Context) context.Context {
			return httpclient.ContextWithConsent(ctx, httpclient.Consent{ID: consentID, From: httpclient.NewSecret(from)})
		}
	}
	asPerson := func(ctx context.Context) context.Context {
		return httpclient.ContextWithPerson(ctx, httpclient.NewSecret(person))
	}
	kinds := map[string]func(context.Context) context.Context{
		"settings": func(ctx context.Context) context.Context { return ctx },
		"scope": func(ctx context.Context) context.Context {
			return httpclient.ContextWithScope(ctx, "CANARY-scope-7f3a9c")
		},
		"resource": func(ctx context.Context) context.Context {
			return httpclient.ContextWithResource(ctx, "CANARY-resource-7f3a9c")
		},
		"consumer":               func(ctx context.Context) context.Context { return httpclient.ContextWithConsumerOrg(ctx, "974760673") },
		"person":                 asPerson,
		"consent":                consent(giver),
		"organisation's consent": consent(organisation),
		"system user": func(ctx context.Context) context.Context {
			return httpclient.ContextWithSystemUser(ctx, httpclient.SystemUser{OrgNo: "889640782", ExternalRef: "ref-1"})
		},
		"person and consent": func(ctx context.Context) context.Context { return asPerson(consent(giver)(ctx)) },
	}
	answers := map[string]func(sent, token string) (int, any){
		"granted": func(_, token string) (int, any) {
			return 200, map[string]any{"access_token": token, "expires_in": 120}
		},
		"granted, with the request as the scope": func(sent, token string) (int, any) {
			return 200, map[string]any{"access_token": token, "expires_in": 120, "scope": sent + " " + token + " CANARY words of the server"}
		},
		"refused with the request": func(sent, token string) (int, any) {
			return 400, map[string]any{"error": sent, "error_description": "CANARY " + sent + token + " (trace_id: " + person + ")", "error_uri": "https://CANARY.example/" + sent}
		},
		"refused with a code": func(sent, _ string) (int, any) {
			return 400, map[string]any{"error": "invalid_grant", "error_description": "CANARY MP-121 trace_id: abc " + sent}
		},
		"a page":      func(sent, _ string) (int, any) { return 502, "<html><title>CANARY " + sent },
		"not a token": func(sent, token string) (int, any) { return 200, map[string]any{"token": token, "CANARY": sent} },
		"no life": func(_, token string) (int, any) {
			return 200, map[string]any{"access_token": token, "expires_in": "CANARY"}
		},
	}
	jwk := keyFile(t, "client.jwk.json")
	section := map[string]any{"Environment": "test", "ClientId": "client", "Scope": scope, "EncodedJwk": encoded(jwk)}
	exchange := map[string]any{
		"ExhangeToAltinnToken": true, "EnterpriseUserName": "CANARY-user", "EnterpriseUserPassword": "CANARY-secret",
	}
	settings := map[string]httpclient.MaskinportenSettings{
		"Maskinporten": parsed(t, section),
		"exchange":     parsed(t, section, exchange),
		"Texas":        texasSettings(t, env(map[string]string{"NAIS_TOKEN_ENDPOINT": "http://127.0.0.1/api/v1/token"}), map[string]any{"Scope": scope}),
	}
	enterpriseUser := base64.StdEncoding.EncodeToString([]byte("CANARY-user:CANARY-secret"))
	for kind, with := range kinds {
		for name, answer := range answers {
			for how, settings := range settings {
				t.Run(kind+"/"+name+"/"+how, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						server := &hostile{answer: answer}
						var out auditLog
						var ordinary logs
						source, err := httpclient.NewTokenSource(settings, httpclient.WithTokenTransport(server),
							httpclient.WithLogger(ordinary.logger(-10)), out.option())
						if err != nil {
							t.Fatal(err)
						}
						ctx := with(t.Context())
						for range 2 {
							_, _ = source.Token(ctx)
							pass(time.Minute)
						}
						status, err := json.Marshal(source.Status())
						if err != nil {
							t.Fatal(err)
						}
						source.Close()
						// Texas cannot pass on a consumer or a person: nothing is sent then.
						unsent := how == "Texas" && (kind == "consumer" || kind == "person" || kind == "person and consent")
						if got := len(out.records(t)); (got == 0) != unsent {
							t.Fatalf("got %d records, want none only of what was not sent", got)
						}
						secrets := append([]string{
							person, giver, organisation, consentID, enterpriseUser, "CANARY", hostileToken, encoded(jwk), member(t, jwk, "d").(string),
						}, server.sent...)
						for where, printed := range map[string]string{"record": out.String(), "status": string(status)} {
							for _, secret := range secrets {
								if i := strings.Index(printed, secret); i >= 0 && len(secret) > 8 || i >= 0 && secret == "CANARY" {
									t.Errorf("got a secret of %d characters in a %s after %q, want it hidden", len(secret), where, printed[max(0, i-200):i])
								}
							}
						}
					})
				})
			}
		}
	}
}

// parsed are settings of sections, each laid over those before.
func parsed(t testing.TB, sections ...map[string]any) (settings httpclient.MaskinportenSettings) {
	t.Helper()
	for _, section := range sections {
		if err := settings.Parse(section); err != nil {
			t.Fatal(err)
		}
	}
	return settings
}

// The records that a broken handler leaves to the ordinary log hold no secret either.
func TestAuditLeavesNoSecretToTheOrdinaryLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		seen := &secretsSeen{base: srv.Transport()}
		var ordinary logs
		source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true}, httpclient.WithTokenTransport(seen),
			httpclient.WithLogger(ordinary.logger(-10)), httpclient.WithAuditLog(slog.New(&badHandler{handle: func(slog.Record) error { panic("CANARY") }})))
		token, err := source.Token(httpclient.ContextWithPerson(t.Context(), httpclient.NewSecret("01017012345")))
		if err != nil {
			t.Fatal(err)
		}
		source.Close()
		printed := ordinary.String()
		if !strings.Contains(printed, "record.person_named=true") {
			t.Errorf("got no record, want it whole:\n%s", printed)
		}
		for _, secret := range append(seen.all, token.AccessToken(), "CANARY", "01017012345") {
			if strings.Contains(printed, secret) {
				t.Errorf("got a secret of %d characters, want it hidden:\n%s", len(secret), printed)
			}
		}
	})
}
