#!/bin/bash
# Installs the Debian packages that the tests and the demo use, and those that it is given as command:package. It is
# quick if nothing is missing.
#
# Only the programs of keepalived, conntrackd and prometheus (promtool) are needed: the script starts none of their
# services and disables them.
set -euo pipefail

# command:package
wanted=(
    conntrackd:conntrackd
    keepalived:keepalived
    nft:nftables
    conntrack:conntrack
    tcpdump:tcpdump
    tmux:tmux
    ip:iproute2
    sysctl:procps
    ping:iputils-ping
    shellcheck:shellcheck
    curl:curl
    promtool:prometheus
    mandoc:mandoc
    zsh:zsh
    fish:fish
    "$@"
)

PATH=$PATH:/usr/sbin:/sbin
missing=()
for pair in "${wanted[@]}"; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
if [ "${#missing[@]}" -eq 0 ]; then
    exit 0
fi

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing packages: ${missing[*]} (install them, or run this as root on a Debian machine)" >&2
    exit 1
fi

# Debian asks this program whether a package may start its service; 101 means no. An existing one stays as it is.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

# The packages have enabled their services for the next boot.
for package in "${missing[@]}"; do
    case $package in
    conntrackd | keepalived | nftables | prometheus)
        if [ -d /run/systemd/system ]; then
            systemctl disable --quiet --now "$package.service" || true
        elif [ -x /usr/sbin/update-rc.d ]; then
            update-rc.d "$package" disable >/dev/null 2>&1 || true
        fi
        ;;
    esac
done
