"""A configuration file, or a directory of them, as :class:`Settings`: where it is found, what it may say.

Reading is strict about structure and lenient about rules, and it reports everything that is wrong at once, each thing
with its file, line and column. ``yaml_tree`` makes a tree of the text, ``reader`` reads single values, ``providers``
and ``amp`` the sections; ``routing.snapshot`` decides whether rules make sense together. Everything here blocks: a
running proxy calls it in a thread.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterable
from collections.abc import Mapping as Env
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from ..errors import Complaint, ConfigError, Place
from ..files import read_regular, require_regular
from ..net.address import is_address, is_loopback
from ..settings import Limits, Listen, Log, Settings, TcpListen, Timeouts
from . import keys
from . import yaml_tree as yamltree
from .amp import read_amp
from .nodes import Mapping, Node, Sequence
from .providers import providers_from_environment, read_providers
from .reader import Reading, given, read_hosts, read_key, read_listen, read_log_file
from .yaml_tree import quoted

Section = TypeVar("Section", Timeouts, Limits, Log)

SYSTEM_CONFIG = Path("/etc/ampmap/config.yaml")
LOAD_S = 30.0  # for a configuration to be read: four MiB of rules take two thirds of it

# RFC 6454 §6.2. Not "null", which any page can make its origin by way of a sandboxed frame.
_WEB_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used, and what its writer should look at all the same.

    ``files`` took part: the configuration's own, keys, authorities. A change in any of them changes what it says.
    """

    settings: Settings
    warnings: tuple[Complaint, ...]
    files: tuple[Path, ...] = ()


class UnusableFiles(ConfigError):
    """The configuration as it is written cannot be used; a change in any of ``files`` may repair it.

    ``settings`` are what could be read of it, None where a file is no YAML.
    """

    def __init__(
        self, complaints: Iterable[Complaint], files: tuple[Path, ...], settings: Settings | None = None
    ) -> None:
        super().__init__(*complaints)
        self.files = files
        self.settings = settings


def overdue(path: Path, seconds: float) -> ConfigError:
    """Return the error for a configuration that could not be read within ``seconds``."""
    what = f"reading the configuration has not ended within {seconds:g} s"
    advice = "a file that it names is on a disk or a network mount that does not answer; name another file"
    return ConfigError(Complaint(f"{what}: {advice}", Place(str(path), 1)))


def find_config(explicit: str | None, env: Env[str, str]) -> Path | None:
    """Return the configuration to use: ``explicit``, ``$AMPMAP_CONFIG``, the user's, the system's; None without any.

    Never from the working directory: agents run inside strangers' repositories, and a planted file could send keys
    away. That is why a relative path in a variable, which outlives the directory it was meant for, is refused.

    Raises :class:`ConfigError` if the path that the user names does not exist.
    """
    if explicit is not None:
        if not _exists(Path(explicit)):
            raise ConfigError(Complaint(f"--config names {quoted(explicit)}, which does not exist"))
        return Path(explicit)
    home = Path(env.get("HOME", ""))
    if named := env.get("AMPMAP_CONFIG"):
        path = home / named[2:] if named.startswith("~/") else Path(named)
        if not path.is_absolute():
            raise ConfigError(Complaint(f"AMPMAP_CONFIG is {quoted(named)}; write the path from / on"))
        if not _exists(path):
            raise ConfigError(Complaint(f"AMPMAP_CONFIG names {quoted(named)}, which does not exist"))
        return path
    known = [path for path in (user_config(env), SYSTEM_CONFIG) if path.is_absolute()]
    return next(filter(_exists, known), None)


def user_config(env: Env[str, str]) -> Path:
    """Return where the user's own configuration belongs, there or not; relative where nothing says where home is."""
    xdg = Path(env.get("XDG_CONFIG_HOME", ""))
    base = xdg if xdg.is_absolute() else Path(env.get("HOME", "")) / ".config"  # XDG has relative ones ignored too
    return base / "ampmap" / "config.yaml"


def load(path: Path, env: Env[str, str]) -> Loaded:
    """Read a file, or a directory of ``*.yaml`` merged in the order of their names. Blocks.

    Errors: ConfigError with every complaint, in the files' order; where they lie in files, it is UnusableFiles.
    """
    is_directory = os.path.isdir(path)
    reading = Reading(env, path.absolute() if is_directory else path.absolute().parent)
    tree = Mapping(Place(str(path), 1), ())
    is_whole = True
    for file in _files_in(reading, path) if is_directory else [path]:
        reading.files.append(file.absolute())
        try:
            found = yamltree.parse(_contents(file), str(file), reading.complaints)
        except ConfigError as exc:
            reading.complaints += exc.complaints
            is_whole = False
        else:
            tree = yamltree.merge(tree, _root(reading, found), reading.complaints)
    if not is_whole:  # what the other files seem to lack may stand in the one that cannot be read
        raise _unusable(reading)
    return _loaded(reading, tree, str(path))


