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
// environment variables, and settings given as arguments after "--". Where
// nothing at all is configured it runs a demo, on servers of its own.
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
// production all but the application's own settings stays zero.
type setup struct {
	app    provider.AppConfig
	vault  provider.Config
	client []httpclient.Option
}

// stopTimeout is how long requests under way may take at the end.
const stopTimeout = 10 * time.Second

func run(ctx context.Context, in invocation) error {
	flags := flag.NewFlagSet("app", flag.ContinueOnError)
	flags.SetOutput(in.errors)
	var m mode
	flags.BoolVar(&m.serve, "serve", false, "serve GET /instances until interrupted")
	flags.StringVar(&m.addr, "addr", "127.0.0.1:0", "the address to serve on; port 0 is any free one")
	flags.BoolVar(&m.explain, "explain", false, "tell where each setting came from")
	if err := flags.Parse(in.args); err != nil {
		return err
	}
	s := setup{app: provider.AppConfig{Dir: in.dir, Environ: in.environ, Args: flags.Args()}}

	demo, err := demoIfNothingIsConfigured(s.app)
	if err != nil {
		return err
	}
	if demo != nil {
		defer demo.Close()
		s = demo.setup()
		fmt.Fprintln(in.out, demoNotice)
	}
	return runApp(ctx, in, s, m)
}

// mode is what the flags ask for.
type mode struct {
	serve, explain bool
	addr           string
}

// runApp runs the application: to the end of its one job, or until ctx ends.
func runApp(ctx context.Context, in invocation, s setup, m mode) error {
	options := []fx.Option{
		fx.Supply(slog.New(slog.NewTextHandler(in.errors, nil))),
		fx.Supply(fx.Annotate(in.out, fx.As(new(io.Writer)))),
		fx.WithLogger(quietly),
		fxmodule.Config(fxmodule.AppConfig(s.app), fxmodule.KeyVault(s.vault)),
		fxmodule.Module("altinn", fxmodule.ClientOptions(s.client...)),
		fx.Provide(newInstances),
	}
	if m.explain {
		options = append(options, fx.Invoke(tellOrigins))
	}
	options = append(options, fx.Invoke(tellSteps))
	if m.serve {
		options = append(options, fx.Supply(address(m.addr)), fx.Invoke(serveInstances))
	}
	app := fx.New(options...)
	if err := app.Start(ctx); err != nil {
		return err
	}
	if m.serve {
		<-ctx.Done()
		fmt.Fprintln(in.out, "stopping")
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return app.Stop(stopping)
}

// quietly keeps fx's own events at debug level, where they do not drown the
// application's. Its errors come back from fx.New and Start as well.
func quietly(logger *slog.Logger) fxevent.Logger {
	events := &fxevent.SlogLogger{Logger: logger}
	events.UseLogLevel(slog.LevelDebug)
	events.UseErrorLevel(slog.LevelDebug)
	return events
}
