package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// maxMACs bounds what a range or a file makes.
const maxMACs = 4_000_000

// readMACs reads FIRST+N, FIRST..LAST, or a file with a MAC on each line, "-"
// being standard input. None is there twice.
func readMACs(text string) (macs [][6]byte, err error) {
	if first, n, ok := strings.Cut(text, "+"); ok {
		if from, err := clusto.ParseMAC(first); err == nil {
			return countMACs(from, n)
		}
	}
	if first, last, ok := strings.Cut(text, ".."); ok {
		if from, err := clusto.ParseMAC(first); err == nil {
			return rangeMACs(from, last)
		}
	}
	if text == "-" {
		return listMACs("standard input", os.Stdin)
	}
	f, err := os.Open(text)
	if err != nil {
		return nil, fmt.Errorf("%w: --macs: %w; it is FIRST+N, FIRST..LAST or a file with a MAC on each line", errUsage, err)
	}
	defer f.Close()
	return listMACs(text, f)
}

func countMACs(from clusto.MAC, text string) ([][6]byte, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < 1 {
		return nil, fmt.Errorf("%w: --macs %s+%s: how many is a number from 1 on", errUsage, from, text)
	}
	if n > 1<<48-number(from) {
		return nil, fmt.Errorf("%w: --macs %s+%s goes beyond ff:ff:ff:ff:ff:ff", errUsage, from, text)
	}
	return makeMACs(number(from), n)
}

func rangeMACs(from clusto.MAC, text string) ([][6]byte, error) {
	to, err := clusto.ParseMAC(text)
	if err != nil || number(to) < number(from) {
		return nil, fmt.Errorf("%w: --macs %s..%s: the last is a MAC that is not below the first", errUsage, from, text)
	}
	return makeMACs(number(from), number(to)-number(from)+1)
}

func makeMACs(from, n uint64) (macs [][6]byte, err error) {
	if n > maxMACs {
		return nil, tooMany(n)
	}
	for i := range n {
		macs = append(macs, macOf(from+i))
	}
	return macs, nil
}

func listMACs(name string, r io.Reader) (macs [][6]byte, err error) {
	lines := bufio.NewScanner(r)
	seen := make(map[clusto.MAC]int)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		mac, err := clusto.ParseMAC(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %s:%d: %w", errUsage, name, n, err)
		}
		if at, twice := seen[mac]; twice {
			return nil, fmt.Errorf("%w: %s:%d: %s is there already, on line %d", errUsage, name, n, mac, at)
		}
		seen[mac] = n
		if macs = append(macs, mac); len(macs) > maxMACs {
			return nil, tooMany(uint64(len(macs)))
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read MACs from %s: %w", name, err)
	}
	if len(macs) == 0 {
		return nil, fmt.Errorf("%w: %s holds no MAC", errUsage, name)
	}
	return macs, nil
}

func tooMany(n uint64) error {
	return fmt.Errorf("%w: --macs: %d are more than %d", errUsage, n, maxMACs)
}

func number(m clusto.MAC) (n uint64) {
	for _, b := range m {
		n = n<<8 | uint64(b)
	}
	return n
}

func macOf(n uint64) (m [6]byte) {
	for i := range m {
		m[5-i] = byte(n >> (8 * i))
	}
	return m
}
