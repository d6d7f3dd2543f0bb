package httpd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"

	"github.com/clusto/clusto-engine/clusto"
)

// applied is the answer of POST /v2/batch: how many operations there were, and
// what those of them made or found that make or find something.
type applied struct {
	Applied int             `json:"applied"`
	Results []clusto.Result `json:"results,omitempty"`
}

func (s *server) postBatch(w http.ResponseWriter, r *http.Request) {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		s.fail(w, r, http.StatusUnsupportedMediaType, fmt.Sprintf("the batch is sent with Content-Encoding %.40q: send it as it is", coding))
		return
	}
	ops, err := readBatch(http.MaxBytesReader(w, r.Body, s.MaxBody))
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		s.fail(w, r, http.StatusRequestEntityTooLarge, fmt.Sprintf("the batch is larger than %d bytes: send it in parts", s.MaxBody))
		return
	case err != nil:
		s.failErr(w, r, err)
		return
	}
	results, err := s.Store.Change(r.Context(), ops)
	if err != nil {
		s.failErr(w, r, err)
		return
	}
	s.answer(w, r, http.StatusOK, applied{len(ops), results})
}

// readBatch reads {"ops": [...]} and nothing else, an operation at a time, so
// that what is wrong is told as soon as it has come. Errors wrap ErrInvalid, or
// are those of the body.
func readBatch(body io.Reader) ([]clusto.Op, error) {
	b := &batch{dec: json.NewDecoder(body)}
	ops, err := b.read()
	switch {
	case err == nil:
		return ops, nil
	case errors.Is(err, io.EOF):
		err = errors.New(`it is empty; want {"ops": [...]}`)
	}
	var op *clusto.OpError
	if !errors.As(err, &op) {
		err = fmt.Errorf("read batch: %w: %w", err, clusto.ErrInvalid)
	}
	return nil, err
}

// batch is a body that is being read.
type batch struct{ dec *json.Decoder }

func (b *batch) read() (ops []clusto.Op, err error) {
	if begins, err := b.dec.Token(); err != nil {
		return nil, err
	} else if begins != json.Delim('{') {
		return nil, errors.New(`it is no object; want {"ops": [...]}`)
	}
	for found := false; ; found = true {
		key, err := b.next()
		switch {
		case err != nil:
			return nil, err
		case key == json.Delim('}') && !found:
			return nil, errors.New(`"ops" is missing; want {"ops": [...]}`)
		case key == json.Delim('}'):
			return ops, b.end()
		case key != "ops":
			return nil, fmt.Errorf(`there is no field %.40q; want {"ops": [...]}`, key)
		case found:
			return nil, errors.New(`"ops" is there twice`)
		}
		if ops, err = b.list(); err != nil {
			return nil, err
		}
	}
}

// next reads a token behind the first.
func (b *batch) next() (json.Token, error) {
	t, err := b.dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return t, err
}

// end refuses more behind the object.
func (b *batch) end() error {
	_, err := b.dec.Token()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		err = errors.New("there is more than one JSON value")
	}
	return err
}

// list reads the operations.
func (b *batch) list() ([]clusto.Op, error) {
	begins, err := b.next()
	if err != nil {
		return nil, err
	}
	if begins != json.Delim('[') {
		return nil, fmt.Errorf("ops at byte %d is %s: want a list", b.dec.InputOffset(), kindOf(begins))
	}
	ops := []clusto.Op{}
	for b.dec.More() {
		var raw json.RawMessage
		if err := b.dec.Decode(&raw); err != nil {
			return nil, err
		}
		var op clusto.Op
		if err := readOp(raw, &op, b.dec.InputOffset()-int64(len(raw))); err != nil {
			return nil, &clusto.OpError{Index: len(ops), Err: fmt.Errorf("read operation: %w: %w", err, clusto.ErrInvalid)}
		}
		ops = append(ops, op)
	}
	_, err = b.next()
	return ops, err
}

// kindOf names what a token begins.
func kindOf(t json.Token) string {
	switch t.(type) {
	case nil:
		return "null"
	case bool:
		return "a bool"
	case string:
		return "a string"
	case float64:
		return "a number"
	}
	return "an object"
}

// readOp decodes one operation, which begins at byte at of the body.
func readOp(raw []byte, op *clusto.Op, at int64) error {
	if string(raw) == "null" {
		return errors.New("it is null: want an object")
	}
	var kind *json.UnmarshalTypeError
	err := json.Unmarshal(raw, op)
	switch {
	case errors.As(err, &kind):
		return mistake(kind, at)
	case err != nil:
		return err
	}
	if err := checkOp(raw); err != nil {
		return err
	}
	return checkGiven(raw, op)
}

// mistake says what is wrong with the type of a value, in words of JSON.
func mistake(kind *json.UnmarshalTypeError, at int64) error {
	want := "a JSON " + kind.Type.Kind().String()
	switch kind.Type.Kind() {
	case reflect.String:
		want = "a text, in quotes"
	case reflect.Int, reflect.Int64:
		want = "an integer of 64 bits"
	case reflect.Bool:
		want = "true or false"
	case reflect.Slice:
		want = "a list"
	case reflect.Struct:
		want = "an object"
	}
	what := "it"
	if kind.Field != "" {
		what = "ops." + kind.Field
	}
	is := "a " + kind.Value
	if kind.Value == "array" || kind.Value == "object" {
		is = "an " + kind.Value
	}
	return fmt.Errorf("%s at byte %d is %s: want %s", what, at+kind.Offset, is, want)
}
