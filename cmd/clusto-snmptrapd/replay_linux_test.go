package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/engine/labtest"
)

// recording is what a switch and others sent to the original.
const recording = "../../fuzz/corpus/recorded/traps.pcap"

// recordedServers are those that the recording makes, in the order of their
// names, but for the last: s0009, on port 22 in VLAN 0.
var recordedServers = []struct {
	mac  clusto.MAC
	port int
}{
	{clusto.MAC{0x00, 0x1e, 0xc9, 0, 0x0a, 0x01}, 25},
	{clusto.MAC{0x00, 0x1e, 0xc9, 0, 0x00, 0x01}, 1},
	{clusto.MAC{0x18, 0x66, 0xda, 0, 0x00, 0x01}, 26},
	{clusto.MAC{0x00, 0x1e, 0xc9, 0, 0x0a, 0x05}, 27}, // two records in one trap
	{clusto.MAC{0x00, 0x1e, 0xc9, 0, 0x0a, 0x06}, 28},
	{clusto.MAC{0x00, 0x1e, 0xc9, 0, 0x0a, 0x08}, 29}, // behind a record of one that left
	{clusto.MAC{0x00, 0x1e, 0xc9, 0, 0x0a, 0x0d}, 24}, // SNMPv1
	{clusto.MAC{0x00, 0x1e, 0xc9, 0, 0x0a, 0x0e}, 23}, // an inform, and once more
}

const recordedFrames = "frames malformed 3\nframes wrong_community 1\nframes journaled 43\nframes acknowledged 2\n"

// recordedRest is what becomes of the records that neither make nor change a
// server.
const recordedRest = "events not_server_port 1\nevents gone 2\nevents not_understood 1\nevents unknown_switch 4\nevents unmapped 4\n"

// newReplayLab has the recording's switch in rack r00.
func newReplayLab(t testing.TB) *lab {
	t.Helper()
	l := newLab(t, 1)
	l.apply(t, clusto.Op{Op: "bind", Name: "r00-sw1", IP: "10.42.0.2"})
	return l
}

// replay runs the daemon over a capture, to its end. out has single spaces.
func (l *lab) replay(file string, args ...string) (out, errs string, code int) {
	l.Helper()
	var stdout, stderr bytes.Buffer
	args = append([]string{"--replay", file, "--api-url", "http://" + apiAddr, "--journal", l.journalFile(), "--hold-down", "0s", "--log-level", "error"}, args...)
	cmd := labtest.Program(args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	must(l, l.net.Start(cmd))
	_ = cmd.Wait() // the code tells
	for line := range strings.Lines(stdout.String()) {
		out += strings.Join(strings.Fields(line), " ") + "\n"
	}
	return out, stderr.String(), cmd.ProcessState.ExitCode()
}

// replayed checks a replay of the whole recording.
func (l *lab) replayed(file, want string) {
	l.Helper()
	out, errs, code := l.replay(file)
	if want = recordedFrames + want + recordedRest; out != want || errs != "" || code != 0 {
		l.Errorf("code %d, %s\nstdout:\n%s\nwant:\n%s", code, errs, out, want)
	}
	for i, s := range recordedServers {
		l.complete(fmt.Sprintf("s%04d", i+1), 0, s.port, s.mac)
	}
	sw := l.object(l, "r00-sw1")
	if got, vlan := connected(&sw, "nic-eth", 22), value(&sw, "port-nic-eth", "vlan", 22); got != "s0009 1" || vlan != "0" {
		l.Errorf("port 22 leads to %q, in VLAN %q", got, vlan)
	}
}

// TestReplay: a recording makes its servers once, however often it is replayed,
// and in whatever format.
func TestReplay(t *testing.T) {
	t.Parallel()
	l := newReplayLab(t)
	l.replayed(recording, "events created 9\nevents attached 5\nevents known 19\n")
	l.replayed(recording, "events known 33\n")
	l.replayed(write(t, pcapng(t)), "events known 33\n")
	l.replayed(write(t, gzipped(t, pcapng(t))), "events known 33\n")
	l.eachOnce(9)
	if dead := l.letters(); len(dead) != 4*8 {
		t.Errorf("%d dead letters", len(dead))
	}
}

// TestReplayKeepsDistances: three MACs on a port, a minute from each other, are no
// uplink; they were stamped with the time of the replay.
func TestReplayKeepsDistances(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		apart time.Duration
		want  string
	}{
		"a minute":      {time.Minute, "frames journaled 3\nevents created 1\nevents attached 2\n"},
		"a millisecond": {time.Millisecond, "frames journaled 3\nevents uplink 3\n"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newReplayLab(t)
			out, errs, code := l.replay(write(t, threeOnAPort(t, c.apart)), "--hold-down", "2s")
			if out != c.want || errs != "" || code != 0 {
				t.Errorf("code %d, %s\n%s\nwant\n%s", code, errs, out, c.want)
			}
		})
	}
}

