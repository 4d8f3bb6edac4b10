package main

import (
	"bytes"
	"io"
	"sync"
)

// startLog holds back what is logged, except errors, until the program has done its job
// or begins to serve: why it failed is then the first line, and the warnings follow.
type startLog struct {
	out io.Writer

	mu       sync.Mutex
	held     bytes.Buffer
	released bool
}

// Write is called with a whole line.
func (l *startLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.released || bytes.Contains(line, []byte("level=ERROR")) {
		return l.out.Write(line)
	}
	return l.held.Write(line)
}

// release writes what was held back, and holds nothing back any more.
func (l *startLog) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.held.WriteTo(l.out)
	l.released = true
}
