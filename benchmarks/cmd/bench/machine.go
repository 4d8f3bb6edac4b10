package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// machine says what a figure depends on, and not whose machine it is.
func machine(cpu string) string {
	system := runtime.GOOS + "/" + runtime.GOARCH
	if name := distribution(); name != "" {
		system += ", " + name
	}
	return fmt.Sprintf("%s, %d cores; %s; %s", cpu, runtime.NumCPU(), system, runtime.Version())
}

func distribution() string {
	data, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if name, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
			return strings.Trim(strings.TrimSpace(name), `"`)
		}
	}
	return ""
}

// compared are the modules whose versions matter to the figures.
var compared = []string{
	"golang.org/x/oauth2",
	"cloud.google.com/go/auth",
	"github.com/golang-jwt/jwt/v5",
	"github.com/Azure/azure-sdk-for-go/sdk/azcore",
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity",
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets",
	"github.com/lestrrat-go/jwx/v2",
	"go.uber.org/fx",
}

// module is one that go list tells about.
type module struct{ Path, Version string }

func versions(ctx context.Context) ([]module, error) {
	out, err := command(ctx, "go", append([]string{"list", "-m", "-json=Path,Version"}, compared...)...)
	if err != nil {
		return nil, err
	}
	var all []module
	for decoder := json.NewDecoder(strings.NewReader(out)); decoder.More(); {
		var m module
		if err := decoder.Decode(&m); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}
