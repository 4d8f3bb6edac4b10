package fxmodule

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"

	"github.com/portnokkel/portnokkel/internal/problems"
)

// member is one [Module] or [Config] of an application.
type member struct {
	client  string // "" of Config
	problem error  // what is wrong with what it was given; nil if nothing is
}

// enrolled is a member of one application: an Option may be used in several.
type enrolled struct {
	member
	recorded atomic.Bool
	served   atomic.Pointer[served] // nil until the client is made
}

// roster is what an application's graph knows about its modules.
type roster struct {
	fx.In

	Members []*enrolled  `group:"portnokkel.members"`
	Logger  *slog.Logger `optional:"true"`
}

// enrol makes a module known to the others of its application. Between them they log one
// record of why the application cannot start:
//
//   - A constructor that fails does it, before fx logs anything about it.
//   - An [fx.ErrorHook] does it for what fx itself finds missing.
//   - What is wrong with the modules is found before anything is invoked. Only the
//     constructor of a logger is called as early, so there is one, in a module of its own
//     that logs nothing.
func enrol(self member) fx.Option {
	h := &hook{client: self.client}
	opts := []fx.Option{
		fx.Provide(fx.Annotate(func() *enrolled { return &enrolled{member: self} }, fx.ResultTags(`group:"portnokkel.members"`))),
		fx.ErrorHook(h),
		fx.Module("portnokkel.roster", fx.WithLogger(h.meet)),
	}
	if self.problem != nil {
		opts = append(opts, fx.Invoke(func(r roster) error { return &startError{cause: r.problem()} }))
	}
	return fx.Options(opts...)
}

// hook is called by fx if an invoked function fails. fx does not tell it which
// application that is: it is the last one that was made with the Option. Of several that
// are made at the same time with the same Option, one may be told in another's log.
type hook struct {
	client string
	last   atomic.Pointer[roster]
}

// meet is called when an application's graph is complete.
func (h *hook) meet(r roster) fxevent.Logger {
	if err := r.problem(); err != nil {
		_ = r.failed(&startError{cause: err})
		h.last.Store(nil)
	} else {
		h.last.Store(&r)
	}
	return fxevent.NopLogger
}

// HandleError logs what fx does not find, once for all modules of an application: the
// error is handed to each.
func (h *hook) HandleError(err error) {
	r := h.last.Load()
	if r == nil || r.sorted()[0].client != h.client {
		return
	}
	if _, notOfFx := fx.VisualizeError(err); notOfFx != nil {
		return
	}
	if missing := r.missing(err); missing != nil {
		record(r.Logger, missing)
	}
}

// failed logs an error that a module's constructor is about to return, unless another
// one was logged before, and returns it.
func (r roster) failed(err *startError) error {
	first := true
	for _, m := range r.Members {
		first = !m.recorded.Swap(true) && first
	}
	if first {
		record(r.Logger, err)
	}
	return err
}

// failedAgain is failed for each start of an application: there may be several.
func (r roster) failedAgain(err *startError) error {
	record(r.Logger, err)
	return err
}

// sorted is the members by name, because the graph keeps no order. Config has no name.
func (r roster) sorted() []*enrolled {
	return slices.SortedFunc(slices.Values(r.Members), func(x, y *enrolled) int {
		return cmp.Or(cmp.Compare(x.client, y.client), cmp.Compare(fmt.Sprint(x.problem), fmt.Sprint(y.problem)))
	})
}

// problem is what is wrong with the modules by themselves and as a whole; nil if nothing
// is.
func (r roster) problem() error {
	var found []error
	uses := map[string]int{}
	for _, m := range r.sorted() {
		found = append(found, m.problem)
		if m.problem != nil {
			continue
		}
		if uses[m.client]++; uses[m.client] != 2 {
			continue
		}
		if m.client == "" {
			found = append(found, errors.New("fxmodule: give all options to one fxmodule.Config: it is there twice"))
		} else {
			found = append(found, fmt.Errorf("fxmodule: give each client a name of its own: Module(%q) is there twice", m.client))
		}
	}
	return problems.Join(found...)
}

// serves notes that a client was made.
func (r roster) serves(name string, s *served) {
	for _, m := range r.Members {
		if m.client == name {
			m.served.Store(s)
		}
	}
}

// names is the clients' names.
func (r roster) names() []string {
	var names []string
	for _, m := range r.sorted() {
		if m.client != "" {
			names = append(names, m.client)
		}
	}
	return names
}
