package main

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// typed is what a shell made of a line and a tab.
func typed(t *testing.T, shell, dir string, lines []string) string {
	t.Helper()
	program, err := exec.LookPath(shell)
	if err != nil && os.Getenv("CI") == "" {
		t.Skipf("NOT TESTED in %s: it is not installed (Debian: apt-get install %s)", shell, shell)
	} else if err != nil {
		t.Fatal(err)
	}
	args := map[string][]string{"bash": {"--norc", "--noprofile", "-i"}, "zsh": {"-f", "-i"}}[shell]
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0", "HOME="+dir, "HISTFILE=", "TERM=dumb", "PS1=% ",
		"PATH="+dir+":"+os.Getenv("PATH"))
	terminal := onTerminal(t, cmd)
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	in := map[string]string{"bash": "source <(clusto completion bash)\n", "zsh": "autoload -U compinit; compinit -u -D; source <(clusto completion zsh)\n"}[shell]
	for _, l := range lines { // the line, completed and an x, comes back in capitals
		in += l + "\tx\x01echo '\x05|' | tr a-z A-Z\n"
	}
	go func() { _, _ = io.WriteString(terminal, in+"exit\n") }()
	out, _ := io.ReadAll(terminal) // ends with an error where a terminal ends
	_ = cmd.Wait()
	return string(out)
}

// TestCompletionInShells types lines into real shells, with a tab at the end of
// each.
func TestCompletionInShells(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Symlink(os.Args[0], filepath.Join(dir, "clusto")); err != nil {
		t.Fatal(err)
	}
	db := filepath.Join(dir, "site.db")
	if err := os.WriteFile(filepath.Join(dir, "other.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const more = "entities:\n  \"a:b-c\": {driver: basicserver}\n"
	if r := runClusto(t, small+more, "import", "-", "--db", db); r.code != 0 {
		t.Fatal(r)
	}
	cases := []struct{ line, want string }{
		{"clusto sho", "clusto show x|"},
		{"clusto help rack ins", "clusto help rack insert x|"},
		{"clusto show --db=site.db ex00", "clusto show --db=site.db ex0000 x|"},
		{"clusto pool insert --db site.db pxe", "clusto pool insert --db site.db pxeboot-servers x|"},
		{"clusto pool insert --db site.db pxeboot-servers sv2-", "clusto pool insert --db site.db pxeboot-servers sv2-r01 x|"},
		{"clusto rack show --db site.db ", "clusto rack show --db site.db sv2-r01 x|"},
		{"clusto attr set -t rel", "clusto attr set -t relation x|"},
		{"clusto attr set --type=rel", "clusto attr set --type=relation x|"},
		{"clusto show --jso", "clusto show --json x|"},
		{"clusto show --dep", "clusto show --depth=x|"},
		{"clusto show --db site.db a:b", "clusto show --db site.db a:b-c x|"},
		{"clusto export --db oth", "clusto export --db other.db x|"},
		{"clusto export --db=oth", "clusto export --db=other.db x|"},
		{"clusto import oth", "clusto import other.db x|"},
		{"clusto completion z", "clusto completion zsh x|"},
		{"clusto show --db=site.db nobody", "clusto show --db=site.db nobodyx|"},
		{"clusto show --api-url=http://127.0.0.1:1 e", "clusto show --api-url=http://127.0.0.1:1 ex|"},
	}
	for _, shell := range []string{"bash", "zsh"} {
		t.Run(shell, func(t *testing.T) {
			var lines []string
			for _, c := range cases {
				lines = append(lines, c.line)
			}
			out := typed(t, shell, dir, lines)
			for _, c := range cases {
				if !strings.Contains(out, strings.ToUpper(c.want)+"\r\n") {
					t.Errorf("%q does not become %q", c.line, c.want)
				}
			}
			if t.Failed() {
				t.Logf("%q", out)
			}
		})
	}
}

// TestCompletionHadNoJSON, as every other command has.
func TestCompletionHadNoJSON(t *testing.T) {
	t.Parallel()
	for shell, script := range scripts {
		r := runClusto(t, "", "completion", shell, "--json")
		var got struct{ Shell, Script string }
		if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != 0 || got.Shell != shell || got.Script != script {
			t.Errorf("%s: %v: %+v", shell, err, r)
		}
	}
}

// TestEveryCommandHasJSON, but for the two that run until they are stopped or
// tell a story.
func TestEveryCommandHasJSON(t *testing.T) {
	t.Parallel()
	var visit func(among []*command)
	visit = func(among []*command) {
		for _, c := range among {
			if c.sub != nil {
				visit(c.sub)
			} else if c.name != "up" && c.name != "demo" && !slices.Contains(c.complete([]string{"--js"}), "--json") {
				t.Errorf("%s has no --json", c.name)
			}
		}
	}
	visit(commands)
}
