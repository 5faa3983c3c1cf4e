"""Edits of rules reach the file that holds them, which is replaced atomically and keeps its mode and its link."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ampmap.commands.main import main
from ampmap.config.rule_file import map_add, map_list, map_remove, replace_file
from ampmap.errors import ConfigError


def test_a_file_is_edited_in_place(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"amp-model-mappings: [] # none\r\n")
    path.chmod(0o640)

    assert f"{path}: added gpt-5 -> qwen" == map_add(path, "gpt-5", "qwen")
    assert f"{path}: changed gpt-5 -> glm" == map_add(path, "GPT-5", "glm").replace("GPT", "gpt")
    assert b"amp-model-mappings: [{from: gpt-5, to: glm}] # none\r\n" == path.read_bytes()
    assert 0o640 == stat.S_IMODE(path.stat().st_mode)
    assert [("gpt-5", 1)] == [(rule.source, rule.place.line) for rule in map_list(path) if rule.place]
    assert f"{path}: removed gpt-5" == map_remove(path, "gpt-5")
    assert ["c.yaml"] == os.listdir(tmp_path)


def test_in_a_directory_the_file_that_holds_the_rule_is_edited(tmp_path: Path) -> None:
    for name, text in [
        ("10.yaml", "amp-model-mappings: [{from: a, to: b}]\n"),
        ("20.yaml", "amp-model-mappings: []\n"),
        ("30.yaml", "log: {}\n"),
        (".hidden.yaml", "a: [\n"),
        ("notes.txt", "a: [\n"),
    ]:
        (tmp_path / name).write_text(text)

    map_add(tmp_path, "a", "c")
    map_add(tmp_path, "new", "d")
    map_add(tmp_path, "^p", "d", regex=True)

    assert "amp-model-mappings: [{from: a, to: c}]\n" == (tmp_path / "10.yaml").read_text()
    assert ["new", "^p"] == [rule.source for rule in map_list(tmp_path / "20.yaml")]
    assert ["a", "new", "^p"] == [rule.source for rule in map_list(tmp_path)]


def test_a_directory_without_rules_gets_a_file_that_is_read_last(tmp_path: Path) -> None:
    (tmp_path / "10.yaml").write_text("log: {}\n")

    map_add(tmp_path, "a", "b")
    map_add(tmp_path, "c", "d")

    assert ["a", "c"] == [rule.source for rule in map_list(tmp_path / "zz-rules.yaml")]
    assert 0o600 == stat.S_IMODE((tmp_path / "zz-rules.yaml").stat().st_mode)


def test_removal_in_a_directory_reaches_every_file(tmp_path: Path) -> None:
    for name in ("10.yaml", "20.yaml"):
        (tmp_path / name).write_text("amp-model-mappings: [{from: a, to: b}]\n")

    map_remove(tmp_path, "A")

    assert () == map_list(tmp_path)
    with pytest.raises(ConfigError, match="is from 'A'"):
        map_remove(tmp_path, "A")


def test_a_broken_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("a: 1\nb: [\n")

    with pytest.raises(ConfigError, match=r"c\.yaml:\d"):
        map_add(path, "a", "b")
    with pytest.raises(ConfigError, match="cannot read"):
        map_list(tmp_path / "absent.yaml")


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "c.yaml", tmp_path / "c.yaml"
    real.write_text("old")
    link.symlink_to(real)

    replace_file(link, "new", "old")

    assert link.is_symlink() and real.read_text() == "new"


def test_a_file_that_changed_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("theirs")

    for seen in ("old", None):
        with pytest.raises(ConfigError, match="changed since"):
            replace_file(path, "new", seen)
    with pytest.raises(ConfigError, match="changed since"):
        replace_file(tmp_path / "gone.yaml", "new", "old")

    assert "theirs" == path.read_text()
    assert ["c.yaml"] == os.listdir(tmp_path)


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("old")

    with path.open() as reader:
        replace_file(path, "new", "old")

        assert ("old", "new") == (reader.read(), path.read_text())


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"c\.yaml:1:1: cannot replace this file"):
        replace_file(tmp_path / "no" / "c.yaml", "new", None)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ConfigError, match="cannot replace"):
        replace_file(tmp_path / "loop", "new", None)


def test_a_refused_edit_shows_the_line_to_paste_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("amp-model-mappings: [\n  {from: a, to: b} # c\n]\n")

    assert 2 == main(["map", "add", "new", "target", "--config", str(path)])
    assert 2 == main(["map", "remove", "a", "--config", str(path)])

    added, line, removed = capsys.readouterr().err.splitlines()
    assert added.startswith(f"{path}:2:3: ") and "{from: new, to: target}," == line.strip()
    assert removed.startswith(f"{path}:2:3: ") and removed.endswith("delete it by hand")
    assert "amp-model-mappings: [\n  {from: a, to: b} # c\n]\n" == path.read_text()


def test_rules_with_conditions_are_listed_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("amp-model-mappings: [{from: a, to: b, when: {tool: x}}]\n")

    assert 0 == main(["map", "list", "--config", str(path)])

    assert f"'a' when … -> b [{path}:1]\n" == capsys.readouterr().out
