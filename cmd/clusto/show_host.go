package main

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/clusto/clusto-engine/clusto"
)

// portRows gives a row for each port, and one more for the BMC that shares it.
func portRows(o *clusto.Object) (rows [][]string) {
	for _, p := range o.Ports {
		name := fmt.Sprintf("%s %d", p.Type, p.Num)
		row := []string{name, "", "", ""}
		if p.To != "" {
			row[3] = strings.TrimSpace("to " + p.To + " " + p.ToNum)
		}
		var bmc []string
		for i := range o.Attrs {
			a := &o.Attrs[i]
			if a.Key != "port-"+p.Type || a.Number == nil || *a.Number != p.Num {
				continue
			}
			switch text := value(a.Value); a.Sub() {
			case "connection", "otherportnum":
			case "mac":
				row[1] = text
			case "osportname":
				row[2] = "osport " + text
			case "ipmi-mac":
				bmc = []string{name, text, "BMC"}
			default:
				row = append(row, cmp.Or(a.Sub(), "(no subkey)")+" "+text)
			}
		}
		rows = append(rows, row)
		if bmc != nil {
			rows = append(rows, bmc)
		}
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

// dhcpRows are the options that a DHCP client gets, each with its origin.
func dhcpRows(attrs []clusto.Attr) (rows [][]string) {
	for _, a := range attrs {
		name := cmp.Or(a.Sub(), "(no subkey)")
		if a.Number != nil {
			name += fmt.Sprintf(" [%d]", *a.Number)
		}
		rows = append(rows, []string{name, value(a.Value), a.Origin, fmt.Sprintf("distance %d", a.Distance)})
	}
	return rows
}

// ownRows are the object's own attributes, but for those that are shown
// elsewhere and those that are hidden.
func ownRows(o *clusto.Object) (rows [][]string) {
	for i := range o.Attrs {
		a := &o.Attrs[i]
		if a.Key == "ip" || a.Key == "dhcp" || strings.HasPrefix(a.Key, "_") || strings.HasPrefix(a.Key, "port-") {
			continue
		}
		rows = append(rows, []string{attrName(a), value(a.Value)})
	}
	slices.SortStableFunc(rows, func(a, b []string) int { return cmp.Compare(a[0], b[0]) })
	return rows
}

// attrName names an attribute as messages and import files do: "dhcp/enabled",
// "disk/size [1]".
func attrName(a *clusto.Attr) string {
	name := a.Key
	if a.Subkey != nil {
		name += "/" + *a.Subkey
	}
	if a.Number != nil {
		name += " [" + strconv.Itoa(*a.Number) + "]"
	}
	return name
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
