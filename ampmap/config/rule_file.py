"""Edits of the rules in the file that holds them: one is chosen, read, edited by ``rule_edit`` and replaced atomically.

In a directory an edit goes to the file that has the rule already, otherwise to the last one with a place for rules,
otherwise to ``zz-rules.yaml``, which is read after all others. Everything here blocks. The command line is the only
caller.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import Complaint, ConfigError, Place
from ..files import read_regular
from ..settings import Rule
from . import rule_edit as ruleedit
from . import yaml_tree as yamltree
from .file import files_in
from .yaml_tree import MAX_BYTES, quoted

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK_S = 30.0
NEW_FILE = "zz-rules.yaml"

_RETRY_S = 0.02


def map_add(path: Path, source: str, target: str, regex: bool = False) -> str:
    """Add a rule to a configuration, or give the one from this source a new target; return the line to print.

    Errors: ConfigError when the rule cannot be added or the file cannot be replaced; nothing is changed then.
    """
    with _locked(path):
        texts = _read(path)
        holding = [
            file for file, text in texts.items()
            if any(ruleedit.is_edited(rule, source, regex) for rule in ruleedit.listed(text))
        ]  # fmt: skip
        if holding:
            file = holding[0] if regex else holding[-1]  # the one that holds: of patterns the first, of names the last
        else:
            fallback = path / NEW_FILE if path.is_dir() else path
            file = [fallback, *(file for file, text in texts.items() if ruleedit.has_rules(text))][-1]
        old = texts.get(file)
        replace_file(file, ruleedit.add(old or "", source, target, regex=regex, file=str(file)), old)
    return f"{file}: {'changed' if holding else 'added'} {source} -> {target}{' (regex)' if regex else ''}"


def map_remove(path: Path, source: str) -> str:
    """Remove the rules from ``source`` from all files; return the line to print. Errors: as for map_add."""
    with _locked(path):
        texts = _read(path)
        edits = {
            file: ruleedit.remove(text, source, file=str(file)) for file, text in texts.items()
            if any(ruleedit.is_from(rule, source) for rule in ruleedit.listed(text))
        }  # fmt: skip
        if not edits:
            what = f"no rule in {path} is from {quoted(source)}; 'ampmap map list' shows them all"
            raise ConfigError(Complaint(what))
        for file, new in edits.items():
            replace_file(file, new, texts[file])
    return f"{', '.join(map(str, edits))}: removed {source}"


def map_list(path: Path) -> tuple[Rule, ...]:
    """Return the rules of a file or a directory as they are written, each with its place. Errors: as for map_add."""
    return tuple(rule for file, text in _read(path).items() for rule in ruleedit.listed(text, str(file)))


def replace_file(path: Path, text: str, seen: str | None) -> None:
    """Replace a file's contents atomically: readers get the old ones or the new ones, also after a power cut.

    ``seen`` is what was read from it, None for a file that must not exist yet. Mode and, where that is allowed, owner
    stay; a link stays and its target is replaced. A write by another program between the last look at the file and
    its replacement is lost.

    Errors: ConfigError when the file is no longer what was read, or cannot be replaced.
    """
    with _complaints(path, "replace"):
        target = path.resolve()
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        try:
            with open(descriptor, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())  # before the look, because it takes long
            is_there = target.exists()
            if is_there:  # a new file keeps mkstemp's 0600: a configuration may hold keys
                status = target.stat()
                with contextlib.suppress(OSError, AttributeError):  # AttributeError: Windows
                    os.chown(name, status.st_uid, status.st_gid)
                os.chmod(name, status.st_mode & 0o7777)  # last, because chown takes bits away
            if (read_regular(target, MAX_BYTES + 1).decode() if is_there else None) != seen:
                raise OSError(0, "it has changed since it was read; try again")
            os.replace(name, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
        if hasattr(os, "O_DIRECTORY"):  # Windows opens no directories
            descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Exclude other edits of these files: theirs would be lost, or lose this one.

    Directories are locked, because an edit replaces files. Without flock(2), and on file systems that have none for
    directories, there is no lock.
    """
    with contextlib.ExitStack() as stack:
        end = time.monotonic() + LOCK_S
        for directory in _directories(path) if fcntl is not None else ():
            with contextlib.suppress(OSError):
                descriptor = os.open(directory, os.O_RDONLY)
                stack.callback(os.close, descriptor)
                while not _lock(descriptor):
                    if time.monotonic() > end:
                        what = f"another edit of this configuration has not ended within {LOCK_S:g} s; try again"
                        raise ConfigError(Complaint(what, Place(str(path), 1)))
                    time.sleep(_RETRY_S)
        yield


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _directories(path: Path) -> list[Path]:
    """Return the directories that hold a configuration's files, links followed, in one order for all processes."""
    try:
        members = [path / "any", *path.iterdir()] if path.is_dir() else [path]
        return sorted({member.resolve().parent for member in members})
    except (OSError, ValueError, RuntimeError):  # reading them tells what is wrong
        return []


def _read(path: Path) -> dict[Path, str]:
    """Return the texts that make up a configuration, in the order in which they are read, each known to be YAML."""
    texts: dict[Path, str] = {}
    with _complaints(path, "read"):
        for file in files_in(path) if path.is_dir() else [path]:
            data = read_regular(file, MAX_BYTES + 1)
            yamltree.parse(data, str(file))
            texts[file] = data.decode()
    return texts


@contextlib.contextmanager
def _complaints(path: Path, action: str) -> Iterator[None]:
    """Turn errors of the file system into ConfigError."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as exc:  # ValueError: a NUL; RuntimeError: links in a circle
        what = f"cannot {action} this file: {getattr(exc, 'strerror', None) or exc}"
        raise ConfigError(Complaint(what, Place(str(path), 1))) from exc
