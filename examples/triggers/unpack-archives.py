#!/usr/bin/env python3
"""Unpacks received archives (.zip, .tar, .tar.gz, .tgz, .tar.bz2, .tar.xz) into
NAME.unpacked beside them. An archive that would write outside, holds links or
devices, or grows beyond the limits is refused whole and leaves nothing.
Install it as recv.transferComplete.

Needs:    Python 3.7
Settings: unpack-archives.conf, beside this script
          max_files = 10000           files and directories in one archive
          max_bytes = 10737418240     unpacked bytes of one archive
          max_ratio = 200             unpacked bytes for each packed one
          max_memory = 1073741824     of this script, in bytes (not on Windows)
          remove = no                 yes: an unpacked archive is removed
Exit:     0 all unpacked, 3 an archive was refused (stderr says why), 1 some could
          not be unpacked, 2 settings wrong
"""

import base64
import bz2
import gzip
import json
import lzma
import os
import shutil
import stat
import sys
import tarfile
import tempfile
import zipfile
import zlib


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


SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


class Refused(Exception):
    pass


class Limited:
    """A file that ends in a refusal when more than limit bytes were read."""

    def __init__(self, file, limit):
        self.file, self.left = file, limit

    def read(self, size):
        block = self.file.read(min(size, 1 << 20))
        self.left -= len(block)
        if self.left < 0:
            raise Refused("it unpacks to more than the limits allow")
        return block


class Unpacking:
    """What is written below one directory, from names that strangers chose."""

    def __init__(self, root, max_files, max_bytes):
        self.root, self.files, self.bytes = root, max_files, max_bytes

    def path(self, name):
        self.files -= 1
        if self.files < 0:
            raise Refused("it holds more files than max_files allows")
        parts = name.rstrip("/").split("/")
        if parts[0] == ".":
            parts = parts[1:]
        if len(parts) > 100:
            raise Refused("it holds directories over 100 levels deep")
        for part in parts:
            if part in ("", ".", "..") or "\0" in part or os.name == "nt" and any(c in part for c in "\\:"):
                raise Refused(f"the name {name!r} leads outside or is none")
        return os.path.join(self.root, *parts)

    def directory(self, name):
        os.makedirs(self.path(name), exist_ok=True)

    def file(self, name, source):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            write = open(path, "xb")  # never an existing one
        except FileExistsError:
            raise Refused(f"it holds {name!r} twice")
        with write:
            for block in iter(lambda: source.read(1 << 18), b""):
                self.bytes -= len(block)
                if self.bytes < 0:
                    raise Refused("it unpacks to more than the limits allow")
                write.write(block)


def unzip(archive, to):
    with zipfile.ZipFile(archive) as z:
        for member in z.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.is_dir():
                to.directory(member.filename)
            elif kind not in (0, stat.S_IFREG):
                raise Refused(f"{member.filename!r} is a link or device")
            elif member.flag_bits & 1:
                raise Refused("it is encrypted")
            else:
                with z.open(member) as source:
                    to.file(member.filename, source)


def untar(archive, to):
    name = archive.name.lower()
    if name.endswith(("gz", "tgz")):
        archive = gzip.open(archive)
    elif name.endswith("bz2"):
        archive = bz2.open(archive)
    elif name.endswith("xz"):
        archive = lzma.open(archive)
    # Headers and padding count too, so that a file of nothing else ends.
    bound = to.bytes + to.files * 4096 + (1 << 20)
    with tarfile.open(fileobj=Limited(archive, bound), mode="r|") as t:
        for member in t:
            if member.isdir():
                if member.name not in (".", "./"):
                    to.directory(member.name)
            elif member.isreg():
                to.file(member.name, t.extractfile(member))
            else:
                raise Refused(f"{member.name!r} is a link or device")
            t.members = []  # else the list of them grows without bound


def unpack(path, s):
    target = path + ".unpacked"
    if os.path.lexists(target):
        raise FileExistsError(f"{shown(target)} is there already; remove it and run this event again")
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    part = tempfile.mkdtemp(prefix=".unpack-", dir=os.path.dirname(path))
    try:
        with open(path, "rb", opener=lambda p, _: os.open(p, flags)) as archive:
            size = os.fstat(archive.fileno()).st_size
            to = Unpacking(part, s["max_files"], min(s["max_bytes"], s["max_ratio"] * size + (1 << 20)))
            (unzip if path.lower().endswith(".zip") else untar)(archive, to)
        os.chmod(part, 0o755)
        os.rename(part, target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return target


def numbers(file, s):
    for name in ("max_files", "max_bytes", "max_ratio", "max_memory"):
        try:
            s[name] = int(s[name])
        except ValueError:
            stop(2, f"{file}: {name} = {s[name]!r} is no number")
    if s["remove"] not in ("yes", "no"):
        stop(2, f"{file}: remove = {s['remove']!r} is neither yes nor no")
    return s


def main():
    file = "unpack-archives.conf"
    s = numbers(file, settings(file, {"max_files": "10000", "max_bytes": str(10 << 30), "max_ratio": "200",
                                      "max_memory": str(1 << 30), "remove": "no"}))
    if os.name != "nt":
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (s["max_memory"], s["max_memory"]))
    refused = failed = 0
    for entry in entries():
        path = os.fsdecode(exact(entry, "filePath"))
        if not path.lower().endswith(SUFFIXES):
            continue
        try:
            print(f"{shown(path)} is unpacked to {shown(unpack(path, s))}")
            if s["remove"] == "yes":
                os.unlink(path)
        except Refused as e:
            print(f"REFUSED {shown(path)}: {e}", file=sys.stderr)
            refused += 1
        except MemoryError:
            print(f"REFUSED {shown(path)}: it needs more memory than max_memory", file=sys.stderr)
            refused += 1
        except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, tarfile.TarError, zipfile.BadZipFile,
                zlib.error, lzma.LZMAError) as e:
            print(f"NOT UNPACKED {shown(path)}: {e}", file=sys.stderr)
            failed += 1
    if failed:
        stop(1, f"{failed} archives could not be unpacked, {refused} were refused")
    if refused:
        stop(3, f"{refused} archives were refused")


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")
    main()
