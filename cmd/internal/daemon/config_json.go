package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// section is one object of services.conf.
type section struct {
	path, name string
	values     map[string]setting
	order      []string
}

// setting is a value and where it stands.
type setting struct {
	value any    // as encoding/json gives it, numbers as json.Number
	line  int    // of its key
	from  string // in words, where it is not services.conf
}

func (s *section) has(key string) bool {
	_, ok := s.values[key]
	return ok
}

func (s *section) place(key string) string {
	return fmt.Sprintf("%s:%d: %s.%s", s.path, s.values[key].line, s.name, onOneLine(key))
}

// onOneLine writes a name of a file with what is no plain text in it escaped.
func onOneLine(name string) string {
	q := strconv.Quote(name)
	return q[1 : len(q)-1]
}

// readSection reads one section of a JSON file. Other sections are other
// programs' business: the original's file has many. A file without the section
// gives an empty one, unless a section's name is nearly it.
func readSection(path, name string) (section, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return section{}, fmt.Errorf("read the configuration: %w", err)
	}
	var all any
	if err := json.Unmarshal(data, &all); err != nil {
		return section{}, syntaxError(path, data, err)
	}
	if _, ok := all.(map[string]any); !ok {
		return section{}, fmt.Errorf("%s:1: want an object of sections, as in {%q: {...}}", path, name)
	}
	r := sectionReader{data: data, dec: json.NewDecoder(bytes.NewReader(data)), out: section{path: path, name: name}}
	r.dec.UseNumber()
	err = r.file()
	return r.out, err
}

// sectionReader walks a file that is known to be valid JSON, so that no token
// can fail.
type sectionReader struct {
	data []byte
	dec  *json.Decoder
	out  section
}

func (r *sectionReader) file() error {
	out := &r.out
	var others []string
	lines := map[string]int{}
	_, _ = r.dec.Token()
	for r.dec.More() {
		key, line := r.key()
		if key != out.name {
			others = append(others, key)
			lines[key] = line
			_ = r.dec.Decode(new(json.RawMessage))
			continue
		}
		if out.values != nil {
			return fmt.Errorf("%s:%d: section %q is there twice; make them one", out.path, line, key)
		}
		if err := r.settings(line); err != nil {
			return err
		}
	}
	if near := clusto.Nearest(out.name, others, 2); out.values == nil && near != "" {
		return fmt.Errorf("%s:%d: section %q: did you mean %q? There is no such section", out.path, lines[near], near, out.name)
	}
	return nil
}

// key reads the next key of an object.
func (r *sectionReader) key() (string, int) {
	t, _ := r.dec.Token()
	key, _ := t.(string)
	return key, lineOf(r.data, r.dec.InputOffset())
}

func (r *sectionReader) settings(line int) error {
	out := &r.out
	out.values = map[string]setting{}
	if t, _ := r.dec.Token(); t != json.Delim('{') {
		return fmt.Errorf("%s:%d: %s: want an object of settings, as in {\"api_url\": \"http://127.0.0.1:9996\"}", out.path, line, out.name)
	}
	for r.dec.More() {
		key, line := r.key()
		var v any
		_ = r.dec.Decode(&v)
		if first, dup := out.values[key]; dup {
			return fmt.Errorf("%s:%d: %s.%s is there twice, first on line %d; keep one of them", out.path, line, out.name, onOneLine(key), first.line)
		}
		out.values[key] = setting{value: v, line: line}
		out.order = append(out.order, key)
	}
	_, _ = r.dec.Token()
	return nil
}

func lineOf(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(int(offset), len(data))], []byte("\n"))
}

func syntaxError(path string, data []byte, err error) error {
	line := 1
	if syn := (*json.SyntaxError)(nil); errors.As(err, &syn) {
		line = lineOf(data, syn.Offset)
	}
	what := err.Error()
	if strings.Contains(what, "looking for beginning of object key") {
		what += "; keys are quoted, and no comma stands before a }"
	}
	return fmt.Errorf("%s:%d: not JSON: %s", path, line, what)
}

// suggestion names the key that was probably meant, else all there are.
func suggestion(key string, known []string) string {
	if near := clusto.Nearest(key, known, max(2, len(key)/3)); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "known are " + strings.Join(known, ", ")
}
