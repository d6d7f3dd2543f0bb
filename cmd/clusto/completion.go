package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/clusto/clusto-engine/clusto"
)

const completionAbout = "Print a script that has a shell complete commands, flags and names."

type completionFlags struct {
	Shell string `arg:"" complete:"bash,zsh" help:"bash or zsh: source <(clusto completion bash), in ~/.bashrc or ~/.zshrc."`
	output
}

// Validate checks what kong cannot.
func (f *completionFlags) Validate() error {
	if scripts[f.Shell] == "" {
		return fmt.Errorf("<shell>: there is no script for %q; write bash or zsh", f.Shell)
	}
	return nil
}

func completionMain(args []string) int {
	var flags completionFlags
	if code, ok := parse("completion", completionAbout, args, &flags); !ok {
		return code
	}
	if err := flags.print(os.Stdout); err != nil {
		return fail("completion", exitFailed, fmt.Errorf("write to standard output: %w", err))
	}
	return 0
}

func (f *completionFlags) print(out io.Writer) error {
	if f.JSON {
		return printJSON(out, map[string]string{"shell": f.Shell, "script": scripts[f.Shell]})
	}
	_, err := io.WriteString(out, scripts[f.Shell])
	return err
}

// scripts call "clusto __complete WORD...", the words of the line up to the one
// that is being written, and offer the lines that it prints. The line ":files"
// asks for the shell's own names of files.
var scripts = map[string]string{
	"bash": `# clusto, completed by bash. Readline parts words at = and : too, so the
# words are taken from the line, and what it has of the last one is cut off.
_clusto() {
    local line=${COMP_LINE:0:COMP_POINT} cur=${COMP_WORDS[COMP_CWORD]} word IFS=$' \t\n'
    local -a words
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    word=${words[${#words[@]}-1]}
    case $cur in : | = | [:=]*) cur= ;; esac
    IFS=$'\n'
    COMPREPLY=($("${words[0]}" __complete "${words[@]:1}" 2>/dev/null))
    if [[ ${COMPREPLY[0]} == :files ]]; then
        compopt -o filenames
        word=${word#--*=}
        COMPREPLY=($(compgen -f -- "$word"))
        return
    fi
    local cut=${word%"$cur"}
    COMPREPLY=("${COMPREPLY[@]#"$cut"}")
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace
    fi
}
complete -F _clusto clusto
`,
	"zsh": `#compdef clusto
_clusto() {
    local ret=1
    local -a found plain
    found=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ $found[1] == :files ]]; then
        compset -P '--*='
        _files
        return
    fi
    plain=(${found:#*=})
    found=(${(M)found:#*=})
    (( $#plain )) && compadd -- $plain && ret=0
    (( $#found )) && compadd -S '' -- $found && ret=0
    return ret
}
if [[ $funcstack[1] == _clusto ]]; then
    _clusto "$@"
else
    compdef _clusto clusto
fi
`,
}

// files asks the script for names of files.
const files = ":files"

// completeLimit is how long the inventory may take to tell names.
const completeLimit = time.Second

// mostNames are offered; more of them help nobody.
const mostNames = 1000

// complete prints what the last of the words may become, a candidate a line. It
// is quiet about everything that goes wrong.
func complete(words []string, out io.Writer) int {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	for _, c := range candidates(words) {
		if strings.HasPrefix(c, last) || c == files {
			fmt.Fprintln(out, c)
		}
	}
	return 0
}

func candidates(words []string) []string {
	among, c := commands, (*command)(nil)
	if words[0] == "help" && len(words) > 1 {
		words = words[1:]
	}
	for len(words) > 1 && among != nil {
		if c = find(among, words[0]); c == nil {
			return nil
		}
		among, words = c.sub, words[1:]
	}
	if among != nil {
		return commandNames(among)
	}
	return c.complete(words)
}

func commandNames(among []*command) (names []string) {
	for _, c := range among {
		names = append(names, c.name)
	}
	return names
}

