package daemon

import (
	"net/netip"
	"slices"
	"strings"

	"ctsync/daemon/config"
	"ctsync/daemon/rtnetlink"
)

// listenNowhere are the addresses of listen-address that no interface of this router has.
func listenNowhere(cfg *config.Config) (missing []netip.Addr, err error) {
	if len(cfg.ListenAddress) == 0 {
		return nil, nil
	}
	own, err := rtnetlink.Own()
	if err != nil {
		return nil, err
	}
	for _, a := range cfg.ListenAddress {
		if !slices.Contains(own, a.WithZone("")) {
			missing = append(missing, a)
		}
	}
	return missing, nil
}

// complainListen logs what listenNowhere finds when it is not what was said before, and returns what was said now.
func (d *Daemon) complainListen(cfg *config.Config, before string) string {
	missing, err := listenNowhere(cfg)
	if err != nil {
		d.log.Error("listen-address is not checked", "err", err)
		return before
	}
	text := listenWarning(missing)
	if text != "" && text != before {
		d.log.Error(text)
	}
	return text
}

// listenWarning says what is wrong with addresses that are nowhere, "" if there are none.
func listenWarning(missing []netip.Addr) string {
	if len(missing) == 0 {
		return ""
	}
	var names []string
	for _, a := range missing {
		names = append(names, a.String())
	}
	return "listen-address " + strings.Join(names, ", ") + ": no interface of this router has it, add the address or correct the file"
}
