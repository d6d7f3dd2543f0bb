package rack

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxSeries bounds what a few letters can expand to.
const maxSeries = 512

// A name is a number, with letters before it where it is an outlet.
var itemPattern = regexp.MustCompile(`^([A-Za-z]*)(0|[1-9][0-9]{0,3})(?:-([A-Za-z]*)(0|[1-9][0-9]{0,3}))?$`)

// expand reads a series: "1-5, 9, 12-10", "bb1-bb8, aa7".
func expand(text string) (names []string, err error) {
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		m := itemPattern.FindStringSubmatch(item)
		if m == nil {
			return nil, fmt.Errorf(`%.40q is neither a number nor a range; want something like "1-5, 9" or "bb1-bb8"`, item)
		}
		first, _ := strconv.Atoi(m[2])
		last := first
		if m[4] != "" {
			if m[3] != m[1] {
				return nil, fmt.Errorf(`range %q goes from one kind of name to another; write %s%s-%s..., %s...-%s%s`, item, m[1], m[2], m[1], m[3], m[3], m[4])
			}
			last, _ = strconv.Atoi(m[4])
		}
		step := 1
		if last < first {
			step = -1
		}
		if len(names)+(last-first)*step >= maxSeries {
			return nil, fmt.Errorf("%.40q has more than %d members, and no rack has", text, maxSeries)
		}
		for n := first; n != last+step; n += step {
			names = append(names, m[1]+strconv.Itoa(n))
		}
	}
	return names, nil
}

// numbers is expand where letters have no place.
func numbers(text string) ([]int, error) {
	names, err := expand(text)
	if err != nil {
		return nil, err
	}
	out := make([]int, len(names))
	for i, name := range names {
		if out[i], err = strconv.Atoi(name); err != nil {
			return nil, fmt.Errorf("%q is no number; want numbers and ranges of them, such as \"1-5, 9\"", name)
		}
	}
	return out, nil
}

// ranges writes numbers shortly, in order: "1-5, 9".
func ranges(numbers []int) string {
	n := slices.Compact(slices.Sorted(slices.Values(numbers)))
	var out []string
	for i := 0; i < len(n); {
		j := i
		for j+1 < len(n) && n[j+1] == n[j]+1 {
			j++
		}
		if out = append(out, strconv.Itoa(n[i])); j > i {
			out[len(out)-1] += "-" + strconv.Itoa(n[j])
		}
		i = j + 1
	}
	return strings.Join(out, ", ")
}
