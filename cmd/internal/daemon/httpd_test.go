package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestServeHTTPDInside runs it as other programs do: on a port that it chooses,
// until they say so.
func TestServeHTTPDInside(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready := ""
	err := ServeHTTPD(ctx, HTTPD{DB: ":memory:", Listen: "127.0.0.1:0"}, slog.New(slog.NewTextHandler(t.Output(), nil)), func(url string, _ APIAccess) {
		go func() {
			defer cancel()
			resp, err := http.Get(url + "/readyz") //nolint:noctx // the server ends it
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			ready = resp.Status
		}()
	})
	if err != nil || ready != "200 OK" {
		t.Errorf("%q, %v", ready, err)
	}
}

// TestServeHTTPDThatNeverBegan is no failure, whatever was interrupted.
func TestServeHTTPDThatNeverBegan(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cfg := HTTPD{DB: filepath.Join(t.TempDir(), "clusto.db"), Listen: "127.0.0.1:0"}
	if err := ServeHTTPD(ctx, cfg, slog.New(slog.DiscardHandler), nil); err != nil {
		t.Error(err)
	}
}

func TestLastWord(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code int
		line string
	}{
		{nil, 0, ""},
		{errors.New("serve:\n\tit broke"), 1, "x: serve: it broke"},
		{fmt.Errorf("%w: no database", ErrConfig), 2, "x: configuration: no database"},
		{&Exit{Code: 2, Line: "y: --z: wrong"}, 2, "y: --z: wrong"},
	} {
		if code, line := lastWord("x", tt.err); code != tt.code || line != tt.line {
			t.Errorf("%v: %d %q, want %d %q", tt.err, code, line, tt.code, tt.line)
		}
	}
}

// TestLogger writes JSON into a file, text where it is asked for, and nothing
// below the level.
func TestLogger(t *testing.T) {
	for _, tt := range []struct {
		format, level string
		lines         int
		json          bool
	}{
		{"auto", "info", 2, true}, // a file is no terminal
		{"json", "debug", 3, true},
		{"text", "error", 1, false},
	} {
		f, err := os.Create(filepath.Join(t.TempDir(), "log"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		log := (&Common{LogFormat: tt.format, LogLevel: tt.level}).Logger(f)
		log.Debug("one")
		log.Info("two")
		log.Error("three", "what", "a b")
		got, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.Split(bytes.TrimSpace(got), []byte("\n"))
		if last := lines[len(lines)-1]; len(lines) != tt.lines || json.Valid(last) != tt.json || !strings.Contains(string(last), "three") {
			t.Errorf("%s, %s:\n%s", tt.format, tt.level, got)
		}
	}
}

// TestReadOnlyGet refuses changes by GET, and takes them by POST.
func TestReadOnlyGet(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []int
	cfg := HTTPD{DB: ":memory:", Listen: "127.0.0.1:0", ReadOnlyGet: true}
	err := ServeHTTPD(ctx, cfg, slog.New(slog.NewTextHandler(t.Output(), nil)), func(url string, _ APIAccess) {
		go func() {
			defer cancel()
			for _, call := range []string{"POST /pool/p", "GET /pool/p/setattr?key=k&value=v", "POST /pool/p/setattr?key=k&value=v", "GET /pool/p"} {
				method, path, _ := strings.Cut(call, " ")
				req, err := http.NewRequestWithContext(ctx, method, url+path, nil)
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				got = append(got, resp.StatusCode)
			}
		}()
	})
	if err != nil || !slices.Equal(got, []int{201, 405, 200, 200}) {
		t.Errorf("%v, %v", got, err)
	}
}
