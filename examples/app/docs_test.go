package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"go/format"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// docsImports are the packages that the Go of docs may name without importing them.
var docsImports = []string{
	"context", "crypto/rand", "crypto/rsa", "encoding/base64", "encoding/json", "log/slog", "maps", "math/big", "net/http", "os", "time",
	"go.uber.org/fx",
	module + "fxmodule", module + "httpclient", module + "provider", module + "provider/vaultkey",
}

const module = "github.com/portnokkel/portnokkel/"

// The Go of a page in docs compiles: its blocks are declarations of one package. If
// testdata has tests of a page's name, they run its code.
func TestDocs(t *testing.T) {
	t.Parallel()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, page := range docs(t, "../../docs/*.md") {
		name := strings.TrimSuffix(filepath.Base(page.path), ".md")
		pkg := "docs_" + name
		files := map[string]string{}
		for i, block := range goBlock.FindAllStringSubmatch(page.text, -1) {
			if formatted, err := format.Source([]byte(block[1])); err != nil || string(formatted) != block[1] {
				t.Errorf("%s: block %d is not formatted: %v", page.path, i+1, err)
			}
			files[filepath.Join(here, pkg, fmt.Sprintf("block%d.go", i+1))] = "package " + name + "\n" + importsOf(block[1]) + block[1]
		}
		tests, err := os.ReadFile(filepath.Join("testdata", name+"_test.go"))
		switch {
		case err == nil:
			files[filepath.Join(here, pkg, "page_test.go")] = string(tests)
			tested++
		case !errors.Is(err, os.ErrNotExist):
			t.Fatal(err)
		}
		if len(files) == 0 {
			continue
		}
		binary := filepath.Join(t.TempDir(), "page.test")
		compiles := execute(t, here, "go", "test", "-vet=off", "-c", "-o", binary, "-overlay", overlay(t, files), "./"+pkg)
		if compiles && tests != nil {
			execute(t, filepath.Dir(page.path), binary, "-test.v")
		}
	}
	if tests := glob(t, "testdata/*_test.go"); tested != len(tests) {
		t.Errorf("got tests of %d pages, want one page for each of %v", tested, tests)
	}
}

// importsOf are the imports that a block needs.
func importsOf(block string) string {
	imports := ""
	for _, path := range docsImports {
		if regexp.MustCompile(`\b` + filepath.Base(path) + `\.\w`).MatchString(block) {
			imports += fmt.Sprintf("import %q\n", path)
		}
	}
	return imports
}

// Each block of JSON is JSON.
func TestDocsJSON(t *testing.T) {
	t.Parallel()
	found := 0
	for _, page := range docs(t, "../../*.md", "../../docs/*.md") {
		for i, block := range jsonBlock.FindAllStringSubmatch(page.text, -1) {
			var value any
			if err := json.Unmarshal([]byte(block[1]), &value); err != nil {
				t.Errorf("%s: block %d of JSON: %v", page.path, i+1, err)
			}
			found++
		}
	}
	if found < 2 {
		t.Errorf("got %d blocks of JSON", found)
	}
}

var (
	codeBlock = regexp.MustCompile("(?s)\n *```.*?\n *```|`[^`\n]+`")
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading   = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// Each link to a file or a heading of the repository leads there.
func TestDocsLinks(t *testing.T) {
	t.Parallel()
	found := 0
	for _, page := range docs(t, "../../*.md", "../../docs/*.md") {
		for _, link := range link.FindAllStringSubmatch(codeBlock.ReplaceAllString(page.text, ""), -1) {
			if strings.HasPrefix(link[1], "https://") {
				continue
			}
			found++
			file, anchor, isAnchored := strings.Cut(link[1], "#")
			target := page.path
			if file != "" {
				target = filepath.Join(filepath.Dir(page.path), file)
			}
			text, err := os.ReadFile(target)
			if err != nil || isAnchored && !slices.Contains(anchors(string(text)), anchor) {
				t.Errorf("%s: got a link to %s, want one that leads somewhere: %v", page.path, link[1], err)
			}
		}
	}
	if found < 20 {
		t.Errorf("got %d links", found)
	}
}

// anchors are what the headings of a page are reached by, as GitHub makes it.
func anchors(page string) (anchors []string) {
	page = regexp.MustCompile("(?s)```.*?```").ReplaceAllString(page, "")
	for _, heading := range heading.FindAllStringSubmatch(page, -1) {
		anchors = append(anchors, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, heading[1]))
	}
	return anchors
}

// Each picture is whole, has a title and a description for those who do not see it, and
// brings its own background.
func TestDocsPictures(t *testing.T) {
	t.Parallel()
	for _, picture := range docs(t, "../../docs/*.svg") {
		seen := map[string]bool{}
		decoder := xml.NewDecoder(strings.NewReader(picture.text))
		token, err := decoder.Token()
		for ; err == nil; token, err = decoder.Token() {
			if start, ok := token.(xml.StartElement); ok {
				seen[start.Name.Local] = true
			}
		}
		if !errors.Is(err, io.EOF) || !seen["title"] || !seen["desc"] || !seen["rect"] {
			t.Errorf("%s: got %v with %v, want a whole picture with a title, a description and a background", picture.path, err, seen)
		}
	}
}

// doc is a page or a picture of the documentation.
type doc struct{ path, text string }

func docs(t *testing.T, patterns ...string) (found []doc) {
	t.Helper()
	for _, path := range glob(t, patterns...) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, doc{path, string(text)})
	}
	return found
}

// glob finds files. It is an error if a pattern finds none.
func glob(t *testing.T, patterns ...string) (found []string) {
	t.Helper()
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: got no file, %v", pattern, err)
		}
		found = append(found, paths...)
	}
	return found
}

// overlay writes a description of files that puts them into the module without writing
// there.
func overlay(t *testing.T, files map[string]string) string {
	t.Helper()
	dir, replace := t.TempDir(), map[string]string{}
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for path, text := range files {
		replace[path] = write(fmt.Sprintf("source%d.go", len(replace)), []byte(text))
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	return write("overlay.json", data)
}

// execute runs a program that has to succeed, and reports whether it did.
func execute(t *testing.T, dir, name string, args ...string) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", filepath.Base(name), args[0], err, out)
	}
	return err == nil
}
