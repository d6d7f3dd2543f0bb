package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/clusto/clusto-engine/clusto/client"
	"github.com/clusto/clusto-engine/clusto/rack"
	"github.com/clusto/clusto-engine/engine/journal"
)

// What --check-config looks at: the files that settings name, as daemons do when
// they start. Each error is a *FieldError.

// CheckFiles looks at the journal and at rack layouts.
func (s *Traps) CheckFiles() error {
	if err := s.checkJournal(); err != nil {
		return err
	}
	if _, err := rack.Load(s.RackLayouts); err != nil {
		remedy := ""
		if errors.As(err, new(rack.Problems)) {
			remedy = "; mend what is in the folder, or leave the setting out"
		}
		return bad("rack_layouts", "%s%s", strings.Join(strings.Fields(err.Error()), " "), remedy)
	}
	return nil
}

// defaultJournal is the default of journal.
const defaultJournal = "/var/lib/clusto/clusto-snmptrapd.journal"

// checkJournal makes sure that the daemon can open its journal, or make it; "" is
// one for a while. Who checks may be another user than the daemon, for whom the
// default's folder is. One that is damaged is no mistake, since the daemon starts:
// standard error is told.
func (s *Traps) checkJournal() error {
	if s.Journal == "" {
		return nil
	}
	if info, err := os.Stat(s.Journal); err == nil && !info.Mode().IsRegular() {
		return bad("journal", "%s is no file; name a file in a folder of its own, which the daemon makes", s.Journal)
	}
	damaged, err := journal.Check(s.Journal)
	switch {
	case err != nil && s.Journal == defaultJournal && errors.Is(err, fs.ErrPermission):
	case err != nil:
		return bad("journal", "%v", err)
	case damaged:
		fmt.Fprintf(os.Stderr, "journal: %s is damaged; the daemon saves what can be saved when it starts\n", s.Journal)
	}
	return nil
}

// CheckFiles looks at tokens, certificate and key.
func (h *HTTPAccess) CheckFiles() error {
	if h.TokenFile != "" {
		if _, err := readTokens(h.TokenFile, ""); err != nil {
			return bad("token_file", "%v; name a file with tokens, or leave the setting out", err)
		}
	}
	if h.TLSCert == "" {
		return nil
	}
	if _, err := readSecret(h.TLSKey); err != nil {
		return bad("tls_key", "%v; name the file with the key of tls_cert", err)
	}
	if _, err := readCertificate(h.TLSCert, h.TLSKey, slog.New(slog.DiscardHandler)); err != nil {
		return bad("tls_cert", "%v; name the files with a certificate and its key", err)
	}
	return nil
}

// checkAccess looks at the certificates to trust and at the token.
func (a *APIAccess) checkAccess() error {
	if _, err := client.Trust(a.APICAFile); err != nil {
		return bad("api_ca_file", "%v; name a file with certificates, or leave the setting out", err)
	}
	if a.APITokenFile == "" {
		return nil
	}
	if _, err := readToken(a.APITokenFile); err != nil {
		return bad("api_token_file", "%v; name a file with a token, or leave the setting out", err)
	}
	return nil
}

// checkCacheFile refuses what is there and no file: saving would take its place.
func (d *DHCP) checkCacheFile() error {
	name := d.CacheFile
	if name == "" {
		return nil
	}
	st, err := os.Stat(name)
	switch {
	case strings.HasSuffix(name, "/") || err == nil && st.IsDir():
		return bad("cache_file", "%s is a folder; name a file in it, as in --cache-file %s", name, filepath.Join(name, "clusto-dhcpd.hosts"))
	case err == nil && !st.Mode().IsRegular():
		return bad("cache_file", "%s is no regular file; name one, or give an empty --cache-file to do without", name)
	}
	return nil
}

// defaultCacheFile is the default of cache_file.
const defaultCacheFile = "/var/lib/clusto/clusto-dhcpd.hosts"

// checkCacheFolder makes sure that the known hosts can be written. Who checks
// may be another user than the daemon, for whom the default's folder is.
func (d *DHCP) checkCacheFolder() error {
	if d.CacheFile == "" {
		return nil
	}
	folder, err := mayWrite(filepath.Dir(linked(d.CacheFile)))
	if err == nil || d.CacheFile == defaultCacheFile && errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return bad("cache_file", "nothing can be written to %s: %v; become the user that the daemon has, name a file elsewhere, or give an empty one to do without", folder, err)
}

// mayWrite asks whether files can be made in a folder, or in the one in which
// the missing ones are to be made.
func mayWrite(folder string) (asked string, err error) {
	for {
		st, err := os.Stat(folder)
		if up := filepath.Dir(folder); errors.Is(err, fs.ErrNotExist) && up != folder {
			folder = up
			continue
		}
		if p := (*fs.PathError)(nil); errors.As(err, &p) {
			err = p.Err // it names the folder
		} else if !st.IsDir() {
			err = syscall.ENOTDIR
		} else {
			const writeAndEnter = 2 | 1
			err = syscall.Access(folder, writeAndEnter)
		}
		return folder, err
	}
}
