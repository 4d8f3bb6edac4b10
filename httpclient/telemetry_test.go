package httpclient_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

func TestMetricsAndSpans(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn, maskinportentest.WithLatency(2*time.Second))
		defer srv.Close()
		var r recorder
		source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true},
			httpclient.WithMeterProvider(r.MeterProvider()), httpclient.WithTracerProvider(tracerProvider{recorder: &r}))
		defer source.Close()
		if got := r.observe(); len(got) != 0 {
			t.Errorf("before any token: got %v, want nothing", got)
		}
		for range 5 {
			if _, err := source.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		pass(time.Minute)
		if diff := cmp.Diff(map[string]float64{"maskinporten.client.token.expiry": 1800 - 1 - 60 - 2}, r.observe()); diff != "" {
			t.Error(diff)
		}

		pass(time.Hour)
		srv.Faults.Add(faulttest.Fault{Match: toToken, Status: 400, Body: `{"error":"invalid_scope","error_description":"MP-200"}`})
		if _, err := source.Token(t.Context()); err == nil {
			t.Fatal("got a token, want an error")
		}
		pass(time.Minute)
		srv.Faults.Add(faulttest.Fault{Match: toExchange, Drop: true, Times: -1})
		if _, err := source.Token(t.Context()); err == nil {
			t.Fatal("got a token, want an error")
		}

		// Two that do not wait for it: one at its deadline, one before it asks.
		pass(time.Minute)
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		for range 2 {
			if _, err := source.Token(short); err == nil {
				t.Fatal("got a token, want an error")
			}
		}

		const id = "maskinporten.client.id=maskinportentest-client"
		for line, want := range map[string]int{
			"tracer github.com/portnokkel/portnokkel/httpclient (devel)":                                                                                                                       1,
			"scope github.com/portnokkel/portnokkel/httpclient (devel)":                                                                                                                        1,
			"maskinporten.client.token.requests " + id + ",maskinporten.client.result=new":                                                                                                     1,
			"maskinporten.client.token.requests " + id + ",maskinporten.client.result=cached":                                                                                                  4,
			"maskinporten.client.token.requests error.type=400," + id + ",maskinporten.client.result=error":                                                                                    1,
			"maskinporten.client.token.requests error.type=network," + id + ",maskinporten.client.result=error":                                                                                1,
			"maskinporten.client.token.requests error.type=canceled," + id + ",maskinporten.client.result=error":                                                                               2,
			"maskinporten.client.exchange.requests " + id + ",maskinporten.client.result=new":                                                                                                  1,
			"maskinporten.client.exchange.requests error.type=network," + id + ",maskinporten.client.result=error":                                                                             1,
			"maskinporten.client.token.duration " + id + " 2s":                                                                                                                                 2,
			"maskinporten.client.token.duration error.type=400," + id + " 0s":                                                                                                                  1,
			"maskinporten.client.exchange.duration " + id + " 2s":                                                                                                                              1,
			"span maskinporten.client.fetch internal root=true maskinporten.client.altinn=true," + id + ",maskinporten.client.lifetime=1800,maskinporten.client.scope=" + scope + ` status=""`: 1,
		} {
			if got := r.count(line); got != want {
				t.Errorf("recorded %d times, want %d: %s", got, want, line)
			}
		}
		all := strings.Join(r.lines, "\n")
		if !strings.Contains(all, "maskinporten.client.exchange.duration error.type=network,"+id) ||
			!strings.Contains(all, "error.type=400,http.response.status_code=400,"+id) || !strings.Contains(all, `status="Error httpclient: check Scope: `) {
			t.Errorf("got these records, want all of the above in them:\n%s", all)
		}
		source.Close()
		if !r.unhooked {
			t.Error("got a callback that outlives the source, want it unregistered")
		}
	})
}

