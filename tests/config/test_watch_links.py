"""Links, directories and other files that take part are watched, too."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from watched import (
    POLLING,
    by_rename,
    missing_soon_believed,
    old_config,
    text,
    watching,
)

config = old_config
soon_believed = missing_soon_believed


# Links and directories.


async def test_a_link_that_is_turned_to_another_file_is_followed(config: Path) -> None:
    first, second = config.with_name("1.txt"), config.parent.parent / "2.txt"
    first.write_text(text("old"))
    second.write_text(text("new"))
    config.unlink()
    config.symlink_to(first)

    async with watching(config, poll_s=60) as watched:
        temporary = config.with_name("link")
        temporary.symlink_to(second)
        temporary.replace(config)
        assert ["new"] == await watched.outcome()

        second.write_text(text("newer"))  # in a directory that was not watched before
        assert ["newer"] == await watched.outcome(2)

    assert 2 == watched.watcher.loads


async def test_a_link_on_the_way_is_watched_too(tmp_path: Path) -> None:
    """``/etc/ampmap -> releases/1`` as deployment tools have it."""
    for release, target in (("1", "old"), ("2", "new")):
        (tmp_path / "releases" / release).mkdir(parents=True)
        (tmp_path / "releases" / release / "config.yaml").write_text(text(target))
    current = tmp_path / "current"
    current.symlink_to("releases/1")

    async with watching(current / "config.yaml", poll_s=60) as watched:
        (tmp_path / "next").symlink_to(tmp_path / "releases" / "2")
        (tmp_path / "next").replace(current)

        assert ["new"] == await watched.outcome()

    assert 1 == watched.watcher.loads


def mount(directory: Path, version: str, files: dict[str, str]) -> None:
    """Do what Kubernetes' AtomicWriter does to a volume of a ConfigMap."""
    data = directory / "..data"
    old = data.resolve() if data.is_symlink() else None
    new = directory / f"..{version}"
    new.mkdir(parents=True)
    for name, content in files.items():
        (new / name).write_text(content)
    (directory / "..data_tmp").symlink_to(new.name)
    (directory / "..data_tmp").replace(data)
    for name in files:
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")
    for link in directory.glob("*.yaml"):
        if link.name not in files:
            link.unlink()
    if old:
        shutil.rmtree(old)


