package dhcp4

import "math/bits"

// The fields that options can lie in, in the order in which RFC 3396 section 5
// joins them.
const (
	inOptions = iota
	inFile
	inSName
	fields
)

const (
	overloadFile  = 1 // bits of option 52
	overloadSName = 2
)

// Index finds the options of one message by code. It is made to be reused:
// Build forgets the message before. The zero value is an Index of no options.
// It is large (about 5 KB) and must not be copied after Build.
type Index struct {
	has      set // which codes occur
	split    set // which of them occur more than once
	spans    [256]span
	field    [fields][]byte // nil where there are no options
	overload byte

	joined []byte     // values of the split options; aliases small or large
	small  [2048]byte // enough for any message in an unfragmented frame
	large  []byte     // for longer ones; grows to the longest of them
}

// span says where the value of an option is: in field, or in joined if it is
// split. It is valid only if the option's bit in has is set, so that nothing
// needs clearing.
type span struct {
	off, n uint32
	field  uint8
}

// Build walks the options of a message: the options field, and then file and
// sname as far as option 52 says that they hold options too (RFC 2132 section
// 9.3; an option 52 inside of those is ignored). The instances of an option that
// occurs several times are joined in that order (RFC 3396 section 5). It returns
// ErrTruncated or ErrOverload, and then the Index is empty. The View must stay
// valid as long as the Index is read. Build allocates only to join more than
// 2,048 bytes, and only if it never had as many before.
func (x *Index) Build(v View) error {
	err := x.build(v)
	if err != nil {
		x.has, x.overload = set{}, 0
	}
	return err
}

func (x *Index) build(v View) error {
	x.has, x.split, x.overload = set{}, set{}, 0
	x.field = [fields][]byte{inOptions: v.options()}
	if err := x.scan(inOptions); err != nil {
		return err
	}
	if err := x.readOverload(); err != nil {
		return err
	}
	if x.overload&overloadFile != 0 {
		x.field[inFile] = v.File()
	}
	if x.overload&overloadSName != 0 {
		x.field[inSName] = v.SName()
	}
	for f := inFile; f < fields; f++ {
		if err := x.scan(f); err != nil {
			return err
		}
	}
	if x.split != (set{}) {
		x.join()
	}
	return nil
}

// scan notes where the options of a field are. Of a split option it counts the
// bytes only: join copies them when the sums are known, so that a message of
// very many tiny parts costs no more than any other.
func (x *Index) scan(f int) error {
	field := x.field[f]
	it := OptionIter{rest: field}
	for {
		code, val, ok := it.Next()
		if !ok {
			return it.err
		}
		if code == OptOverload && f != inOptions {
			continue
		}
		s := &x.spans[code]
		if x.has.contains(code) {
			x.split.add(code)
			s.n += uint32(len(val))
			continue
		}
		x.has.add(code)
		*s = span{uint32(len(field) - len(it.rest) - len(val)), uint32(len(val)), uint8(f)}
	}
}

// readOverload takes option 52 out of what the options field had. One that is
// split is wrong by itself, and not joined yet.
func (x *Index) readOverload() error {
	if !x.has.contains(OptOverload) {
		return nil
	}
	if x.split.contains(OptOverload) {
		return ErrOverload
	}
	val, _ := x.Get(OptOverload)
	if len(val) != 1 || val[0] < 1 || val[0] > 3 {
		return ErrOverload
	}
	x.overload = val[0]
	return nil
}

// join copies the parts of all split options together: first it gives each
// option its room, then it walks the fields again and appends to those rooms.
func (x *Index) join() {
	total := uint32(0)
	for code := range x.split.all {
		s := &x.spans[code]
		s.off, s.n, total = total, 0, total+s.n
	}
	x.joined = x.room(int(total))
	for f := range x.field {
		it := OptionIter{rest: x.field[f]}
		for code, val, ok := it.Next(); ok; code, val, ok = it.Next() {
			if !x.split.contains(code) {
				continue
			}
			s := &x.spans[code]
			s.n += uint32(copy(x.joined[s.off+s.n:], val))
		}
	}
}

// room gives n bytes of the Index's own memory.
func (x *Index) room(n int) []byte {
	if n <= len(x.small) {
		return x.small[:n]
	}
	if n > cap(x.large) {
		x.large = make([]byte, n)
	}
	return x.large[:n]
}

// Get gives the value of an option, which may be empty, and whether the message
// has it. The value is valid until the next Build, as long as the View is.
func (x *Index) Get(code byte) ([]byte, bool) {
	if !x.has.contains(code) {
		return nil, false
	}
	s := &x.spans[code]
	from := x.field[s.field]
	if x.split.contains(code) {
		from = x.joined
	}
	return from[s.off : s.off+s.n : s.off+s.n], true
}

// Overload is the value of option 52: 1 if file holds options, 2 if sname does,
// 3 if both do; 0 if there is no option 52.
func (x *Index) Overload() byte { return x.overload }

// set is a set of option codes.
type set [4]uint64

func (s *set) add(code byte)           { s[code>>6] |= 1 << (code & 63) }
func (s *set) contains(code byte) bool { return s[code>>6]&(1<<(code&63)) != 0 }

// all yields the codes in ascending order.
func (s *set) all(yield func(code byte) bool) {
	for i, word := range s {
		for ; word != 0; word &= word - 1 {
			if !yield(byte(i<<6 | bits.TrailingZeros64(word))) {
				return
			}
		}
	}
}
