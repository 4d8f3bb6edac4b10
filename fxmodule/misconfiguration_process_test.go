package fxmodule_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A case that needs an environment of its own runs in a process of its own. It finds
// its name, and where to write its outcome, in these variables.
const (
	childCase    = "PORTNOKKEL_MISCONFIGURATION"
	childOutcome = "PORTNOKKEL_OUTCOME"
)

// outcome runs a case, in a process of its own if it needs one.
func (c misconfiguration) outcome(t *testing.T) outcome {
	t.Helper()
	if c.environ == nil {
		return newSite(t, c).run()
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Proxy-Authenticate", "Basic")
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	defer proxy.Close()
	file := filepath.Join(t.TempDir(), "outcome.json")
	child := exec.Command(os.Args[0], "-test.run=^TestMisconfigurations$")
	child.Env = append([]string{childCase + "=" + c.name, childOutcome + "=" + file}, c.environ(proxy.URL)...)
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("got %v, want the case run:\n%s", err, out)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var o outcome
	if err := json.Unmarshal(data, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// write hands the outcome to the process that asked for it.
func (o outcome) write(t *testing.T) {
	t.Helper()
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(os.Getenv(childOutcome), data, 0o600); err != nil {
		t.Fatal(err)
	}
}
