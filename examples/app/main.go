// Command app is a small fx application that calls an API behind Maskinporten
// and Altinn. Copy it into a service of your own; demo.go is the part to leave
// behind.
//
//	go run ./examples/app          # call the API once and tell each step
//	go run ./examples/app -serve   # serve GET /instances until interrupted
//	go run ./examples/app -explain # tell where each setting came from
//	go run ./examples/app -- --MaskinportenSettings:Scope=my:scope
//
// It reads appsettings.json and its companions from the working directory,
// environment variables, and settings given as arguments after "--". If nothing
// at all is configured it runs a demo, on servers of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/dig"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"

	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/provider"
)

func main() { os.Exit(start()) }

func start() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := run(ctx, invocation{args: os.Args[1:], environ: os.Environ(), out: os.Stdout, errors: os.Stderr})
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		// fx tells how it came to call a constructor; dig knows what that said.
		fmt.Fprintln(os.Stderr, "app:", dig.RootCause(err))
		return 1
	}
	return 0
}

// invocation is what the operating system gives a program.
type invocation struct {
	args        []string
	environ     []string
	dir         string // of the settings files; "" is the working directory
	out, errors io.Writer
}

// setup is where settings come from and how the servers are reached. In
// production everything except the application's own settings stays zero.
type setup struct {
	app    provider.AppConfig
	vault  provider.ConnectConfig
	client []httpclient.Option
}

// mode is what the flags ask for.
type mode struct {
	serve, explain bool
	addr           string
}

// anyPort is where to serve unless -addr says otherwise: on this machine only.
const anyPort = "127.0.0.1:0"

func run(ctx context.Context, in invocation) error {
	var m mode
	flags := flag.NewFlagSet("app", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&m.serve, "serve", false, "serve GET /instances until interrupted")
	flags.StringVar(&m.addr, "addr", anyPort, "the address to serve on; port 0 is any free one")
	flags.BoolVar(&m.explain, "explain", false, "tell where each setting came from")
	if err := flags.Parse(in.args); err != nil {
		flags.SetOutput(in.errors)
		flags.Usage()
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w; settings go after --, as in: app -- --MaskinportenSettings:Scope=my:scope", err)
	}
	s := setup{app: provider.AppConfig{Dir: in.dir, Environ: func() []string { return in.environ }, Args: flags.Args}}

	configured, err := whatIsConfigured(in, m, flags.Args())
	if err != nil {
		return err
	}
	if configured == "" {
		d := startDemo()
		defer d.Close()
		fmt.Fprintln(in.out, demoNotice)
		return runApp(ctx, in, d.setup(), m)
	}
	if err := runApp(ctx, in, s, m); err != nil {
		fmt.Fprintf(in.errors, "app: this is not a demo, because of %s: without it, the demo runs\n", configured)
		return err
	}
	return nil
}

const (
	startTimeout = 10 * time.Second
	stopTimeout  = 15 * time.Second
)

// runApp runs the application: to the end of its one job, or until ctx ends.
func runApp(ctx context.Context, in invocation, s setup, m mode) (err error) {
	var steps steps
	var server *server
	options := []fx.Option{
		fx.Supply(slog.New(slog.NewTextHandler(in.errors, nil))),
		fx.Supply(fx.Annotate(in.out, fx.As(new(io.Writer)))),
		fx.WithLogger(quietly),
		fxmodule.Config(fxmodule.AppConfig(s.app), fxmodule.KeyVault(s.vault)),
		fxmodule.Module("altinn", fxmodule.ClientOptions(s.client...)),
		fx.Provide(newInstances, newServer),
		fx.Supply(address(m.addr)),
	}
	if m.explain {
		options = append(options, fx.Invoke(tellOrigins))
	}
	options = append(options, fx.Populate(&steps))
	if m.serve {
		options = append(options, fx.Populate(&server))
	}
	app := fx.New(options...)
	// Whatever ctx has come to, what was started is stopped in an orderly way.
	whole := context.WithoutCancel(ctx)
	starting, cancel := context.WithTimeout(whole, startTimeout)
	defer cancel()
	if err := app.Start(starting); err != nil {
		return err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(whole, stopTimeout)
		defer cancel()
		err = errors.Join(err, app.Stop(stopping))
	}()
	if err := steps.tell(ctx); err != nil || !m.serve {
		return err
	}
	line(in.out, "serving", "http://%s/instances until interrupted", server.listener.Addr())
	select {
	case <-ctx.Done():
		fmt.Fprintln(in.out, "stopping")
		return nil
	case <-app.Wait():
		return errors.New("the server has ended")
	}
}

// quietly keeps fx's own events at debug level, where they do not drown the
// application's. Its errors come back from fx.New and Start as well.
func quietly(logger *slog.Logger) fxevent.Logger {
	events := &fxevent.SlogLogger{Logger: logger}
	events.UseLogLevel(slog.LevelDebug)
	events.UseErrorLevel(slog.LevelDebug)
	return events
}
