"""``ampmap init``: writes a configuration for the keys and local servers of this machine, and says what it found.

``answering_servers`` connects to loopback ports; those that answer, and vendors whose keys are there, are asked for
their lists of models, which costs nothing. ``write_starter`` makes a file.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path

import anyio

from ..config.file import parse, user_config
from ..config.presets import Preset
from ..errors import Complaint, ConfigError, Place
from ..escaping import counted, printable
from ..routing.snapshot import Availability, Snapshot, compile_snapshot
from .agents import AGENTS, RUN
from .availability import learn
from .options import no_provider
from .schema import NAME, write_beside
from .starter import LOCAL, REMOTE, Mapped, has_key, map_families, providers_alone, starter

HELP = """\
Write a configuration for what is found here: keys in the environment, and local
servers that answer. Each is asked for its list of models, which costs nothing,
and the names that agents ask for are mapped to models that it has. Nothing that
you have written is overwritten.

example:
  ampmap init && ampmap run claude

exit codes: 0; 2 a file stands there already, or it cannot be written
"""

PROBE_S = 0.3  # loopback answers, or refuses, in well under a millisecond


def add(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Set what runs; the command has no options of its own."""
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    path = Path(options.config) if options.config else user_config(os.environ)
    if not path.is_absolute() and not options.config:
        raise ConfigError(Complaint("neither HOME nor XDG_CONFIG_HOME says where to write; give --config PATH"))
    untouched = starter([], {}, map_families(*_compiled([], {}, Availability())))
    if os.path.lexists(path) and not _holds(path, untouched):
        raise _exists(path)
    text, lines = anyio.run(find, os.environ)
    write_starter(path, text, replaced=untouched)
    lines.append(f"{path} is written; a change to it is in force as soon as it is saved")
    if write_beside(path):
        lines.append(f"editors complete it by {NAME} beside it, which `ampmap schema` prints")
    print("\n".join(map(printable, lines)))
    return 0


async def find(env: Mapping[str, str]) -> tuple[str, list[str]]:
    """Look for providers; return a configuration for them, and lines that say what was found."""
    logging.getLogger("ampmap").addHandler(logging.NullHandler())  # the lines say which lists are not known
    answering = await answering_servers()
    asked = [preset for preset in REMOTE if has_key(preset, env)] + [each for each in LOCAL if each.name in answering]
    settings = parse(providers_alone(asked, env), "", env).settings
    availability = (await learn(settings, env))[0] if asked else Availability()
    doubts = {name: offer.error for name, offer in availability.offers.items() if offer.learnt_at is None}
    found = [preset for preset in asked if preset in REMOTE or preset.name not in doubts]
    mapped = map_families(*_compiled(found, env, availability))
    text = starter(found, env, mapped)
    if not found:
        return text, [*_found_lines(asked, doubts, availability, env), f"nothing was found: {no_provider()}"]
    return text, [
        *_found_lines(asked, doubts, availability, env),
        *_mapped_lines(mapped, doubts.keys() & {preset.name for preset in found}),
    ]


def _compiled(
    found: Sequence[Preset], env: Mapping[str, str], availability: Availability
) -> tuple[Snapshot, Availability]:
    return compile_snapshot(parse(providers_alone(found, env), "", env).settings)[0], availability


def _found_lines(
    asked: Iterable[Preset], doubts: Mapping[str, str], availability: Availability, env: Mapping[str, str]
) -> Iterator[str]:
    for preset in asked:
        where = preset.key_env if has_key(preset, env) else str(preset.origin)
        offer = availability.offers[preset.name]
        if preset.name not in doubts:
            yield f"found {preset.name} ({where}): {counted(len(offer.models), 'model')}"
        elif preset in REMOTE:
            yield f"found {preset.name} ({where}), but its models are not known: {offer.error}"
        else:
            yield f"left out {preset.name} ({where}): something answers there, but {offer.error}"


def _mapped_lines(mapped: Iterable[Mapped], unknown: Set[str]) -> Iterator[str]:
    """Yield the models that agents ask for and get, and what to do next. ``unknown`` providers showed no list."""
    served = [each for each in mapped if each.target]
    for each in mapped:
        what = f"{each.family.glob} (agents ask for {each.family.asked} today)"
        if each.target:
            yield f"{what} → {each.target} ({each.provider})"
        elif unknown:
            yield f"{what}: not mapped, as the models of {', '.join(sorted(unknown))} are not known"
        else:
            yield f"{what}: nothing here serves {' or '.join(each.family.protocols)}"
    protocols = {protocol for each in served for protocol in each.family.protocols}
    agents = [name for name in RUN if protocols & set(AGENTS[name].protocols)]
    if agents:
        yield f"next: ampmap run {agents[0]}" + (f" (or {', '.join(agents[1:])})" if agents[1:] else "")


async def answering_servers(presets: Iterable[Preset] | None = None) -> list[str]:
    """Return the names of the local servers whose ports accept a connection, in the presets' order.

    All are asked at the same time, for 0.3 seconds at most.
    """
    asked = list(LOCAL if presets is None else presets)
    found: set[str] = set()

    async def probe(preset: Preset) -> None:
        with anyio.move_on_after(PROBE_S):
            try:
                stream = await anyio.connect_tcp(preset.origin.host, preset.origin.port)
            except OSError:
                return
            found.add(preset.name)
            await stream.aclose()

    async with anyio.create_task_group() as group:
        for preset in asked:
            group.start_soon(probe, preset)
    return [preset.name for preset in asked if preset.name in found]


def write_starter(path: Path, text: str, replaced: str = "") -> None:
    """Write a new file that only its owner can read, and the directories above it. Blocks.

    A file that holds ``replaced`` is replaced. Errors: ConfigError when something else stands there already, which is
    left as it is, or when it cannot be written.
    """
    try:
        for directory in reversed(path.absolute().parents):
            if not directory.exists():
                directory.mkdir(mode=0o700)
        if replaced and _holds(path, replaced):
            path.unlink()
        # O_EXCL also refuses to follow a link.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError:  # half a configuration is worse than none
            path.unlink(missing_ok=True)
            raise
    except FileExistsError as exc:
        raise _exists(path) from exc
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the path
        reason = exc.strerror if isinstance(exc, OSError) else "not a path"
        raise ConfigError(Complaint(f"cannot write this file: {reason}", Place(str(path), 1))) from exc


def _exists(path: Path) -> ConfigError:
    what = "there is one already, which is left as it is; move it away, or name another place with --config"
    return ConfigError(Complaint(what, Place(str(path), 1)))


def _holds(path: Path, text: str) -> bool:
    """Tell whether a file holds just this text."""
    with suppress(OSError, ValueError):
        return path.is_file() and path.stat().st_size == len(text.encode()) and path.read_bytes() == text.encode()
    return False
