package daemon

import (
	"io"
	"log/slog"
	"os"

	"github.com/mattn/go-isatty"
)

// Logger makes the program's log on w: text on a terminal and JSON otherwise,
// unless LogFormat says which.
func (c *Common) Logger(w *os.File) *slog.Logger {
	text := c.LogFormat == "text" || c.LogFormat != "json" && isatty.IsTerminal(w.Fd())
	return newLogger(w, text, c.LogLevel)
}

func newLogger(w io.Writer, text bool, level string) *slog.Logger {
	var least slog.Level
	_ = least.UnmarshalText([]byte(level)) // validated; what is unknown is info
	opts := &slog.HandlerOptions{Level: least}
	if text {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}
