package afpacket

import (
	"fmt"

	"golang.org/x/net/bpf"
)

// Offsets in bytes that the filters read at.
const (
	offType   = 12 // ethertype, from the Ethernet header on
	tagLen    = 4
	maxTags   = 2 // that may stand in the frame; the kernel takes out one more
	ipFlags   = 6
	ipProto   = 9
	udpDst    = 2
	udpLen    = 8
	offChaddr = 28 // in the DHCP message
)

const (
	etherIPv4    = 0x0800
	protoUDP     = 17
	pktOtherhost = 3
	pktOutgoing  = 4
	wholeFrame   = 1 << 16
)

var tagTypes = []uint32{0x8100, 0x88a8, 0x9100}

// program is a filter in the making: jumps name labels, which assemble turns
// into distances.
type program struct {
	code   []bpf.Instruction
	labels map[string]int
	jumps  map[int]string // instruction -> where it goes when its test holds
}

func newProgram() *program {
	return &program{labels: map[string]int{}, jumps: map[int]string{}}
}

func (p *program) add(i ...bpf.Instruction) { p.code = append(p.code, i...) }

func (p *program) label(name string) { p.labels[name] = len(p.code) }

// jump goes to a label, further on, if the test holds.
func (p *program) jump(test bpf.JumpTest, val uint32, to string) {
	p.jumps[len(p.code)] = to
	p.add(bpf.JumpIf{Cond: test, Val: val})
}

func (p *program) assemble() ([]bpf.RawInstruction, error) {
	for i, to := range p.jumps {
		at, ok := p.labels[to]
		if skip := at - i - 1; ok && skip >= 0 && skip < 256 {
			j, _ := p.code[i].(bpf.JumpIf)
			j.SkipTrue = uint8(skip)
			p.code[i] = j
			continue
		}
		return nil, fmt.Errorf("afpacket: filter: no way from %d to %q", i, to)
	}
	raw, err := bpf.Assemble(p.code)
	if err != nil {
		return nil, fmt.Errorf("afpacket: assemble filter: %w", err)
	}
	return raw, nil
}

// dropAll is the filter of a socket that is not set up yet.
func dropAll() ([]bpf.RawInstruction, error) {
	return bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 0}})
}

// udpFilter takes IPv4 packets with UDP to one of the ports, under up to two
// tags in the frame beside the one that the kernel has taken out, the first
// fragment of them included. What is sent by us or, unless otherHosts is set, for
// another host is not taken.
func udpFilter(ports []uint16, otherHosts bool) ([]bpf.RawInstruction, error) {
	p := newProgram()
	p.add(bpf.LoadExtension{Num: bpf.ExtType})
	p.jump(bpf.JumpEqual, pktOutgoing, "drop")
	if !otherHosts {
		p.jump(bpf.JumpEqual, pktOtherhost, "drop")
	}
	for depth := range maxTags + 1 {
		p.label(tagged(depth))
		p.add(bpf.LoadAbsolute{Off: uint32(offType + tagLen*depth), Size: 2})
		p.jump(bpf.JumpEqual, etherIPv4, untagged(depth))
		for _, t := range tagTypes {
			if depth < maxTags {
				p.jump(bpf.JumpEqual, t, tagged(depth+1))
			}
		}
		p.add(bpf.RetConstant{Val: 0})
	}
	for depth := range maxTags + 1 {
		p.label(untagged(depth))
		p.udpTo(ports, uint32(offType+2+tagLen*depth))
	}
	p.label("drop")
	p.add(bpf.RetConstant{Val: 0})
	p.label("take")
	p.add(bpf.RetConstant{Val: wholeFrame})
	return p.assemble()
}

func tagged(depth int) string   { return fmt.Sprintf("type at depth %d", depth) }
func untagged(depth int) string { return fmt.Sprintf("ip at depth %d", depth) }

// udpTo judges the IPv4 packet at offset ip.
func (p *program) udpTo(ports []uint16, ip uint32) {
	p.add(bpf.LoadAbsolute{Off: ip + ipProto, Size: 1})
	p.jump(bpf.JumpNotEqual, protoUDP, "drop")
	p.add(bpf.LoadAbsolute{Off: ip + ipFlags, Size: 2})
	p.jump(bpf.JumpBitsSet, 0x1fff, "drop") // a later fragment has no ports
	p.add(bpf.LoadMemShift{Off: ip}, bpf.LoadIndirect{Off: ip + udpDst, Size: 2})
	for _, port := range ports {
		p.jump(bpf.JumpEqual, uint32(port), "take")
	}
	p.add(bpf.RetConstant{Val: 0})
}

// fanoutProgram picks a worker by the last four bytes of chaddr, so that all
// frames of one client meet the same worker, in order, and clients that share a
// flow (all of them send from 0.0.0.0 to 255.255.255.255) do not. It sees the
// packet from behind the Ethernet header and the tag that the kernel took out.
func fanoutProgram() ([]bpf.RawInstruction, error) {
	p := newProgram()
	p.add(bpf.LoadExtension{Num: bpf.ExtProto})
	p.jump(bpf.JumpEqual, etherIPv4, "ip")
	p.pick(tagLen)
	p.label("ip")
	p.pick(0)
	return p.assemble()
}

// pick spreads chaddrs that count up by any step.
func (p *program) pick(ip uint32) {
	p.add(
		bpf.LoadMemShift{Off: ip},
		bpf.LoadIndirect{Off: ip + udpLen + offChaddr + 2, Size: 4},
		bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: 0x9e3779b1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 16},
		bpf.RetA{},
	)
}
