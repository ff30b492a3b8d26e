#!/bin/sh
# Installs, upgrades, removes and purges the packages in booted Debian systems, and looks at
# them with lintian and piuparts. It needs root, mmdebstrap, systemd-nspawn and, once, the
# network.
#   TREE   directory of the Debian 12 system, made if it is missing
#   MIRROR where its packages are from
#   ONLY   some of: lint deb rpm root piuparts
#   KEEP=1 keeps the systems afterwards
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
: "${TREE:=/var/cache/jetstream-package-test/bookworm}" "${MIRROR:=http://deb.debian.org/debian}"
: "${ONLY:=lint deb rpm root piuparts}" "${LIMIT:=600}"

[ "$(id -u)" = 0 ] || { echo "the systems can be booted by root alone" >&2; exit 1; }
for program in mmdebstrap systemd-nspawn dpkg-deb; do
	command -v $program >/dev/null || { echo "$program is missing: apt-get install mmdebstrap systemd-container" >&2; exit 1; }
done
arch=$(dpkg --print-architecture)

work=$(mktemp -d /var/tmp/jetstream-package-test.XXXXXX)
clean() {
	for mounted in "$work"/root/root/proc "$work"/*/root; do umount "$mounted" 2>/dev/null || true; done
	[ "${KEEP:-}" ] || rm -rf "$work"
}
trap clean EXIT
trap 'exit 1' INT TERM

if [ ! -d "$TREE" ]; then
	mkdir -p "$(dirname "$TREE")"
	rm -rf "$TREE.new"
	mmdebstrap --variant=minbase --format=directory \
		--include=systemd,systemd-sysv,dbus,libpam-systemd,init-system-helpers,sudo,dma,python3-minimal,nodejs,logrotate,rpm,acl,man-db,bash-completion,procps \
		bookworm "$TREE.new" "$MIRROR"
	mv "$TREE.new" "$TREE"
fi

for version in v1.0.0 v1.1.0; do
	DIST=$work/$version VERSION=$version ARCHES=$arch packaging/build.sh
done
mkdir "$work/packages"
cp "$work"/v1.*/* "$work/packages"

# system NAME makes $work/NAME/root, a fresh system with the packages in /test.
system() {
	mkdir -p "$work/$1/upper" "$work/$1/work" "$work/$1/root"
	mount -t overlay -o "lowerdir=$TREE,upperdir=$work/$1/upper,workdir=$work/$1/work" "$1" "$work/$1/root"
	mkdir "$work/$1/root/test"
	cp "$work"/packages/* "$here"/inside*.sh "$work/$1/root/test"
}

# booted KIND boots a fresh system, in which inside.sh tests the packages of the kind.
booted() {
	system "$1"
	sed "s/KIND/$1/" "$here/package-test.service" >"$work/$1/root/etc/systemd/system/package-test.service"
	mkdir -p "$work/$1/root/etc/systemd/system/multi-user.target.wants"
	ln -s ../package-test.service "$work/$1/root/etc/systemd/system/multi-user.target.wants/"
	echo 12345678901234567890123456789012 >"$work/$1/root/etc/machine-id"
	timeout -k 10 "$LIMIT" systemd-nspawn --quiet --boot --register=no --keep-unit --private-network --machine="jetstream-$1" \
		--directory="$work/$1/root" --console=pipe </dev/null >"$work/$1/console" 2>&1 || true
	cat "$work/$1/root/test/output" 2>/dev/null || tail -50 "$work/$1/console"
	[ "$(tail -n 1 "$work/$1/root/test/output" 2>/dev/null)" = "passed" ]
}

skip() { echo "SKIPPED: $1 is not installed"; }

bad=
for what in $ONLY; do
	echo "== $what"
	case $what in
	lint)
		if command -v lintian >/dev/null; then
			lintian --fail-on error,warning --allow-root "$work"/packages/jetstream_1.1.0-1_*.deb || bad="$bad lint"
		else
			skip lintian
		fi
		;;
	deb | rpm) booted "$what" || bad="$bad $what" ;;
	root)
		# A system that is not running, such as an image that is being built.
		if command -v rpm >/dev/null; then
			system root
			mount -t proc proc "$work/root/root/proc"
			sh "$here/offline.sh" "$work/root/root" || bad="$bad root"
		else
			skip rpm
		fi
		;;
	piuparts)
		if command -v piuparts >/dev/null; then
			piuparts --existing-chroot "$TREE" --distribution=bookworm --mirror="$MIRROR main" --no-upgrade-test --warn-on-leftovers-after-purge \
				"$work"/packages/jetstream_1.1.0-1_*.deb >"$work/piuparts" 2>&1 || { tail -40 "$work/piuparts"; bad="$bad piuparts"; }
			grep -A 5 -E "PASS|FAIL|left files" "$work/piuparts" | grep -v DEBUG
		else
			skip piuparts
		fi
		;;
	esac
done
[ -z "$bad" ] || { echo "failed:$bad" >&2; exit 1; }
echo "the packages pass"
