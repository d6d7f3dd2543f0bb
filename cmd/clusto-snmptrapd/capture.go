package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/clusto/clusto-engine/cmd/internal/daemon"
)

// capture is what pcapgo's readers have in common.
type capture interface {
	ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
	LinkType() layers.LinkType
}

// readCapture reads a capture as tcpdump (pcap) or Wireshark (pcapng) write it,
// of an Ethernet interface. It is a daemon.ReadCapture.
func readCapture(f *os.File) (daemon.Frames, error) {
	in := bufio.NewReader(f)
	c, err := openCapture(in)
	if err != nil {
		return nil, fmt.Errorf("%w; it must be a capture in pcap or pcapng format, as tcpdump -w and Wireshark write it", err)
	}
	if t := c.LinkType(); t != layers.LinkTypeEthernet {
		return nil, fmt.Errorf("its frames are not Ethernet's but %v's; capture on one interface: tcpdump -i eth0, not -i any", t)
	}
	return func() ([]byte, time.Time, bool, error) { return next(c) }, nil
}

// longest is how many bytes of a packet are taken, as libpcap has it: pcapgo makes
// room for as many as a file says, up to 4 GB, before it reads them.
const longest = 256 << 10

// sectionHeader is how pcapng begins, in either byte order (section 4.1 of its
// specification).
const sectionHeader = 0x0a0d0d0a

func openCapture(in *bufio.Reader) (c capture, err error) {
	defer recovered(&err)
	magic, err := in.Peek(4)
	if err != nil {
		return nil, cutOff(err)
	}
	if binary.BigEndian.Uint32(magic) == sectionHeader {
		c, err = pcapgo.NewNgReader(&blocks{in: in}, pcapgo.NgReaderOptions{ErrorOnMismatchingLinkType: true})
	} else {
		var r *pcapgo.Reader
		if r, err = pcapgo.NewReader(in); err == nil {
			if r.Snaplen() == 0 || r.Snaplen() > longest { // 0 is no limit, to libpcap
				r.SetSnaplen(longest)
			}
			c = r
		}
	}
	return c, cutOff(err)
}

// next gives a capture's next frame.
func next(c capture) (data []byte, at time.Time, cut bool, err error) {
	defer recovered(&err)
	data, info, err := c.ReadPacketData()
	if err != io.EOF || len(data) > 0 { // behind a packet's header is no place to end
		err = cutOff(err)
	}
	return data, info.Timestamp, info.CaptureLength < info.Length, err
}

// cutOff names an end where none should be.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file is cut off")
	}
	return err
}

// recovered makes an error of a panic: pcapgo trusts some lengths of a file.
func recovered(err *error) {
	if what := recover(); what != nil {
		*err = fmt.Errorf("the file is damaged: %v", what)
	}
}

// blocks passes pcapng on and knows where its blocks begin: only there may the
// file end. pcapgo.NgReader takes any end for that of the capture.
type blocks struct {
	in    *bufio.Reader
	order binary.ByteOrder
	left  int // bytes of the block that are to come
}

// Read implements io.Reader.
func (b *blocks) Read(p []byte) (int, error) {
	if b.left == 0 {
		if err := b.begin(); err != nil {
			return 0, err
		}
	}
	n, err := b.in.Read(p[:min(len(p), b.left)])
	b.left -= n
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// begin looks at the next block's type, its length, and the byte order that a
// section header names behind them.
func (b *blocks) begin() error {
	head, err := b.in.Peek(12) // the shortest there is
	switch {
	case len(head) == 0:
		return err
	case err != nil:
		return io.ErrUnexpectedEOF
	}
	if binary.BigEndian.Uint32(head) == sectionHeader {
		b.order = binary.LittleEndian
		if binary.BigEndian.Uint32(head[8:]) == 0x1a2b3c4d {
			b.order = binary.BigEndian
		}
	}
	if b.left = int(b.order.Uint32(head[4:])); b.left < len(head) || b.left > 16<<20 {
		return fmt.Errorf("the file is damaged: a block of %d bytes", b.left)
	}
	return b.packet()
}

// packet looks at the length of the next block's packet, if it has one.
func (b *blocks) packet() error {
	at := 20 // of an enhanced packet, and of the obsolete one (sections 4.3, A)
	head, _ := b.in.Peek(at + 4)
	switch typ := b.order.Uint32(head); {
	case typ == 3: // a simple one (section 4.4)
		at = 8
	case typ != 6 && typ != 2, len(head) < at+4: // cut off
		return nil
	}
	if n := b.order.Uint32(head[at:]); n > longest {
		return fmt.Errorf("the file is damaged: a packet of %d bytes", n)
	}
	return nil
}
