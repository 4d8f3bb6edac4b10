package httpclient

import (
	"errors"

	"github.com/portnokkel/portnokkel/internal/netcause"
)

// network is what the failure of a request without an answer means.
type network struct {
	err       error // its text quotes nothing that a server sent
	cure      string
	permanent bool // trying again cannot help
}

// readNetwork lets through the texts of known errors only: that of net/http may quote
// what a server sent, which may be a token. address is the setting that says where the
// server is.
func readNetwork(watch *netcause.Watch, err error, address string) network {
	const transport = "check what WithTokenTransport was given"
	var odd *misbehaved
	switch {
	case errors.As(err, &odd):
		return network{odd, transport, false}
	case errors.Is(err, errNoResponse):
		return network{errNoResponse, transport, false}
	case errors.Is(err, errTooLong):
		return network{errTooLong, netcause.Of(netcause.Unknown).Cure(address), false}
	case errors.Is(err, errBadURL):
		return network{errBadURL, "check " + address, true}
	}
	cause := watch.Read(err)
	return network{cause, cause.Cure(address), cause.Permanent}
}
