package daemon

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Program is what ParseFlags has to know of a daemon.
type Program struct {
	Name    string   // "clusto-dhcpd"
	About   string   // one line for --help
	Section string   // of services.conf: "dhcp"
	Files   []string // where services.conf may be; nil is ConfigFiles()
	Without []string // flags that have no meaning in this program: "api-url"
	Part    bool     // the section is another program's: keys that are no flags are passed over

	// Elsewhere are keys that a section may have for another program, and that
	// say nothing to this one: "snmp.api_url".
	Elsewhere []string

	Stdout io.Writer // for --help, --version and --check-config; os.Stdout
}

// ConfigFiles gives the places of services.conf. The first that exists counts,
// as it did for the original's daemons.
func ConfigFiles() []string {
	files := []string{"/etc/clusto/services.conf"}
	if home, err := os.UserHomeDir(); err == nil {
		files = append(files, home+"/.clusto/services.conf")
	}
	return append(files, "services.conf")
}

// Exit ends a program before it began: with Code 0 after --help, --version and
// --check-config, with Code 2 and one line for standard error when flags or
// configuration are wrong.
type Exit struct {
	Code int
	Line string
}

func (e *Exit) Error() string { return e.Line }

// FieldError is what a Validate method says of one setting. ParseFlags puts the
// place before it that the value came from.
type FieldError struct {
	Key  string // as in services.conf: "api_url"
	What string // what is wrong, and what to write instead
}

func (e *FieldError) Error() string { return e.Key + ": " + e.What }

func bad(key, format string, args ...any) error {
	return &FieldError{key, fmt.Sprintf(format, args...)}
}

// ParseFlags fills into, a pointer to a struct with kong tags, from args, then
// from the program's section of services.conf, then from the defaults in its
// tags. A flag --some-name is the key some_name of the section; a tag
// key:"other" names it otherwise, key:"-" keeps it out of the file, and a group
// is the name of another section. A Validate method is called last. The error is
// nil or an *Exit.
func ParseFlags(p Program, args []string, into any) (err error) {
	if p.Stdout == nil {
		p.Stdout = os.Stdout
	}
	if p.Files == nil {
		p.Files = ConfigFiles()
	}
	defer func() { // kong ends --help and --version by calling its Exit
		switch e := recover().(type) {
		case nil:
		case *Exit:
			err = e
		default:
			panic(e)
		}
	}()
	r := &resolver{files: p.Files, section: p.Section, elsewhere: p.Elsewhere, part: p.Part}
	k, err := kong.New(into, kong.Name(p.Name), kong.Description(p.About), kong.Resolvers(r),
		kong.Writers(p.Stdout, io.Discard), kong.Exit(func(code int) { panic(&Exit{Code: code}) }),
		kong.Vars{"version": p.Name + " " + version()},
		kong.ExplicitGroups([]kong.Group{
			{Key: "http", Title: "The inventory's API (section http of services.conf):"},
			{Key: "snmp", Title: "Traps of switches (section snmp of services.conf):"},
		}))
	if err != nil {
		return &Exit{2, p.Name + ": " + err.Error()}
	}
	for _, f := range k.Model.Flags {
		f.Hidden = f.Hidden || slices.Contains(p.Without, f.Name)
	}
	ctx, err := k.Parse(args)
	if err = r.explain(k.Model, err); err != nil {
		return &Exit{2, p.Name + ": " + err.Error()}
	}
	for f := range fromArgs(ctx) {
		if slices.Contains(p.Without, f.Name) {
			return &Exit{2, fmt.Sprintf("%s: --%s has no meaning here; leave it out", p.Name, f.Name)}
		}
	}
	if check := reflect.ValueOf(into).Elem().FieldByName("CheckConfig"); check.IsValid() && check.Bool() {
		r.print(p.Stdout, ctx)
		return &Exit{Code: 0}
	}
	return nil
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// keyOf gives the key of the section that a flag is, "" if it is none. A prefix
// that the flag has here is no part of it.
func keyOf(f *kong.Flag) string {
	switch key := f.Tag.Get("key"); {
	case f.Name == "help" || key == "-":
		return ""
	case key != "":
		return key
	}
	return strings.ReplaceAll(strings.TrimPrefix(f.Name, f.Tag.Prefix), "-", "_")
}

// sectionOf names the section of services.conf that a flag is a key of: its
// group, else the program's own.
func sectionOf(f *kong.Flag, own string) string {
	if f.Group == nil {
		return own
	}
	return f.Group.Key
}

// flagsOf gives a program's flags by key, and the keys in the order of the
// struct. Those of another section than the program's own have its name before
// them: "snmp.journal".
func flagsOf(app *kong.Application) (flags map[string]*kong.Flag, keys []string) {
	flags = map[string]*kong.Flag{}
	for _, f := range app.Flags {
		if key := keyOf(f); key != "" {
			if f.Group != nil {
				key = f.Group.Key + "." + key
			}
			flags[key] = f
			keys = append(keys, key)
		}
	}
	return flags, keys
}
