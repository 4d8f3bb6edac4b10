package provider

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"unicode"

	"github.com/knadh/koanf/v2"

	"github.com/portnokkel/portnokkel/internal/paste"
	"github.com/portnokkel/portnokkel/internal/problems"
	"github.com/portnokkel/portnokkel/provider/internal/tree"
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
// Use does not change it. Variables and arguments may hold secrets: they are
// functions so that nothing that prints or encodes an AppConfig shows them.
type AppConfig struct {
	// FS is where the appsettings files are. Nil means the directory Dir.
	FS fs.FS
	// Dir is the directory of the appsettings files, and must be empty when FS is
	// set. Empty means the working directory.
	Dir string
	// Environment chooses appsettings.{Environment}.json. It holds letters, digits,
	// spaces, dots, dashes and underscores. Empty means the first variable that is not
	// blank of APP_ENVIRONMENT, ASPNETCORE_ENVIRONMENT and DOTNET_ENVIRONMENT, or else
	// "Production".
	Environment string
	// Environ gives the environment variables, each "KEY=value". Nil means
	// [os.Environ]. Of a name given twice the last counts.
	Environ func() []string
	// Args gives the command line arguments, without the program's name. Nil means
	// no arguments: os.Args is never read unasked.
	Args func() []string
	// MountedFile is the path, in the operating system's file system whatever FS
	// is, of the secrets that Altinn mounts into an app's container. Empty means
	// /altinn-appsettings-secret/altinn-appsettings-secret.json.
	MountedFile string
	// MaskinportenFile is the path, in the same file system, of the settings with which
	// Altinn's platform gives an app a Maskinporten client of its own. It replaces the
	// keys in them while the app runs. Empty means the file that the variables
	// RUNTIME_APP_SECRETS_DIR and RUNTIME_APP_SECRETS_MASKINPORTEN_FILENAME name, or in
	// their place /mnt/app-secrets and maskinporten-settings.json.
	MaskinportenFile string
	// Logger gets warnings, and at debug level what was read and skipped, never
	// with a value. Nil means [slog.Default].
	Logger *slog.Logger
	// Origins, when not nil, is told where each setting came from.
	Origins *Origins
}

// LoadAppConfig reads an app's own settings into a new koanf, whose delimiter is
// ":". Each layer is laid over the ones before it by the rules of [Merge]:
//
//  1. appsettings.json
//  2. appsettings.{Environment}.json
//  3. the mounted altinn-appsettings-secret.json
//  4. the mounted maskinporten-settings.json
//  5. environment variables
//  6. arguments
//  7. appsettings.Local.json, in Development only. Anywhere else a warning tells
//     that it is there.
//
// A file that does not exist is not an error. Files may have comments, trailing
// commas and a byte order mark.
//
// An environment variable's name is a path whose parts are joined by "__" (or
// ":"), in any case: MASKINPORTENSETTINGS__SCOPE. Skipped are
//
//   - names with an empty part, or with more than 64 parts;
//   - names of a section or an array, since a string never replaces those;
//   - with a warning, names that would leave a gap in an array, or give it a key
//     that is not an index;
//   - of two names that differ in case only, the one that sorts first in byte
//     order, with a warning if its value differs.
//
// Arguments are --Section:Key=value, --Section:Key value, the same with "/" for
// "--", or Section:Key=value. The later of two wins. As in .NET, anything else is
// ignored. It differs from .NET in this:
//
//   - What begins with "--" is never the value of the argument before it.
//   - "/usr/bin" is a file's path and not a key.
//   - Without "--" a key needs a section, because a text such as a secret's base64
//     holds "=" as well.
//
// In both, parts "0" to "n-1" make an array if nothing is there yet.
//
// The error names every problem in every layer, with the file, line and column
// of a syntax error, and holds no value.
func LoadAppConfig(app AppConfig) (*koanf.Koanf, error) {
	s, err := app.load()
	if err != nil {
		return nil, err
	}
	k := koanf.New(tree.Delimiter)
	return k, s.into(k)
}

// load is LoadAppConfig without the koanf.
func (a AppConfig) load() (*settings, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	a.Origins.begin(a.directory())
	s := &settings{tree: tree.New(), origins: a.Origins}
	errs := []error{
		a.loadFile(s, baseFile, a.readFile),
		a.loadFile(s, a.environmentFile(), a.readFile),
		a.loadFile(s, a.mountedFile(), os.ReadFile),
		a.loadMaskinportenFile(s),
	}
	a.loadEnvironment(s)
	errs = append(errs, a.loadArguments(s), a.loadLocal(s))
	a.warnOfIgnoredLocal()
	a.tellNearFiles()
	return s, problems.Join(errs...)
}

