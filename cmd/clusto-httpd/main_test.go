package main

import (
	"bufio"
	"bytes"
	"database/sql"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto/store/pgtest"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"
)

// asProgram makes the test binary the program itself.
const asProgram = "CLUSTO_HTTPD_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	pgtest.Main(m)
}

// command is the program in an environment without configuration.
func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{asProgram + "=1", "HOME=" + cmd.Dir, "GORACE=atexit_sleep_ms=0"}, env...)
	return cmd
}

// run runs the program to its end.
func run(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := command(t, env, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Where it serves though it should not, the test shall fail and not hang.
	timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait() // the code tells
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// running is a started clusto-httpd.
type running struct {
	cmd   *exec.Cmd
	addr  string
	early string        // what it said until it listened
	ended chan struct{} // closed once log is complete
	log   bytes.Buffer  // what it said after it listened
}

// start runs the program until it listens.
func start(t *testing.T, env []string, args ...string) *running {
	t.Helper()
	if !slices.Contains(args, "--listen") {
		args = append(args, "--listen", "127.0.0.1:0")
	}
	return begin(t, command(t, env, args...))
}

// begin runs a command until it listens.
func begin(t *testing.T, cmd *exec.Cmd) *running {
	t.Helper()
	d := &running{cmd: cmd, ended: make(chan struct{})}
	stderr, err := d.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(stderr)
	for d.addr == "" && in.Scan() {
		var line struct{ Msg, Address string }
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			t.Errorf("a log that is no terminal gets no JSON: %s", in.Text())
		}
		d.early += in.Text() + "\n"
		if line.Msg == "listening" {
			d.addr = line.Address
		}
	}
	go func() {
		defer close(d.ended)
		for in.Scan() {
			d.log.WriteString(in.Text() + "\n")
		}
	}()
	t.Cleanup(func() {
		if d.cmd.ProcessState == nil {
			d.end(t, syscall.SIGKILL)
		}
	})
	if d.addr == "" {
		t.Fatalf("it does not listen: %d", d.wait(t))
	}
	return d
}

// end sends a signal and gives the exit code.
func (d *running) end(t *testing.T, sig os.Signal) int {
	t.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil {
		t.Error(err)
	}
	return d.wait(t)
}

func (d *running) wait(t *testing.T) int {
	t.Helper()
	<-d.ended
	_ = d.cmd.Wait() // the code tells
	return d.cmd.ProcessState.ExitCode()
}

// originalFile loads the site that real clusto wrote into a SQLite file.
func originalFile(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../clusto/store/testdata/clusto.sql")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "clusto.db")
	db := openFile(t, file)
	if _, err := db.ExecContext(t.Context(), string(text)); err != nil {
		t.Fatal(err)
	}
	db.Close()
	return file
}

// openFile opens a SQLite file with nothing of this project between.
func openFile(t *testing.T, file string) *sql.DB { return openAs(t, "sqlite", file) }

func openAs(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// clustoConf writes clusto's own configuration, and gives the environment that
// names it.
func clustoConf(t *testing.T, dsn string) (path string, env []string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "clusto.conf")
	if err := os.WriteFile(path, []byte("[clusto]\ndsn = "+dsn+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, []string{"CLUSTOCONFIG=" + path}
}

func TestVersion(t *testing.T) {
	out, errs, code := run(t, nil, "--version")
	if code != 0 || errs != "" || !strings.HasPrefix(out, "clusto-httpd ") || strings.Count(out, "\n") != 1 {
		t.Errorf("%d %q %q", code, out, errs)
	}
}

func TestCheckConfig(t *testing.T) {
	path, env := clustoConf(t, "postgresql://clusto:secret@db/clusto")
	out, errs, code := run(t, env, "--check-config", "--listen", ":80")
	if code != 0 || errs != "" || strings.Contains(out, "secret") {
		t.Errorf("%d %q %q", code, out, errs)
	}
	for _, want := range [][]string{
		{"db", `"postgresql://clusto:***@db/clusto"`, path + ":2"},
		{"listen", `":80"`, "--listen"},
		{"log_level", `"info"`, "default"},
	} {
		found := false
		for line := range strings.Lines(out) {
			f := strings.Fields(line)
			found = found || strings.Join(f, " ") == strings.Join(want, " ")
		}
		if !found {
			t.Errorf("no line %q in\n%s", want, out)
		}
	}
}

// TestSetUpThatIsWrong ends the program with 2 and one line that says what to do.
func TestSetUpThatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	db := "--db=" + originalFile(t)
	path, env := clustoConf(t, "")
	for _, tt := range []struct {
		name string
		env  []string
		args []string
		says []string
	}{
		{"an unknown flag", nil, []string{db, "--lissten", ":80"}, []string{"--lissten", "--help"}},
		{"no database", nil, nil, []string{"--db", "clusto.conf"}},
		{"an empty dsn", env, nil, []string{path + ":2", "dsn is empty"}},
		{"a text", nil, []string{"--db", text}, []string{text, "no SQLite database"}},
		{"no folder", nil, []string{"--db", "sqlite:////nowhere/clusto.db"}, []string{`"/nowhere"`, "create it first"}},
		{"no PostgreSQL", nil, []string{"--db", "postgresql://u:secret@/clusto?host=/nowhere"}, []string{"postgresql://u:xxxxx@", "/nowhere"}},
		{"no address", nil, []string{db, "--listen", "80"}, []string{"--listen", "HOST:PORT"}},
		{"a taken port", nil, []string{db, "--listen", "127.0.0.1:" + port}, []string{"127.0.0.1:" + port, "taken", "ss -ltnp sport = :" + port}},
		{"an address of another", nil, []string{db, "--listen", "192.0.2.1:80"}, []string{"192.0.2.1:80", "ip addr"}},
		{"a log level", nil, []string{db, "--log-level", "loud"}, []string{"--log-level", "debug, info"}},
	} {
		out, errs, code := run(t, tt.env, append([]string{"--log-level=error"}, tt.args...)...)
		if code != 2 || out != "" || strings.Count(errs, "\n") != 1 || strings.Contains(errs, "secret") {
			t.Errorf("%s: %d %q %q", tt.name, code, out, errs)
		}
		for _, s := range tt.says {
			if !strings.Contains(errs, s) {
				t.Errorf("%s: %q does not say %q", tt.name, errs, s)
			}
		}
	}
}
