package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"unicode"

	"github.com/clusto/clusto-engine/clusto"
)

const showAbout = "Show what the inventory holds of a server or another entity, and what DHCP makes of it."

type showFlags struct {
	What string `arg:"" help:"A name, MAC or IPv4 address."`
	JSON bool   `name:"json" help:"Print what the API gives."`
	choice
}

func showMain(args []string) int {
	var flags showFlags
	if code, ok := parse("show", showAbout, args, &flags); !ok {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	inv, done, err := flags.open(ctx, true)
	if err != nil {
		return fail("show", code(err), flags.advise(err))
	}
	defer done()
	hosts, err := inv.Find(ctx, flags.What)
	switch {
	case errors.Is(err, clusto.ErrNotFound):
		return fail("show", exitFailed, fmt.Errorf("%q is no name, MAC or IPv4 address in %s", flags.What, &flags.choice))
	case err != nil:
		return fail("show", code(err), flags.advise(err))
	}
	if err := flags.print(os.Stdout, hosts); err != nil {
		return fail("show", exitFailed, fmt.Errorf("write to standard output: %w", err))
	}
	return 0
}

func (f *showFlags) print(w io.Writer, hosts []clusto.Host) error {
	if f.JSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(map[string][]clusto.Host{"hosts": hosts})
	}
	b := bufio.NewWriter(w)
	for i, group := range byEntity(hosts) {
		if i > 0 {
			fmt.Fprintln(b)
		}
		showEntity(b, group)
	}
	return b.Flush()
}

// byEntity puts the records of each entity together, a record for each MAC. A
// MAC of several owners is alone.
func byEntity(hosts []clusto.Host) (groups [][]clusto.Host) {
	for _, h := range hosts {
		i := slices.IndexFunc(groups, func(g []clusto.Host) bool {
			return g[0].Entity == h.Entity && g[0].Ambiguous == nil && h.Ambiguous == nil
		})
		if i < 0 {
			groups = append(groups, nil)
			i = len(groups) - 1
		}
		groups[i] = append(groups[i], h)
	}
	return groups
}

func showEntity(w io.Writer, group []clusto.Host) {
	h := group[0]
	if h.Ambiguous != nil {
		fmt.Fprintf(w, "%s has several owners, and gets no answer until one is left: %s\n", h.MAC, strings.Join(h.Ambiguous, ", "))
		return
	}
	fmt.Fprintf(w, "%s\n", h.Path())
	dhcp := "enabled"
	if !h.Enabled {
		dhcp = "not enabled: " + h.Why
	}
	table(w, "", [][]string{{"type", h.Type}, {"driver", h.Driver}, {"hostname", h.Hostname}, {"dhcp", dhcp}})
	table(w, "ports", portRows(group))
	table(w, "addresses", addressRows(h.Addresses))
	table(w, "dhcp attributes", attrRows(h.Attrs))
}

// table writes rows in aligned columns under a title.
func table(w io.Writer, title string, rows [][]string) {
	indent := "  "
	if title != "" {
		indent = "    "
		if len(rows) == 0 {
			title += ": none"
		}
		fmt.Fprintf(w, "  %s\n", title)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(tw, indent+strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	_ = tw.Flush() // w keeps its error
}

func portRows(group []clusto.Host) (rows [][]string) {
	for _, h := range group {
		if h.MAC == (clusto.MAC{}) {
			continue // an entity without a MAC
		}
		osport, role := "no osport", ""
		if h.OSPort != "" {
			osport = "osport " + h.OSPort
		}
		if h.BMC {
			role = "BMC"
		}
		rows = append(rows, []string{h.MAC.String(), fmt.Sprintf("%s %d", h.Port, h.Number), osport, role})
	}
	return rows
}

func addressRows(addrs []clusto.Address) (rows [][]string) {
	for _, a := range addrs {
		row := []string{a.IP.String(), cmp.Or(a.OSPort, "any port")}
		if n := a.Network; n == nil {
			row = append(row, "in no network of clusto")
		} else {
			row = append(row, "network "+n.Name, n.Prefix.String(), "netmask "+netmask(n.Prefix), gateway(n.Gateway))
		}
		rows = append(rows, row)
	}
	return rows
}

func netmask(p netip.Prefix) string {
	return net.IP(net.CIDRMask(p.Bits(), p.Addr().BitLen())).String()
}

func gateway(ip netip.Addr) string {
	if !ip.IsValid() {
		return "no gateway"
	}
	return "gateway " + ip.String()
}

func attrRows(attrs []clusto.Attr) (rows [][]string) {
	for _, a := range attrs {
		name := cmp.Or(a.Sub(), "(no subkey)")
		if a.Number != nil {
			name += fmt.Sprintf(" [%d]", *a.Number)
		}
		rows = append(rows, []string{name, value(a.Value), a.Origin, fmt.Sprintf("distance %d", a.Distance)})
	}
	return rows
}

// value writes an attribute's value in one line, with the addresses that a
// relation stands for.
func value(v clusto.Value) string {
	text := v.Text()
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		text = strconv.Quote(text)
	}
	for i, ip := range v.Addrs {
		text += []string{" = ", ", "}[min(i, 1)] + ip.String()
	}
	return text
}
