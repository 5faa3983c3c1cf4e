"""A configuration file, or a directory of them, as :class:`Settings`: where it is found, what it may say.

Reading is strict about structure and lenient about rules, and it reports everything that is wrong at once, each thing
with its file, line and column. Text becomes a tree in ``yaml_tree``, single values are read in ``reader`` and providers
in ``providers``; whether rules make sense together is ``routing.snapshot``'s to say. Everything here blocks: a running
proxy calls it in a thread.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable
from collections.abc import Mapping as Env
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from ..errors import Complaint, ConfigError, Place
from ..files import read_regular, require_regular
from ..net.address import is_address, is_loopback
from ..settings import Limits, Listen, Log, Settings, TcpListen, Timeouts
from . import yaml_tree as yamltree
from .amp import AMP_KEYS, read_amp
from .nodes import Mapping, Node, Sequence
from .providers import providers_from_environment, read_providers
from .reader import Reading, given, read_hosts, read_key, read_listen
from .yaml_tree import quoted

LogFormat: TypeAlias = Literal["text", "json"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]

SYSTEM_CONFIG = Path("/etc/ampmap/config.yaml")

KEYS = (
    "listen",
    "api-keys",
    "allow-open-access",
    "allowed-origins",
    "allowed-hosts",
    *AMP_KEYS,
    "providers",
    "timeouts",
    "limits",
    "log",
    "admin",
)

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
    """The configuration as it is written cannot be used; a change in any of ``files`` may mend it.

    ``settings`` are what could be read of it, None where a file is no YAML.
    """

    def __init__(
        self, complaints: Iterable[Complaint], files: tuple[Path, ...], settings: Settings | None = None
    ) -> None:
        super().__init__(*complaints)
        self.files = files
        self.settings = settings


def find_config(explicit: str | None, env: Env[str, str]) -> Path | None:
    """Return the configuration to use: ``explicit``, ``$AMPMAP_CONFIG``, the user's, the system's; None without any.

    Never from the working directory: agents run inside strangers' repositories, and a planted file could send keys
    away. That is why a relative path in a variable, which outlives the directory it was meant for, is refused.

    Errors: ConfigError when what is named explicitly does not exist.
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
    fields = reading.fields(tree, KEYS)
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
    names = _names_in_file(Timeouts)
    usual = Timeouts()
    fields = reading.fields(node, names).items()
    values = {names[key]: reading.seconds(value, getattr(usual, names[key])) for key, value in fields}
    return Timeouts(**{name: value for name, value in values.items() if value is not None})


def _read_limits(reading: Reading, node: Node) -> Limits:
    names = _names_in_file(Limits)
    values = {names[key]: reading.count(value) for key, value in reading.fields(node, names).items()}
    return Limits(**{name: value for name, value in values.items() if value is not None})


def _names_in_file(kind: type[Timeouts] | type[Limits]) -> dict[str, str]:
    return {field.name.replace("_", "-"): field.name for field in dataclasses.fields(kind)}


def _read_log(reading: Reading, node: Node) -> Log:
    fields = reading.fields(node, ("format", "level"))
    return Log(
        format=given(reading, fields, "format", _read_log_format, "text"),
        level=given(reading, fields, "level", _read_log_level, "info"),
    )


def _read_log_format(reading: Reading, node: Node) -> LogFormat | None:
    return reading.word(node, get_args(LogFormat), "format")


def _read_log_level(reading: Reading, node: Node) -> LogLevel | None:
    return reading.word(node, get_args(LogLevel), "level")


def _read_admin(reading: Reading, node: Node) -> bool:
    return given(reading, reading.fields(node, ("enabled",)), "enabled", Reading.boolean, True)
