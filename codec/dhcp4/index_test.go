package dhcp4

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// message puts encoded options into the three fields.
func message(options, file, sname []byte) []byte {
	b := AppendHeader(nil, &Header{Op: OpRequest, HType: HTypeEthernet, HLen: 6, File: string(file), SName: string(sname)})
	return append(b, options...)
}

// slowIndex is the Index in the plainest words.
func slowIndex(v View) (vals map[byte]string, overload byte, err error) {
	vals = make(map[byte]string)
	add := func(field []byte, main bool) error {
		all, err := collect(OptionIter{rest: field})
		for _, o := range all {
			if main || o.code != OptOverload {
				vals[o.code] += o.val
			}
		}
		return err
	}
	if !v.HasCookie() {
		return vals, 0, nil
	}
	if err := add(v.Vend()[4:], true); err != nil {
		return nil, 0, err
	}
	if which, ok := vals[OptOverload]; ok {
		all, _ := collect(v.Options())
		times := 0
		for _, o := range all {
			if o.code == OptOverload {
				times++
			}
		}
		if times != 1 || which != "\x01" && which != "\x02" && which != "\x03" {
			return nil, 0, ErrOverload
		}
		overload = which[0]
	}
	if overload == 1 || overload == 3 {
		err = add(v.File(), false)
	}
	if err == nil && overload >= 2 {
		err = add(v.SName(), false)
	}
	if err != nil {
		return nil, 0, err
	}
	return vals, overload, nil
}

// checkIndex builds x, which may have held anything, and a new Index, and
// compares both with slowIndex for every code.
func checkIndex(t *testing.T, x *Index, v View) error {
	t.Helper()
	_ = compareIndex(t, new(Index), v)
	return compareIndex(t, x, v)
}

func compareIndex(t *testing.T, x *Index, v View) error {
	t.Helper()
	want, overload, wantErr := slowIndex(v)
	err := x.Build(v)
	if !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) {
		t.Fatalf("Build: %v, want %v", err, wantErr)
	}
	if x.Overload() != overload {
		t.Errorf("Overload = %d, want %d", x.Overload(), overload)
	}
	for code := range 256 {
		got, ok := x.Get(byte(code))
		val, has := want[byte(code)]
		if ok != has || string(got) != val || cap(got) != len(got) {
			t.Errorf("Get(%d) = %q (cap %d), %v, want %q, %v", code, got, cap(got), ok, val, has)
		}
	}
	comparePlain(t, x, v, err)
	if err == nil && x.split != (set{}) && len(x.joined) > len(v.Vend())+FixedLen {
		t.Errorf("%d bytes joined out of a message of %d", len(x.joined), len(v.Vend())+FixedLen)
	}
	return err
}

// comparePlain compares with the plainest words of corpus, which walk without OptionIter.
func comparePlain(t *testing.T, x *Index, v View, err error) {
	t.Helper()
	want, ok := corpus.Options(slices.Concat(v.fixed[:], v.vend))
	if ok != (err == nil) {
		t.Errorf("Build: %v, and corpus says %v", err, ok)
	}
	for code := range 256 {
		if got, has := x.Get(byte(code)); ok && (has != (want[code] != nil) || !bytes.Equal(got, want[code])) {
			t.Errorf("Get(%d) = %q, %v, and corpus says %q", code, got, has, want[code])
		}
	}
}

var (
	longFile = bytes.Repeat([]byte{'f'}, 126)
	fullFile = append([]byte{12, 126}, longFile...) // the whole file field, no room for an end
)

