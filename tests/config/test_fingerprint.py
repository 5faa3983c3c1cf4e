"""Which names lead to a file, and what a file holds: a path that is no path is a state like others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ampmap.config import fingerprint as filestate
from ampmap.config.fingerprint import EVERY_YAML, contents, filled, identity, names, own_files, signature, taking_part


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a directory without a symbolic link on the way."""
    root = tmp_path.resolve() / "r"
    root.mkdir()
    return root


def test_a_file_is_found_by_its_name_and_that_of_its_directory(root: Path) -> None:
    (root / "a").mkdir()
    (root / "a/c.yaml").touch()

    assert {str(root / "a"): {"c.yaml"}, str(root): {"a"}} == names(root / "a/c.yaml", [])


def test_what_is_missing_is_found_where_it_begins_to_be_missing(root: Path) -> None:
    assert {str(root): {"a"}, str(root.parent): {"r"}} == names(root / "a/b/c.yaml", [])


def test_what_is_below_a_file_is_found_where_the_directory_should_be(root: Path) -> None:
    (root / "a").touch()

    assert {str(root): {"a"}, str(root.parent): {"r"}} == names(root / "a/c.yaml", [])


def test_every_link_on_the_way_counts_and_leads_on(root: Path) -> None:
    (root / "real/deep").mkdir(parents=True)
    (root / "real/c.yaml").touch()
    (root / "to-real").symlink_to("real")
    (root / "real/link.yaml").symlink_to("deep/../c.yaml")
    (root / "absolute.yaml").symlink_to(root / "to-real" / "link.yaml")

    assert {
        str(root): {"absolute.yaml", "to-real", "real"},
        str(root / "real"): {"link.yaml", "c.yaml"},
    } == names(root / "absolute.yaml", [])


def test_links_in_a_circle_come_to_an_end(root: Path) -> None:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")

    assert {str(root): {"a", "b"}, str(root.parent): {"r"}} == names(root / "a", [])


def test_in_a_directory_every_yaml_counts(root: Path) -> None:
    (root / "b.yaml").touch()
    (root / "a.yaml").touch()
    (root / "c.yml").touch()
    (root / ".d.yaml").touch()

    assert [root / "a.yaml", root / "b.yaml"] == own_files(root)
    assert {EVERY_YAML, "k"} == names(root, [root / "k"])[str(root)]
    assert {"r"} == names(root, [root / "k"])[str(root.parent)]


def test_the_root_is_in_no_directory() -> None:
    assert {"/": {"", EVERY_YAML}} == names(Path("/"), [])


def test_a_directory_that_cannot_be_listed_stands_for_itself(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> list[Path]:
        raise PermissionError

    monkeypatch.setattr(filestate, "files_in", refuse)

    assert [root] == own_files(root)


def test_a_path_that_takes_part_twice_is_one(root: Path) -> None:
    config = root / "c.yaml"

    assert [config, root / "k"] == taking_part(config, [root / "k", config])


def test_only_directories_have_an_identity(root: Path) -> None:
    (root / "f").touch()

    assert identity(str(root)) not in (None, identity(str(root.parent)))
    assert identity(str(root / "f")) is None
    assert identity(str(root / "none")) is None


def test_a_path_that_is_none_holds_nothing(root: Path) -> None:
    path = root / "a\0b"

    assert "absent" == contents([path])[path][0]
    assert signature([path]) == signature([path])
    assert {str(root), str(root.parent)} == names(path, []).keys()


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


def test_whatever_happens_to_a_file_shows_in_its_signature(root: Path) -> None:
    file = root / "f"
    seen = [signature([file])]
    file.write_text("a")
    seen.append(signature([file]))
    os.utime(file, ns=(0, 0))
    seen.append(signature([file]))
    file.write_text("ab")
    seen.append(signature([file]))
    (root / "g").write_text("ab")
    (root / "g").replace(file)
    seen.append(signature([file]))
    seen.append(signature([file, root / "g"]))

    assert len(seen) == len(set(seen))
    assert signature([file]) == signature([file])
