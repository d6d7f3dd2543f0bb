package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// FuzzServicesConf: whatever is in services.conf and clusto.conf, a program gets
// its settings, which are those of the file, or ends with 2 and one line, which names the
// file and the line of it that has to be changed; what is in no file has its flag and its key
// named instead. A number of workers is taken if there may be so many, and only then.
func FuzzServicesConf(f *testing.F) {
	const dsn, below = "[clusto]\ndsn = sqlite:///x\n", 64
	for section := range byte(3) {
		f.Add(full, dsn, section)
		for _, conf := range corpus.Texts(f, "conf") {
			f.Add(string(conf.Bytes), dsn, section)
		}
	}
	for _, workers := range []int{-1, 0, 1, 64, 65} {
		f.Add("", dsn, byte(workers+below))
	}
	for _, ini := range corpus.Texts(f, "ini") {
		f.Add("{}", string(ini.Bytes), byte(2))
	}
	dir := corpus.Folder(f)
	f.Fuzz(func(t *testing.T, conf, ini string, section byte) {
		fileOf(t, ini)
		file := filepath.Join(dir, "services.conf")
		name := []string{"dhcp", "snmp", "http"}[section%3]
		into := map[string]any{"dhcp": new(DHCP), "snmp": new(SNMP), "http": new(HTTPD)}[name]
		out, exit := checked(t, file, conf, name, into)
		switch {
		case exit.Code == 0 && exit.Line == "":
			asItSays(t, out, file, conf, name)
		case exit.Code != 2:
			t.Errorf("%d, %q", exit.Code, exit.Line)
		default:
			placed(t, exit.Line, file, conf, name)
			drawn(t, file, conf, int(section)-below)
		}
	})
}

// checked has --check-config judge a services.conf.
func checked(t *testing.T, file, conf, section string, into any) (out string, exit *Exit) {
	t.Helper()
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	err := ParseFlags(Program{Name: "prog", Section: section, Files: []string{file}, Stdout: &b}, []string{"--check-config"}, into)
	if !errors.As(err, &exit) {
		t.Fatalf("--check-config ended with %v", err)
	}
	return b.String(), exit
}

// asItSays: what is taken is JSON, and each number, text and list of texts in its section is a setting,
// which --check-config prints with the line of the file where it stands.
func asItSays(t *testing.T, out, file, conf, section string) {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(conf), &all); err != nil || all == nil {
		t.Fatalf("%q is taken: %v", conf, err)
	}
	var own map[string]any
	dec := json.NewDecoder(bytes.NewReader(all[section]))
	dec.UseNumber()
	if err := dec.Decode(&own); err != nil && all[section] != nil {
		t.Fatalf("section %s of %q is taken: %v", section, conf, err)
	}
	lines := strings.Split(conf, "\n")
	for key, value := range own {
		if s, ok := value.(string); ok && strings.Contains(s, "@") {
			continue // perhaps a password, which is not shown
		}
		printed := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(key) + ` +(.*)  ` + regexp.QuoteMeta(file) + `:(\d+)$`).FindStringSubmatch(out)
		if printed == nil {
			t.Fatalf("%s is not printed:\n%s", key, out)
		}
		if got := strings.TrimRight(printed[1], " "); !slices.Contains(spellings(value), got) {
			t.Errorf("%s is %s, want one of %q", key, got, spellings(value))
		}
		if n, _ := strconv.Atoi(printed[2]); n < 1 || n > len(lines) || !strings.Contains(conf, `\`) && !strings.Contains(lines[n-1], `"`+key) {
			t.Errorf("%s does not stand on line %d", key, n)
		}
	}
}

// spellings gives how a value may be printed: as it is, or as a time.
func spellings(value any) (all []string) {
	add := func(v any) {
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(v)
		all = append(all, strings.TrimSpace(b.String()))
	}
	add(value)
	switch v := value.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			add(n) // -0
			add((time.Duration(n) * time.Second).String())
		}
	case string:
		if d, err := time.ParseDuration(v); err == nil {
			add(d.String())
		}
	}
	return all
}

// drawn: workers of a services.conf in order are taken or refused for their number, and
// nothing is made of it but what it says.
func drawn(t *testing.T, file, text string, workers int) {
	t.Helper()
	nak := len(text)%2 == 1
	var d DHCP
	conf := fmt.Sprintf("{\"dhcp\":\n{\"interfaces\": [\"eth0\"],\n\"workers\": %d, \"nak_pxe\": %v}}", workers, nak)
	_, exit := checked(t, file, conf, "dhcp", &d)
	switch may := workers >= 0 && workers <= 64; {
	case may && (exit.Code != 0 || d.Workers != workers || d.NakPXE != nak || !slices.Equal(d.Interface, []string{"eth0"})):
		t.Errorf("%s\nis %+v, %q", conf, d, exit.Line)
	case !may && (exit.Code != 2 || !strings.HasPrefix(exit.Line, "prog: "+file+":3: dhcp.workers: ")):
		t.Errorf("%s\nis %+v, %q", conf, d, exit.Line)
	}
}

// fileOf: clusto.conf gives a database that stands on the line that is named, with %% for each
// percent sign; or one line that names the file, and the line of it unless it lacks one. One in
// order is taken.
func fileOf(t *testing.T, ini string) {
	t.Helper()
	got, err := iniDSN("clusto.conf", ini)
	if err == nil {
		holdsDSN(t, ini, got)
		return
	}
	const dsn = "sqlite:////100%/c;lusto.db"
	good := "# " + strings.Join(strings.Fields(ini), " ") + "\n[clusto]\nDSN: " + strings.ReplaceAll(dsn, "%", "%%") + "\n"
	if right, err := iniDSN("clusto.conf", good); err != nil || right.value != dsn || right.from != "clusto.conf:3" {
		t.Errorf("%+v, %v, of %q", right, err, good)
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

func holdsDSN(t *testing.T, ini string, got setting) {
	t.Helper()
	dsn, _ := got.value.(string)
	lines := strings.Split(ini, "\n")
	if dsn == "" || got.line < 1 || got.line > len(lines) || got.from != fmt.Sprintf("clusto.conf:%d", got.line) {
		t.Fatalf("%+v, of %q", got, ini)
	}
	key, value, ok := strings.Cut(lines[got.line-1], "=")
	if k, v, colon := strings.Cut(lines[got.line-1], ":"); colon && len(k) < len(key) {
		key, value, ok = k, v, true
	}
	value = strings.TrimSpace(strings.ReplaceAll(value, "%%", "%"))
	if !ok || strings.ToLower(strings.TrimSpace(key)) != "dsn" || !strings.HasPrefix(value, dsn) {
		t.Errorf("%q is no database of line %d: %q", dsn, got.line, lines[got.line-1])
	}
	if rest := strings.TrimSpace(value[min(len(dsn), len(value)):]); rest != "" && rest[0] != ';' {
		t.Errorf("%q lacks %q of line %d", dsn, rest, got.line)
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
