package httpclient

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"time"
)

// stepLog tells what happens, step by step. Attributes given to it never hold a
// token, an assertion or a key. No caller waits for the handler: a goroutine that
// ends when there is nothing left hands the records over, in their order. A handler
// may therefore use the same token source.
type stepLog struct {
	level slog.Level // of steps: Info if EnableDebugLog is set, else Debug
	queue *logQueue
}

func newStepLog(logger *slog.Logger, enableDebugLog bool) stepLog {
	if logger == nil {
		logger = slog.Default()
	}
	l := stepLog{level: slog.LevelDebug, queue: &logQueue{handler: logger.Handler()}}
	if enableDebugLog {
		l.level = slog.LevelInfo
	}
	return l
}

func (l stepLog) step(ctx context.Context, message string, attrs ...slog.Attr) {
	l.queue.add(ctx, l.level, message, attrs)
}

func (l stepLog) warn(ctx context.Context, message string, attrs ...slog.Attr) {
	l.queue.add(ctx, slog.LevelWarn, message, attrs)
}

func (l stepLog) fail(ctx context.Context, message string, attrs ...slog.Attr) {
	l.queue.add(ctx, slog.LevelError, message, attrs)
}

// logQueue holds the records that the handler has not taken yet.
type logQueue struct {
	handler slog.Handler

	mu      sync.Mutex
	records []logRecord
	dropped int
	idle    chan struct{} // closed when the goroutine ends; nil: none is running
}

type logRecord struct {
	ctx    context.Context
	record slog.Record
}

// add queues a record. When the handler is too slow, the newest records are dropped
// and counted.
func (q *logQueue) add(ctx context.Context, level slog.Level, message string, attrs []slog.Attr) {
	if !q.handler.Enabled(ctx, level) {
		return
	}
	var pc [1]uintptr
	runtime.Callers(3, pc[:]) // add, step, and the caller that the record names
	record := slog.NewRecord(time.Now(), level, "httpclient: "+message, pc[0])
	record.AddAttrs(attrs...)

	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.records) >= maxQueued {
		q.dropped++
		return
	}
	q.records = append(q.records, logRecord{context.WithoutCancel(ctx), record})
	if q.idle == nil {
		q.idle = make(chan struct{})
		go q.drain()
	}
}

// drain hands over records until there are no more.
func (q *logQueue) drain() {
	for {
		q.mu.Lock()
		if len(q.records) == 0 && q.dropped == 0 {
			close(q.idle)
			q.idle = nil
			q.mu.Unlock()
			return
		}
		records, dropped := q.records, q.dropped
		q.records, q.dropped = nil, 0
		q.mu.Unlock()
		if dropped > 0 {
			record := slog.NewRecord(time.Now(), slog.LevelWarn, "httpclient: the log handler is slow: records were dropped", 0)
			record.AddAttrs(slog.Int("dropped", dropped))
			records = append(records, logRecord{context.Background(), record})
		}
		for _, r := range records {
			_ = q.handler.Handle(r.ctx, r.record) // a handler that fails cannot be told so
		}
	}
}

// wait returns when the handler has taken every record, at the latest after
// closeTimeout.
func (q *logQueue) wait() {
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	for {
		q.mu.Lock()
		idle := q.idle
		q.mu.Unlock()
		if idle == nil {
			return
		}
		select {
		case <-idle:
		case <-timer.C:
			return
		}
	}
}
