// Package corpus holds the inputs that tests, benchmarks and fuzz targets share:
// what clients, switches and older servers really sent (recorded), and edge
// cases by hand, one file each, whose name and first line say what is special.
//
// Of a wire format (dhcp4, frame, snmp, macnotify) a file is bytes in hex, "00*16"
// for sixteen of them, and what follows a # on a line is a comment, which says what
// they are. Of a text (yaml, csv, conf, ini, http) it is the text, behind its first line.
package corpus

import (
	"bytes"
	"embed"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"
	"testing"
)

//go:embed dhcp4 frame snmp macnotify recorded yaml csv conf ini http
var files embed.FS

// Input is one input. Bytes are the caller's own.
type Input struct {
	Name  string // "dhcp4/hlen-17"
	Bytes []byte
}

// Add makes all inputs seeds of a target that takes bytes, and what else it takes.
func Add(f *testing.F, inputs []Input, more ...any) {
	for _, in := range inputs {
		f.Add(append([]any{in.Bytes}, more...)...)
	}
}

// DHCP gives DHCP and BOOTP messages, the payloads of UDP: edge cases by hand,
// recorded ones, and the requests of the recorded exchanges, each of them once.
func DHCP(tb testing.TB) []Input {
	tb.Helper()
	all := append(dir(tb, "dhcp4"), Recorded(tb)...)
	return append(all, exchanges(tb)...)
}

// Recorded gives messages that clients and an older server really sent, whole
// and broken.
func Recorded(tb testing.TB) []Input { return dir(tb, "recorded/dhcp4") }

// Frames gives frames from the Ethernet header on, without FCS: edge cases by
// hand and both recordings.
func Frames(tb testing.TB) []Input {
	tb.Helper()
	all := dir(tb, "frame")
	for _, name := range []string{"udhcpc", "traps"} {
		for i, b := range Capture(tb, name) {
			all = append(all, Input{fmt.Sprintf("recorded/%s/%d", name, i), b})
		}
	}
	return all
}

// SNMP gives SNMP messages, the payloads of UDP: edge cases by hand and recorded
// ones.
func SNMP(tb testing.TB) []Input {
	tb.Helper()
	all := dir(tb, "snmp")
	for i, b := range Traps(tb) {
		all = append(all, Input{fmt.Sprintf("recorded/traps/%d", i), b})
	}
	return all
}

// History gives history messages of CISCO-MAC-NOTIFICATION-MIB by hand.
func History(tb testing.TB) []Input { return dir(tb, "macnotify") }

// Texts gives texts by hand: "yaml" and "csv" of an inventory, "conf" for services.conf, "ini" for
// clusto.conf, "http" for runs of requests.
func Texts(tb testing.TB, kind string) []Input { return dir(tb, kind) }

// Traps gives the UDP payloads of the recording "traps", in their order: what
// net-snmp's tools and a raw socket sent to the original. No frame has tags or
// is padded.
func Traps(tb testing.TB) (payloads [][]byte) {
	tb.Helper()
	for _, f := range Capture(tb, "traps") {
		ip := f[14:]
		payloads = append(payloads, ip[int(ip[0]&15)*4+8:])
	}
	return payloads
}

// Capture gives the frames of a recording, in their order: "udhcpc", a client
// through its raw socket and a server that answered it by broadcast, or "traps".
// It is a pcap file: a header of 24 bytes, and 16 in front of each frame, whose
// third word is its length.
func Capture(tb testing.TB, name string) (frames [][]byte) {
	tb.Helper()
	b := read(tb, "recorded/"+name+".pcap")
	for b = b[24:]; len(b) > 0; {
		end := 16 + binary.LittleEndian.Uint32(b[8:])
		frames = append(frames, b[16:end:end])
		b = b[end:]
	}
	return frames
}

// Exchanges gives what an older server was asked and what it answered, as JSON.
func Exchanges(tb testing.TB) []byte {
	tb.Helper()
	return read(tb, "recorded/exchanges.json")
}

func exchanges(tb testing.TB) (all []Input) {
	tb.Helper()
	var list []struct{ Request string }
	if err := json.Unmarshal(Exchanges(tb), &list); err != nil {
		tb.Fatal(err)
	}
	seen := map[string]bool{}
	for i, e := range list {
		b, err := hex.DecodeString(e.Request)
		if err != nil {
			tb.Fatal(err)
		}
		if !seen[e.Request] {
			all = append(all, Input{fmt.Sprintf("recorded/exchanges/%d", i), b})
		}
		seen[e.Request] = true
	}
	return all
}

func read(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := files.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// dir gives the inputs of a folder.
func dir(tb testing.TB, name string) (all []Input) {
	tb.Helper()
	entries, err := files.ReadDir(name)
	if err != nil || len(entries) == 0 {
		tb.Fatalf("no inputs in %s (%v)", name, err)
	}
	for _, e := range entries {
		file := path.Join(name, e.Name())
		b := read(tb, file)
		if path.Ext(file) == ".txt" {
			_, b, _ = bytes.Cut(b, []byte("\n"))
		} else if b, err = parse(string(b)); err != nil {
			tb.Fatalf("%s: %v", file, err)
		}
		all = append(all, Input{strings.TrimSuffix(file, path.Ext(file)), b})
	}
	return all
}

// parse reads an input by hand.
func parse(text string) (out []byte, err error) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		for _, word := range strings.Fields(line) {
			digits, count, many := strings.Cut(word, "*")
			b, err := hex.DecodeString(digits)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", word, err)
			}
			times := 1
			if many {
				if times, err = strconv.Atoi(count); err != nil {
					return nil, fmt.Errorf("%q: %w", word, err)
				}
			}
			for range times {
				out = append(out, b...)
			}
		}
	}
	return out, nil
}
