"""Edits of the rules in the file that holds them: one is chosen, read, edited by ``rule_edit`` and replaced at once.

In a directory an edit goes to the file that has the rule already, else to the last one with a place for rules, else to
``zz-rules.yaml``, which is read after all others. Everything here blocks. The command line is the only caller.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from ..errors import Complaint, ConfigError, Place
from ..files import read_regular
from ..settings import Rule
from . import rule_edit as ruleedit
from . import yaml_tree as yamltree
from .yaml_tree import MAX_BYTES, quoted

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK_S = 30.0
NEW_FILE = "zz-rules.yaml"

_RETRY_S = 0.02
_BUSY = f"another edit of this configuration has not ended within {LOCK_S:g} s; try again"


def map_add(path: Path, source: str, target: str, regex: bool = False) -> str:
    """Add a rule to a configuration, or give the one from this source a new target; return the line to print.

    Errors: ConfigError when the rule cannot be added or the file cannot be replaced; nothing is changed then.
    """
    with _locked(path):
        return _add(path, source, target, regex)


def _add(path: Path, source: str, target: str, regex: bool) -> str:
    texts = _read(path)
    holding = [file for file, text in texts.items() if _has(text, source, (regex,))]
    places = [file for file, text in texts.items() if ruleedit.has_rules(text)] or [_fallback(path)]
    file = places[-1] if not holding else holding[0] if regex else holding[-1]  # the one that holds, as in mapping
    old = texts.get(file)
    new = ruleedit.add(old or "", source, target, regex=regex)
    replace_file(file, new, None if old is None else old.encode())
    is_new = len(ruleedit.listed(new)) > len(ruleedit.listed(old or ""))
    return f"{file}: {'added' if is_new else 'changed'} {source} -> {target}{' (regex)' if regex else ''}"


def map_remove(path: Path, source: str) -> str:
    """Remove the rules from ``source``, wherever they stand; return the line to print. Errors: as for map_add."""
    with _locked(path):
        texts = _read(path)
        holding = {file: text for file, text in texts.items() if _has(text, source, (True, False))}
        edits = {file: ruleedit.remove(text, source) for file, text in holding.items()}
        if not edits:
            what = f"no rule in {path} is from {quoted(source)}; 'ampmap map list' shows them all"
            raise ConfigError(Complaint(what))
        for file, new in edits.items():
            replace_file(file, new, texts[file].encode())
    return f"{', '.join(map(str, edits))}: removed {source}"


def map_list(path: Path) -> tuple[Rule, ...]:
    """Return the rules of a file or a directory as they are written, each with its place. Errors: as for map_add."""
    return tuple(rule for file, text in _read(path).items() for rule in ruleedit.listed(text, str(file)))


def replace_file(path: Path, text: bytes | str, seen: bytes | None) -> None:
    """Replace a file's contents at once: whoever reads it gets the old ones or the new ones, also after a power cut.

    ``seen`` is what was read from it, None for a file that must not exist yet. Mode and, where that is allowed, owner
    stay; a link stays and what it names is replaced. A write by another program between the last look at the file and
    its replacement is lost.

    Errors: ConfigError when the file is no longer what was read, or cannot be replaced.
    """
    data = text.encode() if isinstance(text, str) else text
    try:
        target = path.resolve()
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                _keep_mode(file.fileno(), target)
                os.fsync(file.fileno())  # before the look, because it takes long
            _require_unchanged(target, seen)
            os.replace(name, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
        _sync_directory(target.parent)
    except (OSError, ValueError, RuntimeError) as exc:  # ValueError: a NUL; RuntimeError: links in a circle
        _fail(path, f"cannot replace this file: {getattr(exc, 'strerror', None) or exc}", exc)


def _keep_mode(descriptor: int, target: Path) -> None:
    """Give the new file the old one's mode and owner."""
    try:
        status = target.stat()
    except FileNotFoundError:
        return  # mkstemp's 0600: a configuration may hold keys
    if hasattr(os, "fchmod"):  # not on Windows before Python 3.13
        with contextlib.suppress(OSError):
            os.fchown(descriptor, status.st_uid, status.st_gid)
        os.fchmod(descriptor, status.st_mode & 0o7777)  # last, because chown takes bits away


def _require_unchanged(target: Path, seen: bytes | None) -> None:
    try:
        current: bytes | None = read_regular(target, MAX_BYTES + 1)
    except FileNotFoundError:
        current = None
    if current != seen:
        raise OSError(0, "it has changed since it was read; try again")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let no other edit of these files run meanwhile: theirs would be lost, or lose this one.

    Directories are locked, because an edit replaces files. Without flock(2), and on file systems that have none for
    directories, there is no lock.
    """
    with contextlib.ExitStack() as stack:
        if fcntl is not None:
            end = time.monotonic() + LOCK_S
            for directory in _directories(path):
                with contextlib.suppress(OSError):
                    descriptor = os.open(directory, os.O_RDONLY)
                    stack.callback(os.close, descriptor)
                    while not _lock(descriptor):
                        if time.monotonic() > end:
                            raise ConfigError(Complaint(_BUSY, Place(str(path), 1)))
                        time.sleep(_RETRY_S)
        yield


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _directories(path: Path) -> list[Path]:
    """Return the directories that hold a configuration's files, links followed, in one order for all."""
    try:
        members = [path, *(path.iterdir() if path.is_dir() else ())]
        found = {member.resolve().parent for member in members}
        return sorted({path.resolve(), *found} if path.is_dir() else found)
    except (OSError, ValueError, RuntimeError):  # reading them tells what is wrong
        return []


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> dict[Path, str]:
    """Return the texts that make up a configuration, in the order in which they are read, each known to be YAML."""
    texts: dict[Path, str] = {}
    try:
        is_directory = path.is_dir()
        files = sorted(path.iterdir()) if is_directory else [path]
        for file in files:
            if not is_directory or (file.suffix == ".yaml" and not file.name.startswith(".")):
                data = read_regular(file, MAX_BYTES + 1)
                yamltree.parse(data, str(file))
                texts[file] = data.decode()
    except (OSError, ValueError) as exc:
        _fail(path, f"cannot read this: {getattr(exc, 'strerror', None) or exc}", exc)
    return texts


def _fallback(path: Path) -> Path:
    return path / NEW_FILE if path.is_dir() else path


def _has(text: str, source: str, kinds: tuple[bool, ...]) -> bool:
    return any(rule.regex in kinds and ruleedit.is_from(rule, source) for rule in ruleedit.listed(text))


def _fail(path: Path, what: str, cause: BaseException) -> NoReturn:
    raise ConfigError(Complaint(what, Place(str(path), 1))) from cause
