package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/knadh/koanf/v2"
	"go.uber.org/fx"

	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/provider"
)

// steps tells what the application did, one step a line: names and times, never
// a secret.
type steps struct {
	fx.In

	Out       io.Writer
	Origins   *provider.Origins
	Source    *httpclient.TokenSource `name:"altinn"`
	Instances *instances
}

// tell does the application's job once.
func (s steps) tell(ctx context.Context) error {
	s.tellSettings()
	s.line("client", "%q is built from section MaskinportenSettings", "altinn")
	token, err := s.Source.Token(ctx)
	if err != nil {
		return err
	}
	kind := "Maskinporten token"
	if token.IsAltinn() {
		kind = "Altinn token"
	}
	s.line("token", "%s for %s, living %v", kind, strings.Join(token.Scopes(), " "), token.Lifetime())
	answer, err := s.Instances.get(ctx)
	if err != nil {
		return err
	}
	if answer.status != http.StatusOK {
		return fmt.Errorf("the API answered %d %s to GET %s", answer.status, http.StatusText(answer.status), s.Instances)
	}
	s.line("API", "GET %s answered %d with %d bytes", s.Instances, answer.status, len(answer.body))
	return nil
}

func (s steps) tellSettings() {
	for _, layer := range s.Origins.Layers() {
		switch {
		case strings.HasPrefix(layer.Name, "https://"):
			s.line("vault", "%s gave %s", layer.Name, strings.Join(s.secrets(layer), ", "))
		case layer.Status == provider.StatusRead:
			s.line("settings", "%s read", layer.Name)
		default:
			s.line("settings", "%s %s", layer.Name, layer.Status)
		}
	}
}

// secrets names what a vault gave and is still in force.
func (s steps) secrets(layer provider.Layer) []string {
	var names []string
	for _, key := range layer.Keys {
		source := s.Origins.Of(key).Source
		if name, ok := strings.CutSuffix(source, " of "+layer.Name); ok {
			names = append(names, name)
		} else {
			names = append(names, "a secret for "+key+", which "+source+" overrides")
		}
	}
	if len(names) == 0 {
		return []string{"no secrets"}
	}
	return names
}

func (s steps) line(step, format string, args ...any) { line(s.Out, step, format, args...) }

func line(out io.Writer, step, format string, args ...any) {
	fmt.Fprintf(out, "%-9s "+format+"\n", append([]any{step}, args...)...)
}

// tellOrigins says where each setting came from, of the sections that are read
// here: the environment holds many others. It does so before anything is
// made of them, because it is needed most when that fails.
func tellOrigins(p originsParams) {
	for path, source := range p.Origins.All() {
		if !isRead(path) {
			continue
		}
		empty := ""
		if p.Koanf.String(path) == "" {
			empty = " and empty"
		}
		line(p.Out, "explain", "%s is from %s%s", path, source, empty)
	}
}

// isRead reports whether a setting is in a section that is read here.
func isRead(path string) bool {
	section, _, _ := strings.Cut(path, ":")
	switch strings.ToLower(section) {
	case "maskinportensettings", "kvsetting", "kvsettings", "exampleapp":
		return true
	}
	return false
}

type originsParams struct {
	fx.In

	Out     io.Writer
	Koanf   *koanf.Koanf
	Origins *provider.Origins
}
