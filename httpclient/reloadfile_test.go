package httpclient_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portnokkel/portnokkel/httpclient"
)

// mount is a directory as Kubernetes mounts it: each file is a link into ..data, which
// is a link to a directory of the files' present version. Kubernetes replaces that link
// and removes the directory before.
type mount struct {
	t    testing.TB
	dir  string
	last string // the directory of the present version
	n    int
}

const mounted = "maskinporten-settings.json"

func newMount(t testing.TB, text string) *mount {
	t.Helper()
	m := &mount{t: t, dir: t.TempDir()}
	m.replace(text)
	m.must(os.Symlink(filepath.Join("..data", mounted), m.path()))
	return m
}

func (m *mount) path() string { return filepath.Join(m.dir, mounted) }

func (m *mount) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// replace puts a new version in the place of the present one, at once.
func (m *mount) replace(text string) {
	m.t.Helper()
	before := m.last
	m.n++
	m.last = filepath.Join(m.dir, "..2026_"+strings.Repeat("1", m.n))
	m.must(os.Mkdir(m.last, 0o700))
	m.must(os.WriteFile(filepath.Join(m.last, mounted), []byte(text), 0o600))
	link := filepath.Join(m.dir, "..data_tmp")
	m.must(os.Symlink(filepath.Base(m.last), link))
	m.must(os.Rename(link, filepath.Join(m.dir, "..data")))
	if before != "" {
		m.must(os.RemoveAll(before))
	}
}

// write writes the present version itself, as a careless program does.
func (m *mount) write(text string) {
	m.t.Helper()
	m.must(os.WriteFile(filepath.Join(m.last, mounted), []byte(text), 0o600))
}

// read reads the settings for KeysFromSettings.
func (m *mount) read(context.Context) (httpclient.MaskinportenSettings, error) {
	return httpclient.ReadSettings(m.path(), "")
}

// A mounted file that Kubernetes replaces is taken over. A file that is half written, or
// gone, is not: the last good keys stay, with one warning.
func TestMountedFileIsReplaced(t *testing.T) {
	t.Parallel()
	older, newer := keyFile(t, "client.jwk.json"), keyFile(t, "other.jwk.json")
	registered := newerKey(t)
	const clientID = "maskinportentest-client"
	first, second := settingsFile(t, clientID, older), settingsFile(t, clientID, newer)
	m := newMount(t, first)
	synctest.Test(t, func(t *testing.T) {
		r := newReloaded(t, 0)
		defer r.close()
		r.srv.AddKey(r.srv.ClientID(), registered)
		r.does(httpclient.KeysFromSettings(m.read))
		r.fetches(1, olderID)
		now := func(want string) {
			t.Helper()
			pass(time.Minute)
			if err := r.fetch(); err != nil { // it starts the reading
				t.Errorf("got %v, want a token", err)
			}
			synctest.Wait()
			r.take()
			r.fetches(1, want)
		}

		m.replace(second)
		now(newerID)
		m.replace(first)
		now(olderID)
		r.wantLog(map[string]int{"level=WARN": 0, otherKeys: 2})

		// Every part of the file but its line end is too little.
		for i := 0; i < len(second); i += len(second) / 20 {
			m.write(second[:i])
			now(olderID)
		}
		m.must(os.Remove(filepath.Join(m.last, mounted)))
		now(olderID)
		r.wantLog(map[string]int{
			"level=WARN": 2,
			keptKeys + ` error="httpclient: correct maskinporten-settings.json - it is not whole JSON (from byte 0 of 0)"`: 1,
			keptKeys + ` error="httpclient: correct the path of maskinporten-settings.json - no such file or directory"`:   1,
		})

		m.write(second)
		now(newerID)
		r.wantLog(map[string]int{"level=WARN": 2, readAgain: 1, otherKeys: 3})
		if strings.Contains(r.log.String(), member(t, newer, "d").(string)[:40]) {
			t.Error("got a private key in the log, want none")
		}
	})
}
