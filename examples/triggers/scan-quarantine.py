#!/usr/bin/env python3
"""Scans received files and moves what is found into a quarantine directory, where
nobody but the server's user can get at it. Install it as recv.transferComplete.

Needs:    Python 3.7 and a scanner: by default ClamAV's clamdscan and its daemon
Settings: scan-quarantine.conf, beside this script
          scanner = clamdscan --fdpass --no-summary   the path is put behind it
          clean = 0           exit status of the scanner for a clean file
          infected = 1        and for an infected one; any other is a failure
          timeout = 600       seconds for one file
          quarantine = /var/lib/jetstream/quarantine  outside every sandbox
Exit:     0 all clean, 3 something was moved to the quarantine (output names it),
          1 some file could not be scanned or moved, 2 settings or scanner wrong
"""

import base64
import errno
import itertools
import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile


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


def copied(source, folder):
    """Copies source into folder under a hidden name and returns that."""
    fd, part = tempfile.mkstemp(prefix=b".part-", dir=folder)
    try:
        with open(source, "rb") as read, open(fd, "wb") as write:
            shutil.copyfileobj(read, write, 1 << 20)
            write.flush()
            os.fsync(write.fileno())
        shutil.copystat(source, part)
    except BaseException:
        os.unlink(part)
        raise
    return part


def publish(source, target):
    """Gives source the name target, which must be free; false when it is not."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        # A former attempt may have ended right here.
        if not os.path.samestat(os.lstat(source), os.lstat(target)):
            return False
    except OSError as e:
        if e.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        # No hard links there: hold the name by an empty file, then replace that.
        try:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return False
        os.replace(source, target)
        return True
    os.unlink(source)
    return True


def move(source, folder, name):
    """Moves source into folder, overwriting nothing; returns its new path."""
    stem, extension = os.path.splitext(name)
    source_now, copy = source, None
    for number in itertools.count(1):
        target = os.path.join(folder, name if number == 1 else b"%s (%d)%s" % (stem, number, extension))
        try:
            done = publish(source_now, target)
        except OSError as e:
            if e.errno != errno.EXDEV or copy:
                raise
            source_now = copy = copied(source, folder)
            try:
                done = publish(copy, target)
            except BaseException:
                os.unlink(copy)
                raise
        if done:
            if copy:
                os.unlink(source)
            return target


def inside(path, directory):
    path, directory = os.path.realpath(path), os.path.realpath(directory)
    return os.path.commonpath([path, directory]) == directory


def sandbox(entry):
    """The directory that / means to the receiving user."""
    return exact(entry, "filePath").rsplit(b"/", entry["path"].count("/"))[0] or b"/"


def scan(command, path, limit):
    """Returns the scanner's exit status and the end of what it said."""
    # It sees nothing of the run's login.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JETSTREAM_")}
    with tempfile.TemporaryFile() as said:
        status = subprocess.run(command + [path], stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
                                timeout=limit, env=environment).returncode
        said.seek(max(0, said.seek(0, os.SEEK_END) - 2000))
        return status, said.read().decode(errors="replace").strip()


def main():
    s = settings("scan-quarantine.conf", {
        "scanner": "clamdscan --fdpass --no-summary", "clean": "0", "infected": "1", "timeout": "600",
        "quarantine": "/var/lib/jetstream/quarantine"})
    try:
        command, clean, infected, limit = shlex.split(s["scanner"]), int(s["clean"]), int(s["infected"]), float(s["timeout"])
    except ValueError as e:
        stop(2, f"scan-quarantine.conf: {e}")
    if not command or not shutil.which(command[0]):
        stop(2, f"there is no scanner {s['scanner']!r}: install it (clamdscan is in ClamAV), or name another in scan-quarantine.conf")
    quarantine = os.fsencode(os.path.abspath(s["quarantine"]))
    try:
        os.makedirs(quarantine, mode=0o700, exist_ok=True)
        os.chmod(quarantine, 0o700)
    except OSError as e:
        stop(2, f"the quarantine cannot be made: {e}")
    again = int(os.environ.get("JETSTREAM_ATTEMPT", "1")) > 1
    found = failed = 0
    for entry in entries():
        path = exact(entry, "filePath")
        if inside(quarantine, sandbox(entry)):
            stop(2, f"the quarantine {shown(quarantine)} is inside the sandbox {shown(sandbox(entry))}: put it elsewhere")
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                raise OSError("not a regular file")
            status, said = scan(command, path, limit)
            if status == infected:
                name = os.environ["JETSTREAM_EVENT_ID"].encode() + b"-" + os.path.basename(path)
                target = move(path, quarantine, name[:200])
                os.chmod(target, 0o400)
                print(f"QUARANTINED {shown(path)} is now {shown(target)}\n{said}")
                found += 1
            elif status != clean:
                raise OSError(f"the scanner ended with exit status {status}: {said}")
        except FileNotFoundError as e:
            if not again:  # else the attempt before has moved it
                print(f"{shown(path)}: {e.strerror}", file=sys.stderr)
                failed += 1
        except (OSError, subprocess.TimeoutExpired) as e:
            print(f"NOT SCANNED {shown(path)}: {e}", file=sys.stderr)
            failed += 1
    if failed:
        stop(1, f"{failed} files could not be scanned or moved, {found} were quarantined")
    if found:
        stop(3, f"{found} files were quarantined")


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")
    main()
