package provider

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

const (
	baseFile           = "appsettings.json"
	localFile          = "appsettings.Local.json"
	development        = "Development"
	defaultMountedFile = "/altinn-appsettings-secret/altinn-appsettings-secret.json"
)

// AppConfig says where an app's own settings are: those that need no Key Vault.
// The zero value reads appsettings.json and its companions from the working
// directory, and the process's environment variables.
//
// It is not changed by use, and prints itself without variables and arguments,
// which may hold secrets.
type AppConfig struct {
	// FS is where the appsettings files are. Nil means the directory Dir.
	FS fs.FS `json:"-"`
	// Dir is the directory of the appsettings files when FS is nil. Empty means
	// the working directory.
	Dir string
	// Environment chooses appsettings.{Environment}.json. Empty means the first
	// variable that is not blank of APP_ENVIRONMENT, ASPNETCORE_ENVIRONMENT and
	// DOTNET_ENVIRONMENT, or else "Production".
	Environment string
	// Environ is environment variables, each "KEY=value". Nil means the
	// process's own; an empty slice means none. Of a name given twice the last
	// counts.
	Environ []string `json:"-"`
	// Args is command line arguments, without the program's name. Nil means
	// none: os.Args is never read unasked.
	Args []string `json:"-"`
	// MountedFile is the path, in the operating system's file system whatever FS
	// is, of the secrets that Altinn mounts into an app's container. Empty means
	// /altinn-appsettings-secret/altinn-appsettings-secret.json.
	MountedFile string
	// Logger gets warnings, and at debug level what was read and skipped, never
	// with a value. Nil means [slog.Default].
	Logger *slog.Logger `json:"-"`
	// Origins, when not nil, is told where each setting came from.
	Origins *Origins `json:"-"`
}

