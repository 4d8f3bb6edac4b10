package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// size is what a program weighs.
type size struct {
	name              string
	bytes             int64 // stripped
	packages, modules int   // linked, the standard library's and the program's own left out
	standard          int   // packages of the standard library
	parts             []part
}

// part is what one module's symbols take.
type part struct {
	name  string
	bytes int64
}

// programs are the folders below size.
var programs = []string{"nethttp", "httpclient", "all"}

const project = "github.com/portnokkel/portnokkel"

// measureSizes builds the programs with the versions that the project itself names,
// not with those that this module's peers raise them to.
func measureSizes(ctx context.Context, work string) ([]size, error) {
	modfile, err := usersModule(ctx, work)
	if err != nil {
		return nil, err
	}
	var all []size
	for _, name := range programs {
		s, err := measureSize(ctx, work, modfile, name)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// usersModule writes a go.mod as a user of the project has it.
func usersModule(ctx context.Context, work string) (string, error) {
	modfile := filepath.Join(work, "size.mod")
	for from, to := range map[string]string{"../go.mod": modfile, "../go.sum": filepath.Join(work, "size.sum")} {
		data, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			return "", err
		}
	}
	_, err := command(ctx, "go", "mod", "edit", "-module="+project+"/benchmarks",
		"-require="+project+"@v0.0.0", "-replace="+project+"=../", modfile)
	return modfile, err
}

func measureSize(ctx context.Context, work, modfile, name string) (size, error) {
	s := size{name: name}
	source := "./size/" + name
	common := []string{"-modfile=" + modfile, "-mod=mod", "-trimpath", "-buildvcs=false"}
	stripped, whole := filepath.Join(work, name), filepath.Join(work, name+".whole")
	for target, flags := range map[string][]string{stripped: {"-ldflags=-s -w"}, whole: nil} {
		args := slices.Concat([]string{"build"}, common, flags, []string{"-o", target, source})
		if _, err := command(ctx, "go", args...); err != nil {
			return s, err
		}
	}
	info, err := os.Stat(stripped)
	if err != nil {
		return s, err
	}
	s.bytes = info.Size()
	owner, err := s.linked(ctx, modfile, source)
	if err != nil {
		return s, err
	}
	symbols, err := command(ctx, "go", "tool", "nm", "-size", whole)
	if err != nil {
		return s, err
	}
	s.parts = partsOf(symbols, owner)
	return s, nil
}

// linked counts packages and modules, and tells which module each package is of.
func (s *size) linked(ctx context.Context, modfile, source string) (map[string]string, error) {
	out, err := command(ctx, "go", "list", "-modfile="+modfile, "-mod=mod", "-deps", "-json=ImportPath,Standard,Module", source)
	if err != nil {
		return nil, err
	}
	owner, modules := map[string]string{}, map[string]bool{}
	for decoder := json.NewDecoder(strings.NewReader(out)); decoder.More(); {
		var p struct {
			ImportPath string
			Standard   bool
			Module     module
		}
		if err := decoder.Decode(&p); err != nil {
			return nil, err
		}
		switch {
		case p.Standard:
			s.standard++
			owner[p.ImportPath] = "Go's standard library"
		case p.Module.Path == project+"/benchmarks":
		default:
			s.packages++
			modules[p.Module.Path] = true
			owner[p.ImportPath] = p.Module.Path
		}
	}
	s.modules = len(modules)
	return owner, nil
}
