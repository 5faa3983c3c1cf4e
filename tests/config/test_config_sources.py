"""Where a configuration is looked for; its files and directories, and which of them took part."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from configtext import write

from ampmap.config import file as configfile
from ampmap.config.file import Loaded, UnusableFiles, defaults, find_config, load
from ampmap.errors import ConfigError
from ampmap.settings import Log, Settings, Timeouts

IS_ROOT = sys.platform == "win32" or os.geteuid() == 0  # whom no mode of a file keeps out


# Where a configuration is looked for.


def test_what_is_named_comes_before_what_is_found(tmp_path: Path) -> None:
    named = write(tmp_path / "named.yaml", "")
    from_env = write(tmp_path / "env.yaml", "")
    xdg = write(tmp_path / "xdg/ampmap/config.yaml", "")
    home = write(tmp_path / "home/.config/ampmap/config.yaml", "")
    env = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": str(tmp_path / "xdg"), "AMPMAP_CONFIG": str(from_env)}

    assert named == find_config(str(named), env)
    assert from_env == find_config(None, env)
    assert xdg == find_config(None, env | {"AMPMAP_CONFIG": ""})
    assert home == find_config(None, {"HOME": env["HOME"]})


def test_the_home_directory_is_used_where_xdg_names_a_relative_one(tmp_path: Path) -> None:
    """XDG base directories: a relative path is invalid and ignored."""
    home = write(tmp_path / ".config/ampmap/config.yaml", "")

    assert home == find_config(None, {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "conf"})


def test_the_system_s_configuration_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = write(tmp_path / "etc/config.yaml", "")
    monkeypatch.setattr(configfile, "SYSTEM_CONFIG", system)
    user = tmp_path / "home/.config/ampmap/config.yaml"

    assert system == find_config(None, {"HOME": str(tmp_path / "home")})
    assert system == find_config(None, {})
    assert user == find_config(None, {"HOME": str(write(user, "").parents[2])})


def test_nothing_is_ever_taken_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for planted in ("config.yaml", "ampmap.yaml", "ampmap/config.yaml", ".config/ampmap/config.yaml"):
        write(tmp_path / planted, "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(configfile, "SYSTEM_CONFIG", tmp_path / "none")

    for env in ({}, {"HOME": ""}, {"HOME": "."}, {"XDG_CONFIG_HOME": "."}, {"HOME": ".", "XDG_CONFIG_HOME": ""}):
        assert find_config(None, env) is None


def test_a_relative_path_in_the_variable_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "config.yaml", "")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError) as caught:
        find_config(None, {"AMPMAP_CONFIG": "config.yaml"})

    assert "AMPMAP_CONFIG is 'config.yaml'; write the path from / on" == str(caught.value)


def test_the_variable_may_name_the_home_directory(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "")

    assert path == find_config(None, {"AMPMAP_CONFIG": "~/a.yaml", "HOME": str(tmp_path)})


@pytest.mark.parametrize("name", ["/nowhere/at-all.yaml", "/dev/null/x.yaml", "/a\0b"])
def test_what_is_named_must_exist(name: str) -> None:
    with pytest.raises(ConfigError) as by_option:
        find_config(name, {})
    with pytest.raises(ConfigError) as by_variable:
        find_config(None, {"AMPMAP_CONFIG": name})

    assert f"--config names {name!r}, which does not exist" == str(by_option.value)
    assert f"AMPMAP_CONFIG names {name!r}, which does not exist" == str(by_variable.value)


def test_a_configuration_that_cannot_be_looked_at_is_not_passed_over(tmp_path: Path) -> None:
    """A user's own file must not give way to the defaults in silence; reading it tells what is wrong."""
    loop = tmp_path / ".config"
    loop.symlink_to(loop)

    assert loop / "ampmap/config.yaml" == find_config(None, {"HOME": str(tmp_path)})


# Files and directories.


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", "# nothing yet\n")

    assert Loaded(Settings(source=str(path)), (), (path,)) == load(path, {})


def test_without_a_file_the_built_in_defaults_hold() -> None:
    assert Loaded(Settings(), ()) == defaults({})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone.yaml"

    with pytest.raises(ConfigError) as caught:
        load(path, {})

    assert f"{path}:1:1: cannot read this file: No such file or directory" == str(caught.value)


