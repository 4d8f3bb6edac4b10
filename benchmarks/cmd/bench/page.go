package main

import (
	"fmt"
	"strings"
	"time"
)

// page is Markdown on its way.
type page struct{ strings.Builder }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *page) row(cells ...string) { p.line("| %s |", strings.Join(cells, " | ")) }

func (p *page) rule(columns int) { p.line("|%s", strings.Repeat("---|", columns)) }

// duration is a time in seconds with three digits, "–" for none.
func duration(s float64) string {
	switch {
	case s == 0:
		return "–"
	case s < 1e-6:
		return fmt.Sprintf("%.3g ns", s*1e9)
	case s < 1e-3:
		return fmt.Sprintf("%.3g µs", s*1e6)
	case s < 1:
		return fmt.Sprintf("%.3g ms", s*1e3)
	default:
		return time.Duration(s * float64(time.Second)).Round(10 * time.Millisecond).String()
	}
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.2f MB", float64(bytes)/1e6) }

// version is how HTTP's versions are written.
func version(http string) string {
	if http == "1" {
		return "1.1"
	}
	return http
}
