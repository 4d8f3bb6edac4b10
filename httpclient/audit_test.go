package httpclient_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// auditLog collects audit records.
type auditLog struct{ logs }

func (a *auditLog) option() httpclient.Option { return httpclient.WithAuditLog(a.logger()) }

func (a *auditLog) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(&a.logs, nil)) }

// records are the records in their order, without their times.
func (a *auditLog) records(t testing.TB) []map[string]any {
	t.Helper()
	var records []map[string]any
	for line := range strings.Lines(a.String()) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("got %q, want JSON: %v", line, err)
		}
		if _, err := time.Parse(time.RFC3339, fmt.Sprint(r["time"])); err != nil {
			t.Errorf("got the time %v, want one", r["time"])
		}
		delete(r, "time")
		records = append(records, r)
	}
	return records
}

// Each kind of request and of answer, whole.
func TestAuditRecords(t *testing.T) {
	t.Parallel()
	const own = "https://api.example/own"
	with := func(changes map[string]any) map[string]any {
		r := map[string]any{
			"level": "INFO", "msg": "httpclient: token request", "outcome": "received", "exchange": false,
			"client_id": "maskinportentest-client", "url": "https://test.maskinporten.no/token", "key_id": "for-tests-only",
			"jti": "?", "scope": scope, "scope_granted": scope, "expires": "2000-01-01T00:02:00Z",
		}
		for name, value := range changes {
			if value == nil {
				delete(r, name)
			} else {
				r[name] = value
			}
		}
		return r
	}
	fails := func(changes map[string]any) map[string]any {
		all := map[string]any{"scope_granted": nil, "expires": nil}
		maps.Copy(all, changes)
		return with(all)
	}
	answers := func(status int, body string) faulttest.Fault {
		return faulttest.Fault{Match: toToken, Times: -1, Status: status, Body: body}
	}
	for name, tc := range map[string]struct {
		changes map[string]any
		ctx     func(context.Context) context.Context
		fault   faulttest.Fault
		want    []map[string]any
	}{
		"as the settings say": {want: []map[string]any{with(nil)}},
		"resource": {
			changes: map[string]any{"Resource": own},
			want:    []map[string]any{with(map[string]any{"resource": own})},
		},
		"consumer": {
			changes: map[string]any{"ConsumerOrgNo": "0192:974760673"},
			want:    []map[string]any{with(map[string]any{"consumer_org": "974760673"})},
		},
		"several scopes": {
			ctx: func(ctx context.Context) context.Context {
				return httpclient.ContextWithScope(ctx, "other:scope", scope)
			},
			want: []map[string]any{with(map[string]any{"scope": scope + " other:scope", "scope_granted": scope + " other:scope"})},
		},
		"fewer scopes granted": {
			ctx: func(ctx context.Context) context.Context {
				return httpclient.ContextWithScope(ctx, "other:scope", scope)
			},
			fault: answers(200, `{"access_token":"opaque","expires_in":120,"scope":"other:scope"}`),
			want:  []map[string]any{with(map[string]any{"scope": scope + " other:scope", "scope_granted": "other:scope"})},
		},
		"system user": {
			ctx: func(ctx context.Context) context.Context {
				return httpclient.ContextWithSystemUser(ctx, httpclient.SystemUser{OrgNo: "0192:889640782", ExternalRef: "ref-1"})
			},
			want: []map[string]any{with(map[string]any{"system_user_org": "889640782", "system_user_ref": "ref-1"})},
		},
		"system user without a reference": {
			ctx: func(ctx context.Context) context.Context {
				return httpclient.ContextWithSystemUser(ctx, httpclient.SystemUser{OrgNo: "889640782"})
			},
			want: []map[string]any{with(map[string]any{"system_user_org": "889640782"})},
		},
		"person": {
			ctx: func(ctx context.Context) context.Context {
				return httpclient.ContextWithPerson(ctx, httpclient.NewSecret("01017012345"))
			},
			want: []map[string]any{with(map[string]any{"person_named": true})},
		},
		"consent": {
			ctx: func(ctx context.Context) context.Context {
				return httpclient.ContextWithConsent(ctx, httpclient.Consent{ID: consentID, From: httpclient.NewSecret("01017012345")})
			},
			want: []map[string]any{with(map[string]any{"consent_named": true})},
		},
		"exchange": {
			changes: map[string]any{"ExhangeToAltinnToken": true},
			ctx: func(ctx context.Context) context.Context {
				return httpclient.ContextWithSystemUser(ctx, httpclient.SystemUser{OrgNo: "889640782"})
			},
			want: []map[string]any{
				with(map[string]any{"system_user_org": "889640782"}),
				with(map[string]any{
					"exchange": true, "url": "https://pipe.invalid/authentication/api/v1/exchange/maskinporten",
					"key_id": nil, "jti": nil, "system_user_org": "889640782", "expires": "2000-01-01T00:29:59Z",
				}),
			},
		},
		"refused": {
			fault: answers(400, `{"error":"invalid_grant","error_description":"MP-121 the key of Ola Nordmann (trace_id: abc-1)","error_uri":"https://a.example/Ola"}`),
			want:  []map[string]any{fails(map[string]any{"outcome": "refused", "status": 400.0, "error_code": "invalid_grant", "mp_code": "MP-121", "trace_id": "abc-1"})},
		},
		"refused without a code": {
			fault: answers(403, `Ola Nordmann may not`),
			want:  []map[string]any{fails(map[string]any{"outcome": "refused", "status": 403.0})},
		},
		"refused with words in place of a code": {
			fault: answers(400, `{"error":"Ola Nordmann may not"}`),
			want:  []map[string]any{fails(map[string]any{"outcome": "refused", "status": 400.0})},
		},
		"not a token": {
			fault: faulttest.Fault{Match: toToken, Status: 200, Body: `{"access_token":"CANARY"}`},
			want: []map[string]any{
				fails(map[string]any{"outcome": "unusable_answer", "status": 200.0, "error": "the answer has no expires_in"}),
				with(map[string]any{"expires": "?"}),
			},
		},
		"tried again": {
			fault: faulttest.Fault{Match: toToken, Times: 2, Status: 503},
			want: []map[string]any{
				fails(map[string]any{"outcome": "refused", "status": 503.0}),
				fails(map[string]any{"outcome": "refused", "status": 503.0}),
				with(map[string]any{"expires": "?"}),
			},
		},
		"no answer": {
			fault: faulttest.Fault{Match: toToken, Times: 1, Hang: true},
			want: []map[string]any{
				fails(map[string]any{"outcome": "no_answer", "error": "?"}),
				with(map[string]any{"expires": "?"}),
			},
		},
		"the exchange is refused": {
			changes: map[string]any{"ExhangeToAltinnToken": true},
			fault:   faulttest.Fault{Match: toExchange, Times: -1, Status: 410, Body: `{"title":"Gone"}`},
			want: []map[string]any{
				with(nil),
				fails(map[string]any{
					"exchange": true, "outcome": "refused", "status": 410.0, "key_id": nil, "jti": nil,
					"url": "https://pipe.invalid/authentication/api/v1/exchange/maskinporten",
				}),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := newPipe(t, builtIn, maskinportentest.WithClient(maskinportentest.Client{OrgNo: "991825827", Scopes: []string{scope, "other:scope"}}))
				defer srv.Close()
				if tc.fault.Match != nil {
					srv.Faults.Add(tc.fault)
				}
				var out auditLog
				changes := map[string]any{"Scope": scope}
				maps.Copy(changes, tc.changes)
				source := sourceOf(t, srv, changes, out.option())
				ctx := t.Context()
				if tc.ctx != nil {
					ctx = tc.ctx(ctx)
				}
				for range 3 { // callers that share a token or a failure
					_, _ = source.Token(ctx)
				}
				source.Close()
				got := out.records(t)
				for i, r := range got {
					if jti, ok := r["jti"].(string); ok && len(jti) >= 20 {
						r["jti"] = "?"
					}
					if i < len(tc.want) {
						for name, value := range tc.want[i] {
							if value == "?" && r[name] != "" && r[name] != nil {
								r[name] = "?"
							}
						}
					}
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("got other records than wanted (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Every token request has one record, with the id of its own assertion.
func TestAuditCountsEachRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		sent := map[string]int{}
		var exchanges int
		watched := roundTripper(func(r *http.Request) (*http.Response, error) {
			if toToken(r) {
				sent[fmt.Sprint(claimsOf(t, r)["jti"])]++
			} else {
				exchanges++
			}
			return srv.Transport().RoundTrip(r)
		})
		for _, status := range []int{503, 503, 200, 400, 429} {
			srv.Faults.Add(faulttest.Fault{Match: toToken, Status: status, Body: "{}"})
			srv.Faults.Add(faulttest.Fault{Match: toExchange, Status: status, Body: "{}"})
		}
		srv.Faults.Add(faulttest.Fault{Match: toToken, Drop: true}, faulttest.Fault{Match: toExchange, Hang: true})
		var out auditLog
		source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true}, out.option(), httpclient.WithTokenTransport(watched))
		for i := range 40 {
			_, _ = source.Token(customer(t, 123456780+i%3))
			pass(7 * time.Second)
		}
		source.Close()
		if srv.Faults.Pending() != 0 {
			t.Fatalf("got %d faults left, want all played", srv.Faults.Pending())
		}
		told, exchanged := map[string]int{}, 0
		for _, r := range out.records(t) {
			if r["exchange"] == true {
				exchanged++
			} else {
				told[fmt.Sprint(r["jti"])]++
			}
		}
		if diff := cmp.Diff(sent, told); diff != "" || exchanged != exchanges || len(sent) < 9 {
			t.Errorf("got %d records of exchanges for %d, and other assertions than sent (-sent +told):\n%s", exchanged, exchanges, diff)
		}
	})
}
