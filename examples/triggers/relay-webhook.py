#!/usr/bin/env python3
"""Relays events to an HTTP endpoint, signed as https://www.standardwebhooks.com
says, so that the other end can check who sent it, when, and that it saw this
event already (webhook-id stays the same over attempts). Works for every event.

Needs:    Python 3.7
Settings: relay-webhook.conf, beside this script
          url = https://example.com/hooks/jetstream
          secret_file = relay-webhook.secret  one line, whsec_BASE64, mode 0600
          attempts = 5        for failures that may pass: 408, 429, 5xx, no answer
          first_wait = 1      seconds before the second attempt; then doubled
          timeout = 10        seconds of silence that end an attempt
          total = 120         seconds for all of it
          max_files = 1000    of a file list that are sent along
Exit:     0 accepted (2xx), 1 not accepted (stderr says why), 2 settings wrong
"""

import base64
import hashlib
import hmac
import http.client
import json
import os
import random
import signal
import stat
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


def stop(status, message):
    print(message, file=sys.stderr)
    sys.exit(status)


def settings(file, values):
    """Reads lines of `name = value` over the defaults in values."""
    try:
        with open(file, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                name, equals, value = (part.strip() for part in line.partition("="))
                if not name or name.startswith("#"):
                    continue
                if not equals or name not in values:
                    stop(2, f"{file}:{number}: no setting {name!r}; there are {', '.join(values)}")
                values[name] = value
    except FileNotFoundError:
        pass  # the defaults
    except (OSError, UnicodeError) as e:
        stop(2, f"{file} cannot be read: {e}")
    return values


def entries():
    """The transfer's files, as JSON objects."""
    with open(os.environ["JETSTREAM_FILE_LIST"], encoding="utf-8") as lines:
        yield from map(json.loads, lines)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nowhere: what is signed for one place is not for another."""

    def redirect_request(self, *_):
        return None


def secret(file):
    try:
        if os.name != "nt" and stat.S_IMODE(os.stat(file).st_mode) & 0o077:
            stop(2, f"{file} holds a secret and others can read it; chmod 600 it")
        with open(file, encoding="ascii") as lines:
            text = lines.read(4096).strip()
        if not text.startswith("whsec_"):
            raise ValueError("it does not begin with whsec_")
        key = base64.b64decode(text[len("whsec_") :], validate=True)
        if len(key) < 16:
            raise ValueError("it is shorter than 16 bytes")
        return key
    except (OSError, ValueError) as e:  # a UnicodeError too
        stop(2, f"the secret cannot be used: {type(e).__name__} at {file}: {e.strerror if isinstance(e, OSError) else e}")


def body(max_files):
    with open(os.environ["JETSTREAM_PAYLOAD"], encoding="utf-8") as payload:
        data = json.load(payload)
    if os.environ.get("JETSTREAM_FILE_LIST"):
        files, count = [], 0
        for entry in entries():
            count += 1
            if count <= max_files:
                files.append(entry)
        data["fileCount"], data["files"] = count, files
    event = {"type": os.environ["JETSTREAM_EVENT"], "timestamp": os.environ["JETSTREAM_EVENT_TIME"],
             "server": os.environ["JETSTREAM_EVENT_SERVER"], "data": data}
    return json.dumps(event, ensure_ascii=False).encode()


def signed(key, content):
    """The headers of this moment: receivers refuse old ones."""
    id, now = os.environ["JETSTREAM_EVENT_ID"], str(int(time.time()))
    mac = hmac.new(key, id.encode() + b"." + now.encode() + b"." + content, hashlib.sha256).digest()
    return {"content-type": "application/json", "user-agent": "jetstream-relay-webhook",
            "webhook-id": id, "webhook-timestamp": now, "webhook-signature": "v1," + base64.b64encode(mac).decode()}


def post(opener, url, key, content, limit):
    """Returns what went wrong, None when nothing did; whether trying again may
    help; and how long the other end asks to wait."""
    try:
        with opener.open(urllib.request.Request(url, content, signed(key, content)), timeout=limit) as answer:
            return None, False, answer.status
    except urllib.error.HTTPError as e:
        with e:
            asked = e.headers.get("Retry-After", "")
            return f"it answered {e.code}", e.code in (408, 429) or e.code >= 500, int(asked) if asked.isdecimal() else 0
    except (OSError, http.client.HTTPException) as e:  # a URLError too
        return f"it did not answer: {getattr(e, 'reason', e)}", True, 0


def main():
    file = "relay-webhook.conf"
    s = settings(file, {"url": "", "secret_file": "relay-webhook.secret", "attempts": "5", "first_wait": "1", "timeout": "10",
                        "total": "120", "max_files": "1000"})
    try:
        attempts, wait, limit = int(s["attempts"]), float(s["first_wait"]), float(s["timeout"])
        total, max_files = int(s["total"]), int(s["max_files"])
    except ValueError as e:
        stop(2, f"{file}: {e}")
    place = urllib.parse.urlsplit(s["url"])
    if place.scheme not in ("http", "https") or not place.hostname:
        stop(2, f"{file}: url must be a http or https address")
    key = secret(s["secret_file"])
    content = body(max_files)
    # A path may be a secret, so messages name the host alone.
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, lambda *_: stop(1, f"{place.hostname} did not accept the event within {total} s"))
        signal.alarm(max(1, total))
    opener = urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({}))
    for attempt in range(1, attempts + 1):
        fault, again, detail = post(opener, s["url"], key, content, limit)
        if fault is None:
            print(f"{place.hostname} accepted the event at attempt {attempt} with {detail}")
            return
        print(f"attempt {attempt}: {place.hostname}: {fault}", file=sys.stderr)
        if not again:
            stop(1, "trying again would not help")
        if attempt < attempts:
            time.sleep(max(detail, wait * random.uniform(0.8, 1.2)))
            wait *= 2
    stop(1, f"given up after {attempts} attempts")


if __name__ == "__main__":
    main()
