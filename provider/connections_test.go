//go:build !windows && !darwin

// On those two, crypto/x509 does not read SSL_CERT_FILE.

package provider_test

import (
	"bufio"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// forwarder is a proxy that leads to one server, whatever host it is asked for. It
// counts the connections that are open.
type forwarder struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu        sync.Mutex
	open, all int
	none      chan struct{} // closed when no connection is open
}

func forward(t *testing.T, to string) *forwarder {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &forwarder{listener: listener, none: make(chan struct{})}
	f.wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			f.count(1)
			f.wg.Go(func() {
				defer f.count(-1)
				f.pass(conn, to)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		f.wg.Wait()
	})
	return f
}

// pass copies until the client closes.
func (f *forwarder) pass(client net.Conn, to string) {
	defer client.Close()
	if req, err := http.ReadRequest(bufio.NewReader(client)); err != nil || req.Method != http.MethodConnect {
		return
	}
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	f.wg.Go(func() { _, _ = io.Copy(client, server) })
	_, _ = io.Copy(server, client)
	_ = server.Close()
}

func (f *forwarder) count(change int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open += change; change > 0 {
		f.all++
	}
	switch f.open {
	case 0:
		close(f.none)
	case 1:
		if change > 0 {
			f.none = make(chan struct{})
		}
	}
}

func (f *forwarder) wait(limit time.Duration) (all int, closed bool) {
	f.mu.Lock()
	none, all := f.none, f.all
	f.mu.Unlock()
	select {
	case <-none:
		return all, true
	case <-time.After(limit):
		return all, false
	}
}

// TestConnectionsAreClosed shows that ConnectToKeyVault, ResolveReferences, Versions, a
// watch between its listings and a load that fails leave no connection open while the
// service goes on.
func TestConnectionsAreClosed(t *testing.T) {
	if os.Getenv(childVariable) != "" {
		loadAndWait(t)
		return
	}
	t.Parallel()
	for _, way := range []string{"connect", "references", "load", "failure", "versions", "watch"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			srv := vaulttest.NewServer(
				vaulttest.WithVaultHost("my-vault.vault.azure.net"), vaulttest.WithAuthorityHost("login.microsoftonline.com"),
				vaulttest.WithSecrets(map[string]string{"A": "a", "B": "b", "C": "c"}),
			)
			defer srv.Close()
			if way == "failure" {
				srv.Faults.Add(faulttest.Fault{Hang: true, Match: func(r *http.Request) bool { return r.URL.Path == "/secrets/B/" }})
			}
			if way == "watch" { // a callback is a sign that a listing is over
				srv.Faults.Add(faulttest.Fault{Status: http.StatusForbidden, Body: "{}", Match: func(r *http.Request) bool { return isList(r) && r.Header.Get("Authorization") != "" }})
			}
			var reached string // the server's own address
			traced := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
				reached = c.Conn.RemoteAddr().String()
			}})
			req, err := http.NewRequestWithContext(traced, http.MethodGet, srv.VaultURL(), nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := srv.Transport().RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			certificate := filepath.Join(t.TempDir(), "certificate.pem")
			block := &pem.Block{Type: "CERTIFICATE", Bytes: resp.TLS.PeerCertificates[0].Raw}
			if err := os.WriteFile(certificate, pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
			between := forward(t, reached)
			lines, end := child(t, "SSL_CERT_FILE="+certificate, "WAY="+way, "NO_PROXY=", "no_proxy=", "HTTPS_PROXY=http://"+between.listener.Addr().String())
			defer end()
			if !lines.Scan() || lines.Text() != "loaded" {
				t.Fatalf("the child says %q", lines.Text())
			}
			// Well under the half minute after which an idle connection ends by itself.
			if all, closed := between.wait(10 * time.Second); !closed || all < 2 {
				t.Errorf("of %d connections, to the vault and to Entra, not all are closed", all)
			}
		})
	}
}

// loadAndWait is the child's part.
func loadAndWait(t *testing.T) {
	const address = "https://my-vault.vault.azure.net"
	var double vaulttest.Server // for the names of its one identity
	cfg := provider.ConnectConfig{Config: provider.Config{Logger: slog.New(slog.DiscardHandler)}}
	k := newKoanf(t, map[string]any{
		"Reference": "@Microsoft.KeyVault(SecretUri=" + address + "/secrets/A)",
		"kvSetting": map[string]any{
			"ClientId": double.ClientID(), "TenantId": double.TenantID(), "ClientSecret": double.ClientSecret(), "SecretUri": address,
		},
	}, ":")
	way := os.Getenv("WAY")
	if way == "failure" {
		cfg.Timeout = time.Second
	}
	var err error
	switch way {
	case "references":
		err = provider.ResolveReferences(t.Context(), k, cfg)
	case "load":
		var file []byte
		if file, err = json.Marshal(k.Raw()); err == nil {
			app, _ := hermetic(t, files{"appsettings.json": string(file)})
			_, err = provider.Load(t.Context(), app, cfg)
		}
	case "versions", "watch":
		err = useVault(t, way, address, cfg.Config)
	default:
		_, err = provider.ConnectToKeyVault(t.Context(), k, cfg)
	}
	if (err != nil) != (way == "failure") {
		fmt.Fprintln(os.Stdout, err)
		return
	}
	fmt.Fprintln(os.Stdout, "loaded")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// useVault uses a Vault with a credential that leaves no connection open itself.
func useVault(t *testing.T, way, address string, cfg provider.Config) error {
	t.Helper()
	var double vaulttest.Server
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	var options azidentity.ClientSecretCredentialOptions
	options.Transport = &http.Client{Transport: transport}
	options.DisableInstanceDiscovery = true
	cfg.VaultURL = address
	cfg.Credential = kvCredential(t, double.TenantID(), double.ClientID(), double.ClientSecret(), options).GetToken
	vault := kvVault(t, cfg)
	if way == "versions" {
		_, err := vault.Versions(t.Context(), "A", 1)
		return err
	}
	t.Cleanup(func() { _ = vault.Unwatch() })
	told := make(chan error, 1)
	if err := vault.Watch(func(_ any, err error) { told <- err }); err != nil {
		return err
	}
	if err := <-told; err == nil || !strings.Contains(err.Error(), "403") {
		return fmt.Errorf("the watch tells: %w", err)
	}
	return nil
}
