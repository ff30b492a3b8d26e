# Part of inside.sh: upgrade, removal, purge.

upgrade() { # VERSION
	if [ "$kind" = deb ]; then
		dpkg -i "jetstream_$1-1_"*.deb </dev/null
	else
		rpm --nodeps --oldpackage -U "jetstream-$1-1."*.rpm
	fi || fail "upgrade to $1"
}

step "an upgrade while a script runs"
script recv.transferComplete <<'END'
#!/bin/sh
touch started
for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.5; done
echo done >ended
END
jetstream trigger emit --user admin --yes recv.transferComplete >/dev/null || fail "trigger emit"
soon test -e $lib/triggers/started
before=$(systemctl show --value -P MainPID jetstream.service)
upgrade 1.1.0
active
[ "$before" != "$(systemctl show --value -P MainPID jetstream.service)" ] || fail "the service was not restarted"
is "the version" v1.1.0 "$(version)"
is "what the script left" done "$(cat $lib/triggers/ended)"
is "the run" success "$(last recv.transferComplete)"
jetstream user list | grep -q alice || fail "the users are gone"
[ -e /etc/jetstream/server.conf ] || fail "the configuration is gone"

step "an upgrade of a stopped service does not start it"
systemctl stop jetstream.service
upgrade 1.0.0
is "the service" inactive "$(systemctl is-active jetstream.service)"
upgrade 1.1.0
systemctl start jetstream.service || fail "start"

kept() {
	for path in /etc/jetstream/server.conf /var/log/jetstream/server.log $lib/state/jetstream.db $lib/files/bob/incoming/reel $lib/triggers/log.txt; do
		[ -e "$path" ] || fail "$path was removed"
	done
}

step "remove"
if [ "$kind" = deb ]; then dpkg -r jetstream; else rpm --nodeps -e jetstream; fi >/tmp/answer 2>&1 || fail "remove: $(cat /tmp/answer)"
cat /tmp/answer
grep -q "kept" /tmp/answer || fail "it does not say what was kept"
[ ! -e /usr/bin/jetstream ] || fail "the program is still there"
pgrep -x jetstream >/dev/null && fail "a server still runs"
kept
id jetstream >/dev/null || fail "the user is gone"

step "install again"
if [ "$kind" = deb ]; then
	dpkg -i jetstream_1.1.0-1_*.deb || fail "dpkg -i"
else
	rpm --nodeps -i jetstream-1.1.0-1.*.rpm && systemctl enable --now jetstream.service || fail "rpm -i"
fi
active
jetstream user list | grep -q alice || fail "the users are gone"

[ "$kind" = deb ] || return 0

step "purge"
printf '#!/bin/sh\n' >/etc/jetstream/a-script && chmod 755 /etc/jetstream/a-script
dpkg -P jetstream >/tmp/answer 2>&1 || fail "purge: $(cat /tmp/answer)"
cat /tmp/answer
grep -q "Received files, scripts and the user jetstream were kept" /tmp/answer || fail "it does not say what was kept"
for path in /etc/jetstream/server.conf /var/log/jetstream $lib/state; do
	[ ! -e "$path" ] || fail "$path was kept"
done
for path in $lib/files/bob/incoming/reel $lib/triggers/recv.transferComplete $lib/triggers/log.txt /srv/media/reel /etc/jetstream/a-script; do
	[ -e "$path" ] || fail "$path was removed"
done
id jetstream >/dev/null || fail "the user is gone"
rm -r $lib/files $lib/triggers /etc/jetstream
