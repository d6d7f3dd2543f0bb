package clusto

import "strings"

// MACForms is the number of spellings that Spellings gives.
const MACForms = 8

// Spellings gives the ways in which sites have stored a MAC: with colons, with
// dashes, bare, or with Cisco's dots; each in lower case, then each in upper
// case. The first is clusto's own. A lookup that asks for each of them can use
// an index, which a lookup regardless of case cannot.
func (m MAC) Spellings() [MACForms]string {
	colons := m.String()
	bare := strings.ReplaceAll(colons, ":", "")
	forms := [MACForms]string{
		colons,
		strings.ReplaceAll(colons, ":", "-"),
		bare,
		bare[:4] + "." + bare[4:8] + "." + bare[8:],
	}
	for i := range MACForms / 2 {
		forms[MACForms/2+i] = strings.ToUpper(forms[i])
	}
	return forms
}
