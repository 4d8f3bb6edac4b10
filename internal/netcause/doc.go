// Package netcause says why an HTTP request got no answer, what to do about it, and
// whether trying again can help. One cause has one text, whatever server was asked.
//
// Many of net/http's errors quote what a server sent, and that may be a secret. So an
// error is read by an allow-list of types. Neither the text of an [Error] nor what it
// unwraps to holds a word that a server chose.
//
// [Follow] follows a request, so that its error also says how far it came and which
// proxy it took. [Read] reads an error without that.
//
//   - error.go: the causes and their cures
//   - read.go: connections, time-outs
//   - tls.go: certificates, alerts, servers without TLS
//   - vault.go: the names of private endpoints
//   - proxy.go: proxies and the variables that name them
//   - follow.go: how far a request came
//   - page.go: web pages in the place of an answer
package netcause
