package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"
)

// resolver answers kong from services.conf, and the database from clusto.conf.
type resolver struct {
	files     []string
	section   string
	elsewhere []string // keys that are other programs'
	part      bool     // all keys that are no flags are

	loaded bool
	confs  map[string]section // by name
	dsn    setting
	err    error // kong would put the flag's name before it: kept for explain
}

// Validate is kong's; explain does it.
func (r *resolver) Validate(*kong.Application) error { return nil }

// Resolve gives a flag's value from the files, or nil.
func (r *resolver) Resolve(ctx *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
	if !r.loaded {
		r.loaded = true
		r.err = r.load(ctx)
	}
	if r.err != nil {
		return nil, nil
	}
	conf, key := r.at(f)
	s, ok := conf.values[key]
	if !ok {
		return r.fallback(f), nil
	}
	if unless(ctx, f) {
		return nil, nil
	}
	v, err := typed(f, s.value)
	if err != nil {
		r.err = fmt.Errorf("%s: %w", conf.place(key), err)
		return nil, nil
	}
	return v, nil
}

// unless reports whether the flag was given that makes the file's value of f
// mean nothing: its tag unless:"other" names it.
func unless(ctx *kong.Context, f *kong.Flag) bool {
	other := f.Tag.Get("unless")
	for given := range fromArgs(ctx) {
		if given.Name == other {
			return true
		}
	}
	return false
}

// at gives the section that a flag is a key of, and the key.
func (r *resolver) at(f *kong.Flag) (section, string) {
	return r.confs[sectionOf(f, r.section)], keyOf(f)
}

// load reads the file and compares its keys with the flags.
func (r *resolver) load(ctx *kong.Context) error {
	known := map[string][]string{r.section: nil} // keys by section
	for _, f := range ctx.Model.Flags {
		if keyOf(f) != "" {
			name := sectionOf(f, r.section)
			known[name] = append(known[name], keyOf(f))
		}
	}
	r.confs = map[string]section{}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		conf, err := r.find(ctx, name)
		if err != nil {
			return err
		}
		for _, key := range conf.order {
			if !r.part && !slices.Contains(known[name], key) && !slices.Contains(r.elsewhere, name+"."+key) {
				return fmt.Errorf("%s: unknown key; %s", conf.place(key), suggestion(key, known[name]))
			}
		}
		r.confs[name] = conf
	}
	return nil
}

// find reads a section of the file of --config, else of the first that exists.
func (r *resolver) find(ctx *kong.Context, name string) (section, error) {
	for _, f := range ctx.Flags() {
		if file, _ := ctx.FlagValue(f).(string); f.Name == "config" && file != "" {
			return readSection(file, name)
		}
	}
	for _, file := range r.files {
		if s, err := readSection(file, name); !errors.Is(err, os.ErrNotExist) {
			return s, err
		}
	}
	return section{}, nil
}

// fallback takes the database from an existing clusto.conf, for the flag that
// is tagged so.
func (r *resolver) fallback(f *kong.Flag) any {
	if f.Tag.Get("from") != "clusto.conf" {
		return nil
	}
	if r.dsn, r.err = clustoDSN(); r.err != nil || r.dsn.value == nil {
		return nil
	}
	return r.dsn.value
}

// typed turns a JSON value into what kong decodes into the flag's type.
func typed(f *kong.Flag, v any) (any, error) {
	if f.Target.Type() == reflect.TypeFor[time.Duration]() {
		return typedDuration(v)
	}
	switch f.Target.Kind() {
	case reflect.Bool:
		if b, ok := v.(bool); ok {
			return b, nil
		}
		return nil, fmt.Errorf("want true or false, without quotes, got %s", show(v))
	case reflect.Int, reflect.Uint32:
		return typedInt(v, f.Target.CanUint())
	case reflect.String:
		if s, ok := v.(string); ok {
			return s, nil
		}
		return nil, fmt.Errorf("want a text in quotes, got %s", show(v))
	case reflect.Slice:
		return typedList(v)
	}
	return typedCodes(v)
}

// typedInt takes an int, or of unsigned only what 32 bits hold.
func typedInt(v any, unsigned bool) (any, error) {
	n, ok := v.(json.Number)
	i, err := strconv.ParseInt(n.String(), 10, 64)
	if !ok || err != nil {
		return nil, fmt.Errorf("want a number, got %s; write a whole number without quotes", show(v))
	}
	if unsigned && uint64(i) > math.MaxUint32 {
		return nil, fmt.Errorf("want a number from 0 to %d, got %s", uint32(math.MaxUint32), show(v))
	}
	return n.String(), nil
}

