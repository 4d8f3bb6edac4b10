package fxmodule_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
)

// ask makes a readiness check.
func ask(t *testing.T, r *fxmodule.Readiness, method string) (int, fxmodule.ReadinessReport, string) {
	t.Helper()
	answer := httptest.NewRecorder()
	r.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), method, "/ready", nil))
	var report fxmodule.ReadinessReport
	if answer.Code == http.StatusOK || answer.Code == http.StatusServiceUnavailable {
		if err := json.Unmarshal(answer.Body.Bytes(), &report); err != nil {
			t.Errorf("got %s, %v, want the JSON of a report", answer.Body, err)
		}
	}
	return answer.Code, report, answer.Body.String()
}

// states are the clients' states of a report.
func states(report fxmodule.ReadinessReport) map[string]httpclient.State {
	found := map[string]httpclient.State{}
	for name, status := range report.Clients {
		found[name] = status.State
	}
	return found
}

// An application is ready when each client that was made has a token to use.
func TestReadiness(t *testing.T) {
	t.Parallel()
	refused := func(s *httpclient.MaskinportenSettings) { s.ClientID = "unknown-to-maskinporten" }
	noScope := func(s *httpclient.MaskinportenSettings) { s.Scope = "" }
	for name, c := range map[string]struct {
		ask  []string // for these clients
		want int
		all  map[string]httpclient.State
	}{
		"no client was asked for":   {nil, 200, map[string]httpclient.State{}},
		"one is ready":              {[]string{"altinn"}, 200, map[string]httpclient.State{"altinn": httpclient.StateReady}},
		"one of two is refused":     {[]string{"altinn", "refused"}, 503, map[string]httpclient.State{"altinn": httpclient.StateReady, "refused": httpclient.StateFailing}},
		"one has no token to fetch": {[]string{"altinn", "noScope"}, 200, map[string]httpclient.State{"altinn": httpclient.StateReady, "noScope": httpclient.StateUnknown}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				b.section(t, map[string]any{"ClientId": b.porten.ClientID(), "EncodedJwk": olderKey().EncodedJWK()})
				var readiness *fxmodule.Readiness
				opts := []fx.Option{
					fxmodule.ReadinessCheck(), fx.Populate(&readiness),
					fxmodule.Module("altinn"),
					fxmodule.Module("refused", fxmodule.EditSettings(refused)),
					fxmodule.Module("noScope", fxmodule.EditSettings(noScope)),
				}
				for _, client := range c.ask {
					opts = append(opts, fx.Invoke(fx.Annotate(func(*http.Client) {}, fx.ParamTags(`name:"`+client+`"`))))
				}
				app := fxtest.New(t, b.graph(opts...)...)
				app.RequireStart()
				code, report, body := ask(t, readiness, http.MethodGet)
				if diff := cmp.Diff(c.all, states(report)); diff != "" || code != c.want || report.Ready != (c.want == 200) {
					t.Errorf("got %d and ready %v, want %d; states (-want +got):\n%s", code, report.Ready, c.want, diff)
				}
				for _, secret := range []string{olderKey().EncodedJWK(), b.vault.ClientSecret(), "eyJ"} {
					if strings.Contains(body, secret) {
						t.Errorf("got %s, want no secret in it", body)
					}
				}
				app.RequireStop()
				if code, _, _ := ask(t, readiness, http.MethodGet); len(c.ask) > 0 && code != 503 {
					t.Errorf("got %d after the stop, want 503", code)
				}
			})
		})
	}
}

// With a good token, an outage of Maskinporten is no reason to stop the traffic.
func TestReadinessOutlivesAnOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.section(t, map[string]any{"ClientId": b.porten.ClientID(), "EncodedJwk": olderKey().EncodedJWK()})
		var readiness *fxmodule.Readiness
		app := fxtest.New(t, b.graph(fxmodule.ReadinessCheck(), fxmodule.Module("altinn", fxmodule.WarmUp()), fx.Invoke(func(altinn) {}), fx.Populate(&readiness))...)
		app.RequireStart()
		defer app.RequireStop()
		b.porten.Faults.Add(faulttest.Fault{Status: 503, Times: -1})
		if code, report, _ := ask(t, readiness, http.MethodGet); code != 200 || !report.Clients["altinn"].Ready() {
			t.Errorf("got %d and %+v, want 200", code, report)
		}
		<-time.After(time.Minute) // the token has ended
		if code, report, _ := ask(t, readiness, http.MethodGet); code != 503 || report.Clients["altinn"].Ready() {
			t.Errorf("got %d and %+v, want 503", code, report)
		}
	})
}

// A check does not wait longer than Kubernetes does, though Maskinporten hangs.
func TestReadinessIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		b.section(t, map[string]any{"ClientId": b.porten.ClientID(), "EncodedJwk": olderKey().EncodedJWK()})
		var readiness *fxmodule.Readiness
		app := fxtest.New(t, b.graph(fxmodule.ReadinessCheck(), fxmodule.Module("altinn"), fxmodule.Module("second"), fx.Invoke(func(altinn, struct {
			fx.In

			Second *http.Client `name:"second"`
		},
		) {
		}), fx.Populate(&readiness))...)
		app.RequireStart()
		defer app.RequireStop()
		b.porten.Faults.Add(faulttest.Fault{Hang: true, Times: -1})
		start := time.Now()
		if code, report, _ := ask(t, readiness, http.MethodGet); code != 503 || len(report.Clients) != 2 || time.Since(start) != 500*time.Millisecond {
			t.Errorf("got %d of %d clients after %v, want 503 of 2 after 500ms", code, len(report.Clients), time.Since(start))
		}
	})
}

func TestReadinessIsRead(t *testing.T) {
	t.Parallel()
	for method, want := range map[string]int{http.MethodGet: 200, http.MethodHead: 200, http.MethodPost: 405} {
		for name, readiness := range map[string]*fxmodule.Readiness{"nil": nil, "zero": {}} {
			answer := httptest.NewRecorder()
			readiness.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), method, "/ready", nil))
			if answer.Code != want {
				t.Errorf("%s of %s: got %d, want %d", method, name, answer.Code, want)
			}
		}
	}
	if report := (*fxmodule.Readiness)(nil).Check(t.Context()); !report.Ready || report.Clients == nil {
		t.Errorf("got %+v of nil, want ready and an empty object of clients", report)
	}
}
