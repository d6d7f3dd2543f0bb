package dhcp

import (
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
)

// Sizes of the fields that option 52 opens for options (RFC 2131 section 4.1),
// without the END that closes each, and where they begin in the message.
const (
	fileRoom, fileAt   = 127, 108
	snameRoom, snameAt = 63, 44
	overloadLen        = 3
)

// fitter packs the options of an answer that is too long. It is the one slow
// path of a reply, and still allocates nothing.
type fitter struct {
	dst   []byte
	limit int // len(dst) may reach this, with END and the echoes still to come
	done  [256]bool

	inFile, inSName bool // these fields are free for options
	file            [fileRoom + 1]byte
	sname           [snameRoom + 1]byte
	nfile, nsname   int
	dropped         int
}

// appendFitted appends the message with the options that fit into room: the
// indispensable ones (53, 54, 51, 1, 61, 82) always, the others in the order of
// the client's parameter request list, then the rest; what the message has no
// room for goes into file and sname where they are free, else it is dropped
// and counted. dropped is -1, and nothing appended, if the indispensable ones
// alone are too long.
func appendFitted(dst []byte, r *Request, p *Prepared, d *Decision, room int) (out []byte, dropped int) {
	if d.Verdict == engine.Nak {
		return appendShortNak(dst, r, d, room)
	}
	msg := len(dst)
	f := fitter{dst: appendHeader(dst, r, d), limit: msg + room - r.echoLen(d)}
	f.mandatory(r, p, d)
	if len(f.dst) > f.limit {
		return dst, -1
	}
	if !r.firmware() && r.Type != 0 && len(f.dst)+overloadLen <= f.limit {
		f.inFile, f.inSName = d.boot.file.Value() == "", true
		f.limit -= overloadLen
	}
	f.options(r, p, d)
	f.close(msg)
	return appendEchoes(f.dst, r, d), f.dropped
}

// appendShortNak gives a NAK without its reason.
func appendShortNak(dst []byte, r *Request, d *Decision, room int) ([]byte, int) {
	if headerLen+identityLen+r.endLen() > room {
		return dst, -1
	}
	dst = appendIdentity(appendHeader(dst, r, d), d)
	return appendEnd(appendClientID(dst, r), r), 1
}

func (f *fitter) mandatory(r *Request, p *Prepared, d *Decision) {
	f.dst = appendIdentity(f.dst, d)
	if d.leased(r) {
		f.dst = dhcp4.AppendUint32(f.dst, dhcp4.OptLeaseTime, p.lease)
	}
	f.dst = append(f.dst, find(d.Binding.opts.Value(), dhcp4.OptSubnetMask)...)
	f.done[dhcp4.OptSubnetMask] = true
	f.done[dhcp4.OptRenewal], f.done[dhcp4.OptRebinding] = !d.leased(r), !d.leased(r)
}

// options places what the client asked for in its order, then the rest.
func (f *fitter) options(r *Request, p *Prepared, d *Decision) {
	for _, code := range r.prl {
		f.byCode(code, p, d)
	}
	f.byCode(dhcp4.OptRenewal, p, d)
	f.byCode(dhcp4.OptRebinding, p, d)
	for _, opts := range [...]string{d.Binding.opts.Value(), p.body.Value(), d.boot.opts.Value()} {
		for opts != "" {
			code, one := first(opts)
			f.place(code, one)
			opts = opts[len(one):]
		}
	}
}

func (f *fitter) byCode(code byte, p *Prepared, d *Decision) {
	switch code {
	case dhcp4.OptRenewal:
		f.placeTime(code, p.t1)
		return
	case dhcp4.OptRebinding:
		f.placeTime(code, p.t2)
		return
	}
	for _, opts := range [...]string{d.Binding.opts.Value(), p.body.Value(), d.boot.opts.Value()} {
		if one := find(opts, code); one != "" {
			f.place(code, one)
		}
	}
}

// place puts one option, split or not, where there is room for all of it.
func (f *fitter) place(code byte, opt string) {
	if f.done[code] {
		return
	}
	f.done[code] = true
	switch {
	case len(f.dst)+len(opt) <= f.limit:
		f.dst = append(f.dst, opt...)
	case f.inFile && f.nfile+len(opt) <= fileRoom:
		f.nfile += copy(f.file[f.nfile:], opt)
	case f.inSName && f.nsname+len(opt) <= snameRoom:
		f.nsname += copy(f.sname[f.nsname:], opt)
	default:
		f.dropped++
	}
}

func (f *fitter) placeTime(code byte, seconds uint32) {
	if f.done[code] {
		return
	}
	f.done[code] = true
	if len(f.dst)+6 > f.limit {
		f.dropped++
		return
	}
	f.dst = dhcp4.AppendUint32(f.dst, code, seconds)
}

// close ends the overloaded fields and says so in option 52.
func (f *fitter) close(msg int) {
	var which byte
	if f.nfile > 0 {
		f.file[f.nfile] = dhcp4.OptEnd
		copy(f.dst[msg+fileAt:], f.file[:f.nfile+1])
		which |= 1
	}
	if f.nsname > 0 {
		f.sname[f.nsname] = dhcp4.OptEnd
		copy(f.dst[msg+snameAt:], f.sname[:f.nsname+1])
		which |= 2
	}
	if which != 0 {
		f.dst = dhcp4.AppendByte(f.dst, dhcp4.OptOverload, which)
	}
}

// first takes the first option off well-formed options, with all of its
// instances where it is split.
func first(opts string) (code byte, one string) {
	code = opts[0]
	n := 0
	for n < len(opts) && opts[n] == code {
		n += 2 + int(opts[n+1])
	}
	return code, opts[:n]
}

// find gives the option of a code within well-formed options, "" if absent.
func find(opts string, code byte) string {
	for opts != "" {
		c, one := first(opts)
		if c == code {
			return one
		}
		opts = opts[len(one):]
	}
	return ""
}
