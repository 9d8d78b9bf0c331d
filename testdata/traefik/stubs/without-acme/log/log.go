// Package log logs nothing: this module does nothing worth a line.
package log

import "log/slog"

// SetDefault does nothing.
func SetDefault(*slog.Logger) {}