func TestCertificateExpiryIsMeasured(t *testing.T) {
	t.Parallel()
	end := time.Now().Add(10 * 24 * time.Hour).Truncate(time.Second)
	leaf, authorities := enterprise(t, time.Now().Add(-time.Hour), end)
	var r recorder
	settings := httpclient.MaskinportenSettings{Environment: "test", ClientID: "id", Scope: "s", EncodedX509: httpclient.NewSecret(certificateSetting(t, leaf, authorities))}
	source, err := httpclient.NewTokenSource(settings, httpclient.WithMeterProvider(r.MeterProvider()), httpclient.WithLogger((&logs{}).logger(0)))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	got := r.observe()["maskinporten.client.key.expiry"]
	if left := time.Until(end).Seconds(); got < left-1 || got > left+60 {
		t.Errorf("%v s, want about %v", got, left)
	}
}

func TestMeterThatFails(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"maskinporten.client.token.requests", "maskinporten.client.token.duration", "maskinporten.client.exchange.duration",
		"maskinporten.client.token.expiry", "maskinporten.client.key.expiry", "callback",
	} {
		r := recorder{failAt: name}
		if _, err := httpclient.NewTokenSource(settingsOf(t, newDouble(t), nil), httpclient.WithMeterProvider(r.MeterProvider())); message(err) != "httpclient: metrics: no "+name {
			t.Errorf("got %v, want httpclient: metrics: no %s", err, name)
		}
	}
}

func TestErrorTypes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv := newPipe(t, builtIn)
		defer srv.Close()
		for kind, fault := range map[string]faulttest.Fault{"timeout": {Hang: true, Times: -1}, "network": {Drop: true, Times: -1}, "503": {Status: 503, Times: -1}} {
			var r recorder
			source := sourceOf(t, srv, nil, httpclient.WithMeterProvider(r.MeterProvider()))
			srv.Faults.Add(fault)
			if _, err := source.Token(t.Context()); err == nil || !strings.Contains(strings.Join(r.lines, "\n"), "token.duration error.type="+kind+",") {
				t.Errorf("%s: got error %v and %q, want that error.type", kind, err, r.lines)
			}
			srv.Faults.Clear()
			source.Close()
		}
	})
	var r recorder
	source, err := httpclient.NewTokenSource(httpclient.MaskinportenSettings{Environment: "test", ClientID: "id", Scope: "s"},
		httpclient.WithKeySource(keys()), httpclient.WithTracerProvider(tracerProvider{recorder: &r}))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if _, err := source.Token(t.Context()); err == nil || !strings.Contains(strings.Join(r.lines, "\n"), "error.type=other") {
		t.Errorf("got %q, want error.type=other", r.lines)
	}
}

// A token that is due for a refresh, but used, is from the cache.
func TestDueTokenCountsAsCached(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		source, asked := instant(t, httpclient.WithMeterProvider(r.MeterProvider())) // tokens of an hour
		defer source.Close()
		for range 2 {
			if _, err := source.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			pass(58 * time.Minute)
		}
		synctest.Wait()
		const line = "maskinporten.client.token.requests maskinporten.client.id=id,maskinporten.client.result="
		if r.count(line+"new") != 1 || r.count(line+"cached") != 1 || asked.Load() != 2 {
			t.Errorf("got %d new, %d cached and %d token requests, want 1, 1 and 2", r.count(line+"new"), r.count(line+"cached"), asked.Load())
		}
	})
}

// Spans without metrics: the exchange counts nothing and does not panic.
func TestSpansWithoutMetrics(t *testing.T) {
	t.Parallel()
	srv := newDouble(t)
	var r recorder
	source := sourceOf(t, srv, map[string]any{"ExhangeToAltinnToken": true}, httpclient.WithTracerProvider(tracerProvider{recorder: &r}))
	if _, err := source.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(r.lines, "\n"); !strings.Contains(got, "span maskinporten.client.fetch") || strings.Contains(got, "exchange") {
		t.Errorf("got %s, want a span and no metric", got)
	}
}
