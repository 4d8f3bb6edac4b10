package main

import (
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
	files := map[string]string{}
	var programs, tests []string
	for i, block := range blocks {
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
		files[filepath.Join(here, pkg, name)] = block[1]
	}
	overlay := overlay(t, files)
	binaries, quickStart := t.TempDir()+string(filepath.Separator), t.TempDir()
	execute(t, here, "go", append([]string{"build", "-o", quickStart, "-overlay", overlay}, programs...)...)
	execute(t, here, "go", append([]string{"test", "-vet=off", "-c", "-o", binaries, "-overlay", overlay}, tests...)...)
	for _, pkg := range tests {
		// Somewhere without settings files, as a test of a user's own would be.
		execute(t, t.TempDir(), binaries+filepath.Base(pkg)+".test", "-test.v")
	}
	tellsWhyItFails(t, filepath.Join(quickStart, "readme1"), jsonBlock.FindStringSubmatch(string(readme))[1])
}

var jsonBlock = regexp.MustCompile("(?s)```json\n(.*?)```")

// tellsWhyItFails runs the README's first program with settings that lack something or
// are wrong. Why it fails stands in the first five lines, and nowhere else.
func tellsWhyItFails(t *testing.T, program, settings string) {
	t.Helper()
	for name, c := range map[string]struct{ settings, want string }{
		"as they stand there": {settings, ` ERROR httpclient: `},
		"not JSON":            {strings.Replace(settings, "{", "", 1), ` ERROR provider: appsettings.json`},
		"another section":     {strings.Replace(settings, "MaskinportenSettings", "Maskinporten", 1), ` ERROR provider: `},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "appsettings.json"), []byte(c.settings), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), program)
		cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir}
		out, err := cmd.CombinedOutput()
		lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
		var causes []string
		for _, line := range lines[:min(5, len(lines))] {
			if strings.Contains(line, c.want) {
				causes = append(causes, line)
			}
		}
		if err == nil || len(causes) != 1 || strings.Count(string(out), "appsettings.json") != strings.Count(causes[0], "appsettings.json") || strings.Contains(string(out), "[Fx]") {
			t.Errorf("%s: got %v and\n%s\nwant one line with%s among the first five, and nothing else about it", name, err, out, c.want)
		}
	}
}
