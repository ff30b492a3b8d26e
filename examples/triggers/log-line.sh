#!/bin/sh
# Appends a line to log.txt, beside this script, for every event that it is
# installed for, and below it a line for each file of a transfer.
#
# Needs:    nothing
# Settings: none
# Exit:     0 written, 1 not written

fail() {
	echo "log.txt cannot be written" >&2
	exit 1
}

# The list on standard input has a line for each file, whatever its name: TAB,
# CR and LF in names are written there as \t, \r and \n. Arguments may hold
# line breaks, which would forge lines.
plain() { printf '%s' "$1" | tr '\000-\037' ' '; }

true 2> /dev/null >> log.txt || fail # a failing exec would end the script
exec 3>> log.txt

line="$JETSTREAM_EVENT_TIME $JETSTREAM_EVENT"
for argument in "$@"; do
	line="$line $(plain "$argument")"
done
printf '%s\n' "$line" >&3 || fail

[ -n "${JETSTREAM_FILE_LIST:-}" ] || exit 0
tab=$(printf '\t')
while IFS="$tab" read -r manifest_file file_path || [ -n "$manifest_file" ]; do
	printf '  %s is %s\n' "$manifest_file" "$file_path" >&3 || fail
done
