package engine

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/clusto/clusto-engine/"

// A rule bounds what rooms of the house import. Names of our own rooms are
// short ("codec/frame"), a trailing "/..." takes in all below, "std" is the
// standard library.
type rule struct {
	rooms  []string // it holds for these
	except []string // but not for these
	only   []string // they import nothing else; nil for anything
	never  []string // they import none of these, nor do the rooms that they import
	why    string
}

var (
	oracles = []string{"github.com/google/gopacket/...", "github.com/insomniacslk/dhcp/...", "github.com/gosnmp/gosnmp/..."}
	sql     = []string{"modernc.org/sqlite/...", "github.com/jackc/pgx/..."}
)

var importRules = []rule{
	{
		rooms: []string{"codec/..."}, never: []string{"fmt", "log/...", "reflect", "net/http/..."},
		why: "the wire formats run once per frame: what formats, logs or reflects allocates",
	},
	{
		rooms: []string{"codec/..."}, except: []string{"codec/macnotify"}, only: []string{"std"},
		why: "a wire format stands by itself",
	},
	{
		rooms: []string{"codec/macnotify"}, only: []string{"std", "codec/snmp"},
		why: "a MIB is a format inside SNMP's, and knows no other",
	},
	{rooms: []string{"engine"}, only: []string{"std"}, why: "every protocol stands on it, so it knows none"},
	{
		rooms: []string{"engine/afpacket"},
		only: []string{
			"std", "engine", "github.com/mdlayher/packet", "github.com/vishvananda/netlink/...",
			"golang.org/x/sys/...", "golang.org/x/net/bpf",
		},
		why: "it is the only room with system calls, and knows no protocol",
	},
	{
		rooms: []string{"engine/dhcp", "engine/trap"}, only: []string{"std", "engine", "codec/...", "clusto"},
		never: append([]string{"cache", "net/http/...", "database/sql/..."}, sql...),
		why:   "a policy declares the small interfaces that it needs; cmd brings what fulfils them",
	},
	{
		rooms: []string{"cache"}, only: []string{"std", "github.com/hashicorp/golang-lru/...", "golang.org/x/sync/..."},
		why: "it is generic: it knows no protocol, and not even clusto",
	},
	{rooms: []string{"clusto"}, only: []string{"std"}, why: "all rooms speak in its words, so it says nothing of theirs"},
	{
		rooms: []string{"clusto/..."}, never: []string{"engine/...", "codec/...", "cache"},
		why: "the inventory does not know who asks it",
	},
	{
		rooms: []string{"clusto/httpd"}, never: append([]string{"clusto/store/...", "clusto/client", "database/sql/..."}, sql...),
		why: "it declares the Store that it needs, so that it serves any",
	},
	{
		rooms: []string{"..."}, except: []string{"cmd/...", "bench/...", "fuzz/..."}, never: []string{"cmd/...", "bench/...", "fuzz/..."},
		why: "they join concrete types, and nothing stands on a program",
	},
	{
		rooms: []string{"..."}, except: []string{"bench/...", "fuzz/..."}, never: oracles,
		why: "it is an oracle, of fuzz, bench and tests; it allocates and panics on what others send",
	},
	{
		rooms: []string{"..."}, except: []string{"clusto/store/...", "engine/journal", "cmd/...", "bench/...", "fuzz/..."}, never: sql,
		why: "SQL is the business of the rooms that keep something",
	},
}

// imports gives the imports of every room, without those of tests, whatever
// the platform.
func imports(fsys fs.FS) (map[string][]string, error) {
	rooms := make(map[string][]string)
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if name != "." && skipDir(fsys, name) {
				return fs.SkipDir
			}
			return nil
		case !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		found, err := importsOf(fsys, name)
		room := path.Dir(name)
		rooms[room] = slices.Concat(rooms[room], found)
		return err
	})
	return rooms, err
}

func importsOf(fsys fs.FS, name string) (found []string, err error) {
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		found = append(found, strings.TrimPrefix(p, module))
	}
	return found, nil
}

// skipDir leaves out what the go command leaves out, and modules of their own.
func skipDir(fsys fs.FS, dir string) bool {
	_, err := fs.Stat(fsys, dir+"/go.mod")
	base := path.Base(dir)
	return err == nil || base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")
}

// ours are the top level folders; no package of the standard library is called so.
var ours = []string{"codec", "engine", "cache", "clusto", "cmd", "bench", "fuzz"}

func isOurs(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return slices.Contains(ours, first)
}

func isStd(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return !isOurs(name) && !strings.Contains(first, ".")
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		below, all := strings.CutSuffix(p, "...")
		return p == name || all && (strings.HasPrefix(name, below) || name+"/" == below)
	})
}

// reach gives what a room imports, by itself and by way of other rooms; of each
// import the room that has it.
func reach(room string, rooms map[string][]string, seen map[string]string) map[string]string {
	for _, name := range rooms[room] {
		if _, ok := seen[name]; !ok {
			seen[name] = room
			reach(name, rooms, seen)
		}
	}
	return seen
}