// check refuses what cannot be the name of an environment, a directory or a file.
func (a AppConfig) check() error {
	var errs []error
	environment, source := a.environmentAndSource()
	switch what := cmp.Or(paste.Problem(environment, maxEnvironment), paste.Random(environment)); {
	case what != "":
		errs = append(errs, fmt.Errorf("provider: %s %s", source, what))
	case strings.ContainsFunc(environment, notInEnvironment):
		errs = append(errs, fmt.Errorf("provider: %s: set a name of letters, digits, dots and dashes, such as Production - it is %s", source, paste.Brief(environment)))
	}
	for _, path := range []struct{ name, value string }{{"AppConfig.Dir", a.Dir}, {"AppConfig.MountedFile", a.MountedFile}, {"AppConfig.MaskinportenFile", a.MaskinportenFile}} {
		if what := paste.Problem(path.value, maxPath); what != "" && !exists(path.value) {
			errs = append(errs, fmt.Errorf("provider: %s %s", path.name, what))
		}
	}
	if a.FS != nil && a.Dir != "" {
		errs = append(errs, errors.New("provider: AppConfig.FS and Dir are both set: leave one of them out"))
	}
	return problems.Join(errs...)
}

const (
	maxEnvironment = 64   // longer than a word for an environment, in characters
	maxPath        = 4096 // Linux's own limit
)

// notInEnvironment reports whether r is no part of an environment's name, which is a
// part of a file's name.
func notInEnvironment(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._- ", r)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// IsDevelopment reports whether the environment is Development, in any case.
func (a AppConfig) IsDevelopment() bool {
	return strings.EqualFold(a.environment(), development)
}

// Format implements [fmt.Formatter]: every verb prints the fields that cannot
// hold secrets.
func (a AppConfig) Format(s fmt.State, _ rune) {
	_, _ = fmt.Fprintf(s, "provider.AppConfig{Dir:%q Environment:%q MountedFile:%q MaskinportenFile:%q}", shown(a.Dir), shown(a.Environment), shown(a.MountedFile), shown(a.MaskinportenFile))
}

// MarshalText gives encoders what Format prints.
func (a AppConfig) MarshalText() ([]byte, error) { return fmt.Append(nil, a), nil }

// loadLocal applies the developer's own file, in Development only. It may be
// called again after later layers, to lay the file over those too.
func (a AppConfig) loadLocal(s *settings) error {
	if !a.IsDevelopment() {
		return nil
	}
	return a.loadFile(s, localFile, a.readFile)
}

func (a AppConfig) warnOfIgnoredLocal() {
	// In an environment called "Local" the file was read as that environment's.
	if a.IsDevelopment() || strings.EqualFold(a.environment(), "Local") {
		return
	}
	if _, err := fs.Stat(a.files(), localFile); err != nil {
		return
	}
	hint := "set APP_ENVIRONMENT=Development"
	if a.Environment != "" {
		hint = "AppConfig.Environment is set; leave it empty and " + hint
	}
	a.logger().Warn("provider: "+localFile+" is there, but is read in Development only",
		"environment", a.environment(), "hint", hint)
	a.Origins.record(Layer{Name: localFile, Status: StatusIgnored}, nil)
}

func (a AppConfig) loadFile(s *settings, name string, read func(string) ([]byte, error)) error {
	data, err := read(name)
	if errors.Is(err, fs.ErrNotExist) {
		a.logger().Debug("provider: no such settings file", "file", name)
		a.Origins.record(Layer{Name: name, Status: StatusMissing}, nil)
		return nil
	}
	var inPath *fs.PathError
	if errors.As(err, &inPath) {
		err = inPath.Err // the rest repeats the name
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("provider: %s: let this process read the file - %w", name, err)
	case err != nil:
		return fmt.Errorf("provider: %s: the file cannot be read - %w", name, err)
	}
	file, err := parseJSON(name, data)
	if err != nil {
		return err
	}
	return a.apply(s, name, file)
}

func (a AppConfig) apply(s *settings, name string, layer *tree.Tree) error {
	if err := s.apply(name, layer); err != nil {
		return err
	}
	a.logger().Debug("provider: settings read", "from", name)
	return nil
}

func (a AppConfig) environment() string {
	name, _ := a.environmentAndSource()
	return name
}

func (a AppConfig) environmentAndSource() (name, source string) {
	if name := strings.TrimSpace(a.Environment); name != "" {
		return name, "AppConfig.Environment"
	}
	for _, variable := range []string{"APP_ENVIRONMENT", "ASPNETCORE_ENVIRONMENT", "DOTNET_ENVIRONMENT"} {
		if name := a.getenv(variable); name != "" {
			return name, variablePrefix + variable
		}
	}
	return "Production", ""
}

func (a AppConfig) environmentFile() string { return "appsettings." + a.environment() + ".json" }

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

// directory is the one to name in messages, or "" if there is not one.
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

func (a AppConfig) logger() *slog.Logger { return usable(a.Logger) }
