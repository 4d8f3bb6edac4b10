// Command nethttp is what a program with an HTTP client weighs by itself: it is
// built to be measured, and compared with its neighbours.
package main

import (
	"log/slog"
	"net/http"
	"os"
)

func main() {
	resp, err := http.DefaultClient.Get(os.Getenv("URL")) //nolint:noctx // it is never run
	if err != nil {
		slog.Error(err.Error())
		os.Exit(1)
	}
	_ = resp.Body.Close()
}
