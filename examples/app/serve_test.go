package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/portnokkel/portnokkel/faulttest"
	"github.com/portnokkel/portnokkel/internal/logtest"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
)

// serving runs the application until the test ends it, and gives its address.
func serving(t *testing.T, start func(ctx context.Context, in invocation) error) (url string, stop func() (string, error)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := start(ctx, invocation{args: []string{"-serve"}, dir: t.TempDir(), environ: []string{}, out: write, errors: &startLog{out: io.Discard}})
		_ = write.Close()
		done <- err
	}()
	lines := bufio.NewScanner(read)
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), "serving   "); ok {
			url, _, _ = strings.Cut(address, " ")
			break
		}
	}
	return url, func() (string, error) {
		cancel()
		rest, _ := io.ReadAll(read)
		return string(rest), <-done
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	url, stop := serving(t, run)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	for path, want := range map[string]string{"": "200 " + `{"instances":[{"id":"50001/demo"}]}`, "/other": "404 404 page not found"} {
		resp, err := client.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if got := fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSpace(string(body))); got != want {
			t.Errorf("GET %s: got %s, want %s", path, got, want)
		}
	}
	if rest, err := stop(); err != nil || rest != "stopping\n" {
		t.Errorf("got %q, %v, want only that it stops", rest, err)
	}
	if _, err := client.Get(url); err == nil {
		t.Error("got an answer after the stop, want no answer")
	}
}

// servingDemo serves with a demo that the test can reach.
func servingDemo(t *testing.T) (d *demo, url string, stop func() (string, error)) {
	t.Helper()
	d = startDemo()
	url, stop = serving(t, func(ctx context.Context, in invocation) error {
		return runApp(ctx, in, d.setup(), mode{serve: true, addr: anyPort})
	})
	return d, url, stop
}

// A stranger is told no more than that the API failed; the API's own answer is
// passed on.
func TestServeWhatTheAPISays(t *testing.T) {
	t.Parallel()
	d, url, stop := servingDemo(t)
	defer d.Close()
	toAPI := func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/storage") }
	d.porten.Faults.Add(
		faulttest.Fault{Match: toAPI, Status: 404, Body: "none", Header: http.Header{"Content-Type": {"text/x-api"}}},
		faulttest.Fault{Match: toAPI, Drop: true, Times: -1},
	)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	for _, want := range []string{"404 text/x-api none", "502 text/plain; charset=utf-8 Bad Gateway\n"} {
		resp, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if got := fmt.Sprintf("%d %s %s", resp.StatusCode, resp.Header.Get("Content-Type"), body); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if _, err := stop(); err != nil {
		t.Error(err)
	}
}

// A request that hangs does not keep the application from stopping.
func TestStopWithARequestUnderWay(t *testing.T) {
	t.Parallel()
	d, url, stop := servingDemo(t)
	defer d.Close()
	arrived := make(chan struct{})
	d.porten.Faults.Add(faulttest.Fault{Hang: true, Match: func(r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/storage") {
			close(arrived)
			return true
		}
		return false
	}})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		if resp, err := client.Get(url); err == nil {
			_ = resp.Body.Close()
		}
	}()
	<-arrived
	begin := time.Now()
	if rest, err := stop(); err != nil || !strings.HasPrefix(rest, "stopping\n") {
		t.Errorf("got %q, %v, want that it stops", rest, err)
	}
	<-ended
	if took := time.Since(begin); took < drainTime || took > 2*drainTime {
		t.Errorf("stopped after %v, want %v to %v", took, drainTime, 2*drainTime)
	}
}

// An interrupt while the application is at its job stops it in an orderly way.
func TestInterruptedJob(t *testing.T) {
	t.Parallel()
	d := startDemo()
	defer d.Close()
	arrived := make(chan struct{})
	d.porten.Faults.Add(faulttest.Fault{Hang: true, Match: func(*http.Request) bool { close(arrived); return true }})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	var out, errs logtest.Buffer
	if err := runApp(ctx, invocation{out: &out, errors: &startLog{out: &errs}}, d.setup(), mode{addr: anyPort}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's end", err)
	}
}

// A server that dies ends the application.
func TestServerThatDies(t *testing.T) {
	t.Parallel()
	d := startDemo()
	defer d.Close()
	lifecycle := fxtest.NewLifecycle(t)
	down := make(chan struct{})
	s := newServer(serverParams{
		Lifecycle: lifecycle, Shutdowner: shutdowner(func() { close(down) }), Address: anyPort, Logger: slog.New(slog.DiscardHandler),
		Instances: &instances{},
	})
	lifecycle.RequireStart()
	_ = s.listener.Close()
	<-down
	lifecycle.RequireStop()
}

type shutdowner func()

func (s shutdowner) Shutdown(...fx.ShutdownOption) error {
	s()
	return nil
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	d, url, stop := servingDemo(t)
	defer d.Close()
	inUse := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/instances")
	for addr, want := range map[string]string{inUse: "address already in use", "foo": "-addr: listen tcp: address foo: missing port in address"} {
		var out, errs logtest.Buffer
		if err := runApp(t.Context(), invocation{out: &out, errors: &startLog{out: &errs}}, d.setup(), mode{serve: true, addr: addr}); err == nil || !strings.Contains(err.Error(), want) || out.String() != "" {
			t.Errorf("got %v after %q, want %s before anything is printed", err, out.String(), want)
		}
	}
	if _, err := stop(); err != nil {
		t.Error(err)
	}
}

// The demo serves on a port that the user chooses, on this machine only.
func TestDemoOnAChosenPort(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "localhost", ""} {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, chosen, _ := net.SplitHostPort(free.Addr().String())
		_ = free.Close()
		got, stop := serving(t, func(ctx context.Context, in invocation) error {
			in.args = append(in.args, "-addr", host+":"+chosen)
			return run(ctx, in)
		})
		if want := "http://127.0.0.1:" + chosen + "/instances"; got != want {
			t.Errorf("%q: got %s, want %s", host, got, want)
		}
		if _, err := stop(); err != nil {
			t.Error(err)
		}
	}
}

// A signal stops the program in an orderly way. fx waits for signals too: whichever is
// first, the exit code is 0. The program is of its own, because a signal is for all of it.
func TestSignal(t *testing.T) {
	t.Parallel()
	if os.Getenv("APP_TEST_SERVES") != "" {
		os.Args = []string{"app", "-serve"}
		_ = os.Unsetenv("APP_TEST_SERVES")
		main()
	}
	for range 5 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestSignal$")
		cmd.Dir, cmd.Env = t.TempDir(), []string{"APP_TEST_SERVES=1"}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() && !strings.HasPrefix(lines.Text(), "serving") {
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Skip(err) // Windows sends none
		}
		rest := ""
		for lines.Scan() {
			rest += lines.Text() + "\n"
		}
		if err := cmd.Wait(); err != nil || rest != "stopping\n" {
			t.Errorf("got %v, %q, want only that it stops", err, rest)
		}
	}
}
