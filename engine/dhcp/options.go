package dhcp

import "strings"

// kind says how the value of an option is encoded.
type kind uint8

const (
	kindText      kind = iota // text as it stands
	kindOpaque                // hex as 0x0102 or 01:02, else text as it stands
	kindAny                   // hex as 0x0102, else text as it stands
	kindAddr                  // one IPv4 address
	kindAddrs                 // IPv4 addresses
	kindAddrPairs             // pairs of IPv4 addresses
	kindRoutes                // classless routes (RFC 3442): prefix and gateway
	kindUint8
	kindUint16
	kindUint32
	kindInt32
	kindUint8s
	kindUint16s
	kindFlag    // one byte, 0 or 1
	kindDomains // domain names in DNS encoding (RFC 1035), not compressed
	kindHost    // a legal host name
	kindMagic   // f1 00 74 7e (RFC 5071), whatever the value
	kindServer  // text; of a relation, the first address of its entity
)

// list reports whether several attributes of one name make one option.
func (k kind) list() bool {
	switch k {
	case kindAddrs, kindAddrPairs, kindRoutes, kindUint8s, kindUint16s, kindDomains:
		return true
	}
	return false
}

// optionKinds gives the encoding of every code that clusto's option names
// reach. The widths are those of RFC 2132 and the RFC that defines the option,
// which is not always what the name's history says.
var optionKinds = [256]kind{
	1: kindAddr, 2: kindInt32, 3: kindAddrs, 4: kindAddrs, 5: kindAddrs, 6: kindAddrs, 7: kindAddrs,
	8: kindAddrs, 9: kindAddrs, 10: kindAddrs, 11: kindAddrs, 12: kindHost, 13: kindUint16,
	16: kindAddr, 19: kindFlag, 20: kindFlag, 21: kindAddrPairs, 22: kindUint16, 23: kindUint8,
	24: kindUint32, 25: kindUint16s, 26: kindUint16, 27: kindFlag, 28: kindAddr, 29: kindFlag,
	30: kindFlag, 31: kindFlag, 32: kindAddr, 33: kindAddrPairs, 34: kindFlag, 35: kindUint32,
	36: kindFlag, 37: kindUint8, 38: kindUint32, 39: kindFlag, 41: kindAddrs, 42: kindAddrs,
	43: kindOpaque, 44: kindAddrs, 45: kindAddrs, 46: kindUint8, 48: kindAddrs, 49: kindAddrs,
	51: kindUint32, 54: kindAddr, 58: kindUint32, 59: kindUint32, 65: kindAddrs, 66: kindServer, 68: kindAddrs,
	69: kindAddrs, 70: kindAddrs, 71: kindAddrs, 72: kindAddrs, 73: kindAddrs, 74: kindAddrs,
	75: kindAddrs, 76: kindAddrs, 77: kindOpaque, 78: kindOpaque, 79: kindOpaque, 81: kindOpaque,
	85: kindAddrs, 88: kindDomains, 89: kindAddrs, 91: kindUint32, 92: kindAddrs, 93: kindUint16s,
	94: kindOpaque, 97: kindOpaque, 112: kindAddrs, 116: kindUint8, 117: kindUint16s, 118: kindAddr,
	119: kindDomains, 121: kindRoutes, 124: kindOpaque, 125: kindOpaque, 128: kindAddr,
	136: kindAddrs, 137: kindDomains, 138: kindAddrs, 141: kindDomains, 146: kindOpaque,
	150: kindAddrs, 159: kindOpaque, 208: kindMagic, 211: kindUint32, 212: kindOpaque,
	213: kindDomains,
}

