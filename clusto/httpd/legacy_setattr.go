package httpd

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// attrParams are the parameters of addattr, setattr and delattr.
var attrParams = []string{"key", "subkey", "number", "value", "datatype", "callback"}

// addAttr adds an attribute, whatever there is already, and shows the entity.
func (s *server) addAttr(r *http.Request, p form, e clusto.Entity) (any, error) {
	return s.writeAttr(r, p, e, "add")
}

// setAttr replaces the one attribute with that key, subkey and number, or adds
// it, and shows the entity. Several are refused.
func (s *server) setAttr(r *http.Request, p form, e clusto.Entity) (any, error) {
	return s.writeAttr(r, p, e, "set")
}

// delAttr deletes the attributes of a key that have the subkey, the number and
// the value given, and shows the entity.
func (s *server) delAttr(r *http.Request, p form, e clusto.Entity) (any, error) {
	return s.writeAttr(r, p, e, "del")
}

func (s *server) writeAttr(r *http.Request, p form, e clusto.Entity, word string) (any, error) {
	err := only(p, attrParams)
	if err == nil {
		err = p.need("key")
	}
	if err == nil && word != "del" {
		err = p.need("value")
	}
	if err != nil {
		return nil, err
	}
	op := clusto.Op{Op: word, Name: e.Name, Key: p["key"]}
	if sub, ok := p["subkey"]; ok {
		op.Subkey = &sub
	}
	if op.Number, err = p.number(); err != nil {
		return nil, err
	}
	if _, ok := p["value"]; ok {
		if op.Value, err = s.typedValue(r, p); err != nil {
			return nil, err
		}
	}
	if _, err := s.change(r, op); err != nil {
		return nil, err
	}
	return s.show(r, p, e)
}

// need refuses a call without one of the parameters.
func (p form) need(names ...string) error {
	for _, name := range names {
		if _, ok := p[name]; !ok {
			return invalid("Required argument %q is missing", name)
		}
	}
	return nil
}

// number reads the parameter of that name, nil if there is none.
func (p form) number() (*int, error) {
	text, ok := p["number"]
	if !ok {
		return nil, nil
	}
	n, err := parseInt("number", text, math.MinInt32, math.MaxInt32)
	number := int(n)
	return &number, err
}

// parseInt reads an integer as Python did, with blanks around it.
func parseInt(param, text string, low, high int64) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if errors.Is(err, strconv.ErrRange) || err == nil && (n < low || n > high) {
		return 0, invalid("parameter %s %.40q is not within %d to %d", param, text, low, high)
	} else if err != nil {
		return 0, invalid("parameter %s %.40q is no integer", param, text)
	}
	return n, nil
}

// typedValue reads the parameter value as datatype says: int, relation or, like
// the original with every other word, a text.
func (s *server) typedValue(r *http.Request, p form) (*clusto.Value, error) {
	switch text := p["value"]; p["datatype"] {
	case "int":
		n, err := parseInt("value", text, math.MinInt64, math.MaxInt64)
		return &clusto.Value{Type: clusto.Int, Int: n}, err
	case "relation":
		to, err := s.object(r, "value", text)
		if errors.Is(err, clusto.ErrNotFound) {
			err = invalid("Element Not Found: %v", err)
		}
		return &clusto.Value{Type: clusto.Relation, Str: to.Path()}, err
	default:
		return &clusto.Value{Type: clusto.String, Str: text}, nil
	}
}

// object finds the entity that a parameter names as "/type/name". Like the
// original it goes by the name alone.
func (s *server) object(r *http.Request, param, text string) (clusto.Entity, error) {
	parts := strings.Split(strings.Trim(text, "/"), "/")
	if len(parts) != 2 {
		return clusto.Entity{}, invalid("parameter %s %.40q is no /type/name", param, text)
	}
	e, err := s.Store.Entity(r.Context(), parts[1])
	if err != nil {
		return e, fmt.Errorf("parameter %s: %w", param, err)
	}
	return e, nil
}
