"""The packages and who may import whom; pure packages without the world; one owner for each dependency."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
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
    "admin": {"proxy", "routing", "records"},
}
"""The packages that a package may import, beside itself; ``commands`` and the top modules may import all of them."""

PURE = {"bodies", "formats", "routing", "access"}

# What a pure package may use of the standard library: nothing with a clock, a file, a socket, chance or a log in it.
PURE_STDLIB = frozenset(
    {
        "__future__", "bisect", "codecs", "collections", "collections.abc", "dataclasses", "difflib", "enum", "fnmatch",
        "functools", "hashlib", "hmac", "http", "ipaddress", "itertools", "json", "math", "re", "types", "typing",
        "urllib.parse", "zlib",
    }
)  # fmt: skip
PURE_BESIDES = {("routing.patterns", "importlib")}  # the parser of patterns can't be imported by its name

OWNERS = {
    "h11": {"http.parser"},
    "ssl": {"http.dialer"},
    "ruamel": {"config.yaml_tree", "config.yaml_tabs"},
    "watchdog": {"config.watch"},
    "pytest": {"testing"},
}
THIRD_PARTY = {*OWNERS, "anyio"} - {"ssl"}

VENDORS = ("anthropic", "openai", "gemini")
NAME_VENDORS = {"formats", "config.presets", "commands.agents", "commands.demo", "commands.stand_in", "testing"}
"""Packages and modules in whose strings vendors' names may stand; elsewhere ``formats`` is asked."""
NAME_VENDORS_STILL = {"commands.init"}  # its starter names presets

LINES = 350

HOME = Path(ampmap.__file__).parent


@dataclass(frozen=True)
class Module:
    """A module by its name without ``ampmap.``; a package is named by itself."""

    name: str
    text: str
    is_package: bool

    @property
    def tree(self) -> ast.Module:
        return _parsed(self.text)

    @property
    def package(self) -> str:
        return self.name if self.is_package else self.name.rpartition(".")[0]


@cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def _read(path: Path) -> Module:
    parts = path.relative_to(HOME).with_suffix("").parts
    is_package = parts[-1] == "__init__" and len(parts) > 1
    return Module(".".join(parts[:-1] if is_package else parts), path.read_text(), is_package)


MODULES = [_read(path) for path in sorted(HOME.rglob("*.py"))]
PACKAGES = [module for module in MODULES if module.is_package]

each_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)


def imported(module: Module) -> Iterator[tuple[str, int]]:
    """Yield what a module imports and the line: ``.name`` for ampmap's own, also where only a type checker looks."""
    names = {each.name for each in MODULES}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or "", node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = module.package.split(".") if module.package else []
            base = base[: len(base) - node.level + 1]
            target = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{target}.{alias.name}" if target else alias.name
                yield f".{inner if inner in names else target}", node.lineno


def ours(module: Module) -> list[tuple[str, int]]:
    return [(name[1:], line) for name, line in imported(module) if name[0] == "." and name != "."]


def others(module: Module) -> list[tuple[str, int]]:
    return [(name, line) for name, line in imported(module) if name[0] != "."]


def called_in(module: Module) -> list[tuple[str, int]]:
    """Return the plain names that are called, and where."""
    calls = (node for node in ast.walk(module.tree) if isinstance(node, ast.Call))
    return [(node.func.id, node.lineno) for node in calls if isinstance(node.func, ast.Name)]


def test_every_package_has_its_line() -> None:
    assert {*MAY_IMPORT, "commands"} == {module.name for module in PACKAGES}


@each_module
def test_a_package_imports_only_those_below_it(module: Module) -> None:
    if module.package not in MAY_IMPORT:
        return
    allowed = MAY_IMPORT[module.package] | {module.package}
    wrong = [(name, line) for name, line in ours(module) if name.split(".")[0] not in allowed | VALUES]

    assert [] == wrong


