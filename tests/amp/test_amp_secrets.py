"""Amp's own login on this machine: environment, secrets file, and when the file is read again."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from ampmap.amp.secrets import AmpSecret
from ampmap.settings import Origin

AMPCODE = Origin("https", "ampcode.com", 443)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / ".local" / "share" / "amp" / "secrets.json"
    path.parent.mkdir(parents=True)
    return path


def secret_of(tmp_path: Path, **env: str) -> AmpSecret:
    return AmpSecret({"HOME": str(tmp_path), **env})


@pytest.mark.parametrize(
    ("content", "origin", "key"),
    [
        ({"apiKey@https://ampcode.com/": " sgamp_a\n"}, AMPCODE, "sgamp_a"),
        ({"apiKey@https://ampcode.com/": "sgamp_a", "other": 1, "x": None, "y": [{}]}, AMPCODE, "sgamp_a"),
        ({"apiKey@https://ampcode.com/": "sgamp_a"}, Origin("http", "127.0.0.1", 99), ""),
        ({"apiKey@http://127.0.0.1:99/": "sgamp_b"}, Origin("http", "127.0.0.1", 99), "sgamp_b"),
        ({"apiKey@https://ampcode.com": "sgamp_a"}, AMPCODE, ""),
        ({"apiKey@https://ampcode.com/": 7}, AMPCODE, ""),
        ({"apiKey@https://ampcode.com/": " "}, AMPCODE, ""),
        ({"apiKey@https://ampcode.com/": "a\nX-Evil: b"}, AMPCODE, ""),
        ({}, AMPCODE, ""),
    ],
)
def test_the_key_is_that_of_the_upstream_in_use(
    tmp_path: Path, file: Path, content: object, origin: Origin, key: str
) -> None:
    file.write_text(json.dumps(content))

    assert key == secret_of(tmp_path).key_for(origin)


def test_the_environment_comes_before_the_file(tmp_path: Path, file: Path) -> None:
    file.write_text('{"apiKey@https://ampcode.com/": "sgamp_file"}')

    assert "sgamp_env" == secret_of(tmp_path, AMP_API_KEY=" sgamp_env ").key_for(AMPCODE)
    assert "sgamp_file" == secret_of(tmp_path, AMP_API_KEY=" ").key_for(AMPCODE)


def test_a_key_that_no_field_can_carry_is_passed_over(
    tmp_path: Path, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text('{"apiKey@https://ampcode.com/": "sgamp_file"}')

    assert "sgamp_file" == secret_of(tmp_path, AMP_API_KEY="secret\r\nX: y").key_for(AMPCODE)
    assert "AMP_API_KEY is not used" in caplog.text
    assert "secret\r" not in caplog.text


def test_the_data_directory_of_the_environment_is_looked_into_first(tmp_path: Path, file: Path) -> None:
    file.write_text('{"apiKey@https://ampcode.com/": "sgamp_home"}')
    moved = tmp_path / "data" / "amp" / "secrets.json"
    secret = secret_of(tmp_path, XDG_DATA_HOME=str(tmp_path / "data"))

    assert "sgamp_home" == secret.key_for(AMPCODE)
    moved.parent.mkdir(parents=True)
    moved.write_text('{"apiKey@https://ampcode.com/": "sgamp_moved"}')
    assert "sgamp_moved" == secret.key_for(AMPCODE)


def test_the_file_is_read_again_when_it_changes(tmp_path: Path, file: Path) -> None:
    secret = secret_of(tmp_path)
    assert "" == secret.key_for(AMPCODE)

    file.write_text('{"apiKey@https://ampcode.com/": "sgamp_a"}')
    assert "sgamp_a" == secret.key_for(AMPCODE)
    replaced = file.with_suffix(".new")
    replaced.write_text('{"apiKey@https://ampcode.com/": "sgamp_b"}')
    replaced.replace(file)
    assert "sgamp_b" == secret.key_for(AMPCODE)
    file.unlink()
    assert "" == secret.key_for(AMPCODE)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b'{"a":' * 100_000, b'{"a":"' + b"x" * 2_000_000 + b'"}'],
)
def test_what_is_no_file_of_keys_is_told_once(
    tmp_path: Path, file: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    file.write_bytes(content)
    secret = secret_of(tmp_path)

    for _ in range(3):
        assert "" == secret.key_for(AMPCODE)
    assert 1 == len(caplog.records)
    assert str(file) in caplog.text


def test_what_is_no_regular_file_is_left_alone(tmp_path: Path, file: Path) -> None:
    os.mkfifo(file)

    assert "" == secret_of(tmp_path).key_for(AMPCODE)


@pytest.mark.parametrize("env", [{}, {"HOME": ""}, {"HOME": "/nowhere"}, {"HOME": "/a\0b"}])
def test_without_a_home_there_is_no_key(env: dict[str, str]) -> None:
    assert "" == AmpSecret(env).key_for(AMPCODE)
