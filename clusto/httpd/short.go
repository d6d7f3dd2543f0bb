package httpd

import "strings"

// logged is how many bytes of an error the log has at most: more than a client
// is told, for a database says much.
const logged = 4000

// short cuts what a client is told where it repeats a long input.
func short(why string) string { return cut(why, 600) }

// cut brings a text down to most bytes, if it has more: each quoted text keeps its
// beginning, and if that is not enough, the middle is left out. The rule that was
// broken is at the end.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	text = cutQuoted(text)
	if half := (most - len("...")) / 2; len(text) > most {
		text = text[:half] + "..." + text[len(text)-half:]
	}
	return strings.ToValidUTF8(text, "")
}

// cutQuoted leaves 80 bytes of each text that is quoted as by %q. A text with an
// odd quote is left as it is.
func cutQuoted(text string) string {
	const most = 80
	var out strings.Builder
	var begin, quote int // of what is not written yet; of the quoted text
	in := false
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && in:
			i++ // what is escaped ends nothing
		case text[i] != '"':
		case in && i-quote > most:
			out.WriteString(text[begin:quote+most] + "...")
			begin, in = i, false
		default:
			quote, in = i+1, !in
		}
	}
	if in {
		return text
	}
	out.WriteString(text[begin:])
	return out.String()
}
