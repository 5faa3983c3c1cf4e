"""Files with keys in them that every user of the machine can read; variables within the defaults of variables."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ampmap.config.file import load, parse
from ampmap.errors import ConfigError

PROVIDER = "providers: [{{name: p, base-url: 'http://127.0.0.1:1', protocols: [gemini], models: [m], {}}}]\n"
WARNED = "this file holds keys, and every user of this machine can read it; chmod o-r it"


@pytest.mark.skipif(sys.platform == "win32", reason="other permissions")
@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("api-keys: [client-key]", True),
        ("amp-upstream-api-key: sgamp_configured", True),
        ("amp-upstream-api-keys: [{upstream-api-key: '${KEY}', api-keys: [client-key]}]", True),
        (PROVIDER.format("api-key: a-key"), True),
        (PROVIDER.format("api-key: '${KEY}'"), False),
        ("api-keys: ['${KEY}']", False),
        ("amp-credits: refuse", False),
        ("api-keys: ['']", False),
    ],
)
@pytest.mark.parametrize(("mode", "readable"), [(0o644, True), (0o604, True), (0o640, False), (0o600, False)])
def test_a_file_with_keys_that_others_can_read_is_warned_of(
    text: str, holds: bool, mode: int, readable: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    path.chmod(mode)

    warnings = [str(each) for each in load(path, {"KEY": "k"}).warnings]

    assert [f"{path}:1:1: {WARNED}"] * (holds and readable) == warnings


@pytest.mark.skipif(sys.platform == "win32", reason="other permissions")
def test_a_key_file_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    path, key = tmp_path / "a.yaml", tmp_path / "key"
    path.write_text(PROVIDER.format("api-key-file: key"))
    key.write_text("a-key\n")
    key.chmod(0o644)
    before = [str(each) for each in load(path, {}).warnings]
    key.chmod(0o600)

    assert [f"{key}:1:1: {WARNED}"] == before
    assert () == load(path, {}).warnings


@pytest.mark.parametrize("value", ["${A:-${B}}", "${A:-x${B:-y}}", "${A:-${}", "x ${A:-$${B}"])
@pytest.mark.parametrize("env", [{}, {"A": "a"}, {"A": "a", "B": "b"}])
def test_a_variable_within_a_default_is_an_error(value: str, env: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"amp-upstream-api-key: '{value}'", "f.yaml", env)

    what = "a default cannot hold a variable: write ${NAME:-default} with a plain default"
    assert f"f.yaml:1:23: {what}" == str(caught.value)
