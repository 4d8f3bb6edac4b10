package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"go.uber.org/fx"
)

// address is where to serve, such as "127.0.0.1:8080".
type address string

// server serves GET /instances for as long as the application runs.
type server struct {
	http     *http.Server
	listener net.Listener // once it is started
}

type serverParams struct {
	fx.In

	Lifecycle  fx.Lifecycle
	Shutdowner fx.Shutdowner
	Address    address
	Logger     *slog.Logger
	Instances  *instances
}

// drainTime is how long requests under way may go on when the application stops.
const drainTime = 5 * time.Second

func newServer(p serverParams) *server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /instances", func(w http.ResponseWriter, r *http.Request) {
		answer, err := p.Instances.get(r.Context())
		if err != nil {
			// The error tells an operator what to do; a stranger need not know.
			p.Logger.ErrorContext(r.Context(), "calling the API failed", "error", err)
			http.Error(w, http.StatusText(http.StatusBadGateway), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", answer.contentType)
		w.WriteHeader(answer.status)
		_, _ = w.Write(answer.body)
	})
	requests, endRequests := context.WithCancel(context.Background())
	s := &server{http: &http.Server{
		Handler:           mux,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      callTimeout + 5*time.Second,
		IdleTimeout:       time.Minute,
	}}
	p.Lifecycle.Append(fx.Hook{
		OnStart: func(ctx context.Context) error {
			var err error
			if s.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", string(p.Address)); err != nil {
				return fmt.Errorf("-addr: %w", err)
			}
			go func() {
				if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
					p.Logger.Error("serving failed", "error", err)
					_ = p.Shutdowner.Shutdown(fx.ExitCode(1))
				}
			}()
			return nil
		},
		OnStop: func(ctx context.Context) error {
			defer endRequests()
			ctx, cancel := context.WithTimeout(ctx, drainTime)
			defer cancel()
			if err := s.http.Shutdown(ctx); err != nil {
				p.Logger.Warn("requests under way are cut off", "after", drainTime)
				endRequests()
				return s.http.Close()
			}
			return nil
		},
	})
	return s
}