def test_there_is_no_circle_of_imports() -> None:
    names = {module.name for module in MODULES}
    TopologicalSorter(
        {module.name: {name for name, _ in ours(module) if name in names} - {module.name} for module in MODULES}
    ).prepare()


@each_module
def test_modules_of_ampmap_are_imported_relatively(module: Module) -> None:
    assert [] == [(name, line) for name, line in others(module) if name.split(".")[0] == "ampmap"]


@each_module
def test_pure_packages_know_nothing_of_the_world(module: Module) -> None:
    if module.package not in PURE:
        return
    besides = {name for owner, name in PURE_BESIDES if owner == module.name}

    assert [] == [(name, line) for name, line in others(module) if name not in PURE_STDLIB | besides]
    assert [] == [node.lineno for node in ast.walk(module.tree) if isinstance(node, ast.Await | ast.AsyncFunctionDef)]
    assert not {"open", "print", "input", "exec", "eval", "__import__"} & {name for name, _ in called_in(module)}


@pytest.mark.parametrize("dependency", OWNERS)
def test_each_dependency_has_one_owner(dependency: str) -> None:
    users = {module.name for module in MODULES for name, _ in others(module) if name.split(".")[0] == dependency}

    assert users == OWNERS[dependency]


def test_nothing_else_is_depended_on() -> None:
    tops = {name.split(".")[0] for module in MODULES for name, _ in others(module)}

    assert tops - set(sys.stdlib_module_names) == THIRD_PARTY


def imported_elsewhere(module: Module) -> set[str]:
    """Return the names of a module that other packages import."""
    found = set()
    for other in MODULES:
        if other.package == module.package:
            continue
        for node in ast.walk(other.tree):
            if isinstance(node, ast.ImportFrom) and node.level and node.module:
                if node.module.endswith(module.name) or f".{module.name}".endswith(f".{node.module}"):
                    found |= {alias.name for alias in node.names}
    return found


@each_module
def test_modules_classes_and_what_others_import_say_what_they_are(module: Module) -> None:
    named = imported_elsewhere(module)
    silent = [
        f"{node.name} (line {node.lineno})"
        for node in module.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and (isinstance(node, ast.ClassDef) or node.name in named)
        and not ast.get_docstring(node)
    ]

    assert ast.get_docstring(module.tree) and [] == silent


def strings(module: Module) -> Iterator[tuple[str, int]]:
    """Yield the strings of a module, docstrings aside, and their lines."""
    prose = {
        id(node.value) for node in ast.walk(module.tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }  # fmt: skip
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and id(node) not in prose and isinstance(node.value, str | bytes):
            yield node.value if isinstance(node.value, str) else node.value.decode("latin-1"), node.lineno


@each_module
def test_only_formats_know_vendors_by_name(module: Module) -> None:
    if {module.name, module.package} & (NAME_VENDORS | NAME_VENDORS_STILL):
        return
    named = [(text, line) for text, line in strings(module) if any(vendor in text.lower() for vendor in VENDORS)]

    assert [] == named


def test_no_module_is_excused_that_names_no_vendor() -> None:
    naming = {
        module.name for module in MODULES
        if any(vendor in text.lower() for text, _ in strings(module) for vendor in VENDORS)
    }  # fmt: skip

    assert naming >= NAME_VENDORS_STILL


@each_module
def test_a_module_can_be_read_at_one_sitting(module: Module) -> None:
    assert len(module.text.splitlines()) <= LINES


@each_module
def test_only_commands_print(module: Module) -> None:
    assert module.package == "commands" or [] == [line for name, line in called_in(module) if name == "print"]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_a_package_is_a_map_of_its_modules(package: Module) -> None:
    said = ast.get_docstring(package.tree) or ""
    inside = [module.name.rpartition(".")[2] for module in MODULES if module.package == package.name != module.name]

    assert [] == [name for name in inside if f"``{name}``" not in said]
