# Part of inside.sh: installation, and what stands after it.

soon sh -c 'systemctl is-system-running | grep -qE "running|degraded|starting"'

step "install"
if [ "$kind" = deb ]; then
	dpkg -i jetstream_1.0.0-1_*.deb || fail "dpkg -i"
else
	rpm --nodeps -i jetstream-1.0.0-1.*.rpm || fail "rpm -i"
	systemctl enable --now jetstream.service || fail "systemctl enable --now"
fi
active
is "enabled" enabled "$(systemctl is-enabled jetstream.service)"
is "the program" /usr/bin/jetstream "$(running)"
is "the user of the process" jetstream "$(ps -o user= -p "$(systemctl show --value -P MainPID jetstream.service)")"
is "the version" v1.0.0 "$(version)"
systemd-analyze --man=no verify jetstream.service || fail "systemd-analyze verify"

step "rights"
for want in "root:jetstream 1775 $lib" "root:jetstream 1775 $lib/triggers" "jetstream:jetstream 700 $lib/state" \
	"jetstream:jetstream 750 /var/log/jetstream" "root:jetstream 750 /etc/jetstream"; do
	is "mode" "$want" "$(stat -c '%U:%G %a %n' "${want##* }")"
done
[ ! -e /etc/jetstream/server.conf ] || fail "the package has made a server.conf"
echo evil >/tmp/evil && chown jetstream /tmp/evil
echo '#!/bin/sh' >$lib/triggers/recv.transferComplete && chmod 755 $lib/triggers/recv.transferComplete
runuser -u jetstream -- sh -c "mv /tmp/evil $lib/triggers/recv.transferComplete" 2>/dev/null && fail "the service's user replaced a script"
runuser -u jetstream -- sh -c "mv $lib/triggers $lib/former" 2>/dev/null && fail "the service's user moved the trigger directory away"
useradd --groups jetstream mallory
runuser -u mallory -- jetstream api --user admin getUsers >/tmp/answer 2>&1 && fail "group jetstream gave access to the API"

step "before setup nothing is reachable from elsewhere"
listens 0100007F:22B6 || fail "the API does not listen on 127.0.0.1"
listens 0100007F:22B7 || fail "the receive port does not listen on 127.0.0.1"
everywhere="00000000:22B7|00000000000000000000000000000000:22B7"
listens "$everywhere" && fail "the receive port listens on all addresses"

step "completion and manual"
bash -c '. /usr/share/bash-completion/completions/jetstream && complete -p jetstream' >/dev/null || fail "the completion of bash"
for page in /usr/share/man/man[1-8]/jetstream*; do
	[ ! -e "$page" ] || man -l "$page" >/dev/null || fail "$page"
done
