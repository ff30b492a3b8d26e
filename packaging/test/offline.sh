#!/bin/sh
# Installs, upgrades and erases the rpm in a system that is not running: offline.sh ROOT.
set -eu
root=$1
set -- --root "$root" --nodeps
rpm "$@" --quiet -i "$root"/test/jetstream-1.0.0-1.*.rpm
chroot "$root" jetstream version | grep -q v1.0.0
[ "$(chroot "$root" stat -c '%U:%G %a' /var/lib/jetstream/triggers)" = "root:jetstream 1775" ]
rpm "$@" --quiet -U "$root"/test/jetstream-1.1.0-1.*.rpm
chroot "$root" jetstream version | grep -q v1.1.0
rpm "$@" -V jetstream
touch "$root/var/lib/jetstream/state/kept"
rpm "$@" -e jetstream
[ ! -e "$root/usr/bin/jetstream" ]
[ -e "$root/var/lib/jetstream/state/kept" ]
chroot "$root" id jetstream >/dev/null
