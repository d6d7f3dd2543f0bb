// Package peers holds the codecs and engines against libraries of others, which
// are in the module of this folder alone: insomniacslk/dhcp and gosnmp.
package peers
