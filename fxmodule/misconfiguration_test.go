package fxmodule_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/httpclient/maskinportentest"
	"github.com/portnokkel/portnokkel/provider/vaulttest"
)

var update = flag.Bool("update", false, "write testdata/misconfigurations.txt")

// misconfiguration is one mistake in an application that is otherwise in order, with
// what its user must be told.
type misconfiguration struct {
	name   string
	vault  []vaulttest.Option
	porten []maskinportentest.Option
	plant  func(*site) // the mistake
	// environ is the environment of a process of its own, for what Go reads once. It
	// gets the address of a proxy that refuses every tunnel.
	environ func(proxy string) []string

	tells when     // where the user is told
	names []string // what the first line says, before its circumstances
	cures []string // what the message says
	never []string // what nothing says
}

// when is how an application with a misconfiguration fails.
type when string

const (
	atStart   when = "start"   // it does not start
	atRequest when = "request" // its request fails
	inLog     when = "warning" // it works, or its API refuses, with a warning in the log
	inSteps   when = "step"    // the step is among those that EnableDebugLog shows
	silent    when = ""
)

// misconfigurations is the whole table.
func misconfigurations() []misconfiguration {
	return slices.Concat(missingSettings, nearMisses, wrongFiles, wrongTypes, wrongForms, pastes, wrongKeys, refusedTokens, wrongEnvironments, mixedIdentities,
		wrongVaults, refusedByVault, refusedByEntra, references, vaultNetworks, tokenNetworks, proxies, clocks, apis, graphs)
}

// Every misconfiguration gives one message. Its first line begins with the setting
// and the cure, and nothing pasted is printed. The messages are kept in
// testdata/misconfigurations.txt. To write it again:
//
//	go test ./fxmodule -run TestMisconfigurations -update
func TestMisconfigurations(t *testing.T) {
	t.Parallel()
	cases := misconfigurations()
	if name := os.Getenv(childCase); name != "" {
		i := slices.IndexFunc(cases, func(c misconfiguration) bool { return c.name == name })
		newSite(t, cases[i]).run().write(t)
		return
	}
	told := make([]string, len(cases))
	t.Run("of", func(t *testing.T) {
		for i, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				o := c.outcome(t)
				o.check(t, c)
				told[i] = o.Message
			})
		}
	})
	if len(cases) < 80 {
		t.Errorf("got %d misconfigurations, want at least 80", len(cases))
	}
	page := pageOf(cases, told)
	const golden = "testdata/misconfigurations.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(kept), page); diff != "" {
		t.Errorf("the messages are not those of %s (-want +got); if they are better, run with -update:\n%s", golden, diff)
	}
}

// pageOf is the golden file.
func pageOf(cases []misconfiguration, told []string) string {
	var b strings.Builder
	var lengths []int
	for i, c := range cases {
		length := utf8.RuneCountInString(told[i])
		lengths = append(lengths, length)
		fmt.Fprintf(&b, "## %s (%s, %d)\n%s\n\n", c.name, c.tells, length, told[i])
	}
	slices.Sort(lengths)
	return fmt.Sprintf("%d misconfigurations, each with where it is told, and the length of its message.\nThe median length is %d characters, the longest is %d.\n\n",
		len(cases), median(lengths), lengths[len(lengths)-1]) + b.String()
}

func median(sorted []int) int { return sorted[len(sorted)/2] }

// most is the most that the median of the messages may have, in characters.
const most = 300

func TestMisconfigurationsAreToldBriefly(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("testdata/misconfigurations.txt")
	if err != nil {
		t.Fatal(err)
	}
	var n, length, longest int
	if _, err := fmt.Sscanf(string(page), "%d misconfigurations, each with where it is told, and the length of its message.\nThe median length is %d characters, the longest is %d.", &n, &length, &longest); err != nil {
		t.Fatal(err)
	}
	if length >= most {
		t.Errorf("got a median of %d characters, want under %d", length, most)
	}
}

// check compares what a user is told with what the table wants.
func (o outcome) check(t *testing.T, c misconfiguration) {
	t.Helper()
	first, _, _ := strings.Cut(o.Message, "\n")
	cure, _, _ := strings.Cut(first, " - ")
	if o.Tells != c.tells {
		t.Errorf("got told at %q, want at %q:\n%s", o.Tells, c.tells, o.Message)
	}
	if !hasPrefix(first) {
		t.Errorf("got a first line without a package's prefix:\n%s", o.Message)
	}
	for _, part := range c.names {
		if !strings.Contains(cure, part) {
			t.Errorf("got a first line that does not say %q before its circumstances:\n%s", part, o.Message)
		}
	}
	for _, part := range c.cures {
		if !strings.Contains(o.Message, part) {
			t.Errorf("got a message that does not say %q:\n%s", part, o.Message)
		}
	}
	for _, idle := range []string{"settings: ", "configuration: ", "received non-nil error", "could not build arguments"} {
		if strings.Contains(o.Message, idle) {
			t.Errorf("got %q in the message:\n%s", idle, o.Message)
		}
	}
	for _, part := range c.never {
		if strings.Contains(o.Printed, part) {
			t.Errorf("got %q printed", part)
		}
	}
	for _, what := range o.Leaks {
		t.Errorf("got %s printed, want no secret", what)
	}
}

func hasPrefix(line string) bool {
	return slices.ContainsFunc([]string{"fxmodule: ", "httpclient: ", "provider: "}, func(p string) bool { return strings.HasPrefix(line, p) })
}

// An application without a misconfiguration works, and nothing is warned about.
func TestWithoutMisconfiguration(t *testing.T) {
	t.Parallel()
	o := newSite(t, misconfiguration{plant: func(*site) {}}).run()
	if o.Tells != silent || o.Message != "" || len(o.Leaks) != 0 {
		t.Errorf("got %q, leaks %q, want silence", o.Message, o.Leaks)
	}
}

// Two cases of one name would hide one another.
func TestMisconfigurationsHaveNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range misconfigurations() {
		if seen[c.name] || c.tells == silent || len(c.names) == 0 {
			t.Errorf("%q: got a case without a name of its own or without expectations", c.name)
		}
		seen[c.name] = true
	}
}