var indexCases = []struct {
	name                 string
	options, file, sname []byte
	want                 map[byte]string
	overload             byte
	err                  error
}{
	{name: "nothing"},
	{name: "one", options: []byte{53, 1, 1, 255}, want: map[byte]string{53: "\x01"}},
	{name: "empty value", options: []byte{80, 0, 255}, want: map[byte]string{80: ""}},
	{name: "joined", options: []byte{12, 1, 'a', 53, 1, 1, 12, 2, 'b', 'c', 12, 0, 12, 1, 'd'}, want: map[byte]string{12: "abcd", 53: "\x01"}},
	{name: "joined, interleaved", options: []byte{12, 1, 'a', 15, 1, 'x', 12, 1, 'b', 15, 1, 'y'}, want: map[byte]string{12: "ab", 15: "xy"}},
	{name: "joined, all empty", options: []byte{80, 0, 80, 0}, want: map[byte]string{80: ""}},
	{name: "joined, first empty", options: []byte{12, 0, 12, 1, 'a'}, want: map[byte]string{12: "a"}},
	{
		name: "nested options stay a value", options: []byte{43, 5, 12, 1, 'n', 255, 0, 82, 3, 1, 1, 'c'},
		want: map[byte]string{43: "\x0c\x01n\xff\x00", 82: "\x01\x01c"},
	},
	{name: "truncated", options: []byte{53, 1, 1, 12, 9, 'a'}, err: ErrTruncated},
	{name: "file and sname hold names", options: []byte{53, 1, 1}, file: []byte("/pxelinux.0"), sname: []byte("boot"), want: map[byte]string{53: "\x01"}},
	{
		name: "overload file", options: []byte{52, 1, 1, 255}, file: []byte{12, 1, 'f', 255}, sname: []byte{15, 1, 's', 255},
		want: map[byte]string{52: "\x01", 12: "f"}, overload: 1,
	},
	{
		name: "overload sname", options: []byte{52, 1, 2, 255}, file: []byte{12, 1, 'f', 255}, sname: []byte{15, 1, 's', 255},
		want: map[byte]string{52: "\x02", 15: "s"}, overload: 2,
	},
	{
		name: "overload both, joined in order", overload: 3,
		options: []byte{12, 1, 'o', 52, 1, 3, 12, 1, 'p', 255}, file: []byte{12, 1, 'f', 255}, sname: []byte{12, 1, 's', 255},
		want: map[byte]string{52: "\x03", 12: "opfs"},
	},
	{
		name: "overload within file and sname", overload: 1,
		options: []byte{52, 1, 1, 255}, file: []byte{52, 1, 2, 12, 1, 'f', 255}, sname: []byte{15, 1, 's', 255},
		want: map[byte]string{52: "\x01", 12: "f"},
	},
	{
		name: "overload within file while joining", overload: 1,
		options: []byte{12, 1, 'o', 52, 1, 1, 255}, file: []byte{52, 1, 2, 12, 1, 'f', 255},
		want: map[byte]string{52: "\x01", 12: "of"},
	},
	{name: "overload, no end anywhere", options: []byte{52, 1, 1}, file: fullFile, want: map[byte]string{52: "\x01", 12: string(longFile)}, overload: 1},
	{name: "overload, file of pads", options: []byte{52, 1, 3}, want: map[byte]string{52: "\x03"}, overload: 3},
	{name: "overload, file truncated", options: []byte{52, 1, 1}, file: append([]byte{12, 127}, longFile...), err: ErrTruncated},
	{name: "overload, sname truncated", options: []byte{52, 1, 2}, sname: []byte{12, 63}, err: ErrTruncated},
	{name: "sname broken but not overloaded", options: []byte{52, 1, 1}, sname: []byte{12, 63}, want: map[byte]string{52: "\x01"}, overload: 1},
	{name: "overload 0", options: []byte{52, 1, 0}, err: ErrOverload},
	{name: "overload 4", options: []byte{52, 1, 4}, err: ErrOverload},
	{name: "overload empty", options: []byte{52, 0}, err: ErrOverload},
	{name: "overload of two bytes", options: []byte{52, 2, 1, 1}, err: ErrOverload},
	{name: "overload twice", options: []byte{52, 1, 1, 52, 1, 1}, err: ErrOverload},
	{name: "overload twice, once empty", options: []byte{52, 1, 1, 52, 0}, err: ErrOverload},
}