// complete gives what the last of the words after the command may be.
func (c *command) complete(words []string) []string {
	flags := c.flags()
	k, err := kong.New(flags, kong.Name("clusto"), kong.Exit(func(int) {}), kong.Vars{"version": ""})
	if err != nil {
		return nil
	}
	l := line{app: k.Model.Node, last: words[len(words)-1]}
	for _, w := range words[:len(words)-1] {
		l.take(w)
	}
	kind, begun := l.wants()
	if kind == "" {
		return l.flagNames()
	}
	// What is before the last word says which inventory to ask.
	if ctx, err := kong.Trace(k, words[:len(words)-1]); err == nil {
		_ = ctx.Resolve() // and the environment
		_, _ = ctx.Apply()
	}
	var out []string
	for _, v := range values(kind, flags, strings.TrimPrefix(l.last, begun)) {
		if v == files {
			return []string{files}
		}
		out = append(out, begun+v)
	}
	return out
}

// line is what is written so far after a command.
type line struct {
	app    *kong.Node
	last   string
	args   int        // positional arguments that are complete
	open   *kong.Flag // the flag whose value comes next
	noFlag bool       // after --
}

func (l *line) take(w string) {
	switch {
	case l.open != nil:
		l.open = nil
	case w == "--" && !l.noFlag:
		l.noFlag = true
	case strings.HasPrefix(w, "-") && len(w) > 1 && !l.noFlag:
		if f := l.flag(w); f != nil && !f.IsBool() && !strings.Contains(w, "=") {
			l.open = f
		}
	default:
		l.args++
	}
}

// flag finds the flag that a word is.
func (l *line) flag(w string) *kong.Flag {
	name, _, _ := strings.Cut(w, "=")
	for _, f := range l.app.Flags {
		if name == "--"+f.Name || f.Short != 0 && name == "-"+string(f.Short) {
			return f
		}
	}
	return nil
}

// wants says of what kind the last word is, and what of it comes before the
// value: "--db=". It is "" for the name of a flag.
func (l *line) wants() (kind, begun string) {
	switch {
	case l.open != nil:
		return kindOf(l.open.Value), ""
	case strings.HasPrefix(l.last, "-") && !l.noFlag:
		if f := l.flag(l.last); f != nil && strings.Contains(l.last, "=") {
			name, _, _ := strings.Cut(l.last, "=")
			return kindOf(f.Value), name + "="
		}
		return "", ""
	}
	args := l.app.Positional
	if len(args) == 0 {
		return "none", ""
	}
	i := min(l.args, len(args)-1)
	if l.args > i && !args[i].IsSlice() {
		return "none", ""
	}
	return kindOf(args[i]), ""
}

// kindOf says what a value may be: files where nothing else is known of it.
func kindOf(v *kong.Value) string {
	if kind := v.Tag.Get("complete"); kind != "" {
		return kind
	}
	switch {
	case v.Name == "db", strings.HasSuffix(v.Name, "-file"), v.Tag.PlaceHolder == "FILE":
		return files
	}
	return "none"
}

func (l *line) flagNames() (names []string) {
	for _, f := range l.app.Flags {
		switch {
		case f.Hidden:
		case f.IsBool():
			names = append(names, "--"+f.Name)
		default:
			names = append(names, "--"+f.Name+"=")
		}
	}
	return names
}

// values lists what a value of a kind may be: words, or entities that the
// inventory has.
func values(kind string, flags any, begun string) []string {
	types := map[string][]string{"entity": nil, "pool": {"pool"}, "rack": {"rack"}}
	of, isName := types[kind]
	switch {
	case kind == files:
		return []string{files}
	case kind == "none":
		return nil
	case !isName:
		return strings.Split(kind, ",")
	}
	asks, ok := flags.(interface{ which() *choice })
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), completeLimit)
	defer cancel()
	inv, done, err := asks.which().open(ctx, true)
	if err != nil {
		return nil
	}
	defer done()
	found, err := inv.Entities(ctx, clusto.Query{Types: of, Contains: begun})
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range found {
		if strings.HasPrefix(e.Name, begun) {
			out = append(out, e.Name)
		}
	}
	slices.Sort(out)
	return out[:min(len(out), mostNames)]
}
