# Part of inside.sh: what the service's sandbox permits to scripts, and what it forbids.

step "a script mails through a setgid program"
[ -g /usr/sbin/dma ] || fail "dma is not setgid"
script recv.transferComplete <<'END'
#!/bin/sh
printf 'Subject: arrived\n\nA transfer is complete.\n' | /usr/sbin/sendmail root
END
emit recv.transferComplete
soon grep -q "Subject: arrived" /var/mail/root

step "a script uses sudo -n"
echo 'jetstream ALL=(root) NOPASSWD: /usr/bin/tee /srv/root-only' >/etc/sudoers.d/jetstream
script recv.transferComplete <<'END'
#!/bin/sh
echo by sudo | sudo -n /usr/bin/tee /srv/root-only
END
emit recv.transferComplete
is "the file" "root by sudo" "$(stat -c %U /srv/root-only) $(cat /srv/root-only)"

step "scripts run node and Python"
script recv.transferComplete <<'END'
#!/usr/bin/env node
require('fs').writeFileSync('/srv/media/node', String(eval('6*7')))
END
emit recv.transferComplete
is "what node wrote" 42 "$(cat /srv/media/node)"
script recv.transferComplete <<'END'
#!/usr/bin/python3
open('/srv/media/python', 'w').write(str(6 * 7))
END
emit recv.transferComplete
is "what Python wrote" 42 "$(cat /srv/media/python)"

step "a script writes to /srv, /home and its home directory"
install -d -o jetstream /home/shared
script recv.transferComplete <<'END'
#!/bin/sh
set -e
echo x >/srv/media/written
echo x >/home/shared/written
mkdir -p ~/.cache && echo x >~/.cache/written
END
emit recv.transferComplete

step "what is forbidden, and the line that permits it"
echo 'jetstream ALL=(root) NOPASSWD: ALL' >/etc/sudoers.d/jetstream
loosen() { # LINE
	mkdir -p /etc/systemd/system/jetstream.service.d
	printf '[Service]\n%s\n' "$1" >/etc/systemd/system/jetstream.service.d/loosen.conf
	systemctl daemon-reload
	systemctl restart jetstream.service || fail "restart with $1"
}
# forbidden LINE: the script fails, and does not with LINE in the unit.
forbidden() {
	jetstream trigger emit --user admin --yes recv.transferComplete >/dev/null || fail "trigger emit"
	soon ended recv.transferComplete
	is "a script that needs $1" failed "$(last recv.transferComplete)"
	loosen "$1"
	emit recv.transferComplete
	rm /etc/systemd/system/jetstream.service.d/loosen.conf
	systemctl daemon-reload
	systemctl restart jetstream.service || fail "restart"
}
script recv.transferComplete <<'END'
#!/bin/sh
echo x | sudo -n tee /etc/motd.d/written
END
mkdir -p /etc/motd.d
forbidden ReadWritePaths=/etc/motd.d
forbidden ProtectSystem=yes
script recv.transferComplete <<'END'
#!/bin/sh
echo x | sudo -n tee /usr/local/written
END
forbidden ReadWritePaths=/usr/local
forbidden ProtectSystem=no
echo x >/tmp/outside
script recv.transferComplete <<'END'
#!/bin/sh
test -e /tmp/outside
END
forbidden PrivateTmp=no
script recv.transferComplete <<'END'
#!/bin/sh
# Bit 22 of the bounding set is CAP_SYS_BOOT.
set=$(sed -n 's/^CapBnd:\t*//p' /proc/self/status)
[ $((0x$set >> 22 & 1)) = 1 ]
END
forbidden CapabilityBoundingSet=CAP_SYS_BOOT
script recv.transferComplete <<'END'
#!/usr/bin/python3
import socket
socket.socket().bind(('127.0.0.1', 443))
END
forbidden AmbientCapabilities=CAP_NET_BIND_SERVICE
