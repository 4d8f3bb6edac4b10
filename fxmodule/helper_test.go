package fxmodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const scope = "altinn:serviceowner/instances.read"

// world is a vault, Maskinporten as the guide's ver2, and an app's settings.
type world struct {
	vault  *vaulttest.Server
	porten *maskinportentest.Server
	files  fstest.MapFS
	log    *logtest.Buffer
}

var testKey = sync.OnceValue(func() maskinportentest.Key { return maskinportentest.NewKey("for-tests-only") })

// newWorld has the guide's section, verbatim, and its two secrets in the vault.
func newWorld(t *testing.T) *world {
	t.Helper()
	guide, err := os.ReadFile("../testdata/appsettings/guide.json")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		vault: vaulttest.NewServer(),
		porten: maskinportentest.NewServer(maskinportentest.WithKey(testKey()),
			maskinportentest.WithIssuer("https://ver2.maskinporten.no/"), maskinportentest.WithPlatform("https://platform.tt02.altinn.no")),
		files: fstest.MapFS{"appsettings.json": {Data: guide}},
		log:   &logtest.Buffer{},
	}
	t.Cleanup(w.vault.Close)
	t.Cleanup(w.porten.Close)
	w.porten.Handle("/storage/api/v1/instances", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		token, _ := maskinportentest.TokenFrom(r.Context())
		fmt.Fprintf(rw, "altinn=%v client=%s", token.Altinn, token.ClientID)
	}))
	w.secrets("MaskinportenSettings", w.porten.ClientID())
	w.file(t, "appsettings.Production.json", map[string]any{"kvSetting": w.vault.KVSetting()})
	return w
}

// secrets stores a client's two secrets under a section's name.
func (w *world) secrets(section, clientID string) {
	w.vault.Set(section+"--ClientId", clientID)
	w.vault.Set(section+"--EncodedJwk", testKey().EncodedJWK())
}

func (w *world) file(t *testing.T, name string, settings map[string]any) {
	t.Helper()
	data, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	w.files[name] = &fstest.MapFile{Data: data}
}

// config reads the world's settings; changes are made to the vault's Config.
func (w *world) config(changes ...func(*provider.ConnectConfig)) fx.Option {
	kv := provider.ConnectConfig{Config: provider.Config{ClientOptions: w.vault.ClientOptions()}, CredentialOptions: w.vault.CredentialOptions()}
	kv.ClientOptions.Retry.RetryDelay = time.Millisecond
	kv.CredentialOptions.Retry.RetryDelay = time.Millisecond
	for _, change := range changes {
		change(&kv)
	}
	return fxmodule.Config(fxmodule.AppConfig(provider.AppConfig{FS: w.files, Environ: func() []string { return nil }, MountedFile: "no-such-file"}), fxmodule.KeyVault(kv))
}

// servers sends what a client sends to the world's test servers.
func (w *world) servers() fxmodule.Option {
	return fxmodule.ClientOptions(httpclient.WithTokenTransport(w.porten.Transport()), httpclient.WithBaseTransport(w.porten.Transport()))
}

// app has the world's logger for the graph and for fx's own events.
func (w *world) app(opts ...fx.Option) []fx.Option {
	return append([]fx.Option{
		fx.Supply(w.log.Logger()),
		fx.WithLogger(func() fxevent.Logger { return &fxevent.ConsoleLogger{W: w.log} }),
	}, opts...)
}

func get(t *testing.T, client *http.Client) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://platform.tt02.altinn.no/storage/api/v1/instances", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

type altinn struct {
	fx.In

	Client *http.Client            `name:"altinn"`
	Source *httpclient.TokenSource `name:"altinn"`
}

// complete makes settings that need no configuration.
func complete(s *httpclient.MaskinportenSettings) {
	s.Environment, s.ClientID, s.Scope, s.EncodedJWK = "test", "in-code", scope, httpclient.NewSecret(testKey().EncodedJWK())
}
