package flow

import (
	"fmt"
	"strconv"
	"strings"
)

// IGMP and VRRP are what a router says for itself.
const (
	IGMP Proto = 2
	VRRP Proto = 112
)

// protoNames are the names of protocols by number: those of conntrack(8), and for what that does not name those of
// /etc/protocols, as IANA assigned them, in lower case.
var protoNames = [256]string{
	0: "hopopt", 1: "icmp", 2: "igmp", 3: "ggp", 4: "ipencap", 5: "st", 6: "tcp", 8: "egp", 9: "igp", 12: "pup",
	17: "udp", 20: "hmp", 22: "xns-idp", 27: "rdp", 29: "iso-tp4", 33: "dccp", 36: "xtp", 37: "ddp",
	38: "idpr-cmtp", 41: "ipv6", 43: "ipv6-route", 44: "ipv6-frag", 45: "idrp", 46: "rsvp", 47: "gre", 50: "esp",
	51: "ah", 57: "skip", 58: "icmpv6", 59: "ipv6-nonxt", 60: "ipv6-opts", 73: "rspf", 81: "vmtp", 88: "eigrp",
	89: "ospf", 93: "ax.25", 94: "ipip", 97: "etherip", 98: "encap", 103: "pim", 108: "ipcomp", 112: "vrrp",
	115: "l2tp", 124: "isis", 132: "sctp", 133: "fc", 135: "mobility-header", 136: "udplite", 137: "mpls-in-ip",
	138: "manet", 139: "hip", 140: "shim6", 141: "wesp", 142: "rohc", 143: "ethernet",
}

// protoAliases are other names: those of VyOS, and those of /etc/protocols that differ by more than their case.
var protoAliases = []struct {
	name  string
	proto Proto
}{
	{"icmp6", ICMPv6}, {"ipv6-icmp", ICMPv6}, {"ip", 0}, {"ip-encap", 4}, {"ipsec-esp", 50}, {"ipsec-ah", 51},
	{"ospfigp", 89},
}

// String returns the name of p, as conntrack(8) prints it if that has one: tcp, icmpv6, vrrp. It is "unknown" for a
// protocol without a name.
func (p Proto) String() string {
	if name := protoNames[p]; name != "" {
		return name
	}
	return unknownName
}

// Protos returns the protocols that have a name, by number.
func Protos() []Proto {
	var list []Proto
	for p, name := range protoNames {
		if name != "" {
			list = append(list, Proto(p))
		}
	}
	return list
}

// Name returns what ParseProto reads back: the name of p, or its number if it has no name.
func (p Proto) Name() string {
	if name := protoNames[p]; name != "" {
		return name
	}
	return strconv.Itoa(int(p))
}

// ParseProto reads a name as Proto.String prints it or one of its aliases, such as ipv6-icmp, in any case, or a decimal
// protocol number.
func ParseProto(name string) (Proto, error) {
	for p, n := range protoNames {
		if n != "" && strings.EqualFold(name, n) {
			return Proto(p), nil
		}
	}
	for _, a := range protoAliases {
		if strings.EqualFold(name, a.name) {
			return a.proto, nil
		}
	}
	n, err := strconv.ParseUint(name, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("parse protocol %q: want a name such as tcp or a number up to 255", name)
	}
	return Proto(n), nil
}
