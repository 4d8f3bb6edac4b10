package httpclient

import (
	"context"
	"log/slog"
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
	l := stepLog{level: slog.LevelDebug, queue: &logQueue{handler: logger.Handler(), most: maxQueued}}
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
