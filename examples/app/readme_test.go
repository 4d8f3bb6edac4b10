package main

import (
	"encoding/json"
	"fmt"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// The README's programs compile and its tests pass, as they stand there.
func TestREADME(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := goBlock.FindAllStringSubmatch(string(readme), -1)
	if len(blocks) < 5 {
		t.Fatalf("found %d blocks of Go", len(blocks))
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	// An overlay puts the programs into the module without writing there.
	replace := map[string]string{}
	var programs, tests []string
	for i, block := range blocks {
		source := filepath.Join(t.TempDir(), "source.go")
		if err := os.WriteFile(source, []byte(block[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		formatted, err := format.Source([]byte(block[1]))
		if err != nil || string(formatted) != block[1] {
			t.Errorf("block %d is not formatted: %v", i+1, err)
		}
		pkg := fmt.Sprintf("readme%d", i+1)
		name := "main.go"
		if strings.HasPrefix(block[1], "package app_test\n") {
			name = "app_test.go"
			tests = append(tests, "./"+pkg)
		} else {
			programs = append(programs, "./"+pkg)
		}
		replace[filepath.Join(here, pkg, name)] = source
	}
	overlay := filepath.Join(t.TempDir(), "overlay.json")
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, data, 0o600); err != nil {
		t.Fatal(err)
	}
	binaries := t.TempDir() + string(filepath.Separator)
	command := func(dir, name string, args ...string) {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s %s: %v\n%s", name, args[0], err, out)
		}
	}
	command(here, "go", append([]string{"build", "-o", t.TempDir(), "-overlay", overlay}, programs...)...)
	command(here, "go", append([]string{"test", "-vet=off", "-c", "-o", binaries, "-overlay", overlay}, tests...)...)
	for _, pkg := range tests {
		// Somewhere without settings files, as a test of a user's own would be.
		command(t.TempDir(), binaries+filepath.Base(pkg)+".test", "-test.v")
	}
}
