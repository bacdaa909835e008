// Package rtnetlink is the only code that speaks rtnetlink: it says that links or addresses changed, and lists the
// addresses.
//
// Both work without any privilege, in the network namespace of the thread that opens the socket. Messages are read by
// github.com/jsimonetti/rtnetlink and github.com/mdlayher/netlink.
package rtnetlink
