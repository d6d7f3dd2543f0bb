package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// resolve gives the name that a file has behind all symbolic links, whether or
// not it exists: what SQLite names its other files after.
func resolve(name string) (string, error) {
	for range 40 {
		dir, err := filepath.EvalSymlinks(filepath.Dir(name))
		if err != nil {
			if !errors.As(err, new(*fs.PathError)) { // some name nothing
				err = &fs.PathError{Op: "find", Path: filepath.Dir(name), Err: err}
			}
			return "", err
		}
		name = filepath.Join(dir, filepath.Base(name))
		target, err := os.Readlink(name)
		if err != nil {
			return filepath.Abs(name)
		}
		if name = target; !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
	}
	return "", &fs.PathError{Op: "find", Path: name, Err: syscall.ELOOP}
}

// setUp tells an error of the set-up from one of the machine, which passes: a
// full disk.
func setUp(err error, advice string) error {
	for _, kind := range []error{fs.ErrNotExist, fs.ErrPermission, syscall.ENOTDIR, syscall.EISDIR, syscall.EROFS, syscall.ELOOP, syscall.ENAMETOOLONG} {
		if errors.Is(err, kind) {
			return fmt.Errorf("%w: %w%s", ErrConfig, err, advice)
		}
	}
	return fmt.Errorf("open journal: %w", err)
}

const inAFolder = "; give a file in a folder that exists and may be written"

