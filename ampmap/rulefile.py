"""Edits of the rules in the file that holds them: one is chosen, read, edited by ``ruleedit`` and replaced at once.

In a directory an edit goes to the file that has the rule already, else to the last one with a place for rules, else to
``zz-rules.yaml``, which is read after all others. Everything here blocks. The command line is the only caller.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import NoReturn

from . import ruleedit, yamltree
from .errors import Complaint, ConfigError, Place
from .files import read_regular
from .settings import Rule
from .yamltree import MAX_BYTES, quoted

NEW_FILE = "zz-rules.yaml"


def map_add(path: Path, source: str, target: str, regex: bool = False) -> str:
    """Add a rule to a configuration, or give the one from this source a new target; return the line to print.

    Errors: ConfigError when the rule cannot be added or the file cannot be replaced; nothing is changed then.
    """
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
    texts = _read(path)
    edits = {file: ruleedit.remove(text, source) for file, text in texts.items() if _has(text, source, (True, False))}
    if not edits:
        raise ConfigError(Complaint(f"no rule in {path} is from {quoted(source)}; 'ampmap map list' shows them all"))
    for file, new in edits.items():
        replace_file(file, new, texts[file].encode())
    return f"{', '.join(map(str, edits))}: removed {source}"


def map_list(path: Path) -> tuple[Rule, ...]:
    """Return the rules of a file or a directory as they are written, each with its place. Errors: as for map_add."""
    return tuple(rule for file, text in _read(path).items() for rule in ruleedit.listed(text, str(file)))


def replace_file(path: Path, text: bytes | str, seen: bytes | None) -> None:
    """Replace a file's contents at once: whoever reads it gets the old ones or the new ones, also after a power cut.

    ``seen`` is what was read from it, None for a file that must not exist yet. Mode and, where that is allowed, owner
    stay; a link stays and what it names is replaced. A write between the last look at the file and its replacement, a
    few microseconds, is lost.

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
                _take_over(file.fileno(), target, seen)
                os.fsync(file.fileno())
            os.replace(name, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
        _sync_directory(target.parent)
    except (OSError, ValueError, RuntimeError) as exc:  # ValueError: a NUL; RuntimeError: links in a circle
        _fail(path, f"cannot replace this file: {getattr(exc, 'strerror', None) or exc}", exc)


def _take_over(descriptor: int, target: Path, seen: bytes | None) -> None:
    """Give the new file the old one's mode and owner, having made sure that the old one is the one that was read."""
    try:
        current: bytes | None = read_regular(target, MAX_BYTES + 1)
        status = target.stat()
    except FileNotFoundError:
        current = None
    if current != seen:
        raise OSError(0, "it has changed since it was read; try again")
    if current is None:
        return  # mkstemp's 0600: a configuration may hold keys
    with contextlib.suppress(OSError):
        os.fchown(descriptor, status.st_uid, status.st_gid)
    os.fchmod(descriptor, status.st_mode & 0o7777)  # last, for chown takes bits away


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
