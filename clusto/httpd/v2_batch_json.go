package httpd

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/clusto/clusto-engine/clusto"
)

// fieldsOf are the names of the fields of what is in an operation, by how deep
// it is: the operation itself, and its values.
var fieldsOf = [...]map[string]bool{jsonNames(reflect.TypeFor[clusto.Op]()), jsonNames(reflect.TypeFor[clusto.Value]())}

func jsonNames(of reflect.Type) map[string]bool {
	names := map[string]bool{}
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		names[name] = true
	}
	return names
}

// checkOp refuses what encoding/json takes in silence: fields that an operation
// does not have, or has in other letters, and texts that are no UTF-8 or have
// half a surrogate pair, which it would change. raw has been decoded into a
// clusto.Op: it is well-formed, and its known fields are of the right kind.
func checkOp(raw []byte) error {
	var around []byte // the brackets
	var path []string // the field of each object around
	key := false      // the next text is one
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; c {
		case '{':
			around, path, key = append(around, c), append(path, ""), true
		case '[':
			around, key = append(around, c), false
		case '}':
			around, path = around[:len(around)-1], path[:len(path)-1]
		case ']':
			around = around[:len(around)-1]
		case ',':
			key = around[len(around)-1] == '{'
		case '"':
			n := textLength(raw[i:])
			text := raw[i : i+n]
			i += n - 1
			if !key {
				if err := checkText(text); err != nil {
					return fmt.Errorf("%s %w", strings.Join(path, "."), err)
				}
				continue
			}
			if err := checkField(text, path); err != nil {
				return err
			}
			key = false
		}
	}
	return nil
}

// checkGiven refuses an operation raw without values, which would delete, and
// values without content, which would be stored as an empty text. Who means that
// says so: [], {"str": ""}, or a type alone, by which 0 and "" are told.
func checkGiven(raw []byte, op *clusto.Op) error {
	if op.Op == "raw" && op.Values == nil {
		return errors.New(`"values" is missing; [] deletes what is there`)
	}
	bare := func(v clusto.Value) bool { return v.Type == "" && v.Str == "" }
	if (op.Value == nil || !bare(*op.Value)) && !slices.ContainsFunc(op.Values, bare) {
		return nil
	}
	var given struct {
		Value  *givenValue
		Values []givenValue
	}
	if err := json.Unmarshal(raw, &given); err != nil {
		return err
	}
	if given.Value != nil {
		given.Values = append(given.Values, *given.Value)
	}
	for _, v := range given.Values {
		if v.Type == "" && v.Str == nil {
			return errors.New(`a value has neither "str" nor "type": want {"str": "..."}, or {"type": "int", "int": 1}`)
		}
	}
	return nil
}

// givenValue tells an empty text from none.
type givenValue struct {
	Type string
	Str  *string
}

// checkField notes a field of the innermost object.
func checkField(text []byte, path []string) error {
	var name string
	if err := json.Unmarshal(text, &name); err != nil {
		return err
	}
	in := len(path) - 1
	if in >= len(fieldsOf) || !fieldsOf[in][name] {
		return fmt.Errorf("there is no field %.40q", strings.Join(append(path[:in:in], name), "."))
	}
	path[in] = name
	return nil
}

// textLength gives how long the JSON text is that raw begins with, its quotes
// included.
func textLength(raw []byte) int {
	for i := 1; i < len(raw); i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(raw)
}

// checkText refuses bytes and escapes that are no Unicode.
func checkText(text []byte) error {
	if !utf8.Valid(text) {
		return errors.New("is no UTF-8 text")
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++
		r, ok := escaped(text[i-1:])
		if !ok || !utf16.IsSurrogate(r) {
			continue
		}
		low, ok := escaped(text[i+5:])
		if !ok || utf16.DecodeRune(r, low) == utf8.RuneError {
			return fmt.Errorf(`has half of a surrogate pair, \u%04x, which is no character`, r)
		}
		i += 6
	}
	return nil
}

// escaped reads the \uXXXX that a text begins with.
func escaped(text []byte) (r rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n), err == nil
}
