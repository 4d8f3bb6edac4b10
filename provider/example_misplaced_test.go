package provider_test

import (
	"fmt"

	"github.com/portnokkel/portnokkel/provider"
)

// A setting of your own is checked before its value is used or printed.
func ExampleMisplaced() {
	for _, value := range []string{"https://api.example/v1", `"https://api.example/v1"`, `{"kty":"RSA","d":"..."}`} {
		if what := provider.Misplaced(value, 200); what != "" {
			fmt.Println("Saksvarsel:ApiUrl", what)
		}
	}
	// Output:
	// Saksvarsel:ApiUrl is in quotation marks: remove them
	// Saksvarsel:ApiUrl looks like a private key (JWK): it belongs in EncodedJwk
}