func TestIndex(t *testing.T) {
	for _, tt := range indexCases {
		t.Run(tt.name, func(t *testing.T) {
			v, err := Parse(message(tt.options, tt.file, tt.sname))
			if err != nil {
				t.Fatal(err)
			}
			x := used(t)
			if err := checkIndex(t, x, v); !errors.Is(err, tt.err) {
				t.Errorf("Build: %v, want %v", err, tt.err)
			}
			if x.Overload() != tt.overload {
				t.Errorf("Overload = %d, want %d", x.Overload(), tt.overload)
			}
			for code := range 256 {
				got, ok := x.Get(byte(code))
				if want, has := tt.want[byte(code)]; ok != has || string(got) != want {
					t.Errorf("Get(%d) = %q, %v, want %q, %v", code, got, ok, want, has)
				}
			}
		})
	}
}

// used is an Index that held every option of another message, some joined.
func used(t *testing.T) *Index {
	t.Helper()
	options := []byte{OptOverload, 1, 3}
	for code := 1; code < 255; code++ {
		if code != OptOverload {
			options = AppendOption(options, byte(code), []byte("stale"))
		}
	}
	options = append(options, 12, 1, 'x')
	v, err := Parse(message(options, nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	x := new(Index)
	if err := x.Build(v); err != nil {
		t.Fatal(err)
	}
	if val, _ := x.Get(12); string(val) != "stalex" {
		t.Fatalf("option 12 = %q", val)
	}
	return x
}

// Build once looked up a split option 52 before it was joined, and an Index that
// had never joined anything panicked.
func TestIndexOverloadTwiceInNewIndex(t *testing.T) {
	v, err := Parse(message([]byte{52, 1, 1, 52, 1, 1}, nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := new(Index).Build(v); !errors.Is(err, ErrOverload) {
		t.Errorf("Build: %v, want %v", err, ErrOverload)
	}
}

func TestIndexZeroValue(t *testing.T) {
	var x Index
	if val, ok := x.Get(53); ok || val != nil || x.Overload() != 0 {
		t.Errorf("a zero Index has option 53 = %v, overload %d", val, x.Overload())
	}
}

// A BOOTP message has no options, whatever its vend holds.
func TestIndexWithoutCookie(t *testing.T) {
	for _, vend := range [][]byte{nil, make([]byte, 64), {53, 1, 1, 255}} {
		v, err := Parse(append(message(nil, nil, nil)[:FixedLen], vend...))
		if err != nil {
			t.Fatal(err)
		}
		x := used(t)
		if err := x.Build(v); err != nil || x.has != (set{}) {
			t.Errorf("vend %v: %v, codes %x", vend, err, x.has)
		}
	}
}

func TestIndexRecorded(t *testing.T) {
	want := map[string]error{"truncated-option": ErrTruncated, "garbage": ErrShort, "cut-at-100": ErrShort}
	x := new(Index)
	for name, msg := range recorded(t) {
		v, err := Parse(msg)
		if err == nil {
			err = checkIndex(t, x, v)
		}
		if !errors.Is(err, want[name]) {
			t.Errorf("%s: %v, want %v", name, err, want[name])
		}
	}
}

// A message of random options agrees with slowIndex; the Index is one, so that
// whatever a message leaves behind meets the next.
func TestIndexRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	x := new(Index)
	seen := make(map[string]int)
	for range 20_000 {
		v, err := Parse(message(randomOptions(rng, 500), randomOptions(rng, FileLen), randomOptions(rng, SNameLen)))
		if err != nil {
			t.Fatal(err)
		}
		err = checkIndex(t, x, v)
		if t.Failed() {
			t.Fatalf("vend %v\nfile %v\nsname %v", v.Vend(), v.File(), v.SName())
		}
		seen[fmt.Sprint("overload ", x.Overload())]++
		seen[fmt.Sprint("split ", x.split != set{})]++
		seen[fmt.Sprint(err)]++
	}
	for _, what := range []string{
		"overload 0", "overload 1", "overload 2", "overload 3", "split true", "split false",
		"<nil>", ErrTruncated.Error(), ErrOverload.Error(),
	} {
		if seen[what] < 100 {
			t.Errorf("%s: only %d times; the generator no longer reaches it", what, seen[what])
		}
	}
}

// randomOptions makes up to most bytes of options, sound ones more often than not.
func randomOptions(rng *rand.Rand, most int) []byte {
	codes := []byte{0, 1, 12, 12, 53, 82, 119, 52}
	b := make([]byte, 0, most)
	for range rng.IntN(12) {
		code := codes[rng.IntN(len(codes))]
		n := rng.IntN(12)
		switch {
		case code == OptPad:
			b = append(b, 0)
			continue
		case code == OptOverload && rng.IntN(8) != 0:
			b = append(b, 52, 1, byte(1+rng.IntN(3)))
			continue
		case rng.IntN(40) == 0:
			n = rng.IntN(256)
		}
		b = append(b, code, byte(n))
		for range n {
			b = append(b, byte(rng.Uint32()))
		}
	}
	if rng.IntN(2) == 0 {
		b = append(b, 255)
	}
	return b[:min(len(b), most)]
}

// manyParts splits two options into the most and smallest parts that n bytes hold.
func manyParts(n int) []byte {
	b := message(nil, nil, nil)
	for i := 0; len(b)+3 <= n; i++ {
		b = append(b, byte(12+i&1), 1, byte(i))
	}
	return b
}

// Joining very many parts stays within the message's size, at every size
// around that of the Index's own memory and at the largest datagram.
func TestIndexManyParts(t *testing.T) {
	x := new(Index)
	for _, n := range []int{300, 576, 1500, 2048 * 3, 2048*3 + 240, 2048*3 + 250, 65507} {
		v, err := Parse(manyParts(n))
		if err != nil {
			t.Fatal(err)
		}
		if err := checkIndex(t, x, v); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// The largest joined value that fits the Index's own memory, and one more.
func TestIndexRoom(t *testing.T) {
	for _, n := range []int{2047, 2048, 2049} {
		val := []byte(strings.Repeat("v", n))
		v, err := Parse(message(AppendOption(nil, 43, val), nil, nil))
		if err != nil {
			t.Fatal(err)
		}
		x := new(Index)
		if err := x.Build(v); err != nil {
			t.Fatal(err)
		}
		if got, _ := x.Get(43); !bytes.Equal(got, val) {
			t.Errorf("%d bytes: got %d", n, len(got))
		}
		if (x.large != nil) != (n > 2048) {
			t.Errorf("%d bytes: %d bytes allocated", n, len(x.large))
		}
	}
}

// walk is what a server does with every message; the benchmarks use it too.
func walk(x *Index, msg []byte) (n int) {
	v, err := Parse(msg)
	if err != nil || x.Build(v) != nil {
		return 0
	}
	agent, _ := x.Get(OptAgentInfo)
	sub, _ := AgentSub(agent, AgentLinkSelection)
	typ, _ := x.Get(OptMessageType)
	mac := v.MAC()
	return len(sub) + len(typ) + int(mac[5])
}

func TestIndexNoAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	messages := recorded(t)
	messages["many parts"] = manyParts(1500)
	messages["both overloaded"] = message([]byte{52, 1, 3, 255}, []byte{12, 1, 'f', 255}, []byte{12, 1, 's', 255})
	messages["overload 9"] = message([]byte{52, 1, 9}, nil, nil)
	x := new(Index)
	for name, msg := range messages {
		if n := testing.AllocsPerRun(1000, func() { walk(x, msg) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

// Room for the parts of a jumbo message is allocated once, not every time.
func TestIndexLargeAllocsOnce(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	x, msg := new(Index), manyParts(9000)
	walk(x, msg)
	if n := testing.AllocsPerRun(100, func() { walk(x, msg) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkIndex(b *testing.B) {
	rec := recorded(b)
	for _, bm := range []struct {
		name string
		msg  []byte
	}{
		{"discover-pxe", rec["discover-pxe"]},
		{"ack", rec["ack"]},
		{"truncated-option", rec["truncated-option"]},
		{"many-parts-1500", manyParts(1500)},
	} {
		b.Run(bm.name, func(b *testing.B) {
			x := new(Index)
			b.ReportAllocs()
			for b.Loop() {
				walk(x, bm.msg)
			}
		})
	}
}
