package httpclient_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
)

// What a program can tell of its tokens, such as on a page for whoever runs it.
func ExampleTokenSource_Status() {
	srv := maskinportentest.NewServer()
	defer srv.Close()
	source, err := newExampleSource(srv, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer source.Close()

	fmt.Println(source.Status().State)
	if _, err := source.Token(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	status := source.Status()
	fmt.Println(status.State, status.Tokens[0].Scope)
	fmt.Println("signed with", status.Key.ID, "- breaker", status.Breaker.State)
	// Output:
	// unknown
	// ready altinn:serviceowner/instances.read
	// signed with maskinportentest-only-for-tests - breaker closed
}

// A readiness check for Kubernetes: the pod gets traffic once it has its first token. A
// pod whose settings are wrong never does, and tells why. The check asks for the token
// itself, half a second at a time. This program waits for it first, because it checks
// once only.
func ExampleTokenSource_ReadinessHandler() {
	client := maskinportentest.Client{Scopes: []string{"altinn:serviceowner/instances.read"}}
	srv := maskinportentest.NewServer(maskinportentest.WithClient(client))
	defer srv.Close()

	for _, scope := range []string{"altinn:serviceowner/instances.read", "altinn:misspelt"} {
		source, err := newExampleSource(srv, map[string]any{"Scope": scope})
		if err != nil {
			fmt.Println(err)
			return
		}
		source.Readiness(context.Background())
		mux := http.NewServeMux()
		mux.Handle("GET /readyz", source.ReadinessHandler())

		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		var status httpclient.Status
		if err := json.Unmarshal(answer.Body.Bytes(), &status); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(answer.Code, status.State)
		if status.Failure != nil {
			cure, _, _ := strings.Cut(status.Failure.Error, " - ")
			fmt.Println(cure)
		}
		source.Close()
	}
	// Output:
	// 200 ready
	// 503 failing
	// httpclient: check Scope: altinn:misspelt is misspelt, or not registered on the client
}

// The log that Digdir requires: one record about each token request. This one goes to
// standard output as JSON, with a few of its attributes.
func ExampleWithAuditLog() {
	srv := maskinportentest.NewServer()
	defer srv.Close()
	shown := []string{"outcome", "client_id", "key_id", "scope", "system_user_org", "person_named"}
	handler := slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if !slices.Contains(shown, a.Key) {
				return slog.Attr{} // what differs from one run to the next, for one
			}
			return a
		},
	})
	source, err := newExampleSource(srv, nil, httpclient.WithAuditLog(slog.New(handler)))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := httpclient.ContextWithSystemUser(context.Background(), httpclient.SystemUser{OrgNo: "889640782"})
	ctx = httpclient.ContextWithPerson(ctx, httpclient.NewSecret("01017012345")) // never shown
	for range 2 {
		if _, err := source.Token(ctx); err != nil { // the second one is from the cache
			fmt.Println(err)
		}
	}
	source.Close() // waits for the log
	// Output: {"outcome":"received","client_id":"maskinportentest-client","key_id":"maskinportentest-only-for-tests","scope":"altinn:serviceowner/instances.read","system_user_org":"889640782","person_named":true}
}
