// Command httpclient is a program that uses package httpclient alone. It is built
// to be measured.
package main

import (
	"log/slog"
	"os"

	"github.com/portnokkel/portnokkel/httpclient"
)

func main() {
	if err := run(); err != nil {
		slog.Error(err.Error())
		os.Exit(1)
	}
}

func run() error {
	settings, err := httpclient.ParseSettings(map[string]any{"EncodedJwk": os.Getenv("JWK")})
	if err != nil {
		return err
	}
	client, err := httpclient.New(settings)
	if err != nil {
		return err
	}
	resp, err := client.Get(os.Getenv("URL"))
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