// optionCodes gives the code of every option name that attributes use: the
// names of scapy through its versions, those that the original's services.conf
// added, and 119.
var optionCodes = map[string]byte{
	"subnet_mask": 1, "time_zone": 2, "router": 3, "time_server": 4, "IEN_name_server": 5,
	"name_server": 6, "log_server": 7, "cookie_server": 8, "lpr_server": 9, "impress-servers": 10,
	"resource-location-servers": 11, "hostname": 12, "boot-size": 13, "dump_path": 14, "domain": 15,
	"swap-server": 16, "root_disk_path": 17, "extensions-path": 18, "ip-forwarding": 19,
	"non-local-source-routing": 20, "policy-filter": 21, "max_dgram_reass_size": 22,
	"default_ttl": 23, "pmtu_timeout": 24, "path-mtu-plateau-table": 25, "interface-mtu": 26,
	"all-subnets-local": 27, "broadcast_address": 28, "perform-mask-discovery": 29,
	"mask-supplier": 30, "router-discovery": 31, "router-solicitation-address": 32,
	"static-routes": 33, "trailer-encapsulation": 34, "arp_cache_timeout": 35, "ether_or_dot3": 36,
	"ieee802-3-encapsulation": 36, "tcp_ttl": 37, "tcp_keepalive_interval": 38,
	"tcp_keepalive_garbage": 39, "NIS_domain": 40, "NIS_server": 41, "NTP_server": 42,
	"vendor_specific": 43, "NetBIOS_server": 44, "NetBIOS_dist_server": 45,
	"NetBIOS_node_type": 46, "netbios-scope": 47, "font-servers": 48, "x-display-manager": 49,
	"requested_addr": 50, "lease_time": 51, "dhcp-option-overload": 52, "message-type": 53,
	"server_id": 54, "param_req_list": 55, "error_message": 56, "max_dhcp_size": 57,
	"renewal_time": 58, "rebinding_time": 59, "vendor_class_id": 60, "client_id": 61,
	"nwip-domain-name": 62, "NISplus_domain": 64, "NISplus_server": 65, "tftp_server": 66,
	"tftp_server_name": 66, "tftp_filename": 67, "boot-file-name": 67, "mobile-ip-home-agent": 68,
	"SMTP_server": 69, "POP3_server": 70, "NNTP_server": 71, "WWW_server": 72, "Finger_server": 73,
	"IRC_server": 74, "StreetTalk_server": 75, "StreetTalk_Dir_Assistance": 76, "user_class": 77,
	"slp_service_agent": 78, "slp_service_scope": 79, "client_FQDN": 81,
	"relay_agent_Information": 82, "relay_agent_information": 82, "nds-server": 85,
	"nds-tree-name": 86, "nds-context": 87, "bcms-controller-namesi": 88,
	"bcms-controller-address": 89, "client-last-transaction-time": 91, "associated-ip": 92,
	"pxe_client_architecture": 93, "pxe_client_network_interface": 94,
	"pxe_client_machine_identifier": 97, "uap-servers": 98, "pcode": 100, "tcode": 101,
	"netinfo-server-address": 112, "netinfo-server-tag": 113, "default-url": 114,
	"auto-config": 116, "name-service-search": 117, "subnet-selection": 118, "domain_search": 119,
	"classless_static_routes": 121, "vendor_class": 124, "vendor_specific_information": 125,
	"tftp_server_ip_address": 128, "pana-agent": 136, "v4-lost": 137, "capwap-ac-v4": 138,
	"sip_ua_service_domains": 141, "rdnss-selection": 146, "tftp_server_address": 150,
	"v4-portparams": 159, "v4-captive-portal": 160, "mud-url": 161, "pxelinux-magic": 208,
	"pxelinux_magic": 208, "pxelinux-configfile": 209, "pxelinux_configuration_file": 209,
	"pxelinux-pathprefix": 210, "pxelinux_path_prefix": 210, "pxelinux-reboottime": 211,
	"pxelinux_reboot_time": 211, "option-6rd": 212, "v4-access-domain": 213,
	"pad": 0, "end": 255,
}

// kindOf gives the encoding of a code: of one that only extra_options name,
// nobody knows more than its value shows.
func kindOf(code byte) kind {
	if !named[code] {
		return kindAny
	}
	return optionKinds[code]
}

// named are the codes that optionCodes has a name for.
var named = func() (is [256]bool) {
	for _, code := range optionCodes {
		is[code] = true
	}
	return is
}()

// refused holds the codes that no attribute may set, with the reason.
var refused = map[byte]string{
	0: "it is padding", 50: "it belongs to the client", 52: "the server sets it when it needs the room",
	53: "it is the message type", 55: "it belongs to the client", 57: "it belongs to the client",
	61: "it belongs to the client", 82: "it belongs to the relay", 118: "it belongs to the client",
	255: "it ends the options",
}

// optionCode finds the code of an attribute's subkey: extra names first, then
// the built-in ones; as it stands, then without its qualifier, which by gives.
func optionCode(extra map[string]byte, name string) (code byte, by string, ok bool) {
	if code, ok = codeOf(extra, name); ok {
		return code, "", true
	}
	name, by = cutQualifier(name)
	code, ok = codeOf(extra, name)
	return code, by, ok && by != ""
}

func codeOf(extra map[string]byte, name string) (code byte, ok bool) {
	if code, ok = extra[name]; !ok {
		code, ok = optionCodes[name]
	}
	return code, ok
}

// pxelinux reports whether an attribute's name asks for pxelinux' magic option.
func pxelinux(name string) bool { return strings.HasPrefix(name, "pxelinux") }
