"""The state of a configuration's files, and the directories in which it changes.

``watch`` compares them. Every function blocks. None raises for a path that is missing, unreadable or invalid: that is a
state like others.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from ..errors import Complaint, Place
from ..files import read_regular
from .file import files_in

_MAX_BYTES = 16 * 1024 * 1024  # of one file: no usable one is larger
_BLANKS = b"\xef\xbb\xbf \t\r\n"

Stats: TypeAlias = Mapping[Path, tuple[int, ...] | None]  # by path: size first; None where nothing is found
Found: TypeAlias = tuple[Literal["filled", "blank", "absent"], str]  # what a path holds, and its digest


def own_files(config: Path) -> list[Path]:
    """Return the configuration's own files; a directory that cannot be listed stands for itself."""
    try:
        return files_in(config) if os.path.isdir(config) else [config]
    except OSError:
        return [config]


def stats(files: Iterable[Path]) -> Stats:
    """Return what shows, without opening them, that files have changed; ctime is for modes, and for kept mtimes."""
    found: dict[Path, tuple[int, ...] | None] = {}
    for file in files:
        try:
            s = os.stat(file)
        except (OSError, ValueError):  # ValueError: a NUL in the path
            found[file] = None
        else:
            found[file] = (s.st_size, s.st_dev, s.st_ino, s.st_mtime_ns, s.st_ctime_ns)
    return found


def is_unfinished(found: Stats) -> bool:
    """Tell whether a file is missing or empty, as it is for a moment while some programs save it."""
    return not found or any(not each or not each[0] for each in found.values())


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


def lost(config: Path, found: Mapping[Path, Found], filled: frozenset[Path]) -> Complaint | None:
    """Return why files must not be loaded that were ``filled``: they would pass for a configuration without rules."""
    own = own_files(config)
    try:
        config.stat()
    except OSError as exc:
        return Complaint(f"this cannot be found any more: {exc.strerror}", Place(str(config), 1))
    if not own:
        return Complaint("no *.yaml is left in this directory; put one back", Place(str(config), 1))
    for file in own:
        if file in filled and file in found and found[file][0] == "blank":
            advice = "write it again, or at least a comment into it if it is to say nothing"
            return Complaint(f"this file is empty now; {advice}", Place(str(file), 1))
    return None


def directories(config: Path, files: Iterable[Path]) -> set[str]:
    """Return every directory with an entry whose change can make one of the paths mean another file, as real paths.

    They hold a symbolic link on the way, the last entry or the first that is missing, or the directory of that entry.
    """
    found: set[str] = set()
    seen = {config, *files}
    waiting = [*seen]
    while waiting:
        path = waiting.pop()
        for entry in (*reversed(path.parents), path):
            parent = os.path.realpath(entry.parent)
            try:
                target = Path(parent, os.readlink(entry)) if os.path.islink(entry) else None
            except OSError:  # gone again
                target = None
            if target is not None:
                found.add(parent)
                waiting += {target} - seen
                seen.add(target)
            elif not os.path.isdir(entry):
                found |= {parent, os.path.dirname(parent)}
                break
    if os.path.isdir(config):
        here = os.path.realpath(config)
        found |= {here, os.path.dirname(here)}
    return found
