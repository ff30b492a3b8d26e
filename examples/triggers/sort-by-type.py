#!/usr/bin/env python3
"""Moves received files into ingest folders by their type, which is their name's
extension. Nothing is overwritten: a second clip.mov becomes "clip (2).mov", and
a file appears in its folder when it is whole. Install as recv.transferComplete.

Needs:    Python 3.7
Settings: sort-by-type.conf, beside this script
          root = /srv/ingest          must be there; the folders are made
          rest = other                folder for all other types; empty: left alone
          video = .mov .mxf .mp4      any further line: a folder and what goes there
Exit:     0 all moved, 1 some could not be moved, 2 settings wrong
"""

import base64
import errno
import itertools
import json
import os
import shutil
import stat
import sys
import tempfile


def stop(status, message):
    print(message, file=sys.stderr)
    sys.exit(status)


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


def settings(file):
    """Returns the root, the folder of the rest, and the folder of each extension."""
    root, rest, folders = None, "other", {}
    try:
        with open(file, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                name, equals, value = (part.strip() for part in line.partition("="))
                if not name or name.startswith("#"):
                    continue
                if not equals:
                    stop(2, f"{file}:{number}: write FOLDER = .EXTENSION .EXTENSION")
                if name == "root":
                    root = value
                    continue
                folder = value if name == "rest" else name
                if folder in (".", "..") or "/" in folder or "\\" in folder:
                    stop(2, f"{file}:{number}: {folder!r} is no name of a folder")
                if name == "rest":
                    rest = value
                    continue
                for extension in value.lower().split():
                    if not extension.startswith("."):
                        stop(2, f"{file}:{number}: the extension {extension!r} must begin with a point")
                    folders[os.fsencode(extension)] = folder
    except (OSError, UnicodeError) as e:
        stop(2, f"{file} cannot be read: {e}")
    if not root or not os.path.isdir(root):
        stop(2, f"{file}: root = {root or ''} is no directory")
    return root, rest, folders


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


def main():
    root, rest, folders = settings("sort-by-type.conf")
    again = int(os.environ.get("JETSTREAM_ATTEMPT", "1")) > 1
    failed = 0
    for entry in entries():
        path = exact(entry, "filePath")
        name = os.path.basename(path)
        folder = folders.get(os.path.splitext(name)[1].lower(), rest)
        if not folder:
            continue
        folder = os.fsencode(os.path.join(root, folder))
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                raise OSError("not a regular file")
            os.makedirs(folder, exist_ok=True)
            print(f"{shown(path)} is {shown(move(path, folder, name))}")
        except FileNotFoundError as e:
            if not again:  # else the attempt before has moved it
                print(f"{shown(path)}: {e.strerror}", file=sys.stderr)
                failed += 1
        except OSError as e:
            print(f"{shown(path)}: {e.strerror or e}", file=sys.stderr)
            failed += 1
    if failed:
        stop(1, f"{failed} files could not be moved")


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")
    main()
