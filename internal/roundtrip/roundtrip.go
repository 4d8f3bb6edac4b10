// Package roundtrip holds the transport that this module's tests make of functions.
package roundtrip

import "net/http"

// Func is a function as an [http.RoundTripper].
type Func func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f Func) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
