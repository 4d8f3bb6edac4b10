package httpclient_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
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
