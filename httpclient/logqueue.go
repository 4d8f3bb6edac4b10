package httpclient

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// logQueue holds the records that the handler has not taken yet.
type logQueue struct {
	handler slog.Handler
	most    int // how many records wait
	// spare gets the records that the handler does not take, and the handler gets every
	// record, whatever its level. If spare is nil, a lost record is lost, and the handler
	// is told so.
	spare *stepLog

	mu      sync.Mutex
	records []logRecord
	dropped int
	idle    chan struct{} // closed when the goroutine ends; nil: it does not run
	current logRecord     // that the handler has now
	since   time.Time     // when it was given that
	warned  time.Time     // when it was last told that the handler hangs
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
	r := logRecord{ctx: context.WithoutCancel(ctx), record: newRecord(level, message, pc[0], attrs)}
	taken, hangs := q.put(r)
	if q.spare == nil {
		return
	}
	if hangs {
		q.spare.fail(r.ctx, "the audit log's handler hangs: its records wait", slog.Duration("since", handlerPatience))
	}
	if !taken {
		q.save(r, "is too slow")
	}
}

// put adds a record, unless there is no room. It reports, now and then, that the handler
// hangs.
func (q *logQueue) put(r logRecord) (taken, hangs bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if q.idle != nil && now.Sub(q.since) >= handlerPatience && now.Sub(q.warned) >= handlerWarning {
		q.warned, hangs = now, true
	}
	if len(q.records) >= q.most {
		if q.spare == nil {
			q.dropped++
		}
		return false, hangs
	}
	q.records = append(q.records, r)
	if q.idle == nil {
		q.idle = make(chan struct{})
		q.since = now
		go q.drain()
	}
	return true, hangs
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
	q.since = time.Now()
	switch {
	case len(q.records) > 0:
		r = q.records[0]
		q.records[0] = logRecord{}
		q.records, q.current = q.records[1:], r
		return r, true
	case q.dropped > 0:
		record := newRecord(slog.LevelWarn, "the log handler is slow: records were dropped", 0, []slog.Attr{slog.Int("dropped", q.dropped)})
		q.dropped = 0
		return logRecord{ctx: context.Background(), record: record}, true
	}
	close(q.idle)
	q.idle, q.current = nil, logRecord{}
	return r, false
}

// hand hands a record over. A handler that panics does not end the program.
func (q *logQueue) hand(r logRecord) {
	did := "ended its goroutine"
	defer func() {
		if recover() != nil {
			did = "panicked"
		}
		if did != "" && !r.isReport {
			q.lost(r, did, string(debug.Stack()))
		}
	}()
	if q.spare == nil {
		if q.handler.Enabled(r.ctx, r.record.Level) {
			_ = q.handler.Handle(r.ctx, r.record) // a handler that fails cannot be told so
		}
	} else if err := q.handler.Handle(r.ctx, r.record); err != nil {
		q.save(r, "failed", slog.String("error", cut(printable(err.Error()), maxWords)))
	}
	did = ""
}

// lost deals with a record that the handler did not take.
func (q *logQueue) lost(r logRecord, did, stack string) {
	if q.spare != nil {
		q.save(r, did, slog.String("stack", stack))
		return
	}
	report := newRecord(slog.LevelError, "the log handler "+did+", and a record is lost", 0, []slog.Attr{slog.String("stack", stack)})
	q.mu.Lock()
	defer q.mu.Unlock()
	q.records = append(q.records, logRecord{ctx: context.Background(), record: report, isReport: true})
}

// save hands a record to the spare log, whole.
func (q *logQueue) save(r logRecord, did string, details ...slog.Attr) {
	var attrs []slog.Attr
	r.record.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	details = append(details, slog.Time("at", r.record.Time), slog.Attr{Key: "record", Value: slog.GroupValue(attrs...)})
	q.spare.fail(r.ctx, "the audit log's handler "+did+", and this record may not be in it", details...)
}

// rest takes the records that the handler has not taken, with the one that it has now.
func (q *logQueue) rest() (records []logRecord) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.idle != nil {
		records = append([]logRecord{q.current}, q.records...)
		q.records = nil
	}
	return records
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
