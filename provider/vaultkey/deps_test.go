package vaultkey_test

import (
	"os/exec"
	"strings"
	"testing"
)

// Azure's client for keys is this package's dependency only, and this package compiles
// neither koanf, fx nor httpclient.
func TestDependencies(t *testing.T) {
	t.Parallel()
	const module, azkeys = "github.com/portnokkel/portnokkel/", "security/keyvault/azkeys"
	deps := func(pkg string) string {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", module+pkg).CombinedOutput()
		if err != nil || !strings.Contains(string(out), module+pkg) {
			t.Fatalf("got %s, %v, want the dependencies of %s", out, err, pkg)
		}
		return string(out)
	}
	for _, pkg := range []string{"provider", "provider/internal/azure", "provider/vaulttest", "httpclient", "httpclient/maskinportentest", "faulttest"} {
		if strings.Contains(deps(pkg), azkeys) {
			t.Errorf("%s: got a dependency on azkeys, want it absent", pkg)
		}
	}
	own := deps("provider/vaultkey")
	if !strings.Contains(own, azkeys) {
		t.Error("got no dependency on azkeys: this test looks for the wrong name")
	}
	for _, foreign := range []string{"koanf", "go.uber.org", "lestrrat-go", module + "httpclient", "portnokkel/provider\n", "vaulttest"} {
		if strings.Contains(own, foreign) {
			t.Errorf("got a dependency on %s, want it absent", foreign)
		}
	}
}
