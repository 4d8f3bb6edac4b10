package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"go.uber.org/fx"
)

// address is where to serve, such as "127.0.0.1:8080".
type address string

type serveParams struct {
	fx.In

	Lifecycle fx.Lifecycle
	Address   address
	Out       io.Writer
	Logger    *slog.Logger
	Instances *instances
}

// serveInstances serves GET /instances for as long as the application runs.
func serveInstances(p serveParams) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /instances", func(w http.ResponseWriter, r *http.Request) {
		status, body, err := p.Instances.get(r.Context())
		if err != nil {
			// The error tells an operator what to do; a stranger need not know.
			p.Logger.ErrorContext(r.Context(), "calling the API failed", "error", err)
			http.Error(w, http.StatusText(http.StatusBadGateway), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(body)
	})
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      callTimeout + 5*time.Second,
		IdleTimeout:       time.Minute,
	}
	p.Lifecycle.Append(fx.Hook{
		OnStart: func(ctx context.Context) error {
			listener, err := new(net.ListenConfig).Listen(ctx, "tcp", string(p.Address))
			if err != nil {
				return err
			}
			fmt.Fprintf(p.Out, "serving   http://%s/instances until interrupted\n", listener.Addr())
			go func() {
				if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
					p.Logger.Error("serving failed", "error", err)
				}
			}()
			return nil
		},
		OnStop: server.Shutdown,
	})
}
