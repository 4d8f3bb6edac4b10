package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

const demoNotice = "DEMO: nothing is configured. Settings are built in, and test servers on this machine play Key Vault, Entra, Maskinporten, Altinn and the API."

//go:embed demo/appsettings.json
var demoFiles embed.FS

// demo is the servers that a service meets, in this process. All that the
// application does with them is what it does in production.
type demo struct {
	vault  *vaulttest.Server
	porten *maskinportentest.Server
}

// whatIsConfigured names every sign of a configuration. Without a sign the demo may run.
// The slightest sign prevents the demo, a misspelt one too: a service that lacks some of
// its settings must fail, not talk to test servers.
func whatIsConfigured(in invocation, m mode, settings []string) ([]string, error) {
	var signs []string
	if len(settings) > 0 {
		signs = append(signs, "the arguments")
	}
	if onThisMachine(m.addr) == "" {
		signs = append(signs, "the flag -addr, which lets other machines in")
	}
	for _, pair := range in.environ {
		if name, _, _ := strings.Cut(pair, "="); configures(name) {
			signs = append(signs, "the environment variable "+name)
		}
	}
	const mounted = "/altinn-appsettings-secret"
	if _, err := os.Lstat(mounted); err == nil {
		signs = append(signs, "the directory "+mounted)
	}
	dir := in.dir
	if dir == "" {
		dir = "."
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		name := strings.ToLower(file.Name())
		if strings.HasPrefix(name, "appsettings") || strings.HasPrefix(name, "maskinporten") {
			signs = append(signs, "the file "+file.Name())
		}
	}
	return signs, nil
}

// isStray reports whether an application failed because nothing at all was set of what it
// reads: the signs of a configuration led to no setting.
func isStray(err error, origins *provider.Origins) bool {
	for path := range origins.All() {
		if isRead(path) {
			return false
		}
	}
	return errors.Is(err, provider.ErrNoSection)
}

// onThisMachine is the address to serve on if only this machine can reach it, and "" if
// others can. Without a host it is this machine's: the demo is for nobody else.
func onThisMachine(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	switch ip := net.ParseIP(host); {
	case err != nil || host == "localhost" || ip.IsLoopback():
		return addr
	case host == "":
		return net.JoinHostPort("127.0.0.1", port)
	}
	return ""
}

// configures reports whether a variable of this name may be meant for a service.
func configures(name string) bool {
	for _, environment := range []string{"APP_ENVIRONMENT", "ASPNETCORE_ENVIRONMENT", "DOTNET_ENVIRONMENT"} {
		if strings.EqualFold(name, environment) {
			return true
		}
	}
	if strings.Contains(strings.TrimLeft(name, "_"), "__") {
		return true // a section and its key, whatever their names
	}
	letters := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
	for _, prefix := range []string{"maskinporten", "kvsetting", "exampleapp"} {
		if strings.HasPrefix(letters, prefix) {
			return true
		}
	}
	return false
}

func startDemo() *demo {
	d := &demo{
		vault: vaulttest.NewServer(),
		porten: maskinportentest.NewServer(
			maskinportentest.WithIssuer("https://test.maskinporten.no/"),
			maskinportentest.WithPlatform("https://platform.tt02.altinn.no")),
	}
	d.vault.Set("MaskinportenSettings--ClientId", d.porten.ClientID())
	d.vault.SetSecret(vaulttest.Secret{
		Name: "MaskinportenSettings--EncodedJwk", Value: d.porten.EncodedJWK(), Expires: time.Now().AddDate(1, 0, 0), // so that a warning comes before
	})
	d.porten.Handle("GET /storage/api/v1/instances", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintln(w, `{"instances":[{"id":"50001/demo"}]}`)
	}), "altinn:serviceowner/instances.read")
	return d
}

// Close ends the test servers.
func (d *demo) Close() {
	d.vault.Close()
	d.porten.Close()
}

// setup points the application to the test servers: settings say where the vault is,
// and options say how to reach servers that only this process knows.
func (d *demo) setup() setup {
	files, _ := fs.Sub(demoFiles, "demo") // fails for an invalid path only
	environ := make([]string, 0, 4)
	for key, value := range d.vault.KVSetting() {
		environ = append(environ, fmt.Sprintf("kvSetting__%s=%v", key, value))
	}
	return setup{
		app: provider.AppConfig{FS: files, Environment: "Development", Environ: func() []string { return environ }},
		vault: provider.ConnectConfig{
			Config:            provider.Config{ClientOptions: d.vault.ClientOptions()},
			CredentialOptions: d.vault.CredentialOptions(),
		},
		client: []httpclient.Option{
			httpclient.WithTokenTransport(d.porten.Transport()),
			httpclient.WithBaseTransport(d.porten.Transport()),
		},
	}
}
