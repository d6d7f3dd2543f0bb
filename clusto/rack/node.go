package rack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxDepth is what a layout needs, and some more.
const maxDepth = 8

// node is a JSON value with the line that it is on: of objects and lists, the
// line of the bracket.
type node struct {
	kind byte // '{', '[', '"', '0' for a number, 'b' for true and false, 'n' for null
	line int
	text string // of texts and numbers
	list []*node
	keys []member // of an object, in the order of the file
}

// member is a key of an object with its value.
type member struct {
	key  string
	line int
	val  *node
}

func (n *node) String() string {
	switch n.kind {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return strconv.Quote(fmt.Sprintf("%.40s", n.text))
	case 'n':
		return "null"
	}
	return fmt.Sprintf("%.40s", n.text)
}

// syntaxError is a line of the file and what is wrong on it.
type syntaxError struct {
	line int
	what string
}

func (e *syntaxError) Error() string { return e.what }

// lineAt counts lines from 1 up to an offset.
func lineAt(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:max(0, min(offset, int64(len(data))))], []byte("\n"))
}

// readJSON reads one JSON value. The error is a *syntaxError.
func readJSON(data []byte) (*node, error) {
	var any json.RawMessage
	if err := json.Unmarshal(data, &any); err != nil {
		offset, what := int64(len(bytes.TrimRight(data, " \t\r\n"))), err.Error()
		if s := (*json.SyntaxError)(nil); errors.As(err, &s) && !strings.HasPrefix(what, "unexpected end") {
			offset = s.Offset - 1
		}
		return nil, &syntaxError{lineAt(data, offset), "not JSON: " + what}
	}
	r := &reader{data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1}
	r.dec.UseNumber()
	return r.value(0)
}

// reader walks the tokens of a sound JSON text.
type reader struct {
	data []byte
	dec  *json.Decoder
	at   int64 // what has been counted in line
	line int
}

// token gives the next token; line is then where it ends.
func (r *reader) token() (json.Token, error) {
	t, err := r.dec.Token()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, &syntaxError{r.line, "not JSON: " + err.Error()}
	}
	end := r.dec.InputOffset()
	r.line += bytes.Count(r.data[r.at:end], []byte("\n"))
	r.at = end
	return t, nil
}

func (r *reader) value(depth int) (*node, error) {
	t, err := r.token()
	if err != nil {
		return nil, err
	}
	n := &node{line: r.line}
	switch t := t.(type) {
	case json.Delim:
		if n.kind = byte(t); depth == maxDepth {
			return nil, &syntaxError{r.line, fmt.Sprintf("no layout is %d levels deep", maxDepth)}
		}
		return n, r.inside(n, depth+1)
	case string:
		n.kind, n.text = '"', t
	case json.Number:
		n.kind, n.text = '0', t.String()
	case bool:
		n.kind, n.text = 'b', strconv.FormatBool(t)
	default:
		n.kind = 'n'
	}
	return n, nil
}

// inside reads an object or a list up to its closing bracket.
func (r *reader) inside(n *node, depth int) error {
	for r.dec.More() {
		var m member
		if n.kind == '{' {
			t, err := r.token()
			if err != nil {
				return err
			}
			m.key, _ = t.(string)
			m.line = r.line
		}
		var err error
		if m.val, err = r.value(depth); err != nil {
			return err
		}
		if n.kind == '{' {
			n.keys = append(n.keys, m)
		} else {
			n.list = append(n.list, m.val)
		}
	}
	_, err := r.token()
	return err
}
