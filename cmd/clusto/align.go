package main

import (
	"strings"
	"text/tabwriter"
)

// alignedRows writes rows in aligned columns, two spaces apart.
func alignedRows(rows [][]string) string {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		_, _ = tw.Write([]byte(strings.TrimRight(strings.Join(row, "\t"), "\t") + "\n"))
	}
	_ = tw.Flush() // a Builder takes all
	return b.String()
}
