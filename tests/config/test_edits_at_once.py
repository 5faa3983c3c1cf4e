"""`map add` and `map remove` beside each other: what a command said it did is in the file."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kit import GUARD_S
from samples import examples

from ampmap.commands.main import main
from ampmap.config import rule_file as rulefile
from ampmap.errors import ConfigError

COUNT = examples(16, 4)
EDIT = """
import sys
from pathlib import Path
from ampmap.config.rule_file import map_add, map_remove

print("ready", flush=True)
sys.stdin.readline()
config, action, *names = sys.argv[1:]
print({"add": map_add, "remove": map_remove}[action](Path(config), *names))
"""


def at_once(edits: list[list[str]]) -> list[str]:
    """Run edits in processes of their own that begin in one moment; return what the last lines say."""
    pipe = subprocess.PIPE
    running = [
        subprocess.Popen(
            [sys.executable, "-c", EDIT, *edit], stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )
        for edit in edits
    ]
    for each in running:
        assert each.stdout is not None and "ready\n" == each.stdout.readline()
    for each in running:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    return [each.communicate(timeout=6 * GUARD_S)[0].splitlines()[-1] for each in running]


@pytest.mark.sample(1 / 2)
@pytest.mark.parametrize(("kind", "count"), [("file", COUNT), ("link", 4), ("directory", 4), ("both", 4)])
def test_additions_at_once_are_all_in_the_file(kind: str, count: int, tmp_path: Path) -> None:
    real = tmp_path / "real" / "rules.yaml"
    real.parent.mkdir()
    real.write_text("amp-model-mappings:\n  - {from: first, to: t}\n")
    directory = tmp_path / "config"
    directory.mkdir()
    (directory / "c.yaml").symlink_to(real)
    paths = {"file": [real], "link": [directory / "c.yaml"], "directory": [directory], "both": [real, directory]}[kind]

    said = at_once([[str(paths[n % len(paths)]), "add", f"m{n}", "t"] for n in range(count)])

    assert [f"added m{n} -> t" for n in range(count)] == [line.partition(": ")[2] for line in said]
    assert {"first", *(f"m{n}" for n in range(count))} == {rule.source for rule in rulefile.map_list(real)}


@pytest.mark.sample
def test_removals_beside_additions_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    rules = "".join(f"  - {{from: old{n}, to: t}}\n" for n in range(COUNT // 2))
    path.write_text(f"amp-model-mappings:\n{rules}")
    edits = [[str(path), "add", f"new{n}", "t"] for n in range(COUNT // 2)]
    edits += [[str(path), "remove", f"old{n}"] for n in range(COUNT // 2)]

    said = at_once(edits)

    assert COUNT == len([line for line in said if "added new" in line or "removed old" in line]), said
    assert {f"new{n}" for n in range(COUNT // 2)} == {rule.source for rule in rulefile.map_list(path)}


def test_an_edit_that_does_not_end_is_waited_for_until_a_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rulefile, "LOCK_S", 0.2)
    path = tmp_path / "c.yaml"
    path.write_text("")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        assert 2 == main(["map", "add", "a", "b", "--config", str(path)])
    finally:
        os.close(descriptor)

    assert f"{path}:1:1: another edit of this configuration has not ended" in capsys.readouterr().err


def test_without_locks_of_files_rules_are_edited_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rulefile, "fcntl", None)
    monkeypatch.delattr(os, "chown")
    path = tmp_path / "c.yaml"
    path.write_text("")

    assert f"{path}: added a -> b" == rulefile.map_add(path, "a", "b")


def test_a_file_that_changes_after_it_was_read_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("a: 1\n")
    sync = os.fsync

    def slow(descriptor: int) -> None:
        sync(descriptor)
        path.write_text("b: 2\n")  # an editor saves while the disk is busy

    monkeypatch.setattr(os, "fsync", slow)
    with pytest.raises(ConfigError, match="it has changed since it was read"):
        rulefile.replace_file(path, "c: 3\n", "a: 1\n")

    assert "b: 2\n" == path.read_text()
