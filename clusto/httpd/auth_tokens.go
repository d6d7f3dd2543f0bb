package httpd

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"regexp"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// Tokens are the bearer tokens that a server takes, and what each is good for.
type Tokens struct{ all []grant }

// grant is a token, of which only the hash is kept, and what it allows.
type grant struct {
	hash  [sha256.Size]byte
	write bool
	name  string // for the log
}

// tokenText is what may stand behind "Bearer" (RFC 6750 section 2.1).
var tokenText = regexp.MustCompile(`^[0-9A-Za-z._~+/-]+=*$`)

// tokenLeast is the least length of a token: 16 characters of hex are 64 bits.
const tokenLeast = 16

// ParseTokens reads a token file:
//
//	# comment
//	read  TOKEN [NAME]
//	write TOKEN [NAME]
//
// A token that writes reads too. The name is what the log calls its bearer, one
// word, "line N" if there is none. The error wraps clusto.ErrInvalid, names file
// and line, and never shows a token.
func ParseTokens(file string, text []byte) (*Tokens, error) {
	t := &Tokens{}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		g, err := parseGrant(words)
		if err == nil && t.has(g) {
			err = fmt.Errorf("this token is there already; make another one for each bearer")
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w: %w", file, n, err, clusto.ErrInvalid)
		}
		if g.name == "" {
			g.name = fmt.Sprintf("line %d", n)
		}
		t.all = append(t.all, g)
	}
	if len(t.all) == 0 {
		return nil, fmt.Errorf("%s: it has no token, so that nobody could get in; write lines \"read TOKEN\" and \"write TOKEN\": %w", file, clusto.ErrInvalid)
	}
	return t, nil
}

func parseGrant(words []string) (g grant, err error) {
	switch {
	case words[0] != "read" && words[0] != "write":
		return g, fmt.Errorf("the first word is neither read nor write; write \"read TOKEN\" or \"write TOKEN\", and a name for the log if you like")
	case len(words) == 1:
		return g, fmt.Errorf("there is no token after %q; make one with \"openssl rand -hex 32\"", words[0])
	case len(words) > 3:
		return g, fmt.Errorf("more than three words; the name is one word, and a comment has a line of its own")
	case len(words[1]) < tokenLeast:
		return g, fmt.Errorf("the token is shorter than %d characters, and could be guessed; make one with \"openssl rand -hex 32\"", tokenLeast)
	case !tokenText.MatchString(words[1]):
		return g, fmt.Errorf("the token has characters that none may have; make one with \"openssl rand -hex 32\"")
	}
	g = grant{hash: sha256.Sum256([]byte(words[1])), write: words[0] == "write"}
	if len(words) == 3 {
		g.name = words[2]
	}
	return g, nil
}

func (t *Tokens) has(g grant) bool {
	_, ok := t.find(g.hash)
	return ok
}

// find compares with every token, and takes the same time whichever it is.
func (t *Tokens) find(hash [sha256.Size]byte) (found grant, ok bool) {
	if t == nil {
		return grant{}, false
	}
	for i := range t.all {
		if subtle.ConstantTimeCompare(t.all[i].hash[:], hash[:]) == 1 {
			found, ok = t.all[i], true
		}
	}
	return found, ok
}