// TestReplayOfPacketsWithoutATime: simple packets of pcapng have none (section 4.4 of its
// specification), and were stamped with 1754, so that three MACs that came
// together were no uplink.
func TestReplayOfPacketsWithoutATime(t *testing.T) {
	t.Parallel()
	r, err := pcapgo.NewReader(bytes.NewReader(threeOnAPort(t, 0)))
	must(t, err)
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriter(&b, layers.LinkTypeEthernet)
	must(t, err)
	must(t, w.Flush())
	for i := range 3 {
		data, info, err := r.ReadPacketData()
		must(t, err)
		if i == 2 { // it has one
			info.InterfaceIndex = 0
			must(t, w.WritePacket(info, data))
			must(t, w.Flush())
			continue
		}
		n, le := len(data), binary.LittleEndian
		data = append(data, make([]byte, -n&3)...)
		size := uint32(16 + len(data))
		b.Write(slices.Concat(le.AppendUint32(nil, 3), le.AppendUint32(nil, size), le.AppendUint32(nil, uint32(n)), data, le.AppendUint32(nil, size)))
	}
	l := newReplayLab(t)
	out, errs, code := l.replay(write(t, b.Bytes()), "--hold-down", "2s")
	if want := "frames journaled 3\nevents uplink 3\n"; out != want || errs != "" || code != 0 {
		t.Errorf("code %d, %s\n%s\nwant\n%s", code, errs, out, want)
	}
}

// threeOnAPort is a capture of three MACs on a port, at such distances.
func threeOnAPort(t *testing.T, apart time.Duration) []byte {
	t.Helper()
	r, err := pcapgo.NewReader(bytes.NewReader(contents(t, recording)))
	must(t, err)
	data, info, err := r.ReadPacketData()
	must(t, err)
	var b bytes.Buffer
	w := pcapgo.NewWriter(&b)
	must(t, w.WriteFileHeader(65535, layers.LinkTypeEthernet))
	at := bytes.Index(data, recordedServers[0].mac[:])
	for i := range 3 {
		data[at+5] = byte(0x91 + i)
		info.Timestamp = time.Unix(1_700_000_000, 0).Add(time.Duration(i) * apart)
		data[40], data[41] = 0, 0 // no checksum (RFC 768)
		must(t, w.WritePacket(info, data))
	}
	return b.Bytes()
}

