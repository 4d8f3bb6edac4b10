package main

import (
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
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

// whatIsConfigured names the first sign of a configuration. Without a sign it is "",
// and the demo may run. The slightest sign prevents the demo, a misspelt one too: a
// service that lacks some of its settings must fail, not talk to test servers.
func whatIsConfigured(in invocation, m mode, settings []string) (string, error) {
	if len(settings) > 0 {
		return "the arguments", nil
	}
	if m.addr != anyPort {
		return "-addr", nil
	}
	for _, pair := range in.environ {
		if name, _, _ := strings.Cut(pair, "="); configures(name) {
			return "the environment variable " + name, nil
		}
	}
	const mounted = "/altinn-appsettings-secret"
	if _, err := os.Lstat(mounted); err == nil {
		return mounted, nil
	}
	dir := in.dir
	if dir == "" {
		dir = "."
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, file := range files {
		name := strings.ToLower(file.Name())
		if strings.HasPrefix(name, "appsettings") || strings.HasPrefix(name, "maskinporten") {
			return file.Name(), nil
		}
	}
	return "", nil
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
	d.vault.Set("MaskinportenSettings--EncodedJwk", d.porten.EncodedJWK())
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