// claim keeps a second daemon from the file, by a lock on one beside it: whoever
// comes to its folder by another way (a symbolic link, a mount of the folder) meets
// the same lock. Other names of the file itself are refused by regular. One that
// only looks holds the claim for a moment.
func (j *Journal) claim() error {
	f, err := os.OpenFile(j.file+".lock", os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return setUp(err, inAFolder)
	}
	for tries := 0; ; tries++ {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			j.lock = f
			return nil
		}
		if tries == 3 {
			_ = f.Close()
			return fmt.Errorf("%w %s: another process uses it; each daemon needs one of its own", ErrConfig, j.cfg.File)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// claimed reports whether a daemon has the file.
func (j *Journal) claimed() bool {
	f, err := os.Open(j.file + ".lock")
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}

// regular reports whether there is a file with something in it. One of several
// names is refused, a hard link's or a mount's: lock and log are beside a name, so
// that two daemons would write to it, or one would miss what was written by another
// name.
func (j *Journal) regular() (bool, error) {
	st, err := os.Stat(j.file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, setUp(err, inAFolder)
	case !st.Mode().IsRegular():
		return false, fmt.Errorf("%w %s: it is no regular file", ErrConfig, j.cfg.File)
	}
	if mounted(j.file) {
		return false, fmt.Errorf("%w %s: it is a mount of its own, whose lock and log are not those that it has where it is mounted from; mount the folder that it is in instead",
			ErrConfig, j.cfg.File)
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && sys.Nlink > 1 {
		return false, fmt.Errorf("%w %s: it has %d names (hard links), and another daemon may use it by another one; keep the name that a daemon had last, which has .lock beside it, and remove the others (\"find DIR -samefile %s\" lists them); a symbolic link may take their place",
			ErrConfig, j.cfg.File, sys.Nlink, j.cfg.File)
	}
	return st.Size() > 0, nil
}

// findings are what can be said of the file before SQLite has it.
type findings struct {
	damaged bool
	blank   bool  // it says of itself neither that it is a journal nor that it is none
	loose   []row // events at the log's end that SQLite will not take
}

// examine looks at the file and its write-ahead log as they lie there. An error
// that wraps ErrConfig says that it is no journal, or one of another version.
func (j *Journal) examine() (f findings, err error) {
	if _, err := j.regular(); err != nil {
		return f, err
	}
	im, err := openImage(j.file)
	if err != nil {
		return f, setUp(err, "")
	}
	defer im.Close()
	first := make([]byte, pageSize)
	if err := im.page(first, 1); err != nil {
		return f, fmt.Errorf("read journal %s: %w", j.cfg.File, err)
	}
	if f.damaged, f.blank, err = j.judge(im, first); err != nil || f.damaged {
		return f, err
	}
	err = im.looseRows(func(r row) error {
		if !r.dead {
			f.loose = append(f.loose, r.clone())
		}
		return nil
	})
	return f, err
}

// judge tells what the file is by its first page (section 1.3).
func (j *Journal) judge(im *image, first []byte) (damaged, blank bool, err error) {
	be := binary.BigEndian
	magic := string(first[:len(header)]) == header
	id, version := be.Uint32(first[68:]), be.Uint32(first[60:])
	switch {
	case im.size == 0:
		return im.hold(), true, nil
	case magic && id == applicationID && version > schemaVersion:
		return false, false, fmt.Errorf("%w %s: a newer version of this program made it (%d, not %d); take that one, or give another name",
			ErrConfig, j.cfg.File, version, schemaVersion)
	case magic && id == applicationID:
		mode := first[18]           // how it is written; 19: how it is read
		short := im.size < pageSize // SQLite takes it for a new one, and throws the log away
		return short || im.broken || mode < 1 || mode > 2 || first[19] < 1 || first[19] > 2, false, nil
	case magic && id == 0 && !im.broken:
		return false, true, nil
	case im.hold(), !magic && (j.marked || bytes.Equal(first, make([]byte, pageSize))):
		return true, false, nil
	}
	return false, false, j.foreign()
}

func (j *Journal) foreign() error {
	return fmt.Errorf("%w %s: it is something else than a journal; give another name", ErrConfig, j.cfg.File)
}

// errFound ends a search.
var errFound = errors.New("found")

// hold reports whether there is a journal's row anywhere.
func (im *image) hold() bool {
	return errors.Is(im.rows(func(row) error { return errFound }), errFound)
}

// take opens the file for the daemon: a new one is made, one that is damaged is
// replaced by what is left of it.
func (j *Journal) take(ctx context.Context) error {
	if err := j.swap(); err != nil {
		return err
	}
	f, err := j.examine()
	if err != nil {
		return err
	}
	if !f.damaged {
		err = j.prepare(ctx, f.blank)
	}
	switch {
	case errors.Is(err, errDamaged) && f.blank:
		return j.foreign()
	case f.damaged, errors.Is(err, errDamaged):
		if err = j.salvage(ctx); err == nil {
			err = j.prepare(ctx, false)
		}
	}
	if err != nil {
		return err
	}
	if err := j.recount(ctx); err != nil {
		return err
	}
	return j.account(ctx, f.loose)
}

// prepare has SQLite open the file, and check it. If it is none yet, and
// another's tables are in it, it is left as it is.
func (j *Journal) prepare(ctx context.Context, blank bool) (err error) {
	if blank {
		if err := j.nobodys(ctx); err != nil {
			return err
		}
	}
	if j.db, err = openFile(j.file); err != nil {
		return err
	}
	if err = check(ctx, j.db); err == nil {
		_, err = j.shape(ctx, j.db)
	}
	if err == nil {
		err = j.make(ctx)
	}
	if err == nil {
		return nil
	}
	switch {
	case errors.Is(err, errDamaged):
		err = j.failed("open", err)
	case !errors.Is(err, ErrConfig):
		err = fmt.Errorf("%w; see whether the disk is full, or fails", j.failed("open", err))
	}
	return errors.Join(err, j.shut())
}

// nobodys makes sure that no table in the file is another's.
func (j *Journal) nobodys(ctx context.Context) error {
	if some, err := j.regular(); err != nil || !some {
		return err
	}
	db, err := openAs(j.file, "")
	if err != nil {
		return err
	}
	defer db.Close()
	ours, err := j.shape(ctx, db)
	if err == nil && !ours {
		err = j.foreign()
	}
	return blame(err)
}

func (j *Journal) shut() error {
	db := j.db
	if j.db = nil; db == nil {
		return nil
	}
	return db.Close()
}

// look opens the file beside its daemon, or without one. It changes nothing, and
// refuses a file that the daemon would mend.
func (j *Journal) look(ctx context.Context) (err error) {
	none := fmt.Errorf("%w %s: there is no journal", ErrConfig, j.cfg.File)
	switch some, err := j.regular(); {
	case errors.Is(err, fs.ErrPermission):
		return j.notAllowed(err)
	case err != nil:
		return err
	case !some:
		return none
	}
	if err := j.may(); err != nil {
		return j.notAllowed(err)
	}
	if !j.claimed() {
		if err := j.leave(ctx); err != nil {
			return err
		}
	}
	if j.db, err = openFile(j.file); err != nil {
		return err
	}
	return j.seen(ctx)
}

// leave makes sure that nobody has to mend the file before SQLite may write to it:
// the last one to close it cuts off the log what SQLite does not take, and the
// daemon would. To read only changes neither.
func (j *Journal) leave(ctx context.Context) (err error) {
	j.peekMark()
	if f, err := j.examine(); err != nil {
		return err
	} else if f.damaged {
		return j.toBeSaved()
	}
	if j.db, err = openAs(j.file, "&mode=ro"); err != nil {
		return err
	}
	if err = j.seen(ctx); err == nil && j.seq < j.mark.seq {
		err = j.toBeSaved() // it ends before what was acknowledged
	}
	return errors.Join(err, j.shut())
}

// seen checks and counts what SQLite sees in the file.
func (j *Journal) seen(ctx context.Context) error {
	var id int64
	err := j.db.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&id)
	if err == nil && id != applicationID {
		return j.foreign()
	}
	if err = blame(err); err == nil {
		err = check(ctx, j.db)
	}
	if errors.Is(err, errDamaged) {
		return j.toBeSaved()
	} else if err != nil {
		return j.failed("open", err)
	}
	return j.recount(ctx)
}

func (j *Journal) toBeSaved() error {
	return fmt.Errorf("%w %s: it is damaged, and left as it is; the daemon saves what can be saved when it starts", ErrConfig, j.cfg.File)
}

// may makes sure that this user may open the file and those beside it that are
// there, and make them: SQLite writes beside it, even to look. As root only a
// read-only file system says no.
func (j *Journal) may(beside ...string) error {
	const readAndWrite, writeAndEnter = 4 | 2, 2 | 1
	dir := filepath.Dir(j.file)
	if err := syscall.Access(dir, writeAndEnter); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	for _, ext := range append(beside, "", "-wal", "-shm") {
		name := j.file + ext
		if err := syscall.Access(name, readAndWrite); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (j *Journal) notAllowed(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		err = p // no error of the set-up
	}
	return fmt.Errorf("look into journal %s: even looking needs to read and write it, and beside it: %w; become the daemon's user, or root", j.cfg.File, err)
}
