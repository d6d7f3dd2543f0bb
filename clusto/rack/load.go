package rack

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

//go:embed layouts/*.json
var builtIn embed.FS

// Example is a layout that uses everything of the format, with words on it.
//
//go:embed example.json
var Example string

// maxFile is the size of the longest file that is read as a layout.
const maxFile = 1 << 20

// Layouts are all that there are, by name.
type Layouts map[string]*Layout

// Load gives the built-in layouts and those of the files *.json in a directory
// ("": of none). A file takes the place of a built-in layout of its name; two
// files of one name are refused. The error is Problems if a file is no sound
// layout, of all files together; nothing of a directory with a broken file is
// used.
func Load(dir string) (Layouts, error) {
	all := Layouts{}
	entries, err := builtIn.ReadDir("layouts")
	if err != nil {
		return nil, fmt.Errorf("load the built-in rack layouts: %w", err)
	}
	for _, e := range entries {
		data, err := builtIn.ReadFile("layouts/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("load the built-in rack layouts: %w", err)
		}
		l, err := Parse("built in", data)
		if err != nil {
			return nil, fmt.Errorf("load the built-in rack layout %s: %w", e.Name(), err)
		}
		all[l.Name] = l
	}
	if dir == "" {
		return all, nil
	}
	own, err := loadDir(dir)
	if err != nil {
		return nil, err
	}
	maps.Copy(all, own)
	return all, nil
}

func loadDir(dir string) (Layouts, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("load rack layouts: %w; make the directory, or leave rack_layouts out", err)
	}
	all := Layouts{}
	var problems Problems
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		l, wrong := LoadFile(filepath.Join(dir, e.Name()))
		if problems = append(problems, wrong...); l == nil {
			continue
		}
		if first := all[l.Name]; first != nil {
			problems = append(problems, Problem{l.File, l.line, l.Name, 0, fmt.Sprintf("the name is taken by %s:%d; give one of them another", first.File, first.line)})
			continue
		}
		all[l.Name] = l
	}
	if problems != nil {
		return nil, problems
	}
	return all, nil
}

// LoadFile parses and checks one file, a path. The layout is nil if its form is
// wrong already; else Problems says what keeps it from being built.
func LoadFile(path string) (*Layout, Problems) {
	data, err := readFile(path)
	if err != nil {
		return nil, Problems{{File: path, What: err.Error()}}
	}
	l, err := Parse(path, data)
	if err != nil {
		problems, _ := err.(Problems) //nolint:errorlint // Parse gives nothing else, and wraps nothing
		return nil, problems
	}
	return l, Check(l)
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file; move it away")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("it has more than %d bytes, which no layout has", maxFile)
	}
	return data, err
}

// Find gives the layout of that name. The error wraps clusto.ErrNotFound.
func (ls Layouts) Find(name string) (*Layout, error) {
	if l := ls[name]; l != nil {
		return l, nil
	}
	names := slices.Sorted(maps.Keys(ls))
	return nil, fmt.Errorf("there is no rack layout %q; did you mean %q? known are %s: %w", name, clusto.Nearest(name, names, math.MaxInt), strings.Join(names, ", "), clusto.ErrNotFound)
}
