package daemon

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// FuzzServicesConf: whatever is in services.conf and clusto.conf, a program gets
// its settings, or ends with 2 and one line, which names the file and the line of it
// that has to be changed; what is in no file has its flag and its key named instead.
func FuzzServicesConf(f *testing.F) {
	const dsn = "[clusto]\ndsn = sqlite:///x\n"
	for section := range byte(3) {
		f.Add(full, dsn, section)
		for _, conf := range corpus.Texts(f, "conf") {
			f.Add(string(conf.Bytes), dsn, section)
		}
	}
	for _, ini := range corpus.Texts(f, "ini") {
		f.Add("{}", string(ini.Bytes), byte(2))
	}
	dir := corpus.Folder(f)
	f.Fuzz(func(t *testing.T, conf, ini string, section byte) {
		fileOf(t, ini)
		file := filepath.Join(dir, "services.conf")
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		name := []string{"dhcp", "snmp", "http"}[section%3]
		into := map[string]any{"dhcp": new(DHCP), "snmp": new(SNMP), "http": new(HTTPD)}[name]
		err := ParseFlags(Program{Name: "prog", Section: name, Files: []string{file}, Stdout: io.Discard}, []string{"--check-config"}, into)
		exit := (*Exit)(nil)
		switch {
		case !errors.As(err, &exit):
			t.Fatalf("--check-config ended with %v", err)
		case exit.Code == 0 && exit.Line == "":
		case exit.Code != 2:
			t.Errorf("%d, %q", exit.Code, exit.Line)
		default:
			placed(t, exit.Line, file, conf, name)
		}
	})
}

// fileOf: clusto.conf gives a database, or one line that names the file, and the line of
// it unless it lacks one.
func fileOf(t *testing.T, ini string) {
	t.Helper()
	got, err := iniDSN("clusto.conf", ini)
	if err == nil {
		if got.value == "" {
			t.Error("an empty database")
		}
		return
	}
	line := strings.TrimPrefix(err.Error(), "clusto.conf:")
	if rest, lacks := strings.CutPrefix(line, " [clusto] has no dsn"); lacks && oneLine(rest) {
		return
	}
	at, what, _ := strings.Cut(line, ":")
	if n, err := strconv.Atoi(at); err != nil || n < 1 || n > 1+strings.Count(ini, "\n") || !oneLine(line) || !strings.HasPrefix(what, " ") {
		t.Errorf("clusto.conf:%s", line)
	}
}

func oneLine(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' })
}

var (
	inFile = regexp.MustCompile(`^prog: (.*):(\d+): (?:(\w+)\.(.*?): )?.`)
	inNone = regexp.MustCompile(`^prog: --[a-z0-9-]+ \((\w+)\.(\w+) in services\.conf\): .`)
)

// placed: the line of an error names a place: the file, and the line of it where the key
// is that the error is about; or, of a setting that is not there, its flag and its key.
func placed(t *testing.T, line, file, conf, section string) {
	t.Helper()
	if !oneLine(line) {
		t.Errorf("more than a line: %q", line)
	}
	if none := inNone.FindStringSubmatch(line); none != nil {
		var all map[string]map[string]any
		if _, there := all[none[1]][none[2]]; json.Unmarshal([]byte(conf), &all) == nil && there || none[1] != section {
			t.Errorf("%q is in the file: %q", none[0], conf)
		}
		return
	}
	at := inFile.FindStringSubmatch(line)
	if at == nil || at[1] != file {
		t.Fatalf("without a place: %q", line)
	}
	lines := strings.Split(conf, "\n")
	n, err := strconv.Atoi(at[2])
	if err != nil || n < 1 || n > len(lines) {
		t.Fatalf("no line of the %d of the file: %q", len(lines), line)
	}
	asItIs := utf8.ValidString(conf) && !strings.Contains(conf+at[4], `\`)
	if at[3] == section && asItIs && !strings.Contains(lines[n-1], `"`+at[4]) {
		t.Errorf("line %d has no %q: %q", n, at[4], line)
	}
}
