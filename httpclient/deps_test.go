package httpclient_test

import (
	"os/exec"
	"strings"
	"testing"
)

// A service that imports only this package compiles neither Azure, koanf nor fx.
func TestDependencies(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "lestrrat-go/jwx/v2/jws") {
		t.Fatalf("got this, want the list of dependencies:\n%s", out)
	}
	for _, foreign := range []string{"azure", "koanf", "go.uber.org", "portnokkel/provider", "portnokkel/fxmodule", "maskinportentest"} {
		if strings.Contains(strings.ToLower(string(out)), foreign) {
			t.Errorf("got a dependency on %s, want it absent", foreign)
		}
	}
}
