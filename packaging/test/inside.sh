#!/bin/sh
# Tests the packages of one kind, deb or rpm, as root of a booted system.
set -u
kind=$1
cd /test
export LC_ALL=C.UTF-8 HOME=/root
lib=/var/lib/jetstream

step() { now=$1; echo "-- $1"; }
fail() {
	echo "FAILED: $now: $1"
	systemctl status --no-pager --full jetstream.service
	journalctl --no-pager -n 60
	exit 1
}
# is DESCRIPTION WANT GOT
is() { [ "$2" = "$3" ] || fail "$1 is $3, not $2"; }
# soon COMMAND... waits until the command succeeds.
soon() {
	tries=0
	until "$@" >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 600 ] || fail "this did not come true: $*"
		sleep 0.1
	done
}
active() { is "the service" active "$(systemctl is-active jetstream.service)"; }
running() { readlink "/proc/$(systemctl show --value -P MainPID jetstream.service)/exe"; }
version() { jetstream api getServerInfo --json | sed -n 's/.*"version": *"\([^"]*\)".*/\1/p' | head -n 1; }
listens() { grep -qiE " ($1) .* 0A " /proc/net/tcp /proc/net/tcp6; } # ADDRESS:PORT in hex, or several
script() { # EVENT, text from standard input
	cat >"$lib/triggers/.new" && chmod 755 "$lib/triggers/.new" && mv "$lib/triggers/.new" "$lib/triggers/$1"
}
last() { jetstream trigger runs --user admin --event "$1" --limit 1 --json | sed -n 's/.*"status": *"\([^"]*\)".*/\1/p' | head -n 1; }
ended() { case $(last "$1") in '' | queued | running) return 1 ;; esac; }
# emit EVENT runs its script and waits for its end, which must be success.
emit() {
	jetstream trigger emit --user admin --yes "$1" >/dev/null || fail "trigger emit $1"
	soon ended "$1"
	[ "$(last "$1")" = success ] || { jetstream trigger show --user admin last; fail "the script of $1 ended with $(last "$1")"; }
}

. ./inside-install.sh
. ./inside-use.sh
. ./inside-hardening.sh
. ./inside-life.sh
echo passed
