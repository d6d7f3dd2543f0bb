package dhcp4

// OptionIter walks encoded options (RFC 2132 section 2) in their order, each
// instance by itself.
type OptionIter struct {
	rest []byte
	err  error
}

// Next gives the next option; val aliases the message and may be empty. Pad
// options are skipped. ok is false at the End option, at the end of the field
// (a missing End is tolerated), and at an option that is longer than the rest
// of its field: then Err is set.
func (it *OptionIter) Next() (code byte, val []byte, ok bool) {
	for len(it.rest) > 0 && it.rest[0] == OptPad {
		it.rest = it.rest[1:]
	}
	if len(it.rest) == 0 || it.rest[0] == OptEnd {
		return 0, nil, false
	}
	if len(it.rest) < 2 || len(it.rest)-2 < int(it.rest[1]) {
		it.err, it.rest = ErrTruncated, nil
		return 0, nil, false
	}
	n := 2 + int(it.rest[1])
	code, val, it.rest = it.rest[0], it.rest[2:n:n], it.rest[n:]
	return code, val, true
}

// Err is ErrTruncated if that is what ended the walk, else nil.
func (it *OptionIter) Err() error { return it.err }

// AgentSub finds a sub-option of a relay agent information option (RFC 3046
// section 2.0), the first one if there are several. opt82 is the value of option
// 82. A sub-option that is cut short is not found, nor is any after it.
func AgentSub(opt82 []byte, sub byte) ([]byte, bool) {
	for len(opt82) >= 2 && len(opt82)-2 >= int(opt82[1]) {
		n := 2 + int(opt82[1])
		if opt82[0] == sub {
			return opt82[2:n:n], true
		}
		opt82 = opt82[n:]
	}
	return nil, false
}