@pytest.mark.parametrize("options", [{"poll_s": 60}, POLLING], ids=["events", "poll"])
@pytest.mark.parametrize("name", ["", "config.yaml"], ids=["directory", "file"])
async def test_a_configmap_that_is_swapped_is_loaded_once_each_time(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    mounted = tmp_path / "mounted"
    mount(mounted, "1", {"config.yaml": text("old")})

    async with watching(mounted / name, **options) as watched:
        for n in (2, 3, 4):
            mount(mounted, str(n), {"config.yaml": text(f"new{n}")})
            assert [f"new{n}"] == await watched.outcome(n - 1)

    assert 3 == watched.watcher.loads


@pytest.mark.parametrize("options", [{"poll_s": 0.3}, POLLING], ids=["events", "poll"])
async def test_a_directory_that_goes_and_comes_back_is_watched_again(config: Path, options: dict[str, Any]) -> None:
    async with watching(config, **options) as watched:
        shutil.rmtree(config.parent)
        assert f"{config}:1:1: this cannot be found any more: No such file or directory" == await watched.complaint()

        config.parent.mkdir()
        config.write_text(text("new"))
        assert ["new"] == await watched.outcome(2)

        config.write_text(text("newer"))
        assert ["newer"] == await watched.outcome(3)

    assert 2 == watched.watcher.loads


async def test_a_directory_replaced_in_one_go_stays_watched(config: Path) -> None:
    async with watching(config, poll_s=60) as watched:
        other = config.parent.with_name("other")
        other.mkdir()
        (other / config.name).write_text(text("new"))
        config.parent.rename(config.parent.with_name("aside"))
        other.rename(config.parent)
        assert ["new"] == await watched.outcome()

        by_rename(config)
        config.write_text(text("newer"))
        assert ["newer"] == await watched.outcome(2)

    assert 2 == watched.watcher.loads


@pytest.mark.parametrize("options", [{"poll_s": 0.3}, POLLING], ids=["events", "poll"])
async def test_files_of_a_directory_come_change_and_go(config: Path, options: dict[str, Any]) -> None:
    second = config.with_name("second.yaml")

    async with watching(config.parent, **options) as watched:
        second.write_text(text("b"))
        assert ["old", "b"] == await watched.outcome(1)
        second.write_text(text("c"))
        assert ["old", "c"] == await watched.outcome(2)
        config.unlink()
        assert ["c"] == await watched.outcome(3)
        second.rename(config.with_name("third.yaml"))
        await watched.until(lambda: watched.watcher.looks > 4)
        second.with_name("fourth.yaml").write_text(text("d"))
        await watched.until(lambda: sorted(watched.outcomes[-1]) == ["c", "d"])  # type: ignore[arg-type]

    assert 4 <= watched.watcher.loads <= 5


async def test_what_does_not_count_in_a_directory_is_not_looked_at(config: Path) -> None:
    async with watching(config.parent, poll_s=60) as watched:
        looks = watched.watcher.looks
        for name in (".config.yaml.swp", ".hidden.yaml", "config.yaml~", "notes.txt", "4913"):
            config.with_name(name).write_text("x")
        await watched.looked(lambda: config.write_text(text("new")))
        await watched.outcome()

    assert looks + 1 == watched.watcher.looks  # the events of one directory come in their order


async def test_a_file_that_does_not_exist_yet_is_waited_for(tmp_path: Path) -> None:
    config = tmp_path / "not" / "yet" / "config.yaml"

    async with watching(config) as watched:
        config.parent.mkdir(parents=True)
        config.write_text(text("new"))

        assert ["new"] == await watched.outcome()

    assert 1 == watched.watcher.loads


# Other files that take part.


@pytest.mark.parametrize("options", [{"poll_s": 60}, POLLING], ids=["events", "poll"])
async def test_a_key_and_a_list_of_authorities_are_watched(
    config: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    key, authorities = tmp_path / "secrets" / "key", tmp_path / "ca.pem"
    key.parent.mkdir()
    key.write_text("sk-1")
    authorities.write_text("-----BEGIN CERTIFICATE-----\n")
    provider = f"{{name: p, type: openai, models: [m], api-key-file: {key}, ca-file: {authorities}}}"
    config.write_text(f"{text('x')}providers: [{provider}]\n")

    async with watching(config, **options) as watched:
        key.write_text("sk-2")
        await watched.outcome(1)
        authorities.write_text("-----BEGIN CERTIFICATE-----\nother\n")
        await watched.outcome(2)

    assert 2 == watched.watcher.loads
    assert [["x"], ["x"]] == watched.outcomes


async def test_a_missing_key_file_that_comes_mends_the_configuration(config: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"

    async with watching(config, poll_s=60) as watched:
        provider = f"{{name: p, type: openai, models: [m], api-key-file: {key}}}"
        config.write_text(f"{text('new')}providers: [{provider}]\n")
        assert "cannot read this file" in await watched.complaint()
        key.write_text("sk-1")
        assert ["new"] == await watched.outcome(2)
        key.write_text("sk-2")
        assert ["new"] == await watched.outcome(3)

    assert watched.watcher.loads <= 5  # a file that is named for the first time takes a second one


async def test_while_the_configuration_is_broken_the_files_of_the_good_one_are_watched(
    config: Path, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("sk-1")
    config.write_text(f"providers: [{{name: p, type: openai, models: [m], api-key-file: {key}}}]\n")

    async with watching(config, poll_s=60) as watched:
        config.write_text("a: [\n")
        first = await watched.complaint(1)
        key.write_text("sk-2")
        assert first == await watched.complaint(2)
