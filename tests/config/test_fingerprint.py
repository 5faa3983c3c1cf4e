"""Which names lead to a file, and what a file holds: a path that is no path is a state like others."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from ampmap.config import fingerprint as filestate
from ampmap.config.fingerprint import contents, directories, filled, is_unfinished, own_files, stats


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a directory without a symbolic link on the way."""
    root = tmp_path.resolve() / "r"
    root.mkdir()
    return root


def test_a_file_is_found_by_its_name_and_that_of_its_directory(root: Path) -> None:
    (root / "a").mkdir()
    (root / "a/c.yaml").touch()

    assert {str(root / "a"), str(root)} == directories(root / "a/c.yaml", [])


def test_what_is_missing_is_found_where_it_begins_to_be_missing(root: Path) -> None:
    assert {str(root), str(root.parent)} == directories(root / "a/b/c.yaml", [])


def test_what_is_below_a_file_is_found_where_the_directory_should_be(root: Path) -> None:
    (root / "a").touch()

    assert {str(root), str(root.parent)} == directories(root / "a/c.yaml", [])


def test_every_link_on_the_way_counts_and_leads_on(root: Path) -> None:
    (root / "real/deep").mkdir(parents=True)
    (root / "real/c.yaml").touch()
    (root / "to-real").symlink_to("real")
    (root / "real/link.yaml").symlink_to("deep/../c.yaml")
    (root / "absolute.yaml").symlink_to(root / "to-real" / "link.yaml")
    (root / "other").mkdir()
    (root / "other/absolute.yaml").symlink_to(root / "absolute.yaml")

    assert {str(root / "other"), str(root), str(root / "real")} == directories(root / "other/absolute.yaml", [])


def test_links_in_a_circle_come_to_an_end(root: Path) -> None:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    (root / "c").symlink_to("c/c")

    assert {str(root)} == directories(root / "a", [])
    assert str(root) in directories(root / "c", [])


def test_in_a_directory_every_yaml_counts(root: Path) -> None:
    (root / "b.yaml").touch()
    (root / "a.yaml").touch()
    (root / "c.yml").touch()
    (root / ".d.yaml").touch()

    assert [root / "a.yaml", root / "b.yaml"] == own_files(root)
    assert {str(root), str(root.parent)} == directories(root, [])


def test_the_root_is_in_no_directory() -> None:
    assert {"/"} == directories(Path("/"), [])


def test_a_directory_that_cannot_be_listed_stands_for_itself(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> list[Path]:
        raise PermissionError

    monkeypatch.setattr(filestate, "files_in", refuse)

    assert [root] == own_files(root)


def test_a_path_that_is_none_holds_nothing(root: Path) -> None:
    path = root / "a\0b"

    assert "absent" == contents([path])[path][0]
    assert {path: None} == stats([path])
    assert {str(root), str(root.parent)} == directories(path, [])


def test_a_file_is_known_by_its_content(root: Path) -> None:
    first, second, blank, none = (root / name for name in ("1", "2", "blank", "none"))
    first.write_text("a")
    second.write_text("a")
    blank.write_bytes(b"\xef\xbb\xbf\r\n")
    found = contents([first, second, blank, none, root])

    assert found[first] == found[second]
    assert ["filled", "filled", "blank", "absent", "absent"] == [what for what, _ in found.values()]
    assert {first, second} == filled(found)
    second.write_text("b")
    assert contents([first]) | contents([second]) != {first: found[first], second: found[second]}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_not_read(root: Path) -> None:
    os.mkfifo(root / "p")

    assert "absent" == contents([root / "p"])[root / "p"][0]


def test_whatever_happens_to_a_file_shows_in_its_stats(root: Path) -> None:
    file = root / "f"
    seen = [stats([file])]
    file.write_text("a")
    seen.append(stats([file]))
    os.utime(file, ns=(0, 0))
    seen.append(stats([file]))
    file.write_text("ab")
    seen.append(stats([file]))
    (root / "g").write_text("ab")
    (root / "g").replace(file)
    seen.append(stats([file]))
    seen.append(stats([file, root / "g"]))

    assert all(one != other for one, other in itertools.combinations(seen, 2))
    assert stats([file]) == stats([file])


def test_a_save_is_unfinished_while_a_file_is_missing_or_empty(root: Path) -> None:
    whole, empty, missing = root / "whole", root / "empty", root / "missing"
    whole.write_text("a")
    empty.touch()

    assert not is_unfinished(stats([whole]))
    assert all(is_unfinished(stats(files)) for files in ([], [whole, empty], [whole, missing]))
