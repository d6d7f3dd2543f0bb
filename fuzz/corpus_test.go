package fuzz

import (
	"maps"
	"slices"
	"testing"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/codec/macnotify"
	"github.com/clusto/clusto-engine/codec/snmp"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// readers read the whole corpus, each format with its codec, and the DHCP engine answers it:
// they count what they find. The guard and the benchmark share them.
func readers(tb testing.TB) map[string]func() int {
	var (
		u  frame.UDP4
		m  snmp.Message
		x  = new(dhcp4.Index)
		in = map[string][]corpus.Input{"frame": corpus.Frames(tb), "dhcp4": corpus.DHCP(tb), "snmp": corpus.SNMP(tb), "macnotify": corpus.History(tb)}
	)
	each := func(kind string, read func(b []byte) int) func() int {
		return func() (n int) {
			for _, i := range in[kind] {
				n += read(i.Bytes)
			}
			return n
		}
	}
	handler, slot := NewHandler(tb), make([]byte, 0, engine.FrameSize)
	in["engine"] = append(InFrames(corpus.DHCP(tb), dhcp4.ServerPort), corpus.Frames(tb)...)
	p := Received(nil, false, frame.Tag{})
	return map[string]func() int{
		"engine": each("engine", func(b []byte) int {
			p.Data = b
			out, _ := handler.Handle(slot, p)
			return len(out)
		}),
		"frame": each("frame", func(b []byte) int {
			_ = u.Parse(b, false)
			return len(u.Payload)
		}),
		"dhcp4": each("dhcp4", func(b []byte) (n int) {
			if v, err := dhcp4.Parse(b); err == nil && x.Build(v) == nil {
				for code := range 256 {
					val, _ := x.Get(byte(code))
					n += len(val)
				}
			}
			return n
		}),
		"snmp": each("snmp", func(b []byte) (n int) {
			if m.Parse(b) != nil {
				return 0
			}
			for it := macnotify.Records(&m); ; n++ {
				if _, ok := it.Next(); !ok {
					return n
				}
			}
		}),
		"macnotify": each("macnotify", func(b []byte) (n int) {
			for it := macnotify.RecordsOf(b); ; n++ {
				if _, ok := it.Next(); !ok {
					return n
				}
			}
		}),
	}
}

// TestCorpusNoAllocs: not even what is broken costs an allocation.
func TestCorpusNoAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for kind, read := range readers(t) {
		if read() == 0 {
			t.Errorf("%s: nothing was found", kind)
		}
		if n := testing.AllocsPerRun(20, func() { read() }); n != 0 {
			t.Errorf("%s: %v allocations", kind, n)
		}
	}
}

func BenchmarkCorpus(b *testing.B) {
	all := readers(b)
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		read := all[kind]
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				read()
			}
		})
	}
}
