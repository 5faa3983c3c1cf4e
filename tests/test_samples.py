"""A sample of a generated family is small but never empty, the same in each run, and all of it when asked for."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from samples import examples, sampled, seed, takes_all

TESTS = Path(__file__).parent
CELLS = [f"cell {number}" for number in range(400)]


@pytest.mark.parametrize("count", [1, 2, 3, 50, 400])
@pytest.mark.parametrize("share", [0.0001, 0.1, 0.5])
def test_a_sample_is_never_empty(count: int, share: float) -> None:
    found = sampled(CELLS[:count], share, env={})

    assert max(1, share * count) <= len(found) < share * count + 1


def test_a_sample_is_the_same_in_each_run_and_in_order() -> None:
    found = sampled(CELLS, 0.1, env={})

    assert found == sampled(CELLS, 0.1, env={}) == sorted(found, key=CELLS.index)
    assert set(found) == set(sampled(reversed(CELLS), 0.1, env={}))


def test_another_seed_takes_others_and_seeds_together_take_all() -> None:
    assert sampled(CELLS, 0.1, env={}) != sampled(CELLS, 0.1, env={"AMPMAP_SEED": "2"})
    assert set(CELLS) == {
        cell for number in range(200) for cell in sampled(CELLS, 0.1, env={"AMPMAP_SEED": str(number)})
    }


def test_all_is_all() -> None:
    whole = {"AMPMAP_ALL": "1", "AMPMAP_SEED": "2"}

    assert CELLS == sampled(CELLS, 0.0001, env=whole)
    assert 2500 == examples(2500, env=whole) > examples(2500, env={}) > 0
    assert examples(7, env={}) == 7
    assert [takes_all({"AMPMAP_ALL": value}) for value in ("1", "0", "")] == [True, False, False]
    assert seed({"AMPMAP_SEED": ""}) == seed({})


INNER = """
import pytest

@pytest.mark.sample(1 / 10)
@pytest.mark.parametrize("tens", range(5))
@pytest.mark.parametrize("ones", range(10))
def test_member(ones, tens):
    pass

def test_other():
    pass
"""


@pytest.mark.sample(1 / 2)
@pytest.mark.parametrize(
    ("arguments", "env", "counts"),
    [
        ([], {}, "6 passed, 45 deselected"),
        ([], {"AMPMAP_ALL": "1"}, "51 passed"),
        (["-n", "2"], {}, "6 passed"),
        (["test_inner.py::test_member[3-4]"], {}, "1 passed"),
    ],
)
def test_a_marked_test_runs_a_sample_of_its_parameters(
    arguments: list[str], env: dict[str, str], counts: str, tmp_path: Path
) -> None:
    (tmp_path / "test_inner.py").write_text(INNER)
    said = run(tmp_path, "-p", "no:cacheprovider", *arguments, **env)

    assert said.splitlines()[-1].startswith(f"{counts} in "), said


def test_a_member_that_failed_is_tried_again_whatever_the_sample(tmp_path: Path) -> None:
    (tmp_path / "test_inner.py").write_text(INNER.replace("pass", "assert ones", 1))
    failed = run(tmp_path, AMPMAP_ALL="1")
    again = run(tmp_path, "--last-failed")

    assert failed.splitlines()[-1].startswith("5 failed, 46 passed in "), failed
    assert again.splitlines()[-1].startswith("5 failed"), again


def run(folder: Path, *arguments: str, **env: str) -> str:
    """Run the tests in ``folder`` as one's own are run; return what pytest printed."""
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "conftest", *arguments]
    path = os.pathsep.join((str(TESTS), str(TESTS / "support")))
    environment = {**os.environ, "PYTHONPATH": path, "AMPMAP_ALL": "", **env}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300).stdout


def untold(source: str) -> list[str]:
    """Return the tests that take a sample by themselves, and that ``make test-families`` would not know of."""
    tree = ast.parse(source)
    takers = {"sampled", "examples"}
    for node in tree.body:
        if isinstance(node, ast.Assign) and takers & names(node.value):
            takers |= names(*node.targets)
    return [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.name.startswith("test_") and takers & names(node)
        if not {"sample", "given"} & names(*node.decorator_list)
    ]


def names(*nodes: ast.AST) -> set[str]:
    inside = [each for node in nodes for each in ast.walk(node)]
    return {
        each.id if isinstance(each, ast.Name) else each.attr
        for each in inside
        if isinstance(each, ast.Name | ast.Attribute)
    }


def test_each_test_that_takes_a_sample_is_marked() -> None:
    files = {path: path.read_text() for path in TESTS.rglob("test_*.py") if path != Path(__file__)}
    takers = {path: text for path, text in files.items() if "from samples import" in text}

    assert ["test_a", "test_b"] == untold(
        "COUNT = 2 * examples(5)\ndef test_a(): return COUNT\nasync def test_b(): sampled([])\n"
        "@pytest.mark.sample\ndef test_c(): sampled([])\n@given(x)\n@settings(n=examples(9))\ndef test_d(x): ..."
    )
    assert {} == {path: found for path, text in takers.items() if (found := untold(text))}
