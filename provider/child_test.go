package provider_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/portnokkel/portnokkel/provider"
)

// childVariable tells a test that it runs in a process of its own. net/http reads
// the proxy's variables once a process, and so does crypto/x509 with the system's
// certificates.
const childVariable = "PROVIDER_TEST_CHILD"

// child runs the calling test in a process of its own, with more variables. It
// returns what the child reads and writes, and a function that ends it.
func child(t *testing.T, environ ...string) (*bufio.Scanner, func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+strings.Split(t.Name(), "/")[0]+"$")
	cmd.Env = append(os.Environ(), append(environ, childVariable+"=1")...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return bufio.NewScanner(out), func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the child: %v", err)
		}
	}
}

// TestProxyOfTheEnvironment sets the variable that a service would, with a password.
func TestProxyOfTheEnvironment(t *testing.T) {
	if os.Getenv(childVariable) != "" {
		vault, err := provider.KeyVault(provider.Config{VaultURL: "https://my-vault.vault.azure.net", Credential: tokenCredential{}.GetToken})
		if err != nil {
			t.Fatal(err)
		}
		_, err = vault.Read()
		fmt.Fprintln(os.Stdout, err)
		return
	}
	t.Parallel()
	var tries atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tries.Add(1)
		http.Error(w, canary, http.StatusProxyAuthRequired)
	}))
	defer proxy.Close()
	host := strings.TrimPrefix(proxy.URL, "http://")
	lines, end := child(t, "https_proxy=", "HTTPS_PROXY=http://user:"+canary+"@"+host, "NO_PROXY=", "no_proxy=")
	defer end()
	want := "provider: put the user name and password that the proxy wants into HTTPS_PROXY - " +
		"list https://my-vault.vault.azure.net: the proxy " + host + " (HTTPS_PROXY) refused the tunnel: 407 Proxy Authentication Required"
	if !lines.Scan() || lines.Text() != want || tries.Load() != 1 {
		t.Errorf("after %d tries\ngot  %s\nwant %s", tries.Load(), lines.Text(), want)
	}
}
