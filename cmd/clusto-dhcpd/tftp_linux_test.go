package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/engine/netlab"
)

// Of RFC 1350 and RFC 2347.
const (
	tftpRead  = 1
	tftpData  = 3
	tftpAck   = 4
	tftpError = 5
	tftpOAck  = 6

	tftpTries = 10 // of a packet, one a second
)

// shelf serves files over TFTP, and keeps what is asked for over TFTP and HTTP.
type shelf struct {
	net   *netlab.Net
	addr  string
	files map[string][]byte // over TFTP
	lc    net.ListenConfig

	mu    sync.Mutex
	asked []string // "ADDRESS tftp FILE"
}

// newShelf listens on an address of a namespace until the test is over.
func newShelf(t *testing.T, n *netlab.Net, addr string, files map[string][]byte) *shelf {
	t.Helper()
	s := &shelf{net: n, addr: addr, files: files}
	ctx, stop := context.WithCancel(t.Context())
	c, err := s.open(ctx, ":69")
	must(t, err)
	var web net.Listener
	must(t, n.Do(func() (err error) {
		web, err = s.lc.Listen(ctx, "tcp", addr+":80")
		return err
	}))
	srv := &http.Server{Handler: s, ReadHeaderTimeout: patience}
	var all sync.WaitGroup
	all.Go(func() { s.serve(ctx, c, &all) })
	all.Go(func() { _ = srv.Serve(web) }) // until it is closed
	t.Cleanup(func() {
		stop()
		c.Close()
		srv.Close()
		all.Wait()
	})
	return s
}

// open opens a UDP port.
func (s *shelf) open(ctx context.Context, port string) (c net.PacketConn, err error) {
	err = s.net.Do(func() (err error) {
		c, err = s.lc.ListenPacket(ctx, "udp4", s.addr+port)
		return err
	})
	return c, err
}

// ServeHTTP has nothing to give.
func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	from, _, _ := net.SplitHostPort(r.RemoteAddr) // as net/http sets it
	s.note(from, "http", r.URL.Path)
	http.NotFound(w, r)
}

func (s *shelf) note(from, how, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, from+" "+how+" "+what)
}

// wishes gives what a machine asked for so far, repetitions left out.
func (s *shelf) wishes(addr string) (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.asked {
		if wish, ok := strings.CutPrefix(a, addr+" "); ok {
			all = append(all, wish)
		}
	}
	return slices.Compact(all)
}

func (s *shelf) serve(ctx context.Context, c net.PacketConn, all *sync.WaitGroup) {
	b := make([]byte, 2048)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return // closed
		}
		words := strings.Split(string(b[min(n, 2):n]), "\x00") // file, mode, options, ""
		if n < 2 || binary.BigEndian.Uint16(b) != tftpRead || len(words) < 3 {
			continue
		}
		s.note(from.(*net.UDPAddr).IP.String(), "tftp", words[0])
		all.Go(func() { s.send(ctx, from, words[0], words[2:]) })
	}
}

// send sends a file, or says that there is none. Machines that go away in
// between are left alone.
func (s *shelf) send(ctx context.Context, to net.Addr, name string, options []string) {
	c, err := s.open(ctx, ":0")
	if err != nil {
		return
	}
	defer c.Close()
	file, ok := s.files[name]
	if !ok {
		_, _ = c.WriteTo(append([]byte{0, tftpError, 0, 1}, "no such file\x00"...), to)
		return
	}
	size, oack := agree(options, len(file))
	if len(oack) > 2 && !put(ctx, c, to, oack, 0) {
		return
	}
	for block := 1; ; block++ {
		part := file[:min(size, len(file))]
		file = file[len(part):]
		head := binary.BigEndian.AppendUint16([]byte{0, tftpData}, uint16(block))
		if !put(ctx, c, to, append(head, part...), uint16(block)) || len(part) < size {
			return
		}
	}
}

// agree gives the size of blocks, and the answer to the options.
func agree(options []string, length int) (size int, oack []byte) {
	size, oack = 512, []byte{0, tftpOAck}
	for i := 0; i+1 < len(options); i += 2 {
		switch options[i] {
		case "blksize":
			if n, err := strconv.Atoi(options[i+1]); err == nil && n >= 8 && n <= 1468 {
				size = n
				oack = fmt.Appendf(oack, "blksize\x00%d\x00", n)
			}
		case "tsize":
			oack = fmt.Appendf(oack, "tsize\x00%d\x00", length)
		}
	}
	return size, oack
}

// put sends a packet until it is acknowledged.
func put(ctx context.Context, c net.PacketConn, to net.Addr, packet []byte, block uint16) bool {
	want := binary.BigEndian.AppendUint16([]byte{0, tftpAck}, block)
	for range tftpTries {
		if _, err := c.WriteTo(packet, to); err != nil || ctx.Err() != nil {
			return false
		}
		if done, ok := acknowledged(c, want); done {
			return ok
		}
	}
	return false
}

// acknowledged waits a second for an answer to a packet; ok says that it is the
// right one.
func acknowledged(c net.PacketConn, want []byte) (done, ok bool) {
	_ = c.SetReadDeadline(time.Now().Add(time.Second)) // of an open socket
	b := make([]byte, 2048)
	for {
		n, _, err := c.ReadFrom(b)
		switch {
		case err != nil:
			return false, false
		case bytes.HasPrefix(b[:n], []byte{0, tftpError}):
			return true, false
		case bytes.Equal(b[:n], want):
			return true, true
		}
	}
}
