#!/usr/bin/env python3
"""Sends what has arrived on to a third site, as the user who received it, with the
names that the first sender gave. It needs no password of this server: the run
has a token of its own. Install it as recv.transferComplete.

Needs:    Python 3.7, jetstream, hard links or room for a copy in the sandbox
Settings: send-onward.conf, beside this script
          target = carol@site-c:/incoming     as for `jetstream send`
          password_file = send-onward.password  carol's password, mode 0600
          public_key = KEY                    publicKey of site-c's getServerInfo; not
                                              needed once something was sent to it
          program = jetstream                 or its whole path
Exit:     0 all files are on disk there, 1 they are not (output says why),
          2 settings wrong

It waits for the transfer to end, and other scripts wait for it meanwhile, unless
the server runs with --trigger-order=key. Two sites must not send to each other.
"""

import base64
import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys


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


def exact(entry, key):
    """A name as it is on disk, in bytes: it need not be UTF-8."""
    encoded = entry.get(key + "Base64")
    return base64.b64decode(encoded) if encoded else entry[key].encode()


def entries():
    """The transfer's files, as JSON objects; none without a file list."""
    listed = os.environ.get("JETSTREAM_FILE_LIST")
    if listed:
        with open(listed, encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def shown(name):
    return repr(os.fsdecode(name))


def sandbox(entry):
    """The directory that / means to the receiving user."""
    return exact(entry, "filePath").rsplit(b"/", entry["path"].count("/"))[0] or b"/"


def stage_files():
    """Links the files below a directory of the sandbox, under the names that
    the first sender gave, and returns that directory; None without files."""
    stage = None
    for entry in entries():
        if stage is None:
            # The event's id is the same in a second attempt.
            stage = os.path.join(sandbox(entry), b".onward-" + os.environ["JETSTREAM_EVENT_ID"].encode())
            shutil.rmtree(stage, ignore_errors=True)
            os.mkdir(stage, 0o700)
            staged.append(stage)
        parts = [part for part in exact(entry, "manifestFile").split(b"/") if part]
        if not parts or b".." in parts:
            stop(1, f"{shown(exact(entry, 'manifestFile'))} is no name to send on")
        link(exact(entry, "filePath"), os.path.join(stage, *parts))
    return stage


def link(source, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as e:
        if e.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV):
            raise
        shutil.copy2(source, target, follow_symlinks=False)


def main():
    s = settings("send-onward.conf", {"target": "", "password_file": "send-onward.password", "public_key": "", "program": "jetstream"})
    if not s["target"]:
        stop(2, "send-onward.conf: target is missing, such as target = carol@site-c:/incoming")
    program = shutil.which(s["program"])
    if not program:
        stop(2, f"there is no program {s['program']!r}: set program in send-onward.conf to jetstream's whole path")
    password = os.path.abspath(s["password_file"])
    try:
        if os.name != "nt" and stat.S_IMODE(os.stat(password).st_mode) & 0o077:
            stop(2, f"{password} holds a secret and others can read it; chmod 600 it")
    except OSError as e:
        stop(2, f"the password file cannot be used: {e}")
    stage = stage_files()
    if stage is None:
        print("the transfer has no files to send on")
        return
    tops = sorted(os.path.join(stage, name) for name in os.listdir(stage))
    key = ["--public-key", s["public_key"]] if s["public_key"] else []
    for first in range(0, len(tops), 500):
        command = [program, "send", "--remote-password-file", password, *key, *tops[first : first + 500], s["target"]]
        status = subprocess.run(command, stdin=subprocess.DEVNULL).returncode
        if status:
            stop(1, f"jetstream send ended with exit status {status}")


if __name__ == "__main__":
    staged = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the stage goes
    try:
        main()
    except OSError as e:
        stop(1, f"the files could not be staged: {e}")
    finally:
        for directory in staged:
            shutil.rmtree(directory, ignore_errors=True)
