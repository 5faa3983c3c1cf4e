"""Who may import whom; purity; one owner for each dependency; files that can be read at one sitting."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import ampmap

VALUES = {"errors", "settings", "escaping", "files", "threads", "_version"}
"""Top modules that every package may use."""

MAY_IMPORT: dict[str, set[str]] = {
    "net": set(),
    "records": set(),
    "bodies": set(),
    "formats": {"bodies"},
    "http": {"net"},
    "amp": {"bodies", "formats", "http"},
    "routing": {"formats", "bodies", "amp", "http", "net"},
    "access": {"routing", "formats", "http", "net"},
    "config": {"routing", "http", "net", "formats"},
    "proxy": {"net", "records", "bodies", "formats", "http", "amp", "routing", "access", "config"},
    "admin": {"proxy", "routing", "records", "bodies"},
}
"""The packages that a package may import, beside itself; ``commands`` and the top modules may import all of them."""

PURE = {"bodies", "formats", "routing", "access"}

# What a pure package may use of the standard library: nothing with a clock, a file, a socket, chance or a log in it.
PURE_STDLIB = frozenset(
    {
        "__future__", "array", "base64", "binascii", "bisect", "codecs", "collections", "collections.abc",
        "dataclasses", "difflib", "enum", "fnmatch", "functools", "hashlib", "heapq", "hmac", "http", "ipaddress",
        "itertools", "json", "math", "re", "types", "typing", "urllib.parse", "zlib",
    }
)  # fmt: skip
PURE_BESIDES = {("routing.patterns", "importlib")}  # the parser of patterns can't be imported by its name

OWNERS = {
    "h11": {"http.parser"},
    "ssl": {"http.dialer"},
    "ruamel": {"config.yaml_tree", "config.yaml_tabs"},
    "watchdog": {"config.watch"},
    "pytest": {"testing"},
    "hatchling": {"commands.completions"},
    "shtab": {"commands.completions"},
}
THIRD_PARTY = {*OWNERS, "anyio"} - {"ssl"}

VENDORS = ("anthropic", "openai", "gemini")
NAME_VENDORS = {
    "formats", "config.presets", "commands.agents", "commands.agent_settings", "commands.demo", "commands.stand_in",
    "testing",
}  # fmt: skip
"""Packages and modules in whose strings vendors' names may stand; elsewhere ``formats`` is asked."""

MEMBERS = (
    "systemInstruction", "instructions", "toolConfig", "functionCallingConfig", "modelVersion", "content_block",
    "web_search_options", "input_image", "image_url", "nextPageToken", "pageToken", "has_more", "last_id", "signature",
    "tool_use", "tool_choice", "context-1m",
)  # fmt: skip
"""Members of requests, replies and lists that only ``formats`` knows, of each format some."""

LINES = 350

HOME = Path(ampmap.__file__).parent
TESTS = Path(__file__).parent


@dataclass(frozen=True)
class Module:
    """A module by its name without ``ampmap.``; a package is named by itself."""

    name: str
    text: str
    is_package: bool

    @property
    def tree(self) -> ast.Module:
        return _parsed(self.text)[0]

    @property
    def nodes(self) -> list[ast.AST]:
        """All nodes of the tree."""
        return _parsed(self.text)[1]

    @property
    def package(self) -> str:
        return self.name if self.is_package else self.name.rpartition(".")[0]

    @property
    def top(self) -> str:
        """The package right under ``ampmap``: a folder in it follows its rules."""
        return self.package.partition(".")[0]


@cache
def _parsed(text: str) -> tuple[ast.Module, list[ast.AST]]:
    tree = ast.parse(text)
    return tree, list(ast.walk(tree))


def _read(path: Path) -> Module:
    parts = path.relative_to(HOME).with_suffix("").parts
    is_package = parts[-1] == "__init__" and len(parts) > 1
    return Module(".".join(parts[:-1] if is_package else parts), path.read_text(), is_package)


MODULES = [_read(path) for path in sorted(HOME.rglob("*.py"))]
PACKAGES = [module for module in MODULES if module.is_package]
NAMES = {module.name for module in MODULES}


def complaints(judge: Callable[[Module], object]) -> dict[str, object]:
    """Return what is found in each module, by its name, where anything is found."""
    return {module.name: found for module in MODULES if (found := judge(module))}


def hold(judge: Callable[[Module], object], remedy: str) -> None:
    """Fail for what is found in modules, and say what to do."""
    found = complaints(judge)
    assert not found, f"{remedy}: {found}"


@cache
def imported(module: Module) -> list[tuple[str, int]]:
    """Return what a module imports and the line: ``.name`` for ampmap's own, also where only a type checker looks."""
    found: list[tuple[str, int]] = []
    for node in module.nodes:
        if isinstance(node, ast.Import):
            found += ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.append((node.module or "", node.lineno))
        elif isinstance(node, ast.ImportFrom):
            base = module.package.split(".") if module.package else []
            base = base[: len(base) - node.level + 1]
            target = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{target}.{alias.name}" if target else alias.name
                found.append((f".{inner if inner in NAMES else target}", node.lineno))
    return found


def ours(module: Module) -> list[tuple[str, int]]:
    return [(name[1:], line) for name, line in imported(module) if name[0] == "." and name != "."]


def others(module: Module) -> list[tuple[str, int]]:
    return [(name, line) for name, line in imported(module) if name[0] != "."]


def called_in(module: Module) -> list[tuple[str, int]]:
    """Return the plain names that are called, and where."""
    calls = (node for node in module.nodes if isinstance(node, ast.Call))
    return [(node.func.id, node.lineno) for node in calls if isinstance(node.func, ast.Name)]