def parse(text: str, file: str, env: Env[str, str]) -> Loaded:
    """Read a configuration from text; ``file`` is its name in complaints and where relative paths start.

    Errors: ConfigError with every complaint, in the text's order.
    """
    reading = Reading(env, Path(file).absolute().parent)
    found = yamltree.parse(text.encode("utf-8", "surrogatepass"), file, reading.complaints)
    return _loaded(reading, _root(reading, found), file)


def defaults(env: Env[str, str]) -> Loaded:
    """Return what holds without any file: the built-in defaults, and the providers whose keys are in ``env``.

    Errors: ConfigError when such a key cannot be sent.
    """
    return _loaded(Reading(env, Path("/")), Mapping(Place("", 1), ()), "")


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in the path
        return False
    except OSError:
        return True  # it may not be passed over in silence; reading it will tell what is wrong
    return True


def files_in(directory: Path, suffix: str = ".yaml") -> list[Path]:
    """Return the files of a directory that count. Hidden ones are editors' and, as ``..data``, Kubernetes' own.

    Errors: OSError when it cannot be listed.
    """
    return sorted(path for path in directory.iterdir() if path.suffix == suffix and not path.name.startswith("."))


def _files_in(reading: Reading, directory: Path) -> list[Path]:
    try:
        files, passed_over = files_in(directory), files_in(directory, ".yml")
    except OSError as exc:
        raise ConfigError(Complaint(f"cannot read the directory {directory}: {exc.strerror}")) from exc
    for path in passed_over:
        reading.warn(Place(str(path), 1), "this file is not read; name it *.yaml")
    if not files:
        reading.warn(Place(str(directory), 1), "no *.yaml is in this directory; the defaults hold")
    return files


def _contents(path: Path) -> bytes:
    try:
        return read_regular(path, yamltree.MAX_BYTES + 1)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not a path"
        raise ConfigError(Complaint(f"cannot read this file: {reason}", Place(str(path), 1))) from exc


def _root(reading: Reading, found: Node) -> Mapping:
    if isinstance(found, Mapping):
        return found
    reading.wrong(found, "a mapping")
    return Mapping(found.place, ())


def _unusable(reading: Reading, settings: Settings | None = None) -> UnusableFiles:
    return UnusableFiles(_in_order(reading), tuple(dict.fromkeys(reading.files)), settings)


def _in_order(reading: Reading) -> list[Complaint]:
    return sorted(reading.complaints, key=lambda complaint: complaint.place or Place("", 0))


def _loaded(reading: Reading, tree: Mapping, source: str) -> Loaded:
    settings = _read_settings(reading, tree, source)
    reading.warn_of_readers()
    complaints = _in_order(reading)
    if any(complaint.severity == "error" for complaint in complaints):
        raise _unusable(reading, settings)
    return Loaded(settings, tuple(complaints), tuple(dict.fromkeys(reading.files)))


def _read_settings(reading: Reading, tree: Mapping, source: str) -> Settings:
    if authorities := reading.env.get("SSL_CERT_FILE"):
        try:
            require_regular(authorities)
        except (OSError, ValueError) as exc:
            reading.error(None, f"the variable SSL_CERT_FILE cannot be used: {getattr(exc, 'strerror', None) or exc}")
    fields = reading.fields(tree, keys.TOP)
    listens: dict[Listen, Place] = given(reading, fields, "listen", _read_listens, {})
    complaint_count = len(reading.complaints)
    api_keys: tuple[str, ...] = given(reading, fields, "api-keys", _read_keys, ())
    is_open = not api_keys and len(reading.complaints) == complaint_count
    allow_open_access = given(reading, fields, "allow-open-access", Reading.boolean, False)
    if is_open and not allow_open_access:
        _refuse_strangers(reading, listens)
    elif is_open and "allowed-hosts" not in fields:
        _warn_of_names(reading, listens)
    if "providers" in fields:
        providers = read_providers(reading, fields["providers"])
    else:
        providers = providers_from_environment(reading)
    return Settings(
        listen=tuple(listens) or (TcpListen(),),
        api_keys=api_keys,
        allow_open_access=allow_open_access,
        allowed_origins=given(reading, fields, "allowed-origins", _read_origins, ()),
        allowed_hosts=given(reading, fields, "allowed-hosts", read_hosts, ()),
        amp=read_amp(reading, fields),
        translate=given(reading, fields, "translate", Reading.boolean, True),
        providers=providers,
        timeouts=given(reading, fields, "timeouts", _read_timeouts, Timeouts()),
        limits=given(reading, fields, "limits", _read_limits, Limits()),
        log=given(reading, fields, "log", _read_log, Log()),
        admin=given(reading, fields, "admin", _read_admin, True),
        source=source,
    )


