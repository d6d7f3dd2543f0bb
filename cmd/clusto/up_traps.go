package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/clusto/clusto-engine/cmd/internal/daemon"
)

// upTraps are clusto-snmptrapd's settings, of section "snmp" of services.conf.
type upTraps struct {
	Interface []string `key:"interfaces" sep:"none" placeholder:"NAME" help:"Take traps on this interface alone. May be given several times. Unset: those of --interface."`

	daemon.Traps `embed:""`
}

// elsewhere are the keys of sections "snmp" and "http" that clusto up has for
// itself, or not at all.
var elsewhere = []string{
	"snmp.api_url", "snmp.api_token_file", "snmp.api_ca_file", "snmp.metrics", "snmp.log_format", "snmp.log_level",
	"http.db", "http.listen", "http.read_only_get", "http.max_connections", "http.max_requests", "http.max_streams", "http.max_feeds",
	"http.max_batches", "http.max_body", "http.request_timeout", "http.log_format", "http.log_level",
}

// AfterApply has addresses come from the manager that the rack names, where
// nothing else is said.
func (f *upFlags) AfterApply() error {
	if f.SNMP.DiscoverIP == nil {
		f.SNMP.DiscoverIP = []string{"rack"}
	}
	return nil
}

// checkTraps judges the settings of traps in the words of their section.
func (f *upFlags) checkTraps() error {
	if !f.Traps {
		return nil
	}
	return inSection("snmp", f.SNMP.Check())
}

// inSection has an error say which section a setting is of.
func inSection(name string, err error) error {
	if field := (*daemon.FieldError)(nil); errors.As(err, &field) {
		return &daemon.FieldError{Key: name + "." + field.Key, What: field.What}
	}
	return err
}

// traps gives what clusto-snmptrapd would be configured with, nil if there shall
// be no traps. Call done in the end.
func (f *upFlags) traps(log *slog.Logger) (cfg *daemon.SNMP, done func(), err error) {
	if !f.Traps {
		return nil, func() {}, nil
	}
	cfg = &daemon.SNMP{Interface: f.SNMP.Interface, APIURL: f.APIURL, APIAccess: f.APIAccess, Traps: f.SNMP.Traps, Common: f.Common}
	if len(cfg.Interface) == 0 {
		cfg.Interface = f.Interface
	}
	if cfg.Journal = f.journal(); cfg.Journal != "" {
		return cfg, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "clusto-up-")
	if err != nil {
		return nil, nil, fmt.Errorf("%w: make a folder for the journal of traps: %w; name a file with --traps-journal", daemon.ErrConfig, err)
	}
	cfg.Journal = filepath.Join(dir, "events")
	if f.DB != "" {
		log.Warn("events of switches are not kept over a restart; name a file for them with --traps-journal", "journal", cfg.Journal)
	}
	return cfg, func() { _ = os.RemoveAll(dir) }, nil
}

// journal names the file for events, "" if it has no place.
func (f *upFlags) journal() string { return cmp.Or(f.SNMP.Journal, journalBeside(f.DB)) }

// sharedJournal is where the journal of another database than a file is, if its
// folder is there.
const sharedJournal = "/var/lib/clusto/clusto-snmptrapd.journal"

// journalBeside names the journal for a database; "" if there is no place for
// one: the database is in memory, or on a server.
func journalBeside(dsn string) string {
	scheme, file, found := strings.Cut(dsn, "://")
	if !found {
		scheme, file = "sqlite", "/"+dsn
	}
	if scheme != "sqlite" {
		if _, err := os.Stat(filepath.Dir(sharedJournal)); err != nil {
			return ""
		}
		return sharedJournal
	}
	file, _, _ = strings.Cut(file, "?")
	file = strings.TrimPrefix(file, "/")
	if file == "" || file == ":memory:" {
		return ""
	}
	return file + ".traps"
}
