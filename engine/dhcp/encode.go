package dhcp

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

var errEmpty = errors.New("the value is empty")

// encode gives the bytes of an option from the attributes that set it: the
// last one alone, or all of them where the option is a list.
func encode(k kind, attrs []clusto.Attr) ([]byte, error) {
	if !k.list() {
		attrs = attrs[len(attrs)-1:]
	}
	var out []byte
	for i := range attrs {
		items, err := itemsOf(k, attrs[i].Value)
		if err != nil {
			return nil, err
		}
		if out, err = appendItems(out, k, items); err != nil {
			return nil, err
		}
	}
	if len(out) == 0 {
		return nil, errEmpty
	}
	return out, nil
}

// itemsOf takes a value apart into the texts that k encodes one by one. What a
// relation stands for depends on k: addresses where it wants some, else a name.
func itemsOf(k kind, v clusto.Value) ([]string, error) {
	switch {
	case v.Type == clusto.Relation:
		return relationItems(k, v)
	case v.Type == clusto.JSON:
		return jsonItems(v.Str)
	case k.list():
		return strings.FieldsFunc(v.Text(), func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' }), nil
	case k == kindText || k == kindOpaque || k == kindAny || k == kindServer:
		return []string{v.Text()}, nil
	}
	return []string{strings.TrimSpace(v.Text())}, nil
}

func relationItems(k kind, v clusto.Value) ([]string, error) {
	if k != kindAddr && k != kindAddrs && (k != kindServer || len(v.Addrs) == 0) {
		return []string{v.Str[strings.LastIndexByte(v.Str, '/')+1:]}, nil
	}
	var items []string
	for _, a := range v.Addrs {
		items = append(items, a.String())
	}
	if len(items) == 0 {
		return nil, fmt.Errorf("%s has no address", v.Str)
	}
	if !k.list() {
		items = items[:1]
	}
	return items, nil
}

// jsonItems reads a JSON scalar or a list of scalars; a list within a list
// (pairs, routes) is flattened.
func jsonItems(text string) ([]string, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("%.40q is no JSON: %w", text, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("%.40q is more than one JSON value", text)
	}
	return flatten(nil, v)
}

func flatten(items []string, v any) ([]string, error) {
	var err error
	switch v := v.(type) {
	case string:
		return append(items, v), nil
	case json.Number:
		return append(items, v.String()), nil
	case bool:
		return append(items, strconv.FormatBool(v)), nil
	case []any:
		for _, e := range v {
			if items, err = flatten(items, e); err != nil {
				return nil, err
			}
		}
		return items, nil
	}
	return nil, errors.New("want a text, a number or a list of them")
}

func appendItems(out []byte, k kind, items []string) ([]byte, error) {
	switch k {
	case kindMagic:
		return append(out, 0xf1, 0x00, 0x74, 0x7e), nil
	case kindAddrPairs:
		if len(items)%2 != 0 {
			return nil, fmt.Errorf("want pairs of addresses, got %d", len(items))
		}
	case kindRoutes:
		return appendRoutes(out, items)
	}
	if !k.list() && len(items) != 1 {
		return nil, fmt.Errorf("want one value, got %d", len(items))
	}
	var err error
	for _, s := range items {
		if out, err = appendItem(out, k, s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func appendItem(out []byte, k kind, s string) ([]byte, error) {
	switch k {
	case kindText, kindServer:
		return append(out, s...), nil
	case kindOpaque:
		return appendOpaque(out, s)
	case kindAny:
		return appendAny(out, s)
	case kindAddr, kindAddrs, kindAddrPairs:
		return appendAddr(out, s)
	case kindUint8, kindUint8s:
		n, err := number(s, 0, math.MaxUint8)
		return append(out, byte(n)), err
	case kindUint16, kindUint16s:
		n, err := number(s, 0, math.MaxUint16)
		return binary.BigEndian.AppendUint16(out, uint16(n)), err
	case kindUint32:
		n, err := number(s, 0, math.MaxUint32)
		return binary.BigEndian.AppendUint32(out, uint32(n)), err
	case kindInt32:
		n, err := number(s, math.MinInt32, math.MaxInt32)
		return binary.BigEndian.AppendUint32(out, uint32(n)), err
	case kindFlag:
		return appendFlag(out, s)
	case kindDomains:
		return appendDomain(out, s)
	case kindHost:
		if err := legalHost(s); err != nil {
			return nil, err
		}
		return append(out, s...), nil
	}
	return nil, fmt.Errorf("no encoding of kind %d", k)
}

func number(s string, lo, hi int64) (int64, error) {
	digits, base := s, 10 // never 8: a leading zero is no base
	if hex, ok := strings.CutPrefix(s, "0x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseInt(digits, base, 64)
	if err != nil {
		return 0, fmt.Errorf("want a number, got %.40q", s)
	}
	if n < lo || n > hi {
		return 0, fmt.Errorf("want a number from %d to %d, got %d", lo, hi, n)
	}
	return n, nil
}

func appendAddr(out []byte, s string) ([]byte, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return nil, fmt.Errorf("want an IPv4 address, got %.40q", s)
	}
	b := a.As4()
	return append(out, b[:]...), nil
}

func appendFlag(out []byte, s string) ([]byte, error) {
	switch strings.ToLower(s) {
	case "1", "true", "yes", "on":
		return append(out, 1), nil
	case "0", "false", "no", "off":
		return append(out, 0), nil
	}
	return nil, fmt.Errorf("want 1 or 0, got %.40q", s)
}

// appendAny takes "0x0102" as bytes and anything else as text.
func appendAny(out []byte, s string) ([]byte, error) {
	digits, ok := strings.CutPrefix(strings.ToLower(s), "0x")
	if !ok {
		return append(out, s...), nil
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return nil, fmt.Errorf("want pairs of hex digits after 0x, got %.40q", s)
	}
	return append(out, b...), nil
}

// appendOpaque takes "01:02" as bytes too.
func appendOpaque(out []byte, s string) ([]byte, error) {
	if pairs := strings.Split(s, ":"); len(pairs) > 1 {
		if b, err := hex.DecodeString(strings.Join(pairs, "")); err == nil && len(b) == len(pairs) {
			return append(out, b...), nil
		}
	}
	return appendAny(out, s)
}

// appendRoutes encodes pairs of prefix and gateway (RFC 3442): "10.0.0.0/8",
// "192.168.1.1", or written as one text "10.0.0.0/8:192.168.1.1".
func appendRoutes(out []byte, items []string) ([]byte, error) {
	var flat []string
	for _, s := range items {
		flat = append(flat, strings.Split(s, ":")...)
	}
	if len(flat)%2 != 0 {
		return nil, errors.New("want routes as 10.0.0.0/8:192.168.1.1")
	}
	for i := 0; i < len(flat); i += 2 {
		p, err := netip.ParsePrefix(flat[i])
		if err != nil || !p.Addr().Is4() {
			return nil, fmt.Errorf("want an IPv4 prefix, got %.40q", flat[i])
		}
		b := p.Masked().Addr().As4()
		out = append(out, byte(p.Bits()))
		out = append(out, b[:(p.Bits()+7)/8]...)
		if out, err = appendAddr(out, flat[i+1]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func appendDomain(out []byte, s string) ([]byte, error) {
	name := strings.TrimSuffix(s, ".")
	if name == "" || len(name) > 253 {
		return nil, fmt.Errorf("want a domain name of 1 to 253 characters, got %.40q", s)
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return nil, fmt.Errorf("want labels of 1 to 63 characters, got %.40q", s)
		}
		out = append(append(out, byte(len(label))), label...)
	}
	return append(out, 0), nil
}

// legalHost checks a host name after RFC 952 and RFC 1123 section 2.1: labels
// of letters, digits and inner hyphens, joined by dots.
func legalHost(s string) error {
	if s == "" || len(s) > 253 {
		return fmt.Errorf("a host name has 1 to 253 characters, %.40q has %d", s, len(s))
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Errorf("%.40q is no legal host name: a label is empty, too long, or begins or ends with a hyphen", s)
		}
		for _, c := range []byte(label) {
			if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-') {
				return fmt.Errorf("%.40q is no legal host name: %q is neither letter, digit nor hyphen", s, c)
			}
		}
	}
	return nil
}
