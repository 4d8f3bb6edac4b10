package fxmodule

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"go.uber.org/fx"

	"github.com/portnokkel/portnokkel/httpclient"
)

// readinessWait is how long a readiness check waits for first tokens. Kubernetes gives a
// check one second by default.
const readinessWait = 500 * time.Millisecond

// ReadinessCheck provides a [*Readiness]. One is enough for all clients of an
// application.
func ReadinessCheck() fx.Option {
	return fx.Module("portnokkel.readiness", fx.Provide(newReadiness))
}

// Readiness tells whether the application's clients can be used now. It is an
// [http.Handler] for a readiness check, such as that of Kubernetes:
//
//	fx.Invoke(func(mux *http.ServeMux, readiness *fxmodule.Readiness) {
//		mux.Handle("GET /ready", readiness)
//	})
//
// It answers 200 if each client is ready, and else 503. The body is a [ReadinessReport]
// as JSON, which holds no secrets. It names scopes and organisations: serve it where only
// those come who run the application.
//
// It is about the clients that something in the graph has asked for. Without any, and of
// a zero Readiness, the answer is 200.
type Readiness struct {
	members []*enrolled
}

// ReadinessReport is what a [Readiness] finds.
type ReadinessReport struct {
	// Ready reports whether each client is ready.
	Ready bool `json:"ready"`
	// Clients are the clients' states by their names.
	Clients map[string]httpclient.Status `json:"clients"`
}

// served is the token source behind a client that was made.
type served struct {
	source  *httpclient.TokenSource
	noScope bool // its settings have no token of their own
}

func newReadiness(r roster) *Readiness { return &Readiness{members: r.Members} }

// Check tells the state of each client. A client is ready if it has a token that can be
// used now, so an outage of the servers is no reason to stop the traffic before the last
// token ends. Check asks for the token of the settings if there is none to use, as
// [httpclient.TokenSource.Readiness] does, and waits for it half a second at most. A
// client whose settings name no scope has no such token: it is ready unless fetching
// fails.
func (r *Readiness) Check(ctx context.Context) ReadinessReport {
	report := ReadinessReport{Ready: true, Clients: map[string]httpclient.Status{}}
	if r == nil {
		return report
	}
	ctx, cancel := context.WithTimeout(ctx, readinessWait)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, m := range r.members {
		client := m.served.Load()
		if client == nil {
			continue
		}
		wg.Go(func() {
			status := client.source.Readiness(ctx)
			mu.Lock()
			defer mu.Unlock()
			report.Clients[m.client] = status
			report.Ready = report.Ready && (status.Ready() || client.noScope && status.State == httpclient.StateUnknown)
		})
	}
	wg.Wait()
	return report
}

// ServeHTTP answers with [Readiness.Check] as JSON.
func (r *Readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the readiness is read with GET", http.StatusMethodNotAllowed)
		return
	}
	report := r.Check(req.Context())
	body, _ := json.MarshalIndent(report, "", "  ") // of texts, numbers and times, which always encode
	w.Header().Set("Content-Type", "application/json")
	if !report.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(append(body, '\n'))
}
