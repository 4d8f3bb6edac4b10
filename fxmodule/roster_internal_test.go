package fxmodule

import (
	"runtime"
	"testing"

	"go.uber.org/fx"
)

// A hook forgets an application that is no longer used, though its option is.
func TestHookForgets(t *testing.T) {
	t.Parallel()
	h := &hook{client: "altinn"}
	count := func() (n int) {
		h.apps.Range(func(any, any) bool { n++; return true })
		return n
	}
	for range 3 {
		done := make(chan struct{})
		go func() { // in goroutines that differ
			defer close(done)
			fx.New(fx.NopLogger, fx.Provide(fx.Annotate(func() *enrolled { return &enrolled{member: member{client: "altinn"}} }, fx.ResultTags(`group:"portnokkel.members"`))),
				fx.Module("roster", fx.WithLogger(h.meet)))
		}()
		<-done
	}
	for range 1000 {
		if count() == 0 {
			return
		}
		runtime.GC()
	}
	t.Errorf("got %d applications, want none once the garbage is collected", count())
}

func TestGoroutine(t *testing.T) {
	t.Parallel()
	own, other := goroutine(), make(chan string)
	go func() { other <- goroutine() }()
	if got := <-other; got == own || got == "" || own != goroutine() {
		t.Errorf("got %q and %q, want one of each goroutine", own, got)
	}
}
