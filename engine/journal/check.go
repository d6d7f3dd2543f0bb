package journal

// Check asks whether Open would take the file, and changes nothing. damaged says
// that it would have to save what is left of it, as far as that is seen without
// SQLite. A journal in use is taken for good. An error that wraps ErrConfig is one
// of the set-up.
func Check(file string) (damaged bool, err error) {
	j := &Journal{cfg: Config{File: file}}
	if j.file, err = resolve(file); err != nil {
		return false, setUp(err, inAFolder)
	}
	if _, err := j.regular(); err != nil {
		return false, err
	}
	if err := j.may(".lock"); err != nil {
		return false, setUp(err, "; become the daemon's user, or give a file in a folder that may be written")
	}
	if j.claimed() {
		return false, nil
	}
	j.peekMark()
	f, err := j.examine()
	return f.damaged, err
}
