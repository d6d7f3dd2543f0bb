package store

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/clusto/clusto-engine/clusto"
)

// operation is what a word of clusto.Op stands for.
type operation struct {
	do    func(c *change, ctx context.Context, op *clusto.Op) error
	takes field // the fields that it reads; the others must be empty
}

var operations = map[string]operation{
	"entity":     {(*change).entityOp, fieldName | fieldDriver | fieldType | fieldAs},
	"attr":       {(*change).attrOp, fieldName | fieldAttr},
	"del":        {(*change).delOp, fieldName | fieldAttr},
	"insert":     {(*change).insertOp, fieldName | fieldInto | fieldRU | fieldNumber | fieldCycle},
	"remove":     {(*change).removeOp, fieldName | fieldInto},
	"bind":       {(*change).bindOp, fieldName | fieldIP | fieldOSPort | fieldNumber},
	"connect":    {(*change).connectOp, fieldName | fieldPort | fieldNum | fieldTo | fieldToNum},
	"disconnect": {(*change).disconnectOp, fieldName | fieldPort | fieldNum},
	"unbind":     {(*change).unbindOp, fieldName | fieldIP},
	"has":        {(*change).hasOp, fieldName | fieldAs | fieldDriver | fieldAttr},
	"lacks":      {(*change).lacksOp, fieldName | fieldDriver | fieldAttr},
	"allocate":   {(*change).allocateOp, fieldName | fieldAs | fieldTo | fieldDriver | fieldOSPort},
	"raw":        {(*change).rawOp, fieldName | fieldKey | fieldSubkey | fieldNumber | fieldValues},
	"counter":    {(*change).counterOp, fieldName | fieldKey | fieldNumber},
	"create":     {(*change).createOp, fieldName | fieldDriver | fieldType | fieldAs},
	"delete":     {(*change).deleteOp, fieldName},
	"add":        {(*change).addOp, fieldName | fieldAttr},
	"set":        {(*change).setOp, fieldName | fieldAttr},
}

// field is a set of fields of clusto.Op.
type field uint

const (
	fieldName field = 1 << iota
	fieldAs
	fieldDriver
	fieldType
	fieldKey
	fieldSubkey
	fieldNumber
	fieldValue
	fieldValues
	fieldInto
	fieldRU
	fieldCycle
	fieldIP
	fieldOSPort
	fieldPort
	fieldNum
	fieldTo
	fieldToNum

	fieldAttr = fieldKey | fieldSubkey | fieldNumber | fieldValue
)

// unread gives the first field that an operation does not read, "" if there is
// none. Whoever deletes an entity by the key of an attribute meant another
// operation.
func unread(op *clusto.Op, takes field) string {
	for _, f := range [...]struct {
		is   field
		set  bool
		name string
	}{
		{fieldName, op.Name != "", "name"},
		{fieldAs, op.As != "", "as"},
		{fieldDriver, op.Driver != "", "driver"},
		{fieldType, op.Type != "", "type"},
		{fieldKey, op.Key != "", "key"},
		{fieldSubkey, op.Subkey != nil, "subkey"},
		{fieldNumber, op.Number != nil, "number"},
		{fieldValue, op.Value != nil, "value"},
		{fieldValues, op.Values != nil, "values"},
		{fieldInto, op.Into != "", "into"},
		{fieldRU, op.RU != 0, "ru"},
		{fieldCycle, op.Cycle, "cycle"},
		{fieldIP, op.IP != "", "ip"},
		{fieldOSPort, op.OSPort != "", "osport"},
		{fieldPort, op.Port != "", "port"},
		{fieldNum, op.Num != "", "num"},
		{fieldTo, op.To != "", "to"},
		{fieldToNum, op.ToNum != "", "to_num"},
	} {
		if f.set && takes&f.is == 0 {
			return f.name
		}
	}
	return ""
}

// longestOSPort bounds the name of an interface as the columns of names are.
const longestOSPort = 256

// apply does one operation of the list.
func (c *change) apply(ctx context.Context, op *clusto.Op) error {
	what, ok := operations[op.Op]
	if !ok {
		return fmt.Errorf("operation %q is none of %s: %w", op.Op, strings.Join(slices.Sorted(maps.Keys(operations)), ", "), clusto.ErrInvalid)
	}
	if op.Name == "" && op.Op != "has" && op.Op != "lacks" {
		return fmt.Errorf("operation %q: \"name\" is missing, which is the name of an entity: %w", op.Op, clusto.ErrInvalid)
	}
	if f := unread(op, what.takes); f != "" {
		return fmt.Errorf("operation %q has no %q: %w", op.Op, f, clusto.ErrInvalid)
	}
	if len(op.OSPort) > longestOSPort {
		return fmt.Errorf("operation %q of %q: osport %.32q... is longer than %d bytes: %w", op.Op, op.Name, op.OSPort, longestOSPort, clusto.ErrInvalid)
	}
	if err := storable(op); err != nil {
		return err
	}
	if err := sided(op); err != nil {
		return err
	}
	if err := c.checkLabel(op.As); err != nil {
		return err
	}
	named, err := c.named(ctx, *op)
	if err != nil {
		return err
	}
	return what.do(c, ctx, &named)
}

// storable refuses texts that PostgreSQL would not take.
func storable(op *clusto.Op) error {
	texts := []string{op.Name, op.Driver, op.Type, op.Key, subkeyOf(op), op.Into, op.IP, op.OSPort, op.Port, op.Num, op.To, op.ToNum}
	if op.Value != nil {
		texts = append(texts, op.Value.Str)
	}
	for _, v := range op.Values {
		texts = append(texts, v.Str)
	}
	for _, text := range texts {
		if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
			return fmt.Errorf("operation %q: %.40q has a NUL character, or is not in UTF-8: %w", op.Op, text, clusto.ErrInvalid)
		}
	}
	return nil
}

// sided refuses a value whose type says that it is in the other field: it would
// be an empty text, or 0.
func sided(op *clusto.Op) error {
	wrong := func(v *clusto.Value) error {
		switch {
		case v.Type == clusto.Int && v.Str != "":
			return fmt.Errorf("operation %q of %q: a value of type int has \"int\" and no \"str\", but this one has %.40q: %w", op.Op, op.Name, v.Str, clusto.ErrInvalid)
		case v.Type != clusto.Int && v.Int != 0:
			return fmt.Errorf("operation %q of %q: a value with \"int\" needs type int, and this one, %d, has type %q: %w", op.Op, op.Name, v.Int, v.Type, clusto.ErrInvalid)
		}
		return nil
	}
	for i := range op.Values {
		if err := wrong(&op.Values[i]); err != nil {
			return err
		}
	}
	if op.Value != nil {
		return wrong(op.Value)
	}
	return nil
}

var labelPattern = regexp.MustCompile(`^[A-Za-z_][0-9A-Za-z_-]*$`)

func (c *change) checkLabel(label string) error {
	switch {
	case label == "":
	case !labelPattern.MatchString(label) || len(label) > 64:
		return fmt.Errorf("label %q must begin with a letter or _ and go on with letters, digits, _ or -: %w", label, clusto.ErrInvalid)
	case c.labels[label] != "":
		return fmt.Errorf("label %q stands for %q already: %w", label, c.labels[label], clusto.ErrInvalid)
	}
	return nil
}

// label notes what an operation made.
func (c *change) label(op *clusto.Op, name string) {
	if op.As != "" {
		c.labels[op.As] = name
	}
}
