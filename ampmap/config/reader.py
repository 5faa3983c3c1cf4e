"""Single values out of a configuration's tree: expanded, of the right type, within their range, safe to send.

``file``, ``amp`` and ``providers`` call the readers, and know what the values are for. A reader takes a located node
and returns the value, or complains and returns None, so that one run reports every mistake. A complaint quotes the file
only where the text cannot be a secret, and then with its variables unexpanded.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from ..errors import Complaint, Place
from ..files import read_regular, require_appendable
from ..formats.registry import ENDPOINTS
from ..net.address import host_of, is_address, split_listen, split_url
from ..settings import Listen, Origin
from . import nodes as yamlnodes
from .keys import MAX_COUNT, MAX_NAME_BYTES
from .nodes import Node, Scalar, Sequence
from .presets import HARMLESS_PATH
from .yaml_tree import guarded, is_null, quoted

Value = TypeVar("Value")
Word = TypeVar("Word", bound=str)

MAX_FILE_BYTES = 65_536  # of a key file, which is one line; of a list of authorities, enough to know that it is there
BASES = {"0o": 8, "0x": 16}  # YAML 1.2.2 §10.3.2

_MILLISECONDS = 50  # times the usual number of seconds: beyond that nobody means seconds
_VARIABLE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\})?")
_VISIBLE = re.compile(r"[\x21-\x7e]*")
_FOREIGN_VARIABLE = re.compile(r"\$[A-Za-z_]\w*|os\.environ/\w+|\{env:\w+\}", re.ASCII)
_ENDPOINT = re.compile(f"(?:{'|'.join(re.sub(r'{.*?}', '[^/]+', path) for path in sorted(ENDPOINTS))})\\Z")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_GOT = {"str": "a string", "int": "a whole number", "float": "a number", "bool": "true or false", "null": "nothing"}
_ADVICE = {
    "a string": "put it in quotes",
    "true or false": "write true or false, without quotes",
    "a whole number": "write digits only, without quotes",
    "a number of seconds": "write a number, without quotes",
    "a list": "put the items in [ ], or each on a line after '- '",
    "a mapping": "write 'key: value' lines",
}


class Reading:
    """One reading of one configuration: what it is resolved against, the complaints so far, the files looked at."""

    def __init__(self, env: Mapping[str, str], directory: Path) -> None:
        self.env = env
        self.directory = directory
        self.complaints: list[Complaint] = []
        self.files: list[Path] = []
        self.with_keys: dict[str, None] = {}  # files in which a key is written out

    def error(self, place: Place | None, what: str) -> None:
        """Add a complaint that makes the configuration unusable."""
        self.complaints.append(Complaint(what, place))

    def warn(self, place: Place | None, what: str) -> None:
        """Add a complaint that does not."""
        self.complaints.append(Complaint(what, place, "warning"))

    def warn_of_readers(self) -> None:
        """Warn of files with keys in them that every user of this machine can read. Windows has other permissions."""
        for file in self.with_keys:
            with suppress(OSError, ValueError):  # text that was never a file, or a file that is gone
                if os.name != "nt" and os.stat(file).st_mode & stat.S_IROTH:
                    what = "this file holds keys, and every user of this machine can read it; chmod o-r it"
                    self.warn(Place(file, 1), what)

    def fields(self, node: Node, known: Iterable[str]) -> dict[str, Node]:
        """Return the values of a mapping by key; a key without a value counts as absent, an unknown one is an error."""
        names = list(known)
        if not isinstance(node, yamlnodes.Mapping):
            self.wrong(node, "a mapping")
            return {}
        found: dict[str, Node] = {}
        for key, value in node.entries:
            if key.text not in names:
                self.error(key.place, f"unknown key {guarded(key.text)}; {_advice(key.text, names)}")
            elif not is_null(value):
                found[key.text] = value
        return found

    def items(self, node: Node) -> tuple[Node, ...]:
        """Return the items of a list."""
        if isinstance(node, Sequence):
            return node.items
        self.wrong(node, "a list")
        return ()

    def string(self, node: Node) -> str | None:
        """Return a string, its variables expanded and its ends trimmed."""
        if not isinstance(node, Scalar) or node.kind != "str":
            self.wrong(node, "a string")
            return None
        text = self.expanded(node)
        return text if text is None else text.strip()

    def strings(self, node: Node) -> list[tuple[Node, str]]:
        """Return the strings of a list that are not blank, each with its node."""
        found = [(item, self.string(item)) for item in self.items(node)]
        return [(item, text) for item, text in found if text]

    def boolean(self, node: Node) -> bool | None:
        """Return a truth value."""
        if isinstance(node, Scalar) and node.kind == "bool":
            return node.text.lower() == "true"
        self.wrong(node, "true or false")
        return None

    def count(self, node: Node, least: int = 1, most: int = MAX_COUNT) -> int | None:
        """Return a whole number from ``least`` to ``most``."""
        if not isinstance(node, Scalar) or node.kind != "int":
            self.wrong(node, "a whole number")
            return None
        value = int(node.text, BASES.get(node.text[:2], 10)) if len(node.text) <= 22 else most + 1
        if least <= value <= most:
            return value
        self.error(node.place, f"expected a whole number from {least} to {most}")
        return None

    def seconds(self, node: Node, usual: float = math.inf) -> float | None:
        """Return a positive, finite number; one far above the ``usual`` one is warned of as milliseconds."""
        if not isinstance(node, Scalar) or node.kind not in ("int", "float"):
            self.wrong(node, "a number of seconds")
            return None
        value = (
            math.nan if node.text[:2] in BASES or "n" in node.text.lower() else float(node.text)
        )  # "n": .nan and .inf
        if 0 < value < math.inf:
            if value >= usual * _MILLISECONDS:
                doubt = f"{value:g} looks like milliseconds; did you mean {value / 1000:g}?"
                self.warn(node.place, f"times are in seconds, and {doubt}")
            return value
        self.error(node.place, "expected a number of seconds greater than 0, such as 30 or 0.5")
        return None

    def word(self, node: Node, words: Iterable[Word], what: str) -> Word | None:
        """Return the one of ``words`` that is written; ``what`` says what the word is for."""
        text = self.string(node)
        known = {str(word): word for word in words}
        if text is None:
            return None
        if text not in known:
            assert isinstance(node, Scalar)  # or it would not have been a string
            self.error(node.place, f"unknown {what} {guarded(node.text)}; {_nearest(node.text, list(known))}")
        return known.get(text)

    def wrong(self, node: Node, expected: str) -> None:
        """Complain of a value of another type, without showing it."""
        if isinstance(node, Scalar):
            got = _GOT[node.kind]
        else:
            got = "a list" if isinstance(node, Sequence) else "a mapping"
        is_one_value = isinstance(node, Scalar) and node.kind != "null"
        advice = "write a string" if expected == "a string" and not is_one_value else _ADVICE[expected]
        self.error(node.place, f"expected {expected}, got {got}; {advice}")

    def expanded(self, node: Scalar) -> str | None:
        """Return the text with ``${NAME}`` and ``${NAME:-default}`` replaced; ``$${`` stands for ``${`` itself."""
        broken = False

        def value(match: re.Match[str]) -> str:
            nonlocal broken
            name, default = match.groups()
            if match[0] == "$${":
                return "${"
            if name is None:
                self.error(node.place, "'${' begins a variable: write ${NAME} or ${NAME:-default}, or $${ for the text")
            elif default is not None and "${" in default:
                self.error(node.place, "a default cannot hold a variable: write ${NAME:-default} with a plain default")
            elif default is not None:
                return self.env.get(name) or default  # as in the shell, ":-" is for empty ones too
            elif name in self.env:
                return self.env[name]
            else:
                self.error(node.place, f"the variable {name} is not set; set it, or write ${{{name}:-default}}")
            broken = True
            return ""

        text = _VARIABLE.sub(value, node.text)
        if _SURROGATE.search(text):  # os.environ holds bytes that are not UTF-8 as these
            self.error(node.place, "a variable that is used here does not hold UTF-8")
            return None
        return None if broken else text


def given(
    reading: Reading,
    fields: Mapping[str, Node],
    key: str,
    read: Callable[[Reading, Node], Value | None],
    default: Value,
) -> Value:
    """Return what ``read`` makes of the value of ``key``; ``default`` where there is none, or it is not usable."""
    value = read(reading, fields[key]) if key in fields else None
    return default if value is None else value


def _advice(key: str, known: list[str]) -> str:
    name, colon, _ = key.partition(":")
    return f"write '{name}: ', with a blank behind the colon" if colon and name in known else _nearest(key, known)


def _nearest(text: str, known: list[str]) -> str:
    from difflib import get_close_matches  # only mistakes need it

    near = get_close_matches(text[:80].lower().replace("_", "-"), known, 1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"


def read_url(reading: Reading, node: Node) -> tuple[Origin, str] | None:
    """Return a base URL's origin and its path, which has no slash at its end. The URL is in no complaint."""
    text = reading.string(node)
    found = None if text is None else check_url(reading, text, node.place)
    if found is not None and (endpoint := _ENDPOINT.search(found[1])):
        what = f"this base URL is a whole endpoint, to which paths are added; take {endpoint[0]} off its end"
        shorter = found[1][: endpoint.start()]
        if HARMLESS_PATH.fullmatch(shorter):
            what += f": {found[0]}{shorter}"
        reading.warn(node.place, what)
    return found


def check_url(reading: Reading, text: str, place: Place) -> tuple[Origin, str] | None:
    """Return a base URL's origin and path, or complain without showing it."""
    try:
        return split_url(text)
    except ValueError as exc:
        reading.error(place, f"{exc}; write it like https://api.example.com or http://127.0.0.1:4000/base")
        return None


def read_listen(reading: Reading, node: Node) -> Listen | None:
    """Return an address to listen on: ``host:port``, ``[v6]:port`` or ``unix:/path``."""
    if isinstance(node, Scalar) and node.kind == "int":
        port = quoted(node.text)[1:-1]
        reading.error(node.place, f"a port needs a host; write 127.0.0.1:{port}, or 0.0.0.0:{port} for every interface")
        return None
    text = reading.string(node)
    if text is None:
        return None
    try:
        return split_listen(text)
    except ValueError as exc:
        reading.error(node.place, str(exc))
        return None


def read_hosts(reading: Reading, node: Node) -> tuple[str, ...]:
    """Return host names in lower case. Addresses and names with a port are errors."""
    found: list[str] = []
    for item, text in reading.strings(node):
        if host_of(text) != text.lower() or is_address(text):
            what = "an address is allowed anyway" if is_address(text.strip("[]")) else "expected a host name"
            reading.error(item.place, f"{what}; write names without port or path, such as ampmap.lan")
        else:
            found.append(text.lower())
    return tuple(dict.fromkeys(found))


def read_name(reading: Reading, node: Node) -> str | None:
    """Return a name: 1 to 256 bytes without control characters."""
    text = reading.string(node)
    if text is None or is_name(text):
        return text
    reading.error(node.place, f"a name has 1 to {MAX_NAME_BYTES} bytes and no control characters")
    return None


def is_name(text: str) -> bool:
    """Tell whether ``text`` can be a name: 1 to 256 bytes without control characters."""
    return 0 < len(text.encode("utf-8", "surrogatepass")) <= MAX_NAME_BYTES and not _CONTROL.search(text)


def read_key(reading: Reading, node: Node) -> str | None:
    """Return a key that a header can carry; empty where it is blank."""
    text = reading.string(node)
    if text and isinstance(node, Scalar) and "${" not in node.text:
        reading.with_keys[node.place.file] = None
    return None if text is None or not check_key(reading, text, node.place) else text


def check_key(reading: Reading, text: str, place: Place | None, source: str = "this key") -> bool:
    """Return whether a header can carry ``text``, or complain of ``source`` without showing it."""
    if _FOREIGN_VARIABLE.fullmatch(text):
        reading.warn(place, f"{source} looks like a variable as other tools write it; here it is ${{NAME}}")
    elif len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        reading.warn(place, f"{source} begins and ends with a quote, which would be sent along; take them off")
    if _VISIBLE.fullmatch(text):
        return True
    reading.error(place, f"{source} cannot be sent: a key has visible ASCII characters only, no blanks, no line breaks")
    return False


def read_file(reading: Reading, node: Node) -> tuple[Path, bytes] | None:
    """Return the path and the first 64 KiB of a regular file. ``~/`` is the home directory.

    Other relative paths start at the configuration's directory.

    The path is in no complaint: what stands there by mistake may be the secret itself.
    """
    text = reading.string(node)
    if text is None:
        return None
    path = _path(reading, text)
    reading.files.append(path)
    try:
        return path, read_regular(path, MAX_FILE_BYTES)
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the path
        reason = exc.strerror if isinstance(exc, OSError) else "not a path"
        reading.error(node.place, f"cannot read this file: {reason} (relative paths start at {reading.directory})")
        return None


def read_log_file(reading: Reading, node: Node) -> str | None:
    """Return the absolute path of a file that can be added to; empty where it is blank. Paths are as for read_file."""
    text = reading.string(node)
    if not text:
        return text
    assert isinstance(node, Scalar)  # or it would not have been a string
    path = _path(reading, text)
    try:
        require_appendable(path)
    except PermissionError:
        pass  # the user who runs the proxy may have it
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not a path"
        reading.error(node.place, f"the log cannot be written to {quoted(node.text)}: {reason}")
        return None
    return str(path)


def _path(reading: Reading, text: str) -> Path:
    if text.startswith("~/") and reading.env.get("HOME"):
        text = reading.env["HOME"] + text[1:]
    return reading.directory / text
