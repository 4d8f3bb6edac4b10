package fxmodule_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/portnokkel/portnokkel/internal/pagetest"
)

// A reader finds each message of the table in the page on troubleshooting.
func TestTroubleshootingHasEveryMessage(t *testing.T) {
	t.Parallel()
	rows := pagetest.Rows(t, "../docs/troubleshooting.md")
	for _, message := range told(t) {
		if len(pagetest.Of(rows, message)) == 0 {
			t.Errorf("got no row for this message:\n%s", message)
		}
	}
}

// Each link inside the page leads to a heading.
func TestTroubleshootingLinks(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	headings := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(string(page), -1) {
		headings[strings.ReplaceAll(strings.ToLower(heading[1]), " ", "-")] = true
	}
	links := regexp.MustCompile(`\]\(#([^)]+)\)`).FindAllStringSubmatch(string(page), -1)
	for _, link := range links {
		if !headings[link[1]] {
			t.Errorf("got a link to #%s, want one to a heading", link[1])
		}
	}
	if len(links) != len(headings) {
		t.Errorf("got %d links, want one to each of %d headings", len(links), len(headings))
	}
}

// told is every message of the table.
func told(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("testdata/misconfigurations.txt")
	if err != nil {
		t.Fatal(err)
	}
	var messages []string
	for _, message := range strings.Split(string(page), "\n\n## ")[1:] {
		_, text, _ := strings.Cut(message, "\n")
		messages = append(messages, text)
	}
	return messages
}

// foreign is what people search for that other programs say: Go's standard library, fx,
// Maskinporten, Altinn, Azure.
var foreign = []string{
	"x509: certificate signed by unknown authority", "x509: certificate is valid for", "x509: certificate has expired", "context deadline exceeded", "context canceled",
	"i/o timeout", "TLS handshake timeout", "connection refused", "ECONNREFUSED", "connection reset by peer", "unexpected EOF", "no such host", "no route to host",
	"network is unreachable", "server misbehaving", "proxyconnect tcp", "remote error: tls", "server gave HTTP response to HTTPS client", "407 Proxy Authentication Required",
	"no such file or directory", "403 Forbidden", "404 Not Found", "400 Bad Request", "401 Unauthorized", "410 Gone", "429 Too Many Requests",
	"missing type: *http.Client", "missing type: *koanf.Koanf", "already provided", "could not build arguments for function", "received non-nil error from function",
	"scopes not allowed", "insufficient_scope", "AccessDenied", "DefaultAzureCredential", "AADSTS",
}

// What the pages tell to search for stands in the code, or is another program's word.
// So a row of an error that is gone is noticed.
func TestPagesHaveNothingElse(t *testing.T) {
	t.Parallel()
	said := strings.Join(foreign, "\n") + strings.Join(told(t), "\n")
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		said += "\n" + strings.ReplaceAll(string(source), `\"`, `"`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	said = strings.ToLower(said)
	rows := append(pagetest.Rows(t, "../docs/troubleshooting.md"), pagetest.Rows(t, "../docs/keys.md")...)
	for _, row := range rows {
		for _, phrase := range row.Phrases {
			if !isSaid(said, strings.ToLower(phrase)) {
				t.Errorf("got the phrase %q, want one that some error says", phrase)
			}
		}
	}
}

// isSaid reports whether a line holds the phrase.
func isSaid(said, phrase string) bool {
	first, _, open := strings.Cut(phrase, "…")
	if !open {
		return strings.Contains(said, phrase)
	}
	for line := range strings.Lines(said) {
		if strings.Contains(line, first) && pagetest.Holds(line, phrase) {
			return true
		}
	}
	return false
}
