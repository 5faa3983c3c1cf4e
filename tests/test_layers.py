"""The rooms and who may import whom: downward only, pure rooms without the world, one owner for each dependency."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import ampmap

# A room imports only from rooms with a smaller number. A new room gets its line here.
LAYERS = {
    # words and values
    "errors": 0,
    "settings": 1,
    "presets": 2,
    "knownlines": 2,
    # pure, about bytes and text
    "address": 10,
    "headers": 10,
    "knownheads": 11,
    "jsonbytes": 10,
    "patternchars": 10,
    "chunks": 10,
    "decoding": 11,
    "body": 11,
    "costly": 11,
    "gunzip": 11,
    "jsonskip": 11,
    "patterncost": 11,
    "reply": 11,
    "jsonwalk": 12,
    "patterns": 12,
    "target": 12,
    "advertised": 13,
    "facts": 14,
    "images": 13,
    "offered": 13,
    "members": 14,
    "repair": 13,
    "toolnames": 12,
    # pure, about policy
    "names": 13,
    "mapping": 20,
    "rest": 21,
    "credits": 20,
    "logins": 21,
    "reasons": 21,
    "changes": 21,
    "cookies": 21,
    "credentials": 21,
    "router": 22,
    "advice": 23,
    "catalogue": 23,
    "errorbody": 22,
    "gate": 22,
    "opening": 23,
    "outbound": 22,
    "unreachable": 22,
    "explain": 24,
    # the configuration
    "yamlnodes": 28,
    "plainitems": 29,
    "collector": 30,
    "files": 30,
    "yamltabs": 30,
    "yamltree": 31,
    "configvalues": 32,
    "configchanges": 33,
    "configamp": 34,
    "configproviders": 33,
    "configfile": 35,
    "filestate": 36,
    "watchedfiles": 37,
    "ruleedit": 36,
    "rulefile": 37,
    # input and output
    "amp": 40,
    "journal": 40,
    "outlet": 40,
    "parser": 40,
    "lookup": 40,
    "signals": 40,
    "threads": 40,
    "waits": 40,
    "dial": 42,
    "activation": 41,
    "clientstream": 42,
    "listener": 43,
    "logs": 41,
    "notify": 41,
    "stream": 41,
    "clientwire": 43,
    "upstreamwire": 43,
    "wire": 42,
    "answer": 44,
    "intake": 44,
    "pool": 44,
    "pump": 44,
    "watch": 42,
    "discovery": 46,
    "modellists": 45,
    "modelpage": 13,
    "peek": 44,
    "relay": 45,
    "tunnel": 45,
    # a proxy
    "service": 50,
    "admin": 51,
    "reload": 51,
    "turn": 51,
    "amproute": 52,
    "modelroute": 53,
    "exchange": 54,
    "server": 55,
    # programs
    "check": 60,
    "learn": 60,
    "occupant": 60,
    "process": 60,
    "standin": 60,
    "starter": 60,
    "demo": 61,
    "testing": 61,
    "cli": 62,
    "__main__": 63,
    "__init__": 64,
}

FIRST_IMPURE = 30
FIRST_IN_AND_OUT = 40

# What a pure room may use of the standard library: nothing with a clock, a file, a socket, chance or a log in it.
PURE_STDLIB = frozenset(
    {
        "__future__", "bisect", "codecs", "collections", "collections.abc", "dataclasses", "difflib", "enum", "fnmatch",
        "functools", "hashlib", "hmac",
        "http", "ipaddress", "itertools", "json", "math", "re", "types", "typing", "urllib.parse",
        "zlib",
    }
)  # fmt: skip
PURE_BESIDES = {("patterns", "importlib")}  # the parser of patterns has no name that can be imported outright

OWNERS = {
    "h11": {"parser"},
    "ssl": {"dial"},
    "ruamel": {"yamltabs", "yamltree"},
    "watchdog": {"watch"},
    "pytest": {"testing"},
}
THIRD_PARTY = {*OWNERS, "anyio"} - {"ssl"}

LINES = 350
STILL_TOO_LONG: set[str] = set()

MAY_PRINT = {"cli", "demo"}


@dataclass(frozen=True)
class Room:
    name: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)


HOME = Path(ampmap.__file__).parent
ROOMS = [Room(path.stem, path.read_text()) for path in sorted(HOME.glob("*.py"))]

each_room = pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)


def imported(room: Room) -> Iterator[tuple[str, int]]:
    """Yield what a room imports and the line: ``.name`` for rooms of ampmap, also where only a type checker looks."""
    for node in ast.walk(room.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level < 2, f"{room.name}:{node.lineno} imports from outside the package"
            if node.level and node.module is None:
                yield from ((f".{alias.name}", node.lineno) for alias in node.names)
            else:
                yield "." * node.level + (node.module or ""), node.lineno


def rooms_of(room: Room) -> list[tuple[str, int]]:
    return [(name[1:], line) for name, line in imported(room) if name[0] == "." and name != ".__version__"]


def strangers_of(room: Room) -> list[tuple[str, int]]:
    return [(name, line) for name, line in imported(room) if name[0] != "."]


def called_in(room: Room) -> list[tuple[str, int]]:
    """Return the plain names that are called, and where."""
    calls = (node for node in ast.walk(room.tree) if isinstance(node, ast.Call))
    return [(node.func.id, node.lineno) for node in calls if isinstance(node.func, ast.Name)]


def test_every_room_has_its_place() -> None:
    assert sorted(LAYERS) == sorted(room.name for room in ROOMS)


@each_room
def test_imports_point_downward(room: Room) -> None:
    upward = [f"{name} (line {line})" for name, line in rooms_of(room) if LAYERS[name] >= LAYERS[room.name]]

    assert [] == upward


@each_room
def test_a_room_is_imported_by_its_short_name_alone(room: Room) -> None:
    assert [] == [(name, line) for name, line in strangers_of(room) if name.split(".")[0] == "ampmap"]
    assert [] == [(name, line) for name, line in rooms_of(room) if "." in name]


@each_room
def test_pure_rooms_know_nothing_of_the_world(room: Room) -> None:
    if LAYERS[room.name] >= FIRST_IMPURE:
        return
    besides = {name for owner, name in PURE_BESIDES if owner == room.name}

    assert [] == [(name, line) for name, line in strangers_of(room) if name not in PURE_STDLIB | besides]
    assert [] == [node.lineno for node in ast.walk(room.tree) if isinstance(node, ast.Await | ast.AsyncFunctionDef)]
    assert not {"open", "print", "input", "exec", "eval", "__import__"} & {name for name, _ in called_in(room)}


@each_room
def test_the_event_loop_is_known_only_where_bytes_move(room: Room) -> None:
    if LAYERS[room.name] >= FIRST_IN_AND_OUT:
        return
    world = {"anyio", "asyncio", "socket", "selectors", "threading", "signal", "subprocess"}

    assert [] == [(name, line) for name, line in strangers_of(room) if name.split(".")[0] in world]


@pytest.mark.parametrize("dependency", OWNERS)
def test_each_dependency_has_one_owner(dependency: str) -> None:
    users = {room.name for room in ROOMS for name, _ in strangers_of(room) if name.split(".")[0] == dependency}

    assert users == OWNERS[dependency]


def test_nothing_else_is_depended_on() -> None:
    tops = {name.split(".")[0] for room in ROOMS for name, _ in strangers_of(room)}

    assert tops - set(sys.stdlib_module_names) == THIRD_PARTY


def nodes_without_docstring(tree: ast.Module) -> Iterator[str]:
    """Yield the public functions, classes and methods that say nothing of themselves; every module and class speaks."""
    if not ast.get_docstring(tree):
        yield "the module"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                yield f"{node.name} (line {node.lineno})"
            if isinstance(node, ast.ClassDef):
                yield from methods_without_docstring(node)


def methods_without_docstring(node: ast.ClassDef) -> Iterator[str]:
    for member in node.body:
        if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef) and not member.name.startswith("_"):
            bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
            is_override = bool(bases - {"Protocol", "Exception"})  # what it overrides says it already
            if not ast.get_docstring(member) and not is_override:
                yield f"{node.name}.{member.name} (line {member.lineno})"


@each_room
def test_what_is_public_says_what_it_is(room: Room) -> None:
    assert [] == list(nodes_without_docstring(room.tree))


@each_room
def test_a_room_can_be_read_at_one_sitting(room: Room) -> None:
    count = len(room.text.splitlines())

    assert (count > LINES) == (room.name in STILL_TOO_LONG), f"{room.name} has {count} lines"


@each_room
def test_only_programs_print(room: Room) -> None:
    assert room.name in MAY_PRINT or [] == [line for name, line in called_in(room) if name == "print"]


def test_the_package_names_every_room() -> None:
    assert [] == [name for name in LAYERS if not name.startswith("__") and f"``{name}``" not in (ampmap.__doc__ or "")]
