package daemon

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

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
	opts := &slog.HandlerOptions{Level: least, ReplaceAttr: short}
	if text {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}

// lineMost is how long a word in the log may be: an error may quote all that an
// inventory which makes no sense has answered.
const lineMost = 2000

func short(_ []string, a slog.Attr) slog.Attr {
	var text string
	switch v := a.Value.Any().(type) {
	case error:
		text = v.Error()
	case string:
		text = v
	}
	if len(text) > lineMost {
		a.Value = slog.StringValue(strings.ToValidUTF8(text[:lineMost], "") + fmt.Sprintf("... (%d bytes)", len(text)))
	}
	return a
}
