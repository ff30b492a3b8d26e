#!/bin/sh
# Tells people what happened: a message to a chat (Slack, Mattermost, Rocket.Chat,
# Google Chat: whatever takes {"text": "..."}) or a mail, sent by curl.
#
# Needs:    curl
# Settings: notify.curl, beside this script, mode 0600: a curl config file that
#           says where to; no secret is ever in curl's arguments.
#           Chat:  url = "https://hooks.example.com/services/..."
#           Mail:  url = "smtps://mail.example.com"
#                  user = "jetstream:password"
#                  mail-from = "jetstream@example.com"
#                  mail-rcpt = "operators@example.com"
# Exit:     0 delivered, 1 not delivered (curl says why), 2 settings or curl wrong

config=notify.curl

wrong() {
	echo "$1" >&2
	exit 2
}

command -v curl > /dev/null || wrong "curl is not installed"
[ -r "$config" ] || wrong "there is no $PWD/$config; the head of this script tells what it holds"
[ -z "$(find "$config" -prune \( -perm -040 -o -perm -004 \))" ] || wrong "$config holds secrets and others can read it; chmod 600 it"

# No line break or other control character may reach a mail's head or JSON.
plain() { printf '%s' "$1" | tr '\000-\037\177' ' '; }

case $JETSTREAM_EVENT in
recv.transferComplete)
	count=0
	[ -n "${JETSTREAM_FILE_LIST:-}" ] && count=$(wc -l < "$JETSTREAM_FILE_LIST" | tr -d ' ')
	subject="$2 received $count files"
	text="$subject (transfer $1)"
	;;
*.transferFailed)
	subject="A transfer of $2 failed"
	text="$subject: $3 (transfer $1)"
	;;
on.*)
	subject="$JETSTREAM_EVENT: $2"
	text="${JETSTREAM_EVENT_USER:-somebody} called ${JETSTREAM_EVENT#on.}: $2, $3"
	;;
*)
	subject=$JETSTREAM_EVENT
	text="$JETSTREAM_EVENT $*"
	;;
esac
subject=$(plain "JetStream: $subject")
text=$(plain "$text")

# -q comes first and keeps curl from reading ~/.curlrc.
deliver() {
	curl -q --config "$config" --silent --show-error --fail --output /dev/null \
		--connect-timeout 10 --max-time 60 "$@"
}

if grep -q '^[[:space:]]*url[[:space:]]*=[[:space:]]*"\{0,1\}smtp' "$config"; then
	printf 'Subject: %s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n%s\r\n' "$subject" "$text" |
		deliver --upload-file - || exit 1
else
	printf '{"text": "%s"}' "$(printf '%s' "$text" | sed 's/[\\"]/\\&/g')" |
		deliver --header 'Content-Type: application/json' --data-binary @- \
			--retry 4 --retry-max-time 120 || exit 1
fi
