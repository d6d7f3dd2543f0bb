package daemon

// Suggest ends a message about a word that is not known: it names the one that
// was probably meant, else all there are.
func Suggest(word string, known []string) string { return suggestion(word, known) }
