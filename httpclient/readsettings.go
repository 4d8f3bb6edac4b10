package httpclient

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/portnokkel/portnokkel/internal/paste"
)

// KeysFromSettings makes a function for [ReloadingKeys] of one that reads settings
// again. It gives the keys that they hold, newest first, and looks at no other setting
// but ClientId: if that has changed, the new keys are of another client, and reading
// fails. The warning says that it takes a restart.
//
// An expired certificate is an error here, as it is for [NewTokenSource].
func KeysFromSettings(read func(context.Context) (MaskinportenSettings, error)) func(context.Context) ([]*Key, error) {
	if read == nil {
		return func(context.Context) ([]*Key, error) {
			return nil, errors.New("httpclient: give KeysFromSettings a function that reads settings - it is nil")
		}
	}
	return func(ctx context.Context) ([]*Key, error) {
		settings, err := read(ctx)
		if err != nil {
			return nil, err
		}
		if id := strings.TrimSpace(settings.ClientID); id != "" && id != cmp.Or(keyUserOf(ctx).clientID, id) {
			return nil, &unreadError{
				"restart to take over the new " + settings.name("ClientId"),
				errors.New("it differs from the one in use, and a key belongs to one client"),
			}
		}
		rest, wrong := settings.misplaced()
		if len(wrong) == 0 {
			var choice keyChoice
			if choice, wrong = rest.chooseKeys(time.Now()); len(wrong) == 0 {
				return choice.keys, nil
			}
		}
		return nil, prefixed(wrong)
	}
}

// WithoutKeys is a copy of the settings without any key. [NewTokenSource] takes it
// beside [WithKeySource]. It keeps no setting that is about keys only.
func (s MaskinportenSettings) WithoutKeys() MaskinportenSettings {
	s.EncodedJWK, s.JWKS, s.JWK, s.EncodedX509 = Secret{}, Secret{}, Secret{}, Secret{}
	s.CertificatePKCS12Path, s.CertificatePKCS12Password = "", Secret{}
	s.CertificateStoreThumbprint, s.KeyID = "", ""
	return s
}

// defaultSection is where Altinn's files have the settings.
const defaultSection = "MaskinportenSettings"

// ReadSettings reads settings from a JSON file, such as the maskinporten-settings.json
// that Altinn's platform mounts. They stand in a section of the file's object, whose
// name may be in any case. Empty means "MaskinportenSettings".
//
// It is for a service that reads its keys again, or has no other settings. Package
// provider reads all the files of an app, in their order. Errors never quote the file.
func ReadSettings(path, section string) (MaskinportenSettings, error) {
	section = cmp.Or(section, defaultSection)
	for what, value := range map[string]string{"path": path, "section": section} {
		if problem := paste.Problem(value, maxText); problem != "" {
			return MaskinportenSettings{}, fmt.Errorf("httpclient: ReadSettings: the %s %s", what, problem)
		}
	}
	if path == "" {
		return MaskinportenSettings{}, errors.New("httpclient: ReadSettings: the path is empty: name the file of the settings")
	}
	name := filepath.Base(path)
	settings := MaskinportenSettings{
		BaseDir: filepath.Dir(path),
		Origin:  func(string) Origin { return Origin{Source: name, Layer: name} },
	}
	data, err := readBounded(path, maxSettingsFile)
	if err != nil {
		return settings, unreadFile(name, err)
	}
	found, err := sectionOf(data, section)
	if err != nil {
		return settings, &unreadError{"correct " + name, err}
	}
	return settings, settings.Parse(found)
}

// unreadFile says why a file could not be read, without its directory.
func unreadFile(name string, err error) error {
	var failed *fs.PathError
	if errors.As(err, &failed) {
		err = failed.Err
	}
	cure := "let this program read " + name
	if errors.Is(err, fs.ErrNotExist) {
		cure = "correct the path of " + name
	}
	return &unreadError{cure, err}
}

// sectionOf is a section of the JSON of settings. Its errors never quote the JSON.
func sectionOf(data []byte, section string) (map[string]any, error) {
	if len(data) > maxSettingsFile {
		return nil, fmt.Errorf("it is over %d KB", maxSettingsFile>>10)
	}
	decoder := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, utf8BOM)))
	decoder.UseNumber()
	var file map[string]any
	if decoder.Decode(&file) != nil {
		return nil, fmt.Errorf("it is not whole JSON (from byte %d of %d)", decoder.InputOffset(), len(data))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("it goes on after its JSON")
	}
	for _, name := range slices.Sorted(maps.Keys(file)) {
		if found, ok := file[name].(map[string]any); ok && strings.EqualFold(name, section) {
			return found, nil
		}
	}
	return nil, fmt.Errorf("it has no section %s", section)
}
