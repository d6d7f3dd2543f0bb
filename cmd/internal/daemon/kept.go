package daemon

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
)

// kept is what some files say. They are read anew when it is asked for and one
// of them has changed since, so that tokens and certificates change without a
// restart. Files that are wrong then change nothing.
type kept[T any] struct {
	what  string // for the log: "token_file"
	files []string
	read  func() (T, error)
	log   *slog.Logger

	reading sync.Mutex
	now     atomic.Pointer[reading[T]]
}

// reading is what the files said, and which files they were.
type reading[T any] struct {
	said  T
	files []os.FileInfo // nil for one that is not there
}

// keep reads the files for the first time.
func keep[T any](log *slog.Logger, what string, read func() (T, error), files ...string) (*kept[T], error) {
	k := &kept[T]{what: what, files: files, read: read, log: log}
	infos := k.stat() // before they are read: what changes meanwhile is read again
	said, err := read()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	k.now.Store(&reading[T]{said, infos})
	return k, nil
}

// get gives what the files say.
func (k *kept[T]) get() T {
	last := k.now.Load()
	infos := k.stat()
	for i := range infos {
		if changed(last.files[i], infos[i]) {
			return k.again(last)
		}
	}
	return last.said
}

// reload reads the files whether or not they look changed.
func (k *kept[T]) reload() { k.again(k.now.Load()) }

func (k *kept[T]) again(last *reading[T]) T {
	k.reading.Lock()
	defer k.reading.Unlock()
	if now := k.now.Load(); now != last {
		return now.said // read a moment ago
	}
	next := &reading[T]{last.said, k.stat()}
	if said, err := k.read(); err != nil {
		k.log.Error(k.what+" is wrong, and what it said before goes on to count", "err", err)
	} else {
		k.log.Info(k.what+" was read again", "files", k.files)
		next.said = said
	}
	k.now.Store(next)
	return next.said
}

func (k *kept[T]) stat() []os.FileInfo {
	infos := make([]os.FileInfo, len(k.files))
	for i, f := range k.files {
		if info, err := os.Stat(f); err == nil {
			infos[i] = info
		}
	}
	return infos
}

func changed(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a != b
	}
	return !os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime())
}

// secretMax bounds a file with tokens or a key, in bytes.
const secretMax = 1 << 20

// readSecret reads a file that only its owner and group may read.
func readSecret(file string) ([]byte, error) {
	info, err := os.Stat(file) // first: to open a pipe would wait for its writer
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: it is no file", file)
	case info.Mode().Perm()&0o007 != 0:
		return nil, fmt.Errorf("%s: everybody on this machine may read or write it (mode %04o); chmod 640 %s, and make its secrets anew if others were here", file, info.Mode().Perm(), file)
	case info.Size() > secretMax:
		return nil, fmt.Errorf("%s: it has more than %d bytes", file, secretMax)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, secretMax+1))
	if err == nil && len(text) > secretMax {
		err = errors.New("it grows")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return text, nil
}
