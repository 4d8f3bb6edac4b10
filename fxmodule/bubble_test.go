package fxmodule_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"github.com/portnokkel/portnokkel/provider"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

// Keys of the tests. A bubble must not make one: it would wait in simulated time.
var (
	olderKey = sync.OnceValue(makeOlder)
	newerKey = sync.OnceValue(makeNewer)
)

func makeOlder() maskinportentest.Key { return maskinportentest.NewKey("older") }
func makeNewer() maskinportentest.Key { return maskinportentest.NewKey("newer") }

// bubble is an application's servers and settings in simulated time. Its tokens live
// for 10 seconds.
type bubble struct {
	vault  *vaulttest.Server
	porten *maskinportentest.Server
	log    *logtest.Buffer
	dir    string // of the settings files
	app    provider.AppConfig
	kv     provider.ConnectConfig
}

// inBubble runs a test on servers that know the older key only. The settings name the
// vault, and have neither a ClientId nor a key.
func inBubble(t *testing.T, test func(t *testing.T, b *bubble)) {
	t.Helper()
	t.Parallel()
	olderKey()
	newerKey()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{
			vault:  vaulttest.NewPipe(),
			porten: maskinportentest.NewPipe(maskinportentest.WithKey(olderKey()), maskinportentest.WithTokenLifetime(10*time.Second)),
			log:    &logtest.Buffer{}, dir: dir,
		}
		defer b.vault.Close()
		defer b.porten.Close()
		b.app = provider.AppConfig{Dir: dir, Environ: func() []string { return nil }, MountedFile: filepath.Join(dir, "none"), MaskinportenFile: filepath.Join(dir, "mounted.json")}
		b.kv = provider.ConnectConfig{Config: provider.Config{ClientOptions: b.vault.ClientOptions()}, CredentialOptions: b.vault.CredentialOptions()}
		section := b.porten.Section()
		delete(section, "EncodedJwk")
		delete(section, "ClientId")
		b.file(t, "appsettings.json", map[string]any{"kvSetting": b.vault.KVSetting(), "MaskinportenSettings": section})
		test(t, b)
	})
}

// file writes a settings file as Kubernetes does: at once.
func (b *bubble) file(t *testing.T, name string, settings map[string]any) {
	t.Helper()
	data, err := json.Marshal(settings)
	if err == nil {
		err = os.WriteFile(filepath.Join(b.dir, "new"), data, 0o600)
	}
	if err = errors.Join(err, os.Rename(filepath.Join(b.dir, "new"), filepath.Join(b.dir, name))); err != nil {
		t.Fatal(err)
	}
}

// section adds to the section of the file appsettings.json; nil takes a setting out.
func (b *bubble) section(t *testing.T, changes map[string]any) {
	t.Helper()
	section := b.porten.Section()
	delete(section, "EncodedJwk")
	delete(section, "ClientId")
	maps.Copy(section, changes)
	maps.DeleteFunc(section, func(_ string, value any) bool { return value == nil })
	b.file(t, "appsettings.json", map[string]any{"kvSetting": b.vault.KVSetting(), "MaskinportenSettings": section})
}

// graph is the application's options.
func (b *bubble) graph(more ...fx.Option) []fx.Option {
	return append([]fx.Option{
		fx.NopLogger, fx.Supply(b.log.Logger(), b.app, b.kv), fxmodule.Config(),
		inGroup(httpclient.WithTokenTransport(b.porten.Transport())),
	}, more...)
}

// start starts an application with one client. It ends with the test.
func (b *bubble) start(t *testing.T, opts ...fxmodule.Option) *httpclient.TokenSource {
	t.Helper()
	var got altinn
	app := fxtest.New(t, b.graph(fxmodule.Module("altinn", opts...), fx.Populate(&got))...)
	app.RequireStart()
	t.Cleanup(func() { app.RequireStop() })
	return got.Source
}

// run asks for a token each second, and does each step at its time. It returns the ids of
// the keys that signed, in their order.
func (b *bubble) run(t *testing.T, source *httpclient.TokenSource, whole time.Duration, steps map[time.Duration]func()) (order []string) {
	t.Helper()
	start := time.Now()
	for time.Since(start) < whole {
		if step := steps[time.Since(start)]; step != nil {
			step()
		}
		if _, err := source.Token(t.Context()); err != nil {
			t.Errorf("after %v: got %v, want a token", time.Since(start), err)
		}
		synctest.Wait()
		signed, _ := b.porten.Stats().LastAssertion.Header["kid"].(string)
		if !slices.Contains(order, signed) {
			order = append(order, signed)
		}
		<-time.After(time.Second)
	}
	return order
}

// told is what was logged for the operator.
func (b *bubble) told() string {
	var told []string
	for line := range strings.Lines(b.log.String()) {
		if !strings.Contains(line, "level=DEBUG") {
			told = append(told, line)
		}
	}
	return strings.Join(told, "")
}
