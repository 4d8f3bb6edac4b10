package fxmodule_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A program that does not call KeyVaultKey has nothing of Azure's client for keys in it.
func TestKeysClientIsNotLinkedUnasked(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "program")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../examples/app").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const client, module = "/keyvault/azkeys.(*Client).Sign", "portnokkel/fxmodule.Module"
	for file, want := range map[string]bool{program: false, own: true} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(data, []byte(client)); got != want || !bytes.Contains(data, []byte(module)) {
			t.Errorf("%s: got the client for keys linked %v, want %v beside this package", filepath.Base(file), got, want)
		}
	}
}