// TestReplayOfNoCapture ends with 2, and leaves no journal.
func TestReplayOfNoCapture(t *testing.T) {
	pcap := contents(t, recording)
	cooked := slices.Clone(pcap)
	binary.LittleEndian.PutUint32(cooked[20:], uint32(layers.LinkTypeLinuxSLL))
	l := &lab{TB: t, dir: t.TempDir()}
	for _, c := range []struct {
		name string
		file string
		want string
	}{
		{"none", l.dir + "/none.pcap", "replay: open " + l.dir + "/none.pcap: no such file"},
		{"a folder", l.dir, "is a directory"},
		{"a text", write(t, []byte("trap 1 from 10.42.0.2, and so on")), "tcpdump -w"},
		{"nothing", write(t, nil), "the file is cut off"},
		{"half a header", write(t, pcap[:20]), "the file is cut off"},
		{"half a header of pcapng", write(t, pcapng(t)[:20]), "the file is cut off"},
		{"all interfaces", write(t, cooked), "its frames are not Ethernet's but Linux SLL's; capture on one interface: tcpdump -i eth0, not -i any"},
		{"half a header, gzipped", write(t, gzipped(t, pcap[:20])), "the file is cut off"},
		{"half a header of gzip", write(t, gzipped(t, pcap)[:8]), "the file is cut off"},
	} {
		out, errs, code := l.replay(c.file)
		if code != 2 || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, c.want) {
			t.Errorf("%s: code %d\n%s%s\nwant %s", c.name, code, out, errs, c.want)
		}
		if _, err := os.Stat(l.journalFile()); err == nil {
			t.Errorf("%s: there is a journal", c.name)
		}
	}
}

// TestReplayOfACutCapture takes what stands before the cut, and says where it is.
func TestReplayOfACutCapture(t *testing.T) {
	t.Parallel()
	pcap, ng := contents(t, recording), pcapng(t)
	second := 24 + 16 + 174 // where the second packet begins
	broken := slices.Clone(pcap)
	binary.LittleEndian.PutUint32(broken[second+8:], 1<<30)
	ngSecond := bytes.Index(ng, pcap[second+16:second+16+174])
	l := newReplayLab(t)
	made := "created"
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"in a packet's header", pcap[:second+10], "packet 2: the file is cut off; the packets before it count"},
		{"behind a packet's header", pcap[:second+16], "packet 2: the file is cut off"},
		{"in a packet", pcap[:second+100], "packet 2: the file is cut off"},
		{"a length that cannot be", broken, "packet 2: capture length"},
		{"in a block's header", ng[:ngSecond-20], "packet 2: the file is cut off"},
		{"in a block", ng[:ngSecond+100], "packet 2: the file is cut off"},
		{"a block that cannot be", slices.Concat(ng[:ngSecond-24], []byte{0xff, 0xff, 0xff, 0xff}, ng[ngSecond-20:]), "packet 2: the file is damaged"},
	} {
		out, errs, code := l.replay(write(t, c.b))
		if code != 1 || out != "frames journaled 1\nevents "+made+" 1\n" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, c.want) {
			t.Errorf("%s: code %d\n%s%s\nwant %s", c.name, code, out, errs, c.want)
		}
		made = "known"
	}
	l.complete("s0001", 0, recordedServers[0].port, recordedServers[0].mac)
	l.eachOnce(1)
}

// TestReplayWithoutSnapLength: a capture whose header names no limit of a packet's
// length was refused at its first packet; libpcap takes 0 so.
func TestReplayWithoutSnapLength(t *testing.T) {
	t.Parallel()
	pcap := contents(t, recording)
	binary.LittleEndian.PutUint32(pcap[16:], 0)
	newReplayLab(t).replayed(write(t, pcap), "events created 9\nevents attached 5\nevents known 19\n")
}

// pcapng is the recording as Wireshark would have written it.
func pcapng(t testing.TB) []byte {
	t.Helper()
	r, err := pcapgo.NewReader(bytes.NewReader(contents(t, recording)))
	must(t, err)
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriter(&b, layers.LinkTypeEthernet)
	must(t, err)
	for range 49 {
		data, info, err := r.ReadPacketData()
		must(t, err)
		must(t, w.WritePacket(info, data))
	}
	must(t, w.Flush())
	return b.Bytes()
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, err := w.Write(b)
	must(t, err)
	must(t, w.Close())
	return z.Bytes()
}

func contents(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	return b
}

func write(t testing.TB, b []byte) (file string) {
	t.Helper()
	file = t.TempDir() + "/capture"
	must(t, os.WriteFile(file, b, 0o600))
	return file
}
