package httpclient

import (
	"context"
	"encoding/json"
	"net/http"
)

// Readiness is [TokenSource.Status], after it has asked for the settings' own token if
// there is none to use. It waits for that no longer than the context allows. It asks at
// the pace of [TokenSource.Token]: after a failure not before the next try is due.
//
// If the settings name no scope, there is no such token, and it is as Status.
func (s *TokenSource) Readiness(ctx context.Context) Status {
	if open := s.open(); open != nil && open.request.scope != "" {
		_, _, _ = open.own.Get(ctx) // the status tells what became of it
	}
	return s.Status()
}

// ReadinessHandler answers a readiness check, such as that of Kubernetes, with the
// status as JSON: 200 if a token can be used now, 503 if not. An outage of the servers
// is therefore no reason to stop the traffic before the last token ends.
//
// It asks for the settings' own token if there is none to use, as [TokenSource.Readiness]
// does, and waits half a second for it: a program becomes ready with its first token,
// and again after an outage, though no traffic comes that would ask for it. If the
// settings name no scope, there is no such token. Then it answers as
// [TokenSource.StatusHandler].
//
// Each token is named by its scope and organisations. Serve it where only those come who
// run the program.
func (s *TokenSource) ReadinessHandler() http.Handler {
	return statusHandler(func(ctx context.Context) (Status, bool) {
		ctx, cancel := context.WithTimeout(ctx, readinessWait)
		defer cancel()
		status := s.Readiness(ctx)
		open := s.open()
		return status, status.Ready() || status.State == StateUnknown && open != nil && open.request.scope == ""
	})
}

// StatusHandler answers with the status as JSON, and fetches nothing: 503 if the state
// is "failing" or "closed", else 200. It is the readiness check of a program that has
// all of its tokens from contexts, such as from [ContextWithConsumerOrg], and may not
// have the settings' own one. The state "unknown" counts as ready there, because a
// program that gets no traffic would never ask for a token.
func (s *TokenSource) StatusHandler() http.Handler {
	return statusHandler(func(context.Context) (Status, bool) {
		status := s.Status()
		return status, status.Ready() || status.State == StateUnknown
	})
}

func statusHandler(check func(context.Context) (Status, bool)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "the status is read with GET", http.StatusMethodNotAllowed)
			return
		}
		status, ok := check(r.Context())
		body, _ := json.MarshalIndent(status, "", "  ") // of texts, numbers and times, which always encode
		w.Header().Set("Content-Type", "application/json")
		if !ok {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write(append(body, '\n'))
	})
}
