package daemon

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/engine/dhcp"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// savedFile is a file around what its hosts part holds, with the sum that belongs to it.
func savedFile(hosts []byte) []byte {
	var z bytes.Buffer
	w, _ := flate.NewWriter(&z, flate.BestSpeed)
	_, _ = w.Write(hosts)
	_ = w.Close()
	b := append([]byte(savedMagic+`{"api_url":"http://a"}`+"\n"), z.Bytes()...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// hostsIn gives the hosts of a hosts part by the plainest words, none if anything is wrong in it;
// whole says that nothing is, and sure that none of them is of this very moment.
func hostsIn(b []byte, most time.Duration) (all map[clusto.MAC]string, whole, sure bool) {
	all, sure = map[clusto.MAC]string{}, true
	for len(b) > 0 {
		if len(b) < 14 {
			return nil, false, sure
		}
		size, n := binary.Uvarint(b[14:])
		if n <= 0 || size > 1<<20 || size > uint64(len(b)-14-n) {
			return nil, false, sure
		}
		host, mac := b[14+n:14+n+int(size)], clusto.MAC(b[:6])
		var p dhcp.Prepared
		if p.UnmarshalBinary(host) != nil {
			return nil, false, sure
		}
		host, _ = p.AppendBinary(nil) // a length may stand there in more bytes than it takes
		age := time.Since(time.Unix(0, int64(binary.BigEndian.Uint64(b[6:]))))
		sure = sure && (age >= 0 || age < -time.Minute) && (age < most-time.Minute || age >= most)
		if _, there := all[mac]; !there && age >= 0 && age < most {
			all[mac] = string(b[6:14]) + string(host)
		}
		b = b[14+n+int(size):]
	}
	return all, true, sure
}

// fileIn gives the hosts of a file, as hostsIn does.
func fileIn(b []byte, most time.Duration) (all map[clusto.MAC]string, whole, sure bool) {
	body, ok := bytes.CutPrefix(b, []byte(savedMagic))
	if !ok || len(body) < 4 || binary.BigEndian.Uint32(b[len(b)-4:]) != crc32.Checksum(b[:len(b)-4], castagnoli) {
		return nil, false, true
	}
	_, z, _ := bytes.Cut(body[:len(body)-4], []byte("\n"))
	hosts, err := io.ReadAll(flate.NewReader(bytes.NewReader(z)))
	if err != nil {
		return nil, false, true
	}
	return hostsIn(hosts, most)
}

// known gives the hosts that a server has, as hostsIn does.
func known(s *DHCPServer) map[clusto.MAC]string {
	all := map[clusto.MAC]string{}
	s.hosts.Each(func(mac clusto.MAC, p *dhcp.Prepared, stored time.Time) {
		host, _ := p.AppendBinary(nil)
		all[mac] = string(binary.BigEndian.AppendUint64(nil, uint64(stored.UnixNano()))) + string(host)
	})
	return all
}

// hostsPart gives the hosts part of a file with all that a server knows.
func hostsPart(s *DHCPServer) (part []byte) {
	for mac, host := range known(s) {
		part = append(append(part, mac[:]...), host[:8]...)
		part = append(binary.AppendUvarint(part, uint64(len(host)-8)), host[8:]...)
	}
	return part
}

// FuzzSavedHosts: a file of known hosts that was changed in any way, or is none, is refused, and
// no host taken from it; so is one with anything wrong behind a right sum. What is right gives its
// hosts, each as Prepared reads it there; and they are saved and read once more as they were. All that
// takes no more memory than a file of that size may.
func FuzzSavedHosts(f *testing.F) {
	var log bytes.Buffer
	dir := corpus.Folder(f)
	old, good := saved(f, filepath.Join(dir, "hosts"), 5, &log)
	part := hostsPart(old)
	if all, whole, _ := fileIn(good, most); !whole || !maps.Equal(all, known(old)) {
		f.Fatalf("%x is saved (whole: %v), want %x", all, whole, known(old))
	}
	f.Add(part, uint32(0), byte(0))
	f.Add(append(bytes.Clone(part), part...), uint32(0), byte(0))
	f.Add(part[:len(part)-1], uint32(0), byte(0))
	f.Add(append(make([]byte, 14), 0xff, 0xff, 0x3f), uint32(0), byte(0))          // a host of almost 1 MiB that is not there
	f.Add(append(make([]byte, 14), 0x80, 0x80, 0x80, 0x80, 2), uint32(0), byte(0)) // and one of 512 MiB
	f.Add([]byte{}, uint32(0), byte(0))
	for at := uint32(0); at < uint32(len(good)); at += 20 {
		f.Add([]byte{0xff}, at, byte(1))
		f.Add([]byte{}, at, byte(2))
	}
	f.Add(good, uint32(0), byte(3))
	f.Add([]byte(savedMagic), uint32(0), byte(3))
	f.Fuzz(func(t *testing.T, data []byte, at uint32, how byte) {
		if len(data) > 1<<16 {
			return
		}
		put := spoilt(good, data, int(at)%len(good), how)
		want, whole, sure := fileIn(put, most)
		if !sure {
			return
		}
		name := filepath.Join(dir, "put")
		if err := os.WriteFile(name, put, 0o600); err != nil {
			t.Fatal(err)
		}
		s := patient(t, name, &log)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, n, err := s.readHosts(name)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20+100*uint64(len(data)) {
			t.Errorf("%d bytes of memory for %d", took, len(put))
		}
		if (err == nil) != whole || err != nil && (!errors.Is(err, errSaved) || strings.Contains(err.Error(), "\n")) {
			t.Fatalf("the file is whole: %v, and the error %v", whole, err)
		}
		if got := known(s); !maps.Equal(got, want) || n != len(want) {
			t.Fatalf("%d hosts (%d told), want %d: %x, want %x", len(got), n, len(want), got, want)
		}
		if n > 0 {
			onceMore(t, s, name, want, &log)
		}
	})
}

// most is how old a file of the corpus may be: it does not get too old.
const most = 1 << 62

// patient is a server that takes hosts of any age.
func patient(t *testing.T, file string, log *bytes.Buffer) *DHCPServer {
	t.Helper()
	s := bareKeeper(t, "http://a", file, log)
	s.cfg.MaxStale, s.cfg.CacheSize = most, 1<<14
	if err := s.makeInventory(); err != nil {
		t.Fatal(err)
	}
	return s
}

// spoilt gives a file around data as its hosts, a saved one that is overwritten with data or ends with it, or
// data alone.
func spoilt(good, data []byte, at int, how byte) []byte {
	b := bytes.Clone(good)
	switch how % 4 {
	case 0:
		return savedFile(data)
	case 1:
		copy(b[at:], data)
		return b
	case 2:
		return append(b[:at], data...)
	}
	return data
}

// onceMore: hosts that were read are saved, and read by another server as they were.
func onceMore(t *testing.T, s *DHCPServer, name string, want map[clusto.MAC]string, log *bytes.Buffer) {
	t.Helper()
	if wrote, err := s.writeHosts(name); err != nil || wrote != len(want) {
		t.Fatalf("%d of %d written: %v", wrote, len(want), err)
	}
	again := patient(t, name, log)
	if _, read, err := again.readHosts(name); err != nil || read != len(want) || !maps.Equal(known(again), want) {
		t.Errorf("%d of %d once more: %v", read, len(want), err)
	}
}
