# Part of inside.sh: setup, a transfer, a trigger, reload, logs, other people's files.

step "setup"
jetstream setup --yes --user dave --external-address localhost >/tmp/answer 2>&1 || fail "setup: $(cat /tmp/answer)"
is "mode" "root:jetstream 640" "$(stat -c '%U:%G %a' /etc/jetstream/server.conf)"
is "mode" "root:jetstream 1775" "$(stat -c '%U:%G %a' $lib/triggers)"
echo "log /var/log/jetstream/server.log" >>/etc/jetstream/server.conf
systemctl restart jetstream.service || fail "restart"
active
listens "$everywhere" || fail "the receive port does not listen on all addresses"

step "a transfer and a trigger"
# The script of the original's documentation.
script recv.transferComplete <<'END'
#!/bin/sh
echo "Transfer ID ${1} initiated by ${2} is complete." >> log.txt
END
install -d -o jetstream -g jetstream /srv/media
echo reel >/srv/media/reel
export JETSTREAM_USER_PASSWORD=correct-horse-battery JETSTREAM_REMOTE_PASSWORD=correct-horse-battery
jetstream user add alice --sandbox /srv/media >/dev/null || fail "user add"
jetstream user add bob >/dev/null || fail "user add"
jetstream send --accept-key --user alice /srv/media/reel bob@localhost:/incoming || fail "send"
is "the received file" reel "$(cat $lib/files/bob/incoming/reel)"
soon ended recv.transferComplete
grep -q "initiated by bob is complete" $lib/triggers/log.txt || fail "the script wrote no log.txt"

step "reload"
systemctl reload jetstream.service || fail "systemctl reload"
active

step "logrotate loses no line"
grep -q . /var/log/jetstream/server.log || fail "there is no log"
logrotate --force /etc/logrotate.d/jetstream || fail "logrotate"
[ -s /var/log/jetstream/server.log.1 ] || fail "nothing was rotated"
soon test -s /var/log/jetstream/server.log

step "a source that the service may not read"
useradd --create-home carol && chmod 700 /home/carol
jetstream user add carol --sandbox /home >/dev/null || fail "user add"
echo private >/home/carol/private
jetstream send --accept-key --user carol /home/carol/private bob@localhost:/incoming >/tmp/answer 2>&1 && fail "it was sent"
grep -q "ACL" /tmp/answer || fail "the error is: $(cat /tmp/answer)"
setfacl -R -m u:jetstream:rX /home/carol || fail "setfacl"
jetstream send --accept-key --user carol /home/carol/private bob@localhost:/incoming >/tmp/answer 2>&1 || fail "with an ACL: $(cat /tmp/answer)"

step "the unit of a user"
loginctl enable-linger carol || fail "enable-linger"
carol() { runuser -u carol -- env HOME=/home/carol XDG_RUNTIME_DIR="/run/user/$(id -u carol)" "$@"; }
soon carol systemctl --user is-active default.target
carol mkdir -p /home/carol/.config/jetstream
carol sh -c 'printf "recv-host 127.0.0.1\nrecv-port 9887\napi-port 9886\n" >~/.config/jetstream/server.conf'
carol systemctl --user enable --now jetstream.service || { carol journalctl --no-pager --user -n 20; fail "systemctl --user enable --now"; }
is "the unit" active "$(carol systemctl --user is-active jetstream.service)"
carol jetstream api getServerInfo --json | grep -q '"version": *"v1.0.0"' || fail "the user's server does not answer its user"
carol systemctl --user reload jetstream.service || fail "reload of the user's unit"
carol systemctl --user stop jetstream.service || fail "stop of the user's unit"

step "a server that is killed comes back"
pid=$(systemctl show --value -P MainPID jetstream.service)
kill -9 "$pid"
soon sh -c "systemctl is-active -q jetstream && [ \$(systemctl show --value -P MainPID jetstream) != $pid ]"
