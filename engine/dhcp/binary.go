package dhcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unique"

	"github.com/clusto/clusto-engine/engine"
)

// errBroken is what UnmarshalBinary says of bytes that AppendBinary did not
// write.
var errBroken = errors.New("dhcp: these are no bytes of a prepared host")

// AppendBinary implements encoding.BinaryAppender: the host as UnmarshalBinary
// reads it, to be kept over a restart. The error is always nil.
func (p *Prepared) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, byte(p.Verdict), flagByte(p.byClass))
	b = append(b, p.server[:]...)
	for _, v := range [...]uint32{p.lease, p.t1, p.t2} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	b = appendText(appendText(b, p.name), p.why)
	b = binary.AppendUvarint(b, uint64(len(p.bindings)))
	for i := range p.bindings {
		n := &p.bindings[i]
		b = appendText(append(binary.BigEndian.AppendUint32(b, n.addr), n.bits), n.opts.Value())
	}
	if p.Verdict != engine.Reply {
		return b, nil // the rest was never made
	}
	b = appendText(b, p.body.Value())
	all := p.boots.Value()
	for l := range all {
		for a := range all[l] {
			if p.byClass || l+a == 0 {
				b = all[l][a].append(b)
			}
		}
	}
	return b, nil
}

func (o *boot) append(b []byte) []byte {
	b = append(append(b, o.flags), o.siaddr[:]...)
	return appendText(appendText(b, o.opts.Value()), o.file.Value())
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func flagByte(on bool) byte {
	if on {
		return 1
	}
	return 0
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler for what AppendBinary
// wrote. It checks that replies can be made from it, whatever the bytes are.
func (p *Prepared) UnmarshalBinary(b []byte) error {
	r := unpacker{b: b}
	q := Prepared{Verdict: engine.Verdict(r.byte())}
	classes := r.byte()
	q.byClass, r.failed = classes == 1, r.failed || classes > 1
	copy(q.server[:], r.take(4))
	q.lease, q.t1, q.t2 = r.uint32(), r.uint32(), r.uint32()
	q.name, q.why = r.text(), r.text()
	for n := r.count(); n > 0 && !r.failed; n-- {
		q.bindings = append(q.bindings, binding{addr: r.uint32(), bits: r.byte(), opts: unique.Make(r.options())})
	}
	if q.Verdict == engine.Reply {
		q.body = unique.Make(r.options())
		all := r.boots(q.byClass)
		q.boots, q.first = unique.Make(all), all[0][0]
	}
	if r.failed || len(r.b) > 0 || !q.sound() {
		return fmt.Errorf("%w: %d bytes", errBroken, len(b))
	}
	*p = q
	return nil
}

// sound reports whether the policy can work with p.
func (p *Prepared) sound() bool {
	switch p.Verdict {
	case engine.Reply:
		if len(p.bindings) == 0 {
			return false
		}
	case engine.Disabled, engine.Ambiguous, engine.NoAddress:
	default:
		return false
	}
	for i := range p.bindings {
		if p.bindings[i].bits > 32 {
			return false
		}
	}
	return true
}

// unpacker takes values off the front of b, until one is not there.
type unpacker struct {
	b      []byte
	failed bool
}

// take gives n bytes; n zeros if there are fewer.
func (r *unpacker) take(n int) []byte {
	if r.failed || n > len(r.b) {
		r.failed = true
		return make([]byte, min(n, 4))
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *unpacker) byte() byte { return r.take(1)[0] }

func (r *unpacker) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }

// count gives a number of things that are a byte each, at least.
func (r *unpacker) count() int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > uint64(len(r.b)) {
		r.failed = true
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

func (r *unpacker) text() string {
	if n := r.count(); n <= len(r.b) && !r.failed {
		return string(r.take(n))
	}
	r.failed = true
	return ""
}

// options gives encoded options that can be walked to their end.
func (r *unpacker) options() string {
	opts := r.text()
	for rest := opts; rest != ""; {
		if len(rest) < 2 || len(rest) < 2+int(rest[1]) {
			r.failed = true
			return ""
		}
		rest = rest[2+int(rest[1]):]
	}
	return opts
}

func (r *unpacker) boots(byClass bool) (all boots) {
	for l := range all {
		for a := range all[l] {
			if byClass || l+a == 0 {
				all[l][a] = r.boot()
			}
		}
	}
	return all
}

func (r *unpacker) boot() (o boot) {
	o.flags = r.byte()
	copy(o.siaddr[:], r.take(4))
	o.opts = unique.Make(r.options())
	file := r.text()
	r.failed = r.failed || len(file) > maxFile
	o.file = unique.Make(file)
	return o
}
