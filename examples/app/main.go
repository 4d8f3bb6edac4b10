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
	"strings"
	"syscall"
	"time"

	"go.uber.org/fx"

	"github.com/portnokkel/portnokkel/fxmodule"
	"github.com/portnokkel/portnokkel/httpclient"
	"github.com/portnokkel/portnokkel/provider"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := start(ctx, invocation{args: os.Args[1:], environ: os.Environ(), out: os.Stdout, errors: &startLog{out: os.Stderr}})
	stop()
	os.Exit(code)
}

// start runs the program and gives its exit code. Why it fails is the first line on
// in.errors.
func start(ctx context.Context, in invocation) int {
	defer in.errors.release()
	err := run(ctx, in)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case !errors.As(err, new(told)):
		fmt.Fprintln(in.errors.out, "app:", err)
	}
	return 1
}

// told is an error that the log has told.
type told struct{ error }

func (t told) Unwrap() error { return t.error }

// invocation is what the operating system gives a program.
type invocation struct {
	args    []string
	environ []string
	dir     string // of the settings files; "" is the working directory
	out     io.Writer
	errors  *startLog
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
	flags.StringVar(&m.addr, "addr", anyPort, "the `address` to serve on; port 0 is any free one; the demo serves on this machine only")
	flags.BoolVar(&m.explain, "explain", false, "tell where each setting came from")
	if err := flags.Parse(in.args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			flags.SetOutput(in.errors)
			flags.Usage()
			return err
		}
		return fmt.Errorf("%w (app -h lists the flags); %s", err, afterDashes)
	}
	if err := checkSettings(in.args, flags.Args()); err != nil {
		return err
	}
	signs, err := whatIsConfigured(in, m, flags.Args())
	if err != nil {
		return err
	}
	if len(signs) == 0 {
		d := startDemo()
		defer d.Close()
		fmt.Fprintln(in.out, demoNotice)
		m.addr = onThisMachine(m.addr)
		return runApp(ctx, in, d.setup(), m)
	}
	s := setup{app: provider.AppConfig{Dir: in.dir, Environ: func() []string { return in.environ }, Args: flags.Args, Origins: &provider.Origins{}}}
	err = runApp(ctx, in, s, m)
	if len(flags.Args()) == 0 && isStray(err, s.app.Origins) {
		fmt.Fprintf(in.errors, "app: to run the demo, remove %s\n", strings.Join(signs, ", "))
	}
	return err
}

const afterDashes = "settings go after --, as in: app -- --MaskinportenSettings:Scope=my:scope"

// checkSettings returns an error about an argument that is not a setting. What it holds
// may be a secret.
func checkSettings(all, settings []string) error {
	first := len(all) - len(settings)
	for i := 0; i < len(settings); i++ {
		key, _, hasValue := strings.Cut(settings[i], "=")
		if first == 0 || all[first-1] != "--" || !strings.Contains(key, ":") || !hasValue && i+1 == len(settings) {
			return fmt.Errorf("argument %d is unexpected: flags begin with a dash, and %s", first+i+1, afterDashes)
		}
		if !hasValue {
			i++ // its value
		}
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
		fxmodule.Quiet(), // tells why a start failed, once
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
		return told{err}
	}
	defer func() {
		stopping, cancel := context.WithTimeout(whole, stopTimeout)
		defer cancel()
		err = errors.Join(err, app.Stop(stopping))
	}()
	if err := steps.tell(ctx); err != nil || !m.serve {
		return err
	}
	in.errors.release()
	line(in.out, "serving", "http://%s/instances until interrupted", server.listener.Addr())
	select {
	case <-ctx.Done():
	case signal := <-app.Wait():
		if signal.ExitCode != 0 {
			return errors.New("the server has ended")
		}
	}
	fmt.Fprintln(in.out, "stopping")
	return nil
}
