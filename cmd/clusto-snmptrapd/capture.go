package main

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/clusto/clusto-engine/cmd/internal/daemon"
	"github.com/clusto/clusto-engine/codec/pcap"
)

// readCapture reads a capture as tcpdump (pcap) or Wireshark (pcapng) write it, of an
// Ethernet interface, gzipped or not. It is a daemon.ReadCapture.
func readCapture(f *os.File) (daemon.Frames, error) {
	var r *pcap.Reader
	in, err := unzipped(f)
	if err == nil {
		r, err = pcap.New(in)
	}
	var link pcap.LinkTypeError
	switch {
	case errors.As(err, &link):
		return nil, fmt.Errorf("%w; capture on one interface: tcpdump -i eth0, not -i any", err)
	case err != nil:
		return nil, fmt.Errorf("%w; it must be a capture in pcap or pcapng format, as tcpdump -w and Wireshark write it", err)
	}
	return func() ([]byte, time.Time, bool, error) {
		p, err := r.Next()
		return p.Data, p.At, uint32(len(p.Data)) < p.Len, err
	}, nil
}

// unzipped is what is in a file, if that is gzipped.
func unzipped(f io.Reader) (io.Reader, error) {
	in := bufio.NewReader(f)
	if magic, _ := in.Peek(2); string(magic) != "\x1f\x8b" {
		return in, nil
	}
	z, err := gzip.NewReader(in)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = pcap.ErrCutOff
	}
	return z, err
}