// LoadAppConfig reads an app's own settings into a new koanf, whose delimiter is
// ":". Each layer is laid over the ones before it by the rules of [Merge]:
//
//  1. appsettings.json
//  2. appsettings.{Environment}.json
//  3. the mounted altinn-appsettings-secret.json
//  4. environment variables
//  5. arguments
//  6. appsettings.Local.json, in Development alone; anywhere else its presence
//     is warned about.
//
// A file that does not exist is no error. Files may have comments, trailing
// commas and a byte order mark.
//
// An environment variable's name is a path whose parts are joined by "__" (or
// ":"), in any case: MASKINPORTENSETTINGS__SCOPE. One with an empty part, or more
// than 64, is skipped, and so is one whose path is a section or an array, since a
// string never replaces those. Of two names that differ in case alone, the one that
// sorts last in byte order is used, and a differing value of the other is
// warned about. One that would leave a gap in an array, or give it a key that is no
// index, is skipped with a warning.
//
// Arguments are --Section:Key=value, --Section:Key value, the same with "/" for
// "--", or Section:Key=value; the later of two wins. As in .NET, anything else is
// ignored. Unlike .NET, what begins with "--" is never taken as the value of the
// argument before it, "/usr/bin" is a file's path and not a key, and without "--" a
// key needs a section: a text such as a secret's base64 holds "=" as well.
//
// In both, parts "0" to "n-1" make an array where there is nothing yet.
//
// The error names every problem in every layer, with the file, line and column
// of a syntax error, and holds no value.
func LoadAppConfig(app AppConfig) (*koanf.Koanf, error) {
	environment := app.environment()
	if strings.ContainsAny(environment, `/\`) {
		return nil, fmt.Errorf("provider: environment %q: cannot be a part of a file's name", environment)
	}
	app.Origins.lookedIn(app.directory())

	k := koanf.New(pathDelimiter)
	err := errors.Join(
		app.loadFile(k, baseFile, app.readFile),
		app.loadFile(k, "appsettings."+environment+".json", app.readFile),
		app.loadFile(k, app.mountedFile(), os.ReadFile),
		app.loadEnvironment(k),
		app.loadArguments(k),
		app.loadLocal(k),
	)
	app.warnOfIgnoredLocal()
	if err != nil {
		return nil, err
	}
	return k, nil
}

// IsDevelopment reports whether the environment is Development, in any case.
func (a AppConfig) IsDevelopment() bool {
	return strings.EqualFold(a.environment(), development)
}

// Format implements [fmt.Formatter]: every verb prints the fields that cannot
// hold secrets, and how many variables and arguments there are.
func (a AppConfig) Format(s fmt.State, _ rune) {
	environ := "the process's"
	if a.Environ != nil {
		environ = fmt.Sprint(len(a.Environ))
	}
	_, _ = fmt.Fprintf(s, "provider.AppConfig{Dir:%q Environment:%q MountedFile:%q Environ:%s Args:%d}",
		a.Dir, a.Environment, a.MountedFile, environ, len(a.Args))
}

// loadLocal applies the developer's own file, in Development alone. It may be
// called again after later layers, to lay the file over those too.
func (a AppConfig) loadLocal(k *koanf.Koanf) error {
	if !a.IsDevelopment() {
		return nil
	}
	return a.loadFile(k, localFile, a.readFile)
}

func (a AppConfig) warnOfIgnoredLocal() {
	// In an environment called "Local" the file was read as that environment's.
	if a.IsDevelopment() || strings.EqualFold(a.environment(), "Local") {
		return
	}
	if _, err := fs.Stat(a.files(), localFile); err != nil {
		return
	}
	cure := "set APP_ENVIRONMENT=Development"
	if a.Environment != "" {
		cure = "AppConfig.Environment is set; leave it empty and " + cure
	}
	a.logger().Warn("provider: "+localFile+" is there, but is read in Development alone",
		"environment", a.environment(), "cure", cure)
	a.Origins.record(Layer{Name: localFile, Status: StatusIgnored}, nil, nil)
}

func (a AppConfig) loadFile(k *koanf.Koanf, name string, read func(string) ([]byte, error)) error {
	data, err := read(name)
	if errors.Is(err, fs.ErrNotExist) {
		a.logger().Debug("provider: no such settings file", "file", name)
		a.Origins.record(Layer{Name: name, Status: StatusMissing}, nil, nil)
		return nil
	}
	if err != nil {
		return fmt.Errorf("provider: %s: %w", name, err)
	}
	tree, err := parseJSON(name, data)
	if err != nil {
		return err
	}
	return a.apply(k, name, tree, func(string) string { return name })
}

// apply lays one layer over k and, once that has succeeded, records it.
func (a AppConfig) apply(k *koanf.Koanf, name string, tree map[string]any, source func(path string) string) error {
	merge := func(src, dest map[string]any) error {
		return overlay(func(path string) string { return "provider: " + source(path) }, src, dest)
	}
	if err := k.Load(confmap.Provider(tree, ""), nil, koanf.WithMergeFunc(merge)); err != nil {
		return err
	}
	a.logger().Debug("provider: settings read", "from", name)
	a.Origins.record(Layer{Name: name, Status: StatusRead}, tree, source)
	return nil
}

func (a AppConfig) environment() string {
	if name := strings.TrimSpace(a.Environment); name != "" {
		return name
	}
	for _, variable := range []string{"APP_ENVIRONMENT", "ASPNETCORE_ENVIRONMENT", "DOTNET_ENVIRONMENT"} {
		if name := a.getenv(variable); name != "" {
			return name
		}
	}
	return "Production"
}

func (a AppConfig) files() fs.FS {
	if a.FS != nil {
		return a.FS
	}
	if a.Dir == "" {
		return os.DirFS(".")
	}
	return os.DirFS(a.Dir)
}

func (a AppConfig) readFile(name string) ([]byte, error) { return fs.ReadFile(a.files(), name) }

func (a AppConfig) mountedFile() string {
	if a.MountedFile != "" {
		return a.MountedFile
	}
	return defaultMountedFile
}

// directory is the one to name in messages, or "" where there is none to name.
func (a AppConfig) directory() string {
	switch {
	case a.FS != nil:
		return ""
	case a.Dir != "":
		return a.Dir
	}
	dir, _ := os.Getwd()
	return dir
}

func (a AppConfig) logger() *slog.Logger {
	if a.Logger != nil {
		return a.Logger
	}
	return slog.Default()
}
