#!/usr/bin/env python3
"""Writes the SHA-256 of every received file, so that others can check it later
with `sha256sum -c`. Install it as recv.transferComplete.

Needs:    Python 3.7
Settings: checksum-manifest.conf, beside this script
          where = one       one file for each transfer, below directory
          where = beside    FILE.sha256 beside each FILE
          directory = checksums
Exit:     0 written, 1 some file could not be read or written, 2 settings wrong
"""

import base64
import hashlib
import json
import os
import stat
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


def digest(path):
    # Never through a link, never waiting for a pipe that took a file's place.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("not a regular file")
        sum = hashlib.sha256()
        for block in iter(lambda: file.read(1 << 20), b""):
            sum.update(block)
    return sum.hexdigest()


def line(sum, name):
    """A line as sha256sum writes and reads it."""
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    return (b"\\" if escaped != name else b"") + sum.encode() + b"  " + escaped + b"\n"


class Whole:
    """A file that appears under its name when all of it is on disk."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        fd, self.part = tempfile.mkstemp(prefix=b".sha256-", dir=os.path.dirname(self.path))
        self.file = open(fd, "wb")
        return self.file

    def __exit__(self, failed, *_):
        try:
            with self.file:
                if not failed:
                    self.file.flush()
                    os.fsync(self.file.fileno())
            if not failed:
                os.chmod(self.part, 0o644)
                os.replace(self.part, self.path)
        finally:
            if os.path.lexists(self.part):
                os.unlink(self.part)


def each(write):
    failed = 0
    for entry in entries():
        path = exact(entry, "filePath")
        try:
            write(path, digest(path))
        except OSError as e:
            print(f"{shown(path)}: {e.strerror or e}", file=sys.stderr)
            failed += 1
    return failed


def beside(path, sum):
    with Whole(path + b".sha256") as file:
        file.write(line(sum, os.path.basename(path)))


def main():
    s = settings("checksum-manifest.conf", {"where": "one", "directory": "checksums"})
    if s["where"] == "beside":
        failed = each(beside)
    elif s["where"] == "one":
        os.makedirs(s["directory"], exist_ok=True)
        target = os.path.join(os.path.abspath(s["directory"]), sys.argv[1] + ".sha256")
        with Whole(os.fsencode(target)) as file:
            failed = each(lambda path, sum: file.write(line(sum, path)))
    else:
        stop(2, f"checksum-manifest.conf: where = {s['where']!r} is neither one nor beside")
    if failed:
        stop(1, f"{failed} files have no checksum")


if __name__ == "__main__":
    try:
        main()
    except OSError as e:
        stop(1, f"the checksums could not be written: {e}")
