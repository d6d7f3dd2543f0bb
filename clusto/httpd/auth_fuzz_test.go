package httpd

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// gap is what may stand between words, and entry a line of a token file: RFC 6750 section 2.1
// has the form of a token.
const gap = `[\t\n\v\f\r\x{85}\p{Z}]`

var (
	entry  = regexp.MustCompile(`^` + gap + `*(read|write)` + gap + `+([0-9A-Za-z._~+/-]+=*)(?:` + gap + `+([^\t\n\v\f\r\x{85}\p{Z}]+))?` + gap + `*$`)
	remark = regexp.MustCompile(`^` + gap + `*(#.*)?\n?$`)
)

// FuzzTokens: a token file is read as the plainest words say, or refused in one line with the
// file and the first line that is wrong; and no token is ever shown.
func FuzzTokens(f *testing.F) {
	for _, text := range []string{
		"", "\n", "# comment\n", "read 0123456789abcdef\n", "  write 0123456789abcdef== alice\r\n#\nread fedcba9876543210 bob",
		"read 0123456789abcdef a\nwrite 0123456789abcdef b\n", "write short\n", "read\n", "read 0123456789abcdef two words\n", "Read 0123456789abcdef",
		"read 0123456789abc=def\n", "write ================\n", "read\u00a00123456789abcdef\n", "read 0123456789abcdef # comment\n", "read 0123456789abcdef \xff\n", "0123456789abcdef read\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want, wrong := map[string]grant{}, 0
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			m := entry.FindStringSubmatch(line)
			switch {
			case remark.MatchString(line):
				continue
			case m == nil || len(m[2]) < 16 || want[m[2]].name != "":
				wrong = n
			default:
				if m[3] == "" {
					m[3] = fmt.Sprintf("line %d", n)
				}
				want[m[2]] = grant{hash: sha256.Sum256([]byte(m[2])), write: m[1] == "write", name: m[3]}
			}
			if wrong > 0 {
				break
			}
		}
		got, err := ParseTokens("some/tokens", text)
		if (err != nil) != (wrong > 0 || len(want) == 0) {
			t.Fatalf("%q: %v, and line %d is wrong of %v", text, err, wrong, want)
		}
		if err != nil {
			refusedTokens(t, text, err, wrong)
			return
		}
		if len(got.all) != len(want) {
			t.Errorf("%q: %d tokens, want %v", text, len(got.all), want)
		}
		for token, g := range want {
			if found, ok := got.find(g.hash); !ok || found != g {
				t.Errorf("%q: token %s is %+v %v, want %+v", text, token, found, ok, g)
			}
			if _, ok := got.find(sha256.Sum256([]byte(token[1:]))); ok && want[token[1:]].name == "" {
				t.Errorf("%q: %s is a token", text, token[1:])
			}
		}
	})
}

func refusedTokens(t *testing.T, text []byte, err error, line int) {
	t.Helper()
	begins := "some/tokens: "
	if line > 0 {
		begins = fmt.Sprintf("some/tokens:%d: ", line)
	}
	if !errors.Is(err, clusto.ErrInvalid) || !strings.HasPrefix(err.Error(), begins) || strings.ContainsAny(err.Error(), "\n\r") {
		t.Errorf("%q: %v, want an error that begins with %q", text, err, begins)
	}
	for _, word := range strings.Fields(string(text)) {
		if len(word) >= 16 && strings.Contains(err.Error(), word) {
			t.Errorf("%q: %v shows %q", text, err, word)
		}
	}
}
