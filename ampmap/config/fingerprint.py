"""What the files of a configuration hold, and which names lead to them: enough to tell that something has changed.

No watching and no event loop in here: every function blocks, and raises nothing for a path that is missing, unreadable
or no path at all. That is a state like others.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from ..files import read_regular
from .file import files_in

EVERY_YAML = "*.yaml"  # among the names that matter in a directory

_MAX_BYTES = 16 * 1024 * 1024  # of one file: no usable one is larger
_MAX_LINKS = 40  # as Linux has it, path_resolution(7)
_BLANKS = b"\xef\xbb\xbf \t\r\n"

Names: TypeAlias = Mapping[str, frozenset[str]]  # by directory, as real paths: the names in it that matter
Found: TypeAlias = tuple[Literal["filled", "blank", "absent"], str]  # what a path holds, and its digest


def own_files(config: Path) -> list[Path]:
    """Return the configuration's own files; a directory that cannot be listed stands for itself."""
    try:
        return files_in(config) if os.path.isdir(config) else [config]
    except OSError:
        return [config]


def taking_part(config: Path, files: Iterable[Path]) -> list[Path]:
    """Return every path that matters: the configuration's own files as they are now, and ``files``."""
    return sorted({*own_files(config), *files})


def identity(path: str) -> tuple[int, int] | None:
    """Return what tells one directory from another that has its name; None when there is no directory."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None


def signature(files: list[Path]) -> tuple[object, ...]:
    """Return what tells, without opening them, that files have changed; ctime is for modes, and for kept mtimes."""
    found: list[object] = []
    for file in files:
        try:
            s = os.stat(file)
        except (OSError, ValueError) as exc:  # ValueError: a NUL in the path
            found.append((file, type(exc)))
        else:
            found.append((file, s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns))
    return tuple(found)


def contents(files: Iterable[Path]) -> dict[Path, Found]:
    """Return what each path holds. Reads them."""
    return {file: _content(file) for file in files}


def _content(file: Path) -> Found:
    try:
        data = read_regular(file, _MAX_BYTES)
    except (OSError, ValueError) as exc:
        return "absent", repr(exc)
    return "filled" if data.strip(_BLANKS) else "blank", hashlib.sha256(data).hexdigest()


def filled(found: Mapping[Path, Found]) -> frozenset[Path]:
    """Return the paths that hold more than blanks."""
    return frozenset(file for file, (what, _) in found.items() if what == "filled")


def names(config: Path, files: Iterable[Path]) -> Names:
    """Return every name, by its directory, whose change can make one of the paths mean another file."""
    found: dict[str, set[str]] = {}
    for path in (config, *files):
        for directory, name in _entries(path):
            found.setdefault(directory, set()).add(name)
    if os.path.isdir(config):
        found.setdefault(os.path.realpath(config), set()).add(EVERY_YAML)
    return {directory: frozenset(names) for directory, names in found.items()}


def _entries(path: Path) -> list[tuple[str, str]]:
    """Return the directory entries on the way to ``path`` that are likely to change, as directory and name.

    They are each symbolic link; the last entry, or the first that is missing; and the directory that it is in.
    """
    here, rest, links = path.anchor, [*path.parts[:0:-1]], 0
    found: list[tuple[str, str]] = []
    last = here, ""
    while rest:
        name = rest.pop()
        if name == "..":
            here = os.path.dirname(here)
            continue
        last = here, name
        at = os.path.join(here, name)
        try:
            target = os.readlink(at) if os.path.islink(at) else None
            mode = os.lstat(at).st_mode
        except (OSError, ValueError):
            break
        if target is None:
            if not stat.S_ISDIR(mode):
                break
            here = at
        else:
            links += 1
            found.append(last)
            if links > _MAX_LINKS:
                break
            there = Path(target)
            here = there.anchor or here
            rest += [part for part in reversed(there.parts) if part != there.anchor]
    parent = os.path.split(last[0])
    return [*found, last, parent] if parent[1] else [*found, last]
