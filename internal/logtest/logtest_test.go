package logtest_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portnokkel/portnokkel/internal/logtest"
)

func TestBuffer(t *testing.T) {
	t.Parallel()
	var b logtest.Buffer
	if got := b.Lines(); got != nil {
		t.Errorf("got %q before anything was written, want no lines", got)
	}
	fmt.Fprint(&b, "one\n\ntwo")
	if got, want := b.String(), "one\n\ntwo"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if diff := cmp.Diff([]string{"one", "", "two"}, b.Lines()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	b.Reset()
	if got := b.String(); got != "" {
		t.Errorf("got %q after Reset, want nothing", got)
	}
}

func TestLoggerWritesEveryLevelWithoutTheTime(t *testing.T) {
	t.Parallel()
	var b logtest.Buffer
	b.Logger().Debug("small")
	b.Logger().WithGroup("g").Warn("large", "time", "kept")
	want := []string{"level=DEBUG msg=small", "level=WARN msg=large g.time=kept"}
	if diff := cmp.Diff(want, b.Lines()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// The race detector is what fails here.
func TestBufferConcurrently(t *testing.T) {
	t.Parallel()
	var b logtest.Buffer
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				fmt.Fprint(&b, "x\n")
				_, _ = b.String(), b.Lines()
			}
		})
	}
	wg.Wait()
	if got := strings.Count(b.String(), "x\n"); got != 800 || len(b.Lines()) != 800 {
		t.Errorf("got %d lines, want 800", got)
	}
}

func TestReachable(t *testing.T) {
	t.Parallel()
	type inner struct {
		text   *string
		bytes  []byte
		hidden func() string
		self   *inner
	}
	text := "behind"
	in := &inner{text: &text, bytes: []byte{7}, hidden: func() string { return "out of reach" }}
	in.self = in
	got := logtest.Reachable(map[string]any{"key": struct{ in *inner }{in}})
	if want := "key behind 7 "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
