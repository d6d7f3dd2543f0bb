// Package pgtest gives tests databases of a real PostgreSQL: one server for each
// test program, on a unix socket in a temporary folder, without TCP.
package pgtest

import (
	"bufio"
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// errNoPostgres says that there is no PostgreSQL to start.
var errNoPostgres = errors.New("PostgreSQL is not installed (Debian: apt-get install postgresql)")

// server is a PostgreSQL of this test run's own.
type server struct {
	once sync.Once
	err  error
	dir  string // holds data and socket
	cmd  *exec.Cmd
	done chan struct{} // closed once it has ended
	made atomic.Int64  // databases

	admin   *sql.DB // a connection takes longer than what is done with it
	version int     // its server_version_num: 150018 is 15.18

	mu     sync.Mutex
	models map[string]*model
}

// model is a database that others are copies of.
type model struct {
	once sync.Once
	name string // "" if it could not be made
}

var shared server

// Main runs the tests of a package, says if there was no PostgreSQL for them, ends
// the server and the program.
func Main(m *testing.M) {
	code := m.Run()
	shared.stop()
	if shared.skips() {
		warn(shared.err)
	}
	os.Exit(code)
}

// warn says what was not tested, on the terminal too if there is one: of a package
// that passes, go test drops what it wrote.
func warn(why error) {
	line := fmt.Sprintf("*** NOT TESTED *** on PostgreSQL: %v\n", why)
	fmt.Fprint(os.Stderr, line)
	tty, err := os.OpenFile("/dev/tty", os.O_WRONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return
	}
	defer tty.Close()
	fmt.Fprint(tty, line)
}

// skips reports whether tests that ask for a database are skipped.
func (p *server) skips() bool { return errors.Is(p.err, errNoPostgres) && os.Getenv("CI") == "" }

// New gives the URL of a new, empty database. Where there is no PostgreSQL the
// test is skipped, which Main says aloud, but on CI it fails. The package's TestMain
// must call Main.
func New(t testing.TB) string {
	t.Helper()
	return URL(shared.create(t, ""), "clusto")
}

// Like gives the URL of a new database with all that fill once put into an empty
// one: what many tests begin with takes longer to write than to copy. fill runs
// once for each kind, and leaves no connection open.
func Like(t testing.TB, kind string, fill func(dsn string)) string {
	t.Helper()
	p := &shared
	p.mu.Lock()
	if p.models == nil {
		p.models = map[string]*model{}
	}
	m := p.models[kind]
	if m == nil {
		m = &model{}
		p.models[kind] = m
	}
	p.mu.Unlock()
	m.once.Do(func() {
		name := p.create(t, "")
		fill(URL(name, "clusto"))
		m.name = name
	})
	if m.name == "" {
		t.Fatalf("the database %q, which others are to be like, could not be made before", kind)
	}
	return URL(p.create(t, m.name), "clusto")
}

// create makes a database, empty or like another, and gives its name.
func (p *server) create(t testing.TB, like string) string {
	t.Helper()
	p.once.Do(func() { p.err = p.start() })
	if p.skips() {
		t.Skipf("*** NOT TESTED *** on PostgreSQL: %v", p.err)
	}
	if p.err != nil {
		t.Fatal(p.err)
	}
	name := fmt.Sprintf("clusto%d", p.made.Add(1))
	stmt := makes(name, like, p.version)
	if _, err := p.admin.Exec(stmt); err != nil {
		t.Fatalf("%s: %v", stmt, err)
	}
	return name
}

// makes gives the statement for a database.
func makes(name, like string, version int) string {
	stmt := "CREATE DATABASE " + name + " TEMPLATE " + cmp.Or(like, "template1")
	if version < 150000 {
		return stmt // there is no other way than by file_copy
	}
	// A copy of the files holds what a connection to a new database would read from
	// the catalogue.
	return stmt + " STRATEGY file_copy"
}

// URL names a database of the server, and the role to open it as: "clusto" may
// do everything.
func URL(name, role string) string {
	return "postgresql:///" + name + "?" + url.Values{"host": {shared.dir}, "user": {role}}.Encode()
}

// Exec runs statements in a database.
func Exec(t testing.TB, dsn string, stmts ...string) {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, stmt := range stmts {
		if _, err := db.Exec(stmt); err != nil {
			t.Fatalf("%s: %v", stmt, err)
		}
	}
}

// lazy are settings of a server whose data nobody needs after a crash.
var lazy = []string{"fsync", "full_page_writes"}

// Durable has the server wait for the disk until the test's end, as one in use does;
// it does not otherwise. dsn is one of its databases.
func Durable(t testing.TB, dsn string) {
	t.Helper()
	for _, name := range lazy {
		Exec(t, dsn, `ALTER SYSTEM SET `+name+` = on`)
		t.Cleanup(func() { Exec(t, dsn, `ALTER SYSTEM RESET `+name, `SELECT pg_reload_conf()`) })
	}
	Exec(t, dsn, `SELECT pg_reload_conf()`)
	for is := ""; is != "on"; { // a new connection has them once the server has read them
		db, err := sql.Open("pgx", dsn)
		if err == nil {
			err = errors.Join(db.QueryRowContext(t.Context(), `SHOW `+lazy[len(lazy)-1]).Scan(&is), db.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func setIn(conf, line string) error {
	f, err := os.OpenFile(conf, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}

// start makes a cluster and waits until it serves.
func (p *server) start() error {
	bin, err := programs()
	if err != nil {
		return err
	}
	attr, uid, gid, err := runAs()
	if err != nil {
		return err
	}
	// Not t.TempDir: its parents are closed to other users.
	if p.dir, err = os.MkdirTemp("", "clusto-pg-"); err != nil {
		return err
	}
	if err := os.Chown(p.dir, uid, gid); err != nil {
		return err
	}
	data := filepath.Join(p.dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "clusto", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
	initdb.Dir, initdb.SysProcAttr = p.dir, attr
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	for _, name := range lazy { // no flag: Durable could not change it
		if err := setIn(filepath.Join(data, "postgresql.conf"), name+" = off"); err != nil {
			return err
		}
	}
	p.cmd = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", p.dir,
		"-c", "listen_addresses=", "-c", "max_connections=200", "-c", "lc_messages=C")
	p.cmd.Dir, p.cmd.SysProcAttr = p.dir, attr
	if err := p.run(); err != nil {
		return err
	}
	first, err := sql.Open("pgx", URL("template1", "clusto"))
	if err == nil {
		err = errors.Join(first.QueryRow(`SELECT current_setting('server_version_num')::int`).Scan(&p.version), first.Close())
	}
	if err != nil {
		return err
	}
	p.admin, err = sql.Open("pgx", URL("postgres", "clusto"))
	return err
}

// run starts the server and reads its log until it is ready.
func (p *server) run() error {
	logs, err := p.cmd.StderrPipe()
	if err != nil {
		return err
	}
	ready := make(chan error, 1)
	p.done = make(chan struct{})
	go func() {
		defer close(p.done)
		runtime.LockOSThread() // the server is told to end with the thread that began it
		if err := p.cmd.Start(); err != nil {
			ready <- err
			return
		}
		var text strings.Builder
		in := bufio.NewScanner(logs)
		for in.Scan() {
			text.WriteString(in.Text() + "\n")
			if strings.Contains(in.Text(), "ready to accept connections") {
				ready <- nil
				break
			}
		}
		_, _ = io.Copy(io.Discard, logs)
		err := p.cmd.Wait()
		select {
		case ready <- fmt.Errorf("postgres ended (%v):\n%s", err, text.String()):
		default:
		}
	}()
	return <-ready
}

// stop ends the server by its own pid and removes what it wrote.
func (p *server) stop() {
	if p.admin != nil {
		_ = p.admin.Close()
	}
	if p.cmd != nil && p.cmd.Process != nil {
		_ = p.cmd.Process.Signal(syscall.SIGINT) // "fast": clients are cut off
		<-p.done
	}
	if p.dir != "" {
		_ = os.RemoveAll(p.dir)
	}
}

// debians is where Debian has initdb, outside of PATH.
var debians = "/usr/lib/postgresql/*/bin/initdb"

// programs finds initdb and postgres, the newest if there are several.
func programs() (string, error) {
	found, _ := filepath.Glob(debians)
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return slices.Compare(release(a), release(b)) })), nil
	}
	initdb, err := exec.LookPath("initdb")
	if err != nil {
		return "", errNoPostgres
	}
	return filepath.Dir(initdb), nil
}

// release gives the numbers of the release whose initdb is at a path of Debian's:
// 9.6, or 15.
func release(initdb string) (numbers []int) {
	for part := range strings.SplitSeq(filepath.Base(filepath.Dir(filepath.Dir(initdb))), ".") {
		n, _ := strconv.Atoi(part)
		numbers = append(numbers, n)
	}
	return numbers
}

// runAs says as whom to run: initdb refuses root.
func runAs() (attr *syscall.SysProcAttr, uid, gid int, err error) {
	attr = withParent()
	if uid, gid = os.Getuid(), os.Getgid(); uid != 0 {
		return attr, uid, gid, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, 0, 0, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return nil, 0, 0, err
	}
	if gid, err = strconv.Atoi(u.Gid); err != nil {
		return nil, 0, 0, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, uid, gid, nil
}