def test_every_package_has_its_line() -> None:
    tops = {module.top for module in PACKAGES}
    assert {*MAY_IMPORT, "commands"} == tops, "MAY_IMPORT has a line for each package"


def test_a_package_imports_only_those_below_it() -> None:
    def wrong(module: Module) -> object:
        if module.top not in MAY_IMPORT:
            return None
        allowed = MAY_IMPORT[module.top] | {module.top} | VALUES
        return [(name, line) for name, line in ours(module) if name.split(".")[0] not in allowed]

    hold(wrong, "move the code, or hand the value in from above; MAY_IMPORT says who may import whom")


def test_there_is_no_circle_of_imports() -> None:
    TopologicalSorter(
        {module.name: {name for name, _ in ours(module) if name in NAMES} - {module.name} for module in MODULES}
    ).prepare()


def test_modules_of_ampmap_are_imported_relatively() -> None:
    hold(
        lambda module: [each for each in others(module) if each[0].split(".")[0] == "ampmap"],
        "write 'from .module import name'",
    )


def test_pure_packages_know_nothing_of_the_world() -> None:
    def worldly(module: Module) -> object:
        besides = {name for owner, name in PURE_BESIDES if owner == module.name}
        called = {"open", "print", "input", "exec", "eval", "__import__"}
        return module.top in PURE and [
            *((name, line) for name, line in others(module) if name not in PURE_STDLIB | besides),
            *(("async", node.lineno) for node in module.nodes if isinstance(node, ast.Await | ast.AsyncFunctionDef)),
            *((name, line) for name, line in called_in(module) if name in called),
        ]

    hold(
        worldly,
        "a pure package gets times and bytes handed in; PURE_STDLIB lists what it may use",
    )


@pytest.mark.parametrize("dependency", OWNERS)
def test_each_dependency_has_one_owner(dependency: str) -> None:
    users = {module.name for module in MODULES for name, _ in others(module) if name.split(".")[0] == dependency}

    assert users == OWNERS[dependency], "use what its owner offers, or name the owner in OWNERS"


def test_nothing_else_is_depended_on() -> None:
    tops = {name.split(".")[0] for module in MODULES for name, _ in others(module)}

    assert tops - set(sys.stdlib_module_names) == THIRD_PARTY, "ampmap depends on what OWNERS names, and no more"


@cache
def imports_from() -> list[tuple[str, str, set[str]]]:
    """Return each relative ``from … import`` of all modules: the package it stands in, the module, the names."""
    return [
        (other.top, node.module, {alias.name for alias in node.names})
        for other in MODULES
        for node in other.nodes
        if isinstance(node, ast.ImportFrom) and node.level and node.module
    ]


def imported_elsewhere(module: Module) -> set[str]:
    """Return the names of a module that other packages import."""
    found = set()
    for top, name, names in imports_from():
        if top != module.top and (name.endswith(module.name) or f".{module.name}".endswith(f".{name}")):
            found |= names
    return found


def test_modules_classes_and_what_others_import_say_what_they_are() -> None:
    def silent(module: Module) -> list[str]:
        named = imported_elsewhere(module)
        nodes = [
            node for node in module.tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and (isinstance(node, ast.ClassDef) or node.name in named)
            and not ast.get_docstring(node)
        ]  # fmt: skip
        return [f"{node.name} (line {node.lineno})" for node in nodes] + ["module"] * (
            not ast.get_docstring(module.tree)
        )

    hold(silent, "write a docstring")


def strings(module: Module) -> Iterator[tuple[str, int]]:
    """Yield the strings of a module, docstrings aside, and their lines."""
    prose = {
        id(node.value) for node in module.nodes
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }  # fmt: skip
    for node in module.nodes:
        if isinstance(node, ast.Constant) and id(node) not in prose and isinstance(node.value, str | bytes):
            yield node.value if isinstance(node.value, str) else node.value.decode("latin-1"), node.lineno


def test_only_formats_know_vendors_by_name() -> None:
    def named(module: Module) -> object:
        if {module.name, module.top} & NAME_VENDORS:
            return None
        return [(text, line) for text, line in strings(module) if any(vendor in text.lower() for vendor in VENDORS)]

    hold(named, "ask formats.registry instead of naming a vendor, or a module of NAME_VENDORS")


def test_only_formats_know_their_members() -> None:
    def named(module: Module) -> object:
        if module.top == "formats":
            return None
        return [(text, line) for text, line in strings(module) if any(member in text for member in MEMBERS)]

    hold(named, "let a format in formats/ say so")


def test_a_module_can_be_read_at_one_sitting() -> None:
    hold(lambda module: (lines := len(module.text.splitlines())) > LINES and lines, "split the module, by its lines")


def test_a_test_file_can_be_read_at_one_sitting() -> None:
    too_long = {
        str(path.relative_to(TESTS)) for path in TESTS.rglob("*.py") if len(path.read_text().splitlines()) > LINES
    }

    assert not too_long, f"split these, which have more than {LINES} lines: {too_long}"


def test_only_commands_print() -> None:
    hold(
        lambda module: module.top != "commands" and [line for name, line in called_in(module) if name == "print"],
        "log, or return a value that commands print",
    )


def test_a_package_is_a_map_of_its_modules() -> None:
    parts = [module.name.rpartition(".") for module in MODULES]

    def left_out(package: Module) -> object:
        said = ast.get_docstring(package.tree) or ""
        inside = [name for parent, _, name in parts if package.is_package and parent == package.name]
        return [name for name in inside if f"``{name}``" not in said]

    hold(left_out, "give each module a line in its package's docstring")
