package httpclient

import (
	"context"
	"log/slog"
)

// stepLog tells what happens, step by step. Attributes given to it never hold a
// token, an assertion or a key.
type stepLog struct {
	logger *slog.Logger
	level  slog.Level // Info where EnableDebugLog is set, else Debug
}

func newStepLog(logger *slog.Logger, enableDebugLog bool) stepLog {
	if logger == nil {
		logger = slog.Default()
	}
	l := stepLog{logger: logger, level: slog.LevelDebug}
	if enableDebugLog {
		l.level = slog.LevelInfo
	}
	return l
}

func (l stepLog) enabled(ctx context.Context) bool { return l.logger.Enabled(ctx, l.level) }

func (l stepLog) step(ctx context.Context, message string, attrs ...slog.Attr) {
	l.logger.LogAttrs(ctx, l.level, "httpclient: "+message, attrs...)
}

func (l stepLog) warn(ctx context.Context, message string, attrs ...slog.Attr) {
	l.logger.LogAttrs(ctx, slog.LevelWarn, "httpclient: "+message, attrs...)
}
