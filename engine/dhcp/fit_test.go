package dhcp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
)

// fitCase is a client whose replies do not fit.
type fitCase struct {
	name     string
	ask      ask
	never    []byte // codes that do not drop
	overload bool   // file and sname may take options
}

var fitPRL = []byte{42, 12, 15, 7, 3, 209, 28, 4, 6}

func fitCases() []fitCase {
	id, agent := []byte{61, 7, 1, 0, 0x1e, 0xc9, 0, 0, 1}, []byte{82, 6, 1, 4, 'p', 'o', 'r', 't'}
	opts := slices.Concat([]byte{55, byte(len(fitPRL))}, fitPRL, id, agent)
	all := []byte{53, 54, 51, 1, 61, 82}
	return []fitCase{
		{"DISCOVER", ask{typ: discover, opts: opts}, all, true},
		{"REQUEST", ask{typ: request, requested: "10.42.0.11", opts: opts}, all, true},
		{"INFORM", ask{typ: dhcp4.Inform, ciaddr: "10.42.0.11", opts: opts}, []byte{53, 54, 1, 61, 82}, true},
		{"PXEClient", ask{typ: discover, opts: opts, vendor: "PXEClient:Arch:00007"}, all, false},
		{"HTTPClient", ask{typ: discover, opts: opts, vendor: "HTTPClient:Arch:00016"}, all, false},
		{"BOOTP", ask{opts: opts}, []byte{1, 61, 82}, false},
	}
}

// index gives the options of a reply, those of overloaded fields too.
func (r reply) index(t *testing.T) (x dhcp4.Index) {
	t.Helper()
	m, err := dhcp4.Parse(r.raw)
	if err == nil {
		err = x.Build(m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// codesOf lists what is in there, but for option 52.
func codesOf(x *dhcp4.Index) (codes []byte) {
	for code := range 255 {
		if _, ok := x.Get(byte(code)); ok && code != 52 {
			codes = append(codes, byte(code))
		}
	}
	return codes
}

// TestFittingAtEverySize: whatever the client takes and the interface sends, the
// reply keeps to it, has what never drops, in PRL order what it has, and
// whatever is missing is counted.
func TestFittingAtEverySize(t *testing.T) {
	p := prepared(t, longHost())
	for _, c := range fitCases() {
		var whole []byte
		for size := uint16(1472); size >= 300; size-- {
			h := handlerFor(p, Fresh, Site{})
			a, l := c.ask, testLink()
			l.MTU = int(size)
			a.opts = binary.BigEndian.AppendUint16(append(slices.Clone(a.opts), 57, 2), max(size, minDatagram))
			out, v := h.Handle(nil, &engine.Packet{Data: a.frame(), Link: l})
			if v == engine.Oversize && size < 340 { // the indispensable ones alone are longer
				break
			}
			if v != engine.Reply {
				t.Fatalf("%s, %d bytes: %v", c.name, size, v)
			}
			r := decode(t, out)
			x := r.index(t)
			if got := codesOf(&x); whole == nil {
				whole = got
			} else if len(whole) != len(got)+int(h.s.DroppedOptions.Load()) {
				t.Fatalf("%s, %d bytes: %v, and %d dropped of %v", c.name, size, got, h.s.DroppedOptions.Load(), whole)
			}
			c.check(t, int(size), r, &x)
		}
		if len(whole) < 10 {
			t.Errorf("%s: the test drops nothing: %v", c.name, whole)
		}
	}
}

func (c *fitCase) check(t *testing.T, size int, r reply, x *dhcp4.Index) {
	t.Helper()
	name := fmt.Sprintf("%s, %d bytes", c.name, size)
	if int(r.ip.Length) > max(size, minMessage+ipUDP) {
		t.Fatalf("%s: %d bytes of IP", name, r.ip.Length)
	}
	if len(r.raw) < minMessage || x.Overload() != 0 && !c.overload {
		t.Fatalf("%s: %d bytes, option 52 is %d", name, len(r.raw), x.Overload())
	}
	for _, code := range c.never {
		if !slices.Contains(r.codes(), code) {
			t.Fatalf("%s: no option %d in %v", name, code, r.codes())
		}
	}
	if codes := r.codes(); codes[len(codes)-1] != 82 || c.ask.typ != 0 && codes[0] != 53 {
		t.Fatalf("%s: order %v", name, codes)
	}
	if size < 800 && !inOrder(r.codes()) {
		t.Fatalf("%s: order %v, asked for %v", name, r.codes(), fitPRL)
	}
}

// inOrder reports whether what was asked for comes in the order of asking.
func inOrder(codes []byte) bool {
	last := -1
	for _, code := range codes {
		if i := slices.Index(fitPRL, code); i >= 0 {
			if i < last {
				return false
			}
			last = i
		}
	}
	return true
}

// TestLongValueIsSplit: into instances that follow each other (RFC 3396), which
// stay or drop together.
func TestLongValueIsSplit(t *testing.T) {
	long := strings.Repeat("0123456789", 30)
	p := prepared(t, testHost(attr("root_disk_path", long), attr("domain", "example.org")))
	for size, want := range map[uint16][]int{1500: {255, 45}, 576: {}} {
		a := ask{typ: discover, vendor: "PXEClient", opts: binary.BigEndian.AppendUint16([]byte{57, 2}, size)}
		_, out := answerTo(t, p, Site{}, a)
		r := decode(t, out)
		var lens []int
		var joined []byte
		for i, o := range r.dhcp.Options {
			if o.Type == 17 {
				lens, joined = append(lens, len(o.Data)), append(joined, o.Data...)
				if len(lens) > 1 && r.dhcp.Options[i-1].Type != 17 {
					t.Errorf("%d: the instances are apart in %v", size, r.codes())
				}
			}
		}
		if !slices.Equal(lens, want) || len(want) > 0 && !bytes.Equal(joined, []byte(long)) {
			t.Errorf("%d: option 17 in parts of %v, want %v", size, lens, want)
		}
		if string(r.opt(15)) != "example.org" {
			t.Errorf("%d: option 15 is %q", size, r.opt(15))
		}
	}
}
