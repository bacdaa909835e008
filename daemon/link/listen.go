package link

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

// complainListen logs what is wrong with listen-address when it is not what was said before, and returns what it is
// now.
func (k *Keeper) complainListen(cfg *config.Config, before string) string {
	text, err := ListenWarning(cfg)
	if err != nil {
		k.Log.Error("listen-address is not checked", "err", err)
		return before
	}
	if text != "" && text != before {
		k.Log.Error(text)
	}
	return text
}

// ListenWarning says which addresses of listen-address no interface of this router has, "" if all are there.
func ListenWarning(cfg *config.Config) (string, error) {
	missing, err := listenNowhere(cfg)
	if err != nil || len(missing) == 0 {
		return "", err
	}
	var names []string
	for _, a := range missing {
		names = append(names, a.String())
	}
	return "listen-address " + strings.Join(names, ", ") +
		": no interface of this router has it, add the address or correct the file", nil
}
