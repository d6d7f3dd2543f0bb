package api

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// transcript is what the original was asked, and answered: clusto/httpd replays it. It is read
// from there, as nothing embeds what is above its own folder.
const transcript = "../../clusto/httpd/testdata/transcript.jsonl"

// exchanged are the requests of the transcript in their order, each a line.
func exchanged(tb testing.TB) (lines []string) {
	tb.Helper()
	file, err := os.Open(transcript)
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	for from := json.NewDecoder(file); from.More(); {
		var one struct{ Method, Path, Query, Body string }
		if err := from.Decode(&one); err != nil {
			tb.Fatal(err)
		}
		line := one.Method + " " + one.Path
		if one.Query != "" {
			line += "?" + one.Query
		}
		if one.Body != "" {
			line += " " + one.Body
		}
		lines = append(lines, line+"\n")
	}
	if len(lines) < 351 {
		tb.Fatalf("the transcript has %d exchanges only", len(lines))
	}
	return lines
}

// sessions makes as few of some lines, in their order, as fit.
func sessions(lines []string) (all []string) {
	last := ""
	for _, line := range lines {
		if !fits(last + line) {
			all, last = append(all, last), ""
		}
		last += line
	}
	return append(all, last)
}

// fits reports whether a session is one that is tried.
func fits(session string) bool {
	return len(session) <= 4096 && strings.Count(session, "\n") <= 32
}

// theirs is the path of an entity, in a path or in a parameter.
var theirs = regexp.MustCompile(`(/|%2F)(server|pool|rack|networkswitch|resourcemanager)(/|%2F)[^/?&%\s]+`)

// ours is a line with their entities' names for those that every inventory begins with.
func ours(line string) string {
	return theirs.ReplaceAllStringFunc(line, func(path string) string {
		m := theirs.FindStringSubmatch(path)
		name := map[string]string{"server": "s", "pool": "p", "rack": "r", "networkswitch": "sw", "resourcemanager": "lan"}[m[2]]
		return m[1] + m[2] + m[3] + name
	})
}

// recorded are sessions of the transcript, as it is and with our names.
func recorded(tb testing.TB) (all []string) {
	tb.Helper()
	lines := exchanged(tb)
	all = sessions(lines)
	for i, line := range lines {
		lines[i] = ours(line)
	}
	return append(all, sessions(lines)...)
}

// TestRecorded: the sessions are all of the transcript, and that twice, in order; each is one
// that is tried, and where the names are ours there is something to answer and to write.
func TestRecorded(t *testing.T) {
	all := recorded(t)
	for _, session := range all {
		if !fits(session) {
			t.Errorf("it is too long: %q", session)
		}
	}
	lines := exchanged(t)
	all = slices.Collect(strings.Lines(strings.Join(all, "")))
	if len(all) != 2*len(lines) {
		t.Fatalf("%d lines of %d", len(all), len(lines))
	}
	s := open(t)
	h, answered, wrote := s.handler(), [2]int{}, [2]int{}
	for i, line := range all {
		want := lines[i%len(lines)]
		mine := i / len(lines)
		if mine == 1 {
			want = ours(want)
		}
		if line != want {
			t.Fatalf("%d is %q, want %q", i, line, want)
		}
		if code, _ := ask(t, h, line, token["write"]); code/100 == 2 {
			answered[mine]++
		}
		if s.written(t) {
			wrote[mine]++
			s.reset(t)
		}
	}
	if answered[1] < 150 || wrote[1] < 30 {
		t.Errorf("with our names %d are answered, and %d write", answered[1], wrote[1])
	}
}
