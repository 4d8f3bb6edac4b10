package main

import (
	"context"
	"strings"
)

// counts are what the tests in simulated time counted: exact, and the same at each
// run. They are the attributes of the tests' names.
type counts map[string]map[string]string

func countIn(ctx context.Context, program string) (counts, error) {
	out, err := command(ctx, program, "-test.v", "-test.run=^Test(TokenRequests|LongestWait|RoundTrips)$")
	if err != nil {
		return nil, err
	}
	return parseCounts(out), nil
}

func parseCounts(out string) counts {
	c := counts{}
	for line := range strings.Lines(out) {
		attribute, ok := strings.CutPrefix(line, "=== ATTR")
		fields := strings.Fields(attribute)
		if !ok || len(fields) != 3 {
			continue
		}
		if c[fields[0]] == nil {
			c[fields[0]] = map[string]string{}
		}
		c[fields[0]][fields[1]] = fields[2]
	}
	return c
}

// of is an attribute of a test, "–" where it does not have it.
func (c counts) of(test, attribute string) string {
	if value := c[test][attribute]; value != "" {
		return value
	}
	return "–"
}
