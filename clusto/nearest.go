package clusto

// Nearest gives the word that is the fewest edits away from what was written,
// limit at most, or "": what was probably meant.
func Nearest(written string, words []string, limit int) string {
	best := ""
	for _, w := range words {
		if d := edits(written, w); d <= limit {
			best, limit = w, d-1
		}
	}
	return best
}

// edits counts the letters to add, drop or change to make b of a
// (Levenshtein).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diag
			if a[i] != b[j] {
				change++
			}
			diag = row[j+1]
			row[j+1] = min(change, diag+1, row[j]+1)
		}
	}
	return row[len(b)]
}