def _read_listens(reading: Reading, node: Node) -> dict[Listen, Place]:
    items = node.items if isinstance(node, Sequence) else (node,)
    if not items:
        reading.error(node.place, "at least one address is needed; write 127.0.0.1:8267")
    found: dict[Listen, Place] = {}
    for item in items:
        listen = read_listen(reading, item)
        if listen in found:
            reading.error(item.place, f"this address is already given at {found[listen]}; keep one")
        elif listen is not None:
            found[listen] = item.place
    return found


def _refuse_strangers(reading: Reading, listens: dict[Listen, Place]) -> None:
    """Complain of addresses at which anyone who reaches this machine could spend the user's keys."""
    for listen, place in listens.items():
        if what := open_to_strangers(listen):
            reading.error(place, what)


def open_to_strangers(listen: Listen) -> str:
    """Say what is wrong with listening there without asking for keys; nothing where only this machine can connect."""
    if not isinstance(listen, TcpListen) or is_loopback(listen.host):
        return ""
    keys = "list keys under 'api-keys:', or write 'allow-open-access: true'"
    return f"{listen} can be reached from other machines, and no key is asked for; {keys}"


def _warn_of_names(reading: Reading, listens: dict[Listen, Place]) -> None:
    """Warn of addresses that clients may call by a name which this proxy does not know to be its own."""
    for listen, place in listens.items():
        if not isinstance(listen, TcpListen) or is_loopback(listen.host):
            continue
        if listen.host in ("0.0.0.0", "::"):
            reading.warn(place, "clients that call this proxy by a name get 421; list its names under 'allowed-hosts:'")
        elif not is_address(listen.host):
            what = f"clients that call this proxy by another name than {quoted(listen.host)} get 421"
            reading.warn(place, f"{what}; list all its names under 'allowed-hosts:'")


def _read_keys(reading: Reading, node: Node) -> tuple[str, ...]:
    found = [read_key(reading, item) for item in reading.items(node)]
    return tuple(dict.fromkeys(key for key in found if key))


def _read_origins(reading: Reading, node: Node) -> tuple[str, ...]:
    found: list[str] = []
    for item, text in reading.strings(node):
        origin = text.lower()
        if origin == "*":
            reading.error(item.place, "'*' would let every web page spend your keys; name each origin")
        elif not _WEB_ORIGIN.fullmatch(origin):
            reading.error(item.place, "an origin is SCHEME://HOST or SCHEME://HOST:PORT, such as http://localhost:3000")
        else:
            found.append(origin)
    return tuple(dict.fromkeys(found))


def _read_timeouts(reading: Reading, node: Node) -> Timeouts:
    usual = Timeouts()
    return _read_section(reading, node, Timeouts, lambda value, name: reading.seconds(value, getattr(usual, name)))


def _read_limits(reading: Reading, node: Node) -> Limits:
    return _read_section(reading, node, Limits, lambda value, name: reading.count(value))


def _read_log(reading: Reading, node: Node) -> Log:
    kinds = get_type_hints(Log)

    def read(value: Node, name: str) -> str | None:
        if name == "file":
            return read_log_file(reading, value)
        return reading.word(value, get_args(kinds[name]), name)

    return _read_section(reading, node, Log, read)


def _read_section(reading: Reading, node: Node, kind: type[Section], read: Callable[[Node, str], Any]) -> Section:
    """Return a section with the fields of ``kind``; ``read`` gets a field's node and name, and returns its value."""
    fields = reading.fields(node, keys.keys_of(kind)).items()
    values = {name: read(value, name) for name, value in ((key.replace("-", "_"), value) for key, value in fields)}
    return kind(**{name: value for name, value in values.items() if value is not None})


def _read_admin(reading: Reading, node: Node) -> bool:
    return given(reading, reading.fields(node, keys.ADMIN), "enabled", Reading.boolean, True)
