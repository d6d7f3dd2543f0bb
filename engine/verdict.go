package engine

// Verdict is the one end of every frame: metric label, log reason, and the
// answer to "why no reply?".
type Verdict uint8

// The verdicts. Reply and Nak send a frame; the others send nothing.
const (
	None           Verdict = iota // not decided yet; never counted
	Reply                         // answered
	Nak                           // answered with a DHCPNAK
	Parked                        // waiting for the inventory
	Replaced                      // a retransmission took the place of a parked frame
	Malformed                     // broken on some layer, or longer than its slot
	BadChecksum                   // the IP or UDP checksum is wrong
	NotForUs                      // well-formed, but not a request that we may answer
	OtherServer                   // a REQUEST that selects another server
	UnknownHost                   // clusto has no entity with this MAC
	Ambiguous                     // clusto has several
	Disabled                      // dhcp/enabled is not set or false
	NoAddress                     // no address of the host fits the request's network
	Declined                      // DHCPDECLINE, noted
	Released                      // DHCPRELEASE, noted
	Shed                          // no room to wait for the inventory
	Expired                       // waited too long for the inventory
	InventoryDown                 // the inventory failed and there is no older answer
	NoServerID                    // no address to answer from
	NakWithheld                   // a NAK was due, but the data is stale or the client is boot firmware
	Oversize                      // the reply does not fit, not even without options
	Fragment                      // a part of a datagram: they are not put together
	WrongCommunity                // a trap or inform with a community that is not configured
	UnknownSource                 // from an address that is not allowed to send traps
	OtherTrap                     // a notification of another MIB; an inform is answered
	Queued                        // a trap or inform whose events wait for the journal
	Journaled                     // a trap whose events are on disk
	Acknowledged                  // an inform whose events are on disk, answered
	JournalFull                   // no room for its events; a switch sends an inform again
	JournalFailed                 // its events could not be written; a switch sends an inform again
	Verdicts                      // how many there are
)

var verdictNames = [Verdicts]string{
	None: "none", Reply: "reply", Nak: "nak", Parked: "parked", Replaced: "replaced",
	Malformed: "malformed", BadChecksum: "bad_checksum", NotForUs: "not_for_us",
	OtherServer: "other_server", UnknownHost: "unknown_host", Ambiguous: "ambiguous",
	Disabled: "disabled", NoAddress: "no_address", Declined: "declined", Released: "released",
	Shed: "shed", Expired: "expired", InventoryDown: "inventory_down",
	NoServerID: "no_server_id", NakWithheld: "nak_withheld", Oversize: "oversize",
	Fragment: "fragment", WrongCommunity: "wrong_community", UnknownSource: "unknown_source", OtherTrap: "other_trap",
	Queued: "queued", Journaled: "journaled", Acknowledged: "acknowledged", JournalFull: "journal_full", JournalFailed: "journal_failed",
}

// String gives the verdict as metrics and logs spell it.
func (v Verdict) String() string {
	if v >= Verdicts {
		return "invalid"
	}
	return verdictNames[v]
}
