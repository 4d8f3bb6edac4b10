// Command all is an application that uses all of this project: settings, Key Vault
// and a named client. It is built to be measured.
package main

import (
	"net/http"
	"os"

	"go.uber.org/fx"

	"github.com/portnokkel/portnokkel/fxmodule"
)

func main() {
	fx.New(
		fxmodule.Config(),
		fxmodule.Module("altinn"),
		fx.Invoke(call),
	).Run()
}

type params struct {
	fx.In

	Altinn *http.Client `name:"altinn"`
}

func call(p params) error {
	resp, err := p.Altinn.Get(os.Getenv("URL")) //nolint:noctx // it is never run
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
