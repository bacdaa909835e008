package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	release  = "bookworm"
	makeTime = 30 * time.Minute // for the disk; an idle host needs 4
	diskSize = "3G"
)

// packages are what the machines have beyond Debian's essential ones: what a router has, and what the checks use.
var packages = []string{
	"linux-image-amd64", "initramfs-tools", "systemd-sysv", "udev", "dbus", "kmod", "procps", "iproute2",
	"iputils-ping", "nftables", "conntrack", "conntrackd", "keepalived", "util-linux", "bsdutils", "make", "curl",
}

// prepare is what is done in the new root. Debian would start conntrackd, which would fight with ctsyncd; keepalived
// waits for its configuration. The agent comes from the second disk, so that the first one depends on Debian alone.
const prepare = `set -eu
cat >/etc/fstab <<'END'
/dev/vda / ext4 defaults,noatime 0 1
/dev/vdb /media/payload ext4 ro 0 0
END
mkdir -p /media/payload /var/log/journal
cat >/etc/systemd/system/agent.service <<'END'
[Unit]
Description=Carries out commands of the host
RequiresMountsFor=/media/payload
Wants=dev-virtio\x2dports-agent.device
After=dev-virtio\x2dports-agent.device
[Service]
ExecStart=/media/payload/vm agent /dev/virtio-ports/agent
Restart=always
Environment=HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
[Install]
WantedBy=multi-user.target
END
systemctl enable agent
systemctl disable conntrackd
systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
	fstrim.timer getty@tty1.service systemd-timesyncd.service
echo router >/etc/hostname
printf '127.0.0.1 localhost\n127.0.1.1 router\n' >/etc/hosts
sed -i 's/^MODULES=.*/MODULES=list/; s/^COMPRESS=.*/COMPRESS=gzip/' /etc/initramfs-tools/initramfs.conf
printf '%s\n' virtio_pci virtio_blk ext4 >>/etc/initramfs-tools/modules
update-initramfs -u
apt-get clean
rm -rf /var/lib/apt/lists/*
`

// disk is a Debian that boots: files that nobody writes to.
type disk struct{ root, kernel, initrd string }

// makeDisk returns the disk of this list of packages, and makes it if it is not in the cache.
func makeDisk(ctx context.Context, mirror string, say func(string, ...any)) (disk, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return disk{}, err
	}
	recipe := strings.Join(append([]string{release, diskSize, prepare}, packages...), "\n")
	folder := filepath.Join(cache, "ctsync", "vm")
	dir := filepath.Join(folder, fmt.Sprintf("%.8x", sha256.Sum256([]byte(recipe))))
	d := disk{filepath.Join(dir, "root.ext4"), filepath.Join(dir, "vmlinuz"), filepath.Join(dir, "initrd.img")}
	if _, err := os.Stat(dir); err == nil {
		say("disk %s", dir)
		return d, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return d, err
	}
	ctx, cancel := context.WithTimeout(ctx, makeTime)
	defer cancel()
	say("making the disk %s (4 minutes)", dir)
	if err := os.RemoveAll(folder); err != nil { // what other recipes left
		return d, err
	}
	partial := filepath.Join(folder, "partial")
	root := filepath.Join(partial, "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return d, err
	}
	for _, step := range [][]string{
		{"debootstrap", "--variant=minbase", "--include=" + strings.Join(packages, ","), release, root, mirror},
		{"chroot", root, "sh", "-c", prepare},
		{"sh", "-c", `cp "$0"/boot/vmlinuz-* "$1"/vmlinuz; cp "$0"/boot/initrd.img-* "$1"/initrd.img`, root, partial},
		{"mke2fs", "-q", "-t", "ext4", "-d", root, filepath.Join(partial, "root.ext4"), diskSize},
		{"rm", "-rf", root},
	} {
		if err := execute(ctx, step...); err != nil {
			return d, err
		}
	}
	return d, os.Rename(partial, dir)
}

// execute runs a command of the host to its end.
func execute(ctx context.Context, words ...string) error {
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", words[0], err, tail(string(out), 30))
	}
	return nil
}

// tail returns the last n lines of text.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(len(lines)-n, 0):], "\n")
}
