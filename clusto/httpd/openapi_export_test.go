package httpd

import "slices"

// Params gives the parameters that each call of /v2 takes in its query.
func Params() map[string][]string {
	return (&server{Config: Config{}.withDefaults()}).routes().params
}

// Patterns gives what is registered, as http.ServeMux spells it.
func Patterns() []string {
	return (&server{Config: Config{}.withDefaults()}).routes().patterns
}

// Writes gives the words of the actions that write.
func Writes() (words []string) {
	for word, act := range actions {
		if act.writes {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return words
}

// Short is short.
func Short(why string) string { return short(why) }
