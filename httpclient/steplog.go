package httpclient

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"
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

// step tells a step. If the handler does not want it, it takes no room in the queue. The
// handler is asked at once, so that the caller must hold no lock.
func (l stepLog) step(ctx context.Context, message string, attrs ...slog.Attr) {
	if l.queue.handler.Enabled(ctx, l.level) {
		l.queue.add(ctx, l.level, message, attrs)
	}
}

func (l stepLog) tell(ctx context.Context, level slog.Level, message string, attrs ...slog.Attr) {
	l.queue.add(ctx, level, message, attrs)
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
	idle    chan struct{} // closed when the goroutine ends; nil: it does not run
}

type logRecord struct {
	ctx      context.Context
	record   slog.Record
	isReport bool // of a record that the handler lost
}

// add queues a record. When the handler is too slow, the newest records are dropped
// and counted.
func (q *logQueue) add(ctx context.Context, level slog.Level, message string, attrs []slog.Attr) {
	var pc [1]uintptr
	runtime.Callers(3, pc[:]) // add, step, and the caller that the record names
	record := newRecord(level, message, pc[0], attrs)

	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.records) >= maxQueued {
		q.dropped++
		return
	}
	q.records = append(q.records, logRecord{ctx: context.WithoutCancel(ctx), record: record})
	if q.idle == nil {
		q.idle = make(chan struct{})
		go q.drain()
	}
}

func newRecord(level slog.Level, message string, pc uintptr, attrs []slog.Attr) slog.Record {
	record := slog.NewRecord(time.Now(), level, "httpclient: "+message, pc)
	record.AddAttrs(attrs...)
	return record
}

// drain hands over records until there are no more. If the handler ends the goroutine,
// another one goes on.
func (q *logQueue) drain() {
	ended := true
	defer func() {
		if ended {
			go q.drain()
		}
	}()
	for {
		r, ok := q.next()
		if !ok {
			ended = false
			return
		}
		q.hand(r)
	}
}

// next takes the first record, or tells that there are no more.
func (q *logQueue) next() (r logRecord, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case len(q.records) > 0:
		r = q.records[0]
		q.records[0] = logRecord{}
		q.records = q.records[1:]
		return r, true
	case q.dropped > 0:
		record := newRecord(slog.LevelWarn, "the log handler is slow: records were dropped", 0, []slog.Attr{slog.Int("dropped", q.dropped)})
		q.dropped = 0
		return logRecord{ctx: context.Background(), record: record}, true
	}
	close(q.idle)
	q.idle = nil
	return r, false
}

// hand hands a record over. A handler that panics does not end the program: it gets a
// report with the stack, once.
func (q *logQueue) hand(r logRecord) {
	did := "ended its goroutine"
	defer func() {
		if recover() != nil {
			did = "panicked"
		}
		if did == "" || r.isReport {
			return
		}
		report := newRecord(slog.LevelError, "the log handler "+did+", and a record is lost", 0, []slog.Attr{slog.String("stack", string(debug.Stack()))})
		q.mu.Lock()
		defer q.mu.Unlock()
		q.records = append(q.records, logRecord{ctx: context.Background(), record: report, isReport: true})
	}()
	if q.handler.Enabled(r.ctx, r.record.Level) {
		_ = q.handler.Handle(r.ctx, r.record) // a handler that fails cannot be told so
	}
	did = ""
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