@pytest.mark.skipif(IS_ROOT, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", "")
    path.chmod(0)

    with pytest.raises(ConfigError) as caught:
        load(path, {})

    assert f"{path}:1:1: cannot read this file: Permission denied" == str(caught.value)


def test_a_path_that_can_be_none_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        load(Path("/a\0b"), {})

    assert "/a\0b:1:1: cannot read this file: not a path" == str(caught.value)


def test_a_file_of_over_4_mib_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", "#" * (4 * 1024 * 1024 + 1))

    with pytest.raises(ConfigError) as caught:
        load(path, {})

    what = "larger than 4 MiB; split the file and give ampmap the directory"
    assert f"{path}:1:1: {what}" == str(caught.value)


def test_a_directory_is_merged_in_the_order_of_names(tmp_path: Path) -> None:
    write(tmp_path / "20-b.yaml", "api-keys: [b]\ntimeouts: {head-s: 2}\n")
    write(tmp_path / "10-a.yaml", "api-keys: [a]\ntimeouts: {drain-s: 1}\n")
    write(tmp_path / "30-c.yaml", "log: {level: debug}\n")
    write(tmp_path / ".hidden.yaml", "not-a-key: 1\n")
    write(tmp_path / "notes.txt", "not-a-key: 1\n")

    settings = load(tmp_path, {}).settings

    assert ("a", "b") == settings.api_keys
    assert Timeouts(drain_s=1, head_s=2) == settings.timeouts
    assert Log(level="debug") == settings.log
    assert str(tmp_path) == settings.source


def test_a_configmap_is_read_through_its_links(tmp_path: Path) -> None:
    """Kubernetes mounts ``config.yaml -> ..data/config.yaml`` and ``..data -> ..2024_01_01``."""
    write(tmp_path / "..2024_01_01/config.yaml", "api-keys: [a]\n")
    (tmp_path / "..data").symlink_to("..2024_01_01")
    (tmp_path / "config.yaml").symlink_to("..data/config.yaml")

    assert ("a",) == load(tmp_path, {}).settings.api_keys


def test_all_files_of_a_directory_are_complained_of_together(tmp_path: Path) -> None:
    first = write(tmp_path / "1.yaml", "a: 1\nlisten: 127.0.0.1:1\na: 2\n")
    second = write(tmp_path / "2.yaml", "\nlisten: 127.0.0.1:2\nlog: [a\nb: 1\n")
    third = write(tmp_path / "3.yaml", "- item\n")

    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {})

    assert [
        f"{first}:3:1: 'a' is given twice, on line 1 and on line 3; keep one",
        f"{second}:4:2: a comma or the closing bracket is missing before this",
        f"{third}:1:1: expected a mapping, got a list; write 'key: value' lines",
    ] == [str(complaint) for complaint in caught.value.complaints]


def test_a_value_in_two_files_is_refused_with_both_places(tmp_path: Path) -> None:
    first = write(tmp_path / "1.yaml", "admin: {enabled: true}\n")
    second = write(tmp_path / "2.yaml", "log: {level: loud}\nadmin:\n  enabled: false\n")

    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {})

    assert [
        f"{second}:1:14: unknown level 'loud'; known are debug, info, warning, error",
        f"{second}:3:3: 'enabled' is already given at {first}:1:9; keep one of them",
    ] == [str(complaint) for complaint in caught.value.complaints]


def test_an_empty_directory_gives_the_defaults_and_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yml", "")

    loaded = load(tmp_path, {})

    assert Settings(source=str(tmp_path)) == loaded.settings
    assert [
        f"{tmp_path}:1:1: no *.yaml is in this directory; the defaults hold",
        f"{path}:1:1: this file is not read; name it *.yaml",
    ] == list(map(str, loaded.warnings))


@pytest.mark.skipif(IS_ROOT, reason="root reads everything")
def test_a_directory_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir(mode=0o300)

    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "d", {})

    assert f"cannot read the directory {tmp_path}/d: Permission denied" == str(caught.value)


# Which files took part.


KEYED = "providers: [{name: a, type: openai, models: [m], api-key-file: k, ca-file: ca.pem}]\n"


def test_every_file_that_took_part_is_reported(tmp_path: Path) -> None:
    config = write(tmp_path / "c" / "1.yaml", "")
    other = write(tmp_path / "c" / "2.yaml", KEYED)
    key, authorities = write(tmp_path / "c" / "k", "sk-1"), write(tmp_path / "c" / "ca.pem", "-----BEGIN CERTIFICATE")
    write(tmp_path / "c" / "notes.txt", "")

    assert (config, other, key, authorities) == load(tmp_path / "c", {}).files


def test_files_are_reported_by_their_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "c.yaml", KEYED)
    write(tmp_path / "k", "sk-1")
    write(tmp_path / "ca.pem", "-----BEGIN CERTIFICATE-----\n")
    monkeypatch.chdir(tmp_path)

    assert (tmp_path / "c.yaml", tmp_path / "k", tmp_path / "ca.pem") == load(Path("c.yaml"), {}).files


def test_a_file_named_twice_is_reported_once(tmp_path: Path) -> None:
    item = "{type: openai, models: [m], api-key-file: k, "
    path = write(tmp_path / "c.yaml", f"providers:\n- {item}name: a}}\n- {item}name: b}}\n")
    key = write(tmp_path / "k", "sk-1")

    assert (path, key) == load(path, {}).files


def test_a_failure_reports_the_files_that_may_mend_it(tmp_path: Path) -> None:
    """Of a key file that is missing, too: its coming is what is waited for."""
    path = write(tmp_path / "c.yaml", KEYED)

    with pytest.raises(UnusableFiles) as caught:
        load(path, {})
    path.write_text("a: [\n")
    with pytest.raises(UnusableFiles) as torn:
        load(path, {})

    assert (path, tmp_path / "k", tmp_path / "ca.pem") == caught.value.files
    assert (path,) == torn.value.files
