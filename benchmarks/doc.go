// Package benchmarks measures this project and what people would use in its
// place, on the same work, against the same servers in this process. It is a
// module of its own, so that what it compares with stays out of users' module
// graphs.
//
//	go run ./cmd/bench        # all of it, in under five minutes: writes RESULTS.md
//	go test ./...             # the counts: allocations, round trips, token requests
//	go test -bench . -benchmem -count 6 | benchstat -col /by -
//
// Counts are exact, and tests hold them. Times belong to the machine that they were
// taken on; they are compared within a run, and fail nothing.
//
// Everybody asks the same servers: provider/vaulttest and
// httpclient/maskinportentest, which also hold the latency. Who fetches a token
// signs a grant and posts it; who loads a vault has one configuration of
// [net/http.Transport], new for each load, so that every load starts cold.
package benchmarks