// breaches lists what is against the rules.
func breaches(rooms map[string][]string, rules []rule) (out []string) {
	for _, room := range slices.Sorted(maps.Keys(rooms)) {
		for _, r := range rules {
			if !matches(r.rooms, room) || matches(r.except, room) {
				continue
			}
			for name, via := range reach(room, rooms, make(map[string]string)) {
				ok := r.only == nil || via != room || matches(r.only, name) || slices.Contains(r.only, "std") && isStd(name)
				if ok && !matches(r.never, name) {
					continue
				}
				how := ""
				if via != room {
					how = " by way of " + via
				}
				out = append(out, fmt.Sprintf("%s imports %s%s: %s", room, name, how, r.why))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestImportsPointOneWay holds the rooms of the house apart.
func TestImportsPointOneWay(t *testing.T) {
	rooms, err := imports(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range []string{"engine", "codec/frame", "codec/pcap", "cmd/clusto", "cmd/clusto-snmptrapd", "cache", "clusto", "engine/dhcp"} {
		if _, ok := rooms[room]; !ok {
			t.Errorf("%s was not looked at", room)
		}
	}
	for _, b := range breaches(rooms, importRules) {
		t.Error(b)
	}
}

// TestImportRulesCatchBreaches breaks each rule in a house of paper.
func TestImportRulesCatchBreaches(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string // import paths by file, our own ones short
		want  string            // of the one breach; "" for none
	}{
		{"a codec that formats", map[string]string{"codec/x/x.go": "fmt"}, "codec/x imports fmt: "},
		{"a codec with a library", map[string]string{"codec/x/x.go": "golang.org/x/net/bpf"}, "codec/x imports golang.org/x/net/bpf: "},
		{"a codec with another codec", map[string]string{"codec/x/x.go": "codec/y", "codec/y/y.go": "errors"}, "codec/x imports codec/y: "},
		{"an engine that knows a protocol", map[string]string{"engine/x.go": "codec/dhcp4"}, "engine imports codec/dhcp4: "},
		{"a socket that knows a protocol", map[string]string{"engine/afpacket/x.go": "codec/frame"}, "engine/afpacket imports codec/frame: "},
		{"a policy with a cache", map[string]string{"engine/dhcp/x.go": "cache"}, "engine/dhcp imports cache: "},
		{"a policy with HTTP", map[string]string{"engine/trap/x.go": "net/http"}, "engine/trap imports net/http: "},
		{
			"a policy with HTTP by the back door",
			map[string]string{"engine/dhcp/x.go": "clusto", "clusto/x.go": "net/http"},
			"engine/dhcp imports net/http by way of clusto: ",
		},
		{"a cache that knows clusto", map[string]string{"cache/x.go": "clusto"}, "cache imports clusto: "},
		{"words of others", map[string]string{"clusto/x.go": "go.yaml.in/yaml/v3"}, "clusto imports go.yaml.in/yaml/v3: "},
		{"an inventory that knows its askers", map[string]string{"clusto/rack/x.go": "engine"}, "clusto/rack imports engine: "},
		{"a server with a store", map[string]string{"clusto/httpd/x.go": "clusto/store"}, "clusto/httpd imports clusto/store: "},
		{"a room on a program", map[string]string{"clusto/rack/x.go": "cmd/internal/daemon"}, "clusto/rack imports cmd/internal/daemon: "},
		{"an oracle at work", map[string]string{"clusto/rack/x.go": "github.com/google/gopacket/layers"}, "clusto/rack imports github.com/google/gopacket/layers: "},
		{"an oracle in all daemons", map[string]string{"cmd/internal/daemon/x.go": "github.com/google/gopacket/pcapgo"}, "cmd/internal/daemon imports github.com/google/gopacket/pcapgo: "},
		{"an oracle in a program", map[string]string{"cmd/clusto/x.go": "github.com/google/gopacket"}, "cmd/clusto imports github.com/google/gopacket: "},
		{"an oracle that reads captures", map[string]string{"cmd/clusto-snmptrapd/x.go": "github.com/google/gopacket/pcapgo"}, "cmd/clusto-snmptrapd imports github.com/google/gopacket/pcapgo: "},
		{"an oracle of DHCP", map[string]string{"engine/dhcp/x.go": "github.com/insomniacslk/dhcp/dhcpv4"}, "engine/dhcp imports github.com/insomniacslk/dhcp/dhcpv4: "},
		{"an oracle of SNMP", map[string]string{"cmd/clusto-storm/x.go": "github.com/gosnmp/gosnmp"}, "cmd/clusto-storm imports github.com/gosnmp/gosnmp: "},
		{"SQL elsewhere", map[string]string{"clusto/rack/x.go": "modernc.org/sqlite"}, "clusto/rack imports modernc.org/sqlite: "},
		{"another platform's file", map[string]string{"cache/x_windows.go": "clusto"}, "cache imports clusto: "},

		{"a test", map[string]string{"codec/x/x_test.go": "fmt"}, ""},
		{"a module of its own", map[string]string{"bench/peers/go.mod": "", "bench/peers/x.go": "cmd/clusto"}, ""},
		{"a store", map[string]string{"clusto/store/x.go": "modernc.org/sqlite"}, ""},
		{"a program", map[string]string{"cmd/clusto/x.go": "codec/dhcp4", "codec/dhcp4/x.go": "errors"}, ""},
		{"a program's test", map[string]string{"cmd/clusto/x_test.go": "github.com/google/gopacket"}, ""},
		{"a fuzz target's helper", map[string]string{"fuzz/corpus/x.go": "github.com/google/gopacket"}, ""},
		{"a benchmark", map[string]string{"bench/x.go": "github.com/google/gopacket"}, ""},
		{"a policy", map[string]string{"engine/dhcp/x.go": "codec/dhcp4", "codec/dhcp4/x.go": "errors"}, ""},
	} {
		files := make(fstest.MapFS)
		for name, imp := range c.files {
			if isOurs(imp) {
				imp = module + imp
			}
			files[name] = &fstest.MapFile{Data: fmt.Appendf(nil, "package x\n\nimport %q\n", imp)}
		}
		rooms, err := imports(files)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := breaches(rooms, importRules)
		caught := slices.ContainsFunc(got, func(b string) bool { return strings.HasPrefix(b, c.want) })
		if c.want == "" && len(got) > 0 || c.want != "" && !caught {
			t.Errorf("%s: breaches %q, want %q", c.name, got, c.want)
		}
	}
}