func typedDuration(v any) (any, error) {
	switch v := v.(type) {
	case json.Number:
		if _, err := strconv.ParseUint(v.String(), 10, 31); err == nil {
			return v.String() + "s", nil
		}
	case string:
		if _, err := time.ParseDuration(v); err == nil {
			return v, nil
		}
	}
	return nil, fmt.Errorf("want a time, got %s; write \"30s\", \"5m\", \"24h\", or a whole number of seconds", show(v))
}

func typedList(v any) (any, error) {
	list, ok := v.([]any)
	for _, e := range list {
		_, text := e.(string)
		ok = ok && text
	}
	if !ok {
		return nil, fmt.Errorf("want a list of texts, got %s; write [\"a\", \"b\"]", show(v))
	}
	return list, nil
}

// typedCodes checks an object of codes and names: {"66": "tftp_server"}.
func typedCodes(v any) (any, error) {
	m, ok := v.(map[string]any)
	for code, name := range m {
		_, text := name.(string)
		_, err := strconv.Atoi(code)
		ok = ok && text && err == nil
	}
	if !ok {
		return nil, fmt.Errorf("want codes and names, got %s; write {\"66\": \"tftp_server\"}", show(v))
	}
	return m, nil
}

// show writes a JSON value for a message.
func show(v any) string {
	b, _ := json.Marshal(v) // it came from JSON
	if len(b) > 60 {
		return string(b[:57]) + "..."
	}
	return string(b)
}

// explain chooses what to say: what is wrong with the file first, since kong
// went on without it.
func (r *resolver) explain(app *kong.Application, err error) error {
	if r.err != nil {
		return r.err
	}
	var field *FieldError
	if errors.As(err, &field) {
		flags, _ := flagsOf(app)
		return fmt.Errorf("%s: %s", r.place(flags[field.Key], field.Key, err), field.What)
	}
	if err != nil {
		return fmt.Errorf("%w; --help lists the flags", err)
	}
	return nil
}

// place says where a value came from, in the words of one who has to change it.
func (r *resolver) place(f *kong.Flag, key string, err error) string {
	if f == nil {
		return key
	}
	if p := (*kong.ParseError)(nil); errors.As(err, &p) && fromArgs(p.Context)[f] {
		return "--" + f.Name
	}
	conf, key := r.at(f)
	if conf.has(key) {
		return conf.place(key)
	}
	if f.Tag.Get("from") != "" && r.dsn.from != "" {
		return r.dsn.from
	}
	if env := fromEnv(f); env != "" {
		return env
	}
	return fmt.Sprintf("--%s (%s.%s in services.conf)", f.Name, sectionOf(f, r.section), key)
}

// fromEnv names the environment variable that sets a flag, where nothing else
// does; "" if none does.
func fromEnv(f *kong.Flag) string {
	for _, env := range f.Envs {
		if _, ok := os.LookupEnv(env); ok {
			return "$" + env
		}
	}
	return ""
}

// fromArgs gives the flags that the command line set.
func fromArgs(ctx *kong.Context) map[*kong.Flag]bool {
	set := map[*kong.Flag]bool{}
	for _, p := range ctx.Path {
		if p.Flag != nil && !p.Resolved {
			set[p.Flag] = true
		}
	}
	return set
}

var password = regexp.MustCompile(`(://[^:/@]*:)[^@]*@`)

// print writes every setting, its value and where it came from.
func (r *resolver) print(w io.Writer, ctx *kong.Context) {
	flags, keys := flagsOf(ctx.Model)
	set := fromArgs(ctx)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, key := range keys {
		f := flags[key]
		from := "default"
		conf, own := r.at(f)
		switch {
		case set[f]:
			from = "--" + f.Name
		case conf.has(own):
			from = fmt.Sprintf("%s:%d", conf.path, conf.values[own].line)
		case f.Tag.Get("from") != "" && r.dsn.from != "":
			from = r.dsn.from
		case fromEnv(f) != "":
			from = fromEnv(f)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", key, password.ReplaceAllString(showFlag(f), "${1}***@"), from)
	}
	_ = tw.Flush()
}

func showFlag(f *kong.Flag) string {
	v := f.Target.Interface()
	if d, ok := v.(time.Duration); ok {
		v = d.String()
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSpace(b.String())
}
