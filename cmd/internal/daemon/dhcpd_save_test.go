package daemon

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/engine/dhcp"
)

// keeper is a server without interfaces: what saves and restores hosts.
func keeper(t testing.TB, url, file string, log *bytes.Buffer) *DHCPServer {
	t.Helper()
	s := bareKeeper(t, url, file, log)
	s.makeServer()
	return s
}

// bareKeeper has no server, whose Lot takes time to make: enough where no host
// will be taken.
func bareKeeper(t testing.TB, url, file string, log *bytes.Buffer) *DHCPServer {
	t.Helper()
	s := &DHCPServer{
		cfg: &DHCP{APIURL: url, CacheFile: file, CacheSize: 1000, MaxStale: time.Hour, WarnInterval: time.Hour},
		log: slog.New(slog.NewTextHandler(log, nil)), fill: prefetch{wanted: make(chan struct{}, 1), whole: make(chan struct{}, 1)},
	}
	s.warned.every = time.Hour
	if err := s.makeInventory(); err != nil {
		t.Fatal(err)
	}
	return s
}

func keptMAC(i int) clusto.MAC { return clusto.MAC{2, 0, 0, 0, byte(i >> 8), byte(i)} }

// fillKeeper has a server know hosts.
func fillKeeper(s *DHCPServer, n int) {
	for i := range n {
		p, _ := dhcp.Prepare(&clusto.Host{
			MAC: keptMAC(i), Entity: clusto.Entity{Name: "s", Type: "server"}, Enabled: true,
			Addresses: []clusto.Address{{IP: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}},
		}, dhcp.PrepareConfig{})
		s.hosts.PutAt(s.hosts.Generation(), keptMAC(i), p)
	}
	s.setNetworks([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")})
}

// saved has a server save what it knows, and gives both.
func saved(t testing.TB, file string, hosts int, log *bytes.Buffer) (s *DHCPServer, b []byte) {
	t.Helper()
	s = keeper(t, "http://a", file, log)
	fillKeeper(s, hosts)
	if _, err := s.writeHosts(file); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return s, b
}

func TestHostsAreKept(t *testing.T) {
	const n = 500
	var log bytes.Buffer
	file := filepath.Join(t.TempDir(), "new", "folder", "hosts")
	old := keeper(t, "http://a", file, &log)
	fillKeeper(old, n)
	for range 2 { // over itself too
		if got, err := old.writeHosts(file); err != nil || got != n {
			t.Fatalf("%d written: %v", got, err)
		}
	}
	now := keeper(t, "http://a", file, &log)
	now.restore()
	for i := range n {
		p, state := now.hosts.Lookup(keptMAC(i), time.Now().UnixNano())
		want, _ := old.hosts.Lookup(keptMAC(i), time.Now().UnixNano())
		if state != dhcp.Stale || p.Name() != want.Name() {
			t.Fatalf("host %d: state %d, want stale", i, state)
		}
	}
	if nets := now.fill.networks(); len(nets) != 1 || now.fill.kept.Load() != n || !strings.Contains(log.String(), "hosts=500") {
		t.Errorf("networks %v, %d kept\n%s", nets, now.fill.kept.Load(), &log)
	}
	if left, _ := filepath.Glob(file + ".new-*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestDamagedFileIsNotUsed: any byte changed, any length cut, another version,
// another inventory: a warning, and no host.
func TestDamagedFileIsNotUsed(t *testing.T) {
	var log bytes.Buffer
	file := filepath.Join(t.TempDir(), "hosts")
	_, good := saved(t, file, 3, &log)
	refused := func(what, url string, data []byte) {
		t.Helper()
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		log.Reset()
		s := bareKeeper(t, url, file, &log)
		s.restore()
		if n := s.hosts.Stats().Values; n != 0 || strings.Count(log.String(), "are not used") != 1 {
			t.Fatalf("%s: %d hosts taken\n%s", what, n, &log)
		}
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		refused("a bit changed", "http://a", bad)
		refused("cut", "http://a", good[:i])
	}
	refused("another inventory", "http://b", good)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	log.Reset()
	keeper(t, "http://a", file, &log).restore()
	if log.Len() > 0 {
		t.Errorf("the first start complains: %s", &log)
	}
}

// TestHostsBeforeADamageWereTaken: behind a right sum, the hosts before what is damaged were
// in the cache, while the log said that the file's hosts are not used.
func TestHostsBeforeADamageWereTaken(t *testing.T) {
	var log bytes.Buffer
	file := filepath.Join(t.TempDir(), "hosts")
	old := keeper(t, "http://a", file, &log)
	fillKeeper(old, 3)
	part := hostsPart(old)
	for name, bad := range map[string][]byte{"cut": part[:len(part)-1], "a host that is none": append(part, make([]byte, 15)...)} {
		if err := os.WriteFile(file, savedFile(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		log.Reset()
		s := bareKeeper(t, "http://a", file, &log)
		s.restore()
		if n := s.hosts.Stats().Values; n != 0 || strings.Count(log.String(), "are not used") != 1 {
			t.Errorf("%s: %d hosts taken\n%s", name, n, &log)
		}
	}
}

// TestLinkToTheFileIsKept: a save put a file in the place of a link.
func TestLinkToTheFileIsKept(t *testing.T) {
	dir := t.TempDir()
	link, file := filepath.Join(dir, "link"), filepath.Join(dir, "disk", "hosts")
	for name, to := range map[string]string{link: "other", filepath.Join(dir, "other"): filepath.Join("disk", "hosts")} {
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	s := keeper(t, "http://a", link, &log)
	fillKeeper(s, 3)
	for range 2 { // the first time there is no file yet
		if _, err := s.writeHosts(link); err != nil {
			t.Fatal(err)
		}
		if to, err := os.Readlink(link); err != nil || to != "other" {
			t.Fatalf("the link leads to %q: %v", to, err)
		}
		if st, err := os.Lstat(file); err != nil || !st.Mode().IsRegular() {
			t.Fatalf("no file: %v", err)
		}
	}
}

// TestLeftoversOfAKilledSave are removed at the next start, and nothing else is.
func TestLeftoversOfAKilledSave(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Join(dir, "hosts"), link); err != nil {
		t.Fatal(err)
	}
	names := []string{"hosts", "hosts.new-", "hosts.new-123", "hosts.new-77x", "others.new-1", "hosts.new-9"}
	for _, n := range names {
		if err := os.WriteFile(filepath.Join(dir, n), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	keeper(t, "http://a", link, &log).restore()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 4 {
		t.Errorf("left are %v: %v", left, err)
	}
	for _, f := range left {
		if f.Name() == "hosts.new-123" || f.Name() == "hosts.new-9" {
			t.Errorf("%s is still there", f.Name())
		}
	}
}

// TestHostsOfAWalkAreSaved: a crash lost all that a walk had brought, for up to
// five minutes after its end, or since its beginning if nothing else was loaded.
func TestHostsOfAWalkAreSaved(t *testing.T) {
	for name, c := range map[string]struct {
		walk  func(s *DHCPServer)
		after time.Duration
	}{
		"complete":   {func(s *DHCPServer) { s.fill.runs.Add(1); s.fill.whole <- struct{}{} }, time.Millisecond},
		"on its way": {func(s *DHCPServer) { s.fill.hosts.Add(1) }, saveEvery},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			file := filepath.Join(t.TempDir(), "hosts")
			s := keeper(t, "http://a", file, &log)
			ctx, stop := context.WithCancel(t.Context())
			var saver sync.WaitGroup
			saver.Go(func() { s.save(ctx) })
			synctest.Wait()
			fillKeeper(s, 3)
			c.walk(s)
			time.Sleep(c.after) // of the bubble
			synctest.Wait()
			if _, n, err := s.readHosts(file); err != nil {
				t.Errorf("%s: %d hosts saved: %v", name, n, err)
			}
			stop()
			saver.Wait()
		})
	}
}

// TestNothingIsNotSavedOverHosts: a start with a wrong api_url, and the known hosts
// were gone: what it did not use it wrote anew, with none.
func TestNothingIsNotSavedOverHosts(t *testing.T) {
	var log bytes.Buffer
	file := filepath.Join(t.TempDir(), "hosts")
	old := keeper(t, "http://a", file, &log)
	fillKeeper(old, 3)
	old.saveNow()
	wrong := keeper(t, "http://b", file, &log)
	wrong.restore()
	wrong.saveNow()
	if _, n, err := keeper(t, "http://a", file, &log).readHosts(file); n != 3 || err != nil {
		t.Errorf("%d hosts are left, want 3: %v", n, err)
	}
}

// TestUnwritableFileIsOneWarning and stops nothing.
func TestUnwritableFileIsOneWarning(t *testing.T) {
	var log bytes.Buffer
	s := keeper(t, "http://a", "/proc/nowhere/hosts", &log)
	fillKeeper(s, 1)
	s.saveNow()
	s.saveNow()
	if n := strings.Count(log.String(), "--cache-file"); n != 1 {
		t.Errorf("%d warnings, want 1: %s", n, &log)
	}
}

// TestWhatIsNoFileIsNotRead: a pipe hung the start for good, and a file of any
// size was read before its size was judged.
func TestWhatIsNoFileIsNotRead(t *testing.T) {
	pipe, huge := filepath.Join(t.TempDir(), "pipe"), filepath.Join(t.TempDir(), "huge")
	if out, err := exec.Command("mkfifo", pipe).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, savedMost+1); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{pipe: "no regular file", huge: "larger than", t.TempDir(): "no regular file"} {
		var log bytes.Buffer
		keeper(t, "http://a", file, &log).restore()
		if !strings.Contains(log.String(), want) {
			t.Errorf("%s: %q, want %q", file, &log, want)
		}
	}
}
