package daemon

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// clustoConf is where clusto's own configuration is unless CLUSTOCONFIG names
// another place.
const clustoConf = "/etc/clusto/clusto.conf"

// clustoDSN finds the database as clusto's own tools do: CLUSTODSN, else [clusto]
// dsn of the file that CLUSTOCONFIG names, else of /etc/clusto/clusto.conf. The
// setting is empty if there is no file at all.
func clustoDSN() (setting, error) {
	if dsn := os.Getenv("CLUSTODSN"); dsn != "" {
		return setting{value: dsn, from: "$CLUSTODSN"}, nil
	}
	path, chosen := os.Getenv("CLUSTOCONFIG"), true
	if path == "" {
		path, chosen = clustoConf, false
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && !chosen {
		return setting{}, nil
	}
	if err != nil {
		return setting{}, fmt.Errorf("read clusto's configuration: %w; CLUSTOCONFIG names it, --db does without", err)
	}
	return iniDSN(path, string(data))
}

// iniDSN reads [clusto] dsn of a file in the syntax of Python's ConfigParser:
// "key = value" or "key: value", keys in any case, # and ; before comments,
// indented lines that go on with a value, [DEFAULT] for what a section lacks.
func iniDSN(path, text string) (setting, error) {
	found := map[string]setting{}
	section, key := "", ""
	include := false
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		body := strings.TrimSpace(line)
		switch {
		case body == "" || body[0] == '#' || body[0] == ';':
			continue
		case key != "" && line[0] <= ' ':
			if key == "dsn" {
				return setting{}, fmt.Errorf("%s:%d: [%s] dsn goes on over two lines; write it on one", path, i+1, onOneLine(section))
			}
			continue
		case body[0] == '[' && strings.Contains(body, "]"):
			section, key = body[1:strings.IndexByte(body, ']')], ""
			continue
		}
		at := strings.IndexAny(body, "=:")
		if at < 1 {
			return setting{}, fmt.Errorf("%s:%d: want a [section], or key = value, got %q", path, i+1, body)
		}
		key = strings.ToLower(strings.TrimSpace(body[:at]))
		include = include || section == "clusto" && key == "include"
		if key == "dsn" {
			found[section] = setting{value: strings.TrimSpace(body[at+1:]), line: i + 1}
		}
	}
	for _, name := range []string{"clusto", "DEFAULT"} {
		if s, ok := found[name]; ok {
			return plain(path, s)
		}
	}
	if include {
		return setting{}, fmt.Errorf("%s: [clusto] has no dsn, and its include is not followed; give --db", path)
	}
	return setting{}, fmt.Errorf("%s: [clusto] has no dsn; write one, or give --db", path)
}

// plain undoes what ConfigParser does to a value: a comment after it, and %%.
func plain(path string, s setting) (setting, error) {
	dsn, _ := s.value.(string)
	for _, mark := range []string{" ;", "\t;"} {
		dsn, _, _ = strings.Cut(dsn, mark)
	}
	s.from = fmt.Sprintf("%s:%d", path, s.line)
	if strings.Contains(strings.ReplaceAll(dsn, "%%", ""), "%(") {
		return setting{}, fmt.Errorf("%s: dsn has a reference %%(...)s, which is not followed here; write the value out, or give --db", s.from)
	}
	dsn = strings.TrimSpace(strings.ReplaceAll(dsn, "%%", "%"))
	if dsn == "" {
		return setting{}, fmt.Errorf("%s: dsn is empty; write one, as in sqlite:////var/lib/clusto/clusto.db, or give --db", s.from)
	}
	s.value = dsn
	return s, nil
}
