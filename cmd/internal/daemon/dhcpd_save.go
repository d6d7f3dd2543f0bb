package daemon

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/engine/dhcp"
)

// The file that keeps the known hosts over a restart: a line that says what it
// is, a line of JSON (savedHead), the hosts (savedHost, compressed), and the
// CRC-32C of all that, four bytes.
const (
	savedMagic = "clusto-dhcpd's known hosts, version 1\n"
	saveEvery  = 5 * time.Minute
	savedMost  = 1 << 30 // bytes, of the file and of what is in it
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// savedHead says whose hosts these are.
type savedHead struct {
	APIURL   string         `json:"api_url"`
	Saved    time.Time      `json:"saved"`
	Hosts    int            `json:"hosts"`
	Networks []netip.Prefix `json:"networks"`
}

// save keeps the known hosts after each complete walk and at intervals, also
// during a walk that takes hours, until ctx is over, and then once more.
func (s *DHCPServer) save(ctx context.Context) {
	if s.cfg.CacheFile == "" {
		return
	}
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	last := s.changes()
	for over := false; !over; {
		select {
		case <-ctx.Done():
			over = true
		case <-tick.C:
		case <-s.fill.whole:
		}
		if now := s.changes(); now != last {
			s.saveNow()
			last = now
		}
	}
}

// changes differ whenever the cache may hold something else; and once an hour
// while hosts are watched, which is noted with each.
func (s *DHCPServer) changes() [4]uint64 {
	var hour uint64
	if s.feed.live.Load() {
		hour = uint64(time.Now().Unix() / 3600)
	}
	return [4]uint64{s.hosts.Stats().Loads, s.fill.runs.Load(), uint64(s.fill.hosts.Load()), hour}
}

// saveNow keeps the file of before where nothing is known: this run may have had
// the wrong inventory, or none.
func (s *DHCPServer) saveNow() {
	if s.hosts.Stats().Values == 0 {
		return
	}
	began := time.Now()
	n, err := s.writeHosts(s.cfg.CacheFile)
	if err != nil {
		if s.warned.first("save", began) {
			s.log.Warn("the known hosts cannot be kept over a restart; give a file that can be written with --cache-file, or an empty one to do without", "error", err)
		}
		return
	}
	s.log.Debug("the known hosts are saved", "file", s.cfg.CacheFile, "hosts", n, "took", time.Since(began).String())
}

// fresh is what comes between a file's name and a number while it is written.
const fresh = ".new-"

// writeHosts writes the whole file beside the old one and then puts it in its
// place, so that there is always a whole one.
func (s *DHCPServer) writeHosts(name string) (n int, err error) {
	name = linked(name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return 0, fmt.Errorf("make a folder for the known hosts: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+fresh+"*")
	if err != nil {
		return 0, fmt.Errorf("write the known hosts: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is gone when all went well
	n, err = s.encodeHosts(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return 0, fmt.Errorf("write the known hosts to %s: %w", name, err)
	}
	return n, nil
}

// linked follows symbolic links to the file that they stand for, which need not
// be there yet.
func linked(name string) string {
	const most = 40 // as the kernel has it
	for range most {
		to, err := os.Readlink(name)
		switch {
		case err != nil:
			return name
		case filepath.IsAbs(to):
			name = to
		default: // not cleaned: the folder may be a link too
			name = filepath.Dir(name) + "/" + to
		}
	}
	return name
}

// sweepFile removes what a save left that was killed.
func (s *DHCPServer) sweepFile() {
	name := linked(s.cfg.CacheFile)
	files, _ := os.ReadDir(filepath.Dir(name)) // if it cannot be read, saving will say so
	for _, f := range files {
		number, ok := strings.CutPrefix(f.Name(), filepath.Base(name)+fresh)
		if ok && f.Type().IsRegular() && number != "" && strings.Trim(number, "0123456789") == "" {
			_ = os.Remove(filepath.Join(filepath.Dir(name), f.Name()))
		}
	}
}

func (s *DHCPServer) encodeHosts(f io.Writer) (n int, err error) {
	sum := crc32.New(castagnoli)
	w := bufio.NewWriterSize(io.MultiWriter(f, sum), 64<<10)
	head, err := json.Marshal(savedHead{
		APIURL: s.cfg.APIURL, Saved: time.Now(), Hosts: s.hosts.Stats().Values, Networks: s.fill.networks(),
	})
	if err != nil {
		return 0, err
	}
	_, _ = fmt.Fprintf(w, "%s%s\n", savedMagic, head) // Flush tells
	z, err := flate.NewWriter(w, flate.BestSpeed)
	if err != nil {
		return 0, err
	}
	var b []byte
	s.hosts.Each(func(mac clusto.MAC, p *dhcp.Prepared, stored time.Time) {
		b = append(b[:0], mac[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(stored.UnixNano()))
		host, _ := p.AppendBinary(nil) // it cannot fail
		b = append(binary.AppendUvarint(b, uint64(len(host))), host...)
		if _, werr := z.Write(b); err == nil {
			err = werr
		}
		n++
	})
	if err = errors.Join(err, z.Close(), w.Flush()); err != nil {
		return 0, err
	}
	_, err = f.Write(binary.BigEndian.AppendUint32(nil, sum.Sum32()))
	return n, err
}

// restore takes the hosts of the last run, as stale: they are answered while
// the inventory is down, and fetched anew when it is not.
func (s *DHCPServer) restore() {
	if s.cfg.CacheFile == "" {
		return
	}
	s.sweepFile()
	head, n, err := s.readHosts(s.cfg.CacheFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		s.log.Warn("the hosts known to the last run are not used", "file", s.cfg.CacheFile, "error", err)
	default:
		s.setNetworks(head.Networks)
		s.fill.kept.Store(int64(n))
		s.log.Info("hosts of the last run are at hand, for as long as the inventory is down", "hosts", n, "saved", head.Saved.Format(time.RFC3339))
	}
}

var errSaved = errors.New("it is damaged, or of another version; it will be written anew")

// readHosts reads the file; nothing of it is used unless its sum is right, and all that is in it.
func (s *DHCPServer) readHosts(name string) (head savedHead, n int, err error) {
	data, err := readFile(name, savedMost)
	if err != nil {
		return head, 0, err
	}
	body, ok := bytes.CutPrefix(data, []byte(savedMagic))
	if !ok || len(body) < 4 {
		return head, 0, errSaved
	}
	if sum := binary.BigEndian.Uint32(data[len(data)-4:]); crc32.Checksum(data[:len(data)-4], castagnoli) != sum {
		return head, 0, errSaved
	}
	line, hosts, _ := bytes.Cut(body[:len(body)-4], []byte("\n"))
	if json.Unmarshal(line, &head) != nil {
		return head, 0, errSaved
	}
	if head.APIURL != s.cfg.APIURL {
		return head, 0, fmt.Errorf("they are of the inventory at %s, not of %s", head.APIURL, s.cfg.APIURL)
	}
	z := flate.NewReader(bytes.NewReader(hosts))
	all, err := decodeHosts(bufio.NewReaderSize(io.LimitReader(z, savedMost), 64<<10))
	for _, h := range all {
		if s.hosts.Restore(h.mac, h.host, h.stored) {
			n++
		}
	}
	return head, n, err
}

func readFile(name string, most int64) ([]byte, error) {
	st, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular(): // a pipe would be waited for, for good
		return nil, fmt.Errorf("%s is no regular file", name)
	case st.Size() > most:
		return nil, fmt.Errorf("it is larger than %d bytes", most)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("it is larger than %d bytes", most)
	}
	return data, err
}

// savedHost is a host of the file.
type savedHost struct {
	mac    clusto.MAC
	host   *dhcp.Prepared
	stored time.Time
}

// decodeHosts reads hosts to the end. It gives none if one of them is damaged.
func decodeHosts(r *bufio.Reader) (all []savedHost, err error) {
	var fixed [14]byte
	var host []byte
	for {
		if _, err := io.ReadFull(r, fixed[:]); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, errSaved
		}
		size, err := binary.ReadUvarint(r)
		if err != nil || size > 1<<20 {
			return nil, errSaved
		}
		host = append(host[:0], make([]byte, size)...)
		p := new(dhcp.Prepared)
		if _, err := io.ReadFull(r, host); err != nil || p.UnmarshalBinary(host) != nil {
			return nil, errSaved
		}
		stored := time.Unix(0, int64(binary.BigEndian.Uint64(fixed[6:])))
		all = append(all, savedHost{clusto.MAC(fixed[:6]), p, stored})
	}
}
