"""Keys of providers and the files that hold them: found, fit to send, and in no complaint."""

from __future__ import annotations

from pathlib import Path

import pytest
from providertext import UNSENT, complaints, loaded, one, spoken

from ampmap.config.file import load
from ampmap.errors import ConfigError


@pytest.mark.parametrize("auth", ["bearer", "x-api-key", "x-goog-api-key"])
def test_a_server_on_this_machine_needs_no_key(auth: str) -> None:
    provider = one(f"{{name: o, type: ollama, models: [a], auth: {auth}}}")

    assert {"none"} == {auth for _, auth in spoken(provider).values()}
    assert {"bearer"} == {auth for _, auth in spoken(one("{name: o, type: ollama, models: [a], api-key: k}")).values()}


def test_only_the_ways_of_login_that_want_a_key_are_changed_for_want_of_one() -> None:
    assert {"client"} == {a for _, a in spoken(one("{name: o, type: vllm, models: [a], auth: client}")).values()}


@pytest.mark.parametrize(
    ("provider", "variable"),
    [
        ("{name: a, type: anthropic, models: [m]}", "ANTHROPIC_API_KEY"),
        ("{name: a, type: anthropic, models: [m], api-key: ' '}", "ANTHROPIC_API_KEY"),
        ("{name: a, type: ollama, models: [m], base-url: http://10.0.0.7}", "OLLAMA_API_KEY"),
        ("{name: a, base-url: 'http://[::2]', protocols: [gemini], models: [m]}", "NAME_OF_A_VARIABLE"),
    ],
)
def test_a_remote_provider_needs_a_key_and_is_told_how_to_give_it(provider: str, variable: str) -> None:
    assert [
        f"f.yaml:1:13: this provider needs a key; add 'api-key: ${{{variable}}}', or 'auth: none' if it asks for none"
    ] == complaints(provider)


@pytest.mark.parametrize("auth", ["none", "client"])
def test_a_remote_provider_may_do_without_where_that_is_written(auth: str) -> None:
    assert {auth} == {a for _, a in spoken(one(f"{{name: a, type: openai, models: [m], auth: {auth}}}")).values()}


def test_a_key_that_is_not_used_is_warned_of() -> None:
    warnings = loaded("{name: a, type: openai, models: [m], auth: none, api-key: k}").warnings

    assert [("f.yaml:1:13: the key of this provider is not used: its auth is none or client", "warning")] == [
        (str(warning), warning.severity) for warning in warnings
    ]


@pytest.mark.parametrize("key", ['"sk-secret\\nx"', "'sk secret'", "'sk-secré'", '"sk-secret\\0"', '"sk-secret\\x7f"'])
def test_a_key_that_no_header_can_carry_is_refused_unseen(key: str) -> None:
    [complaint] = complaints(f"{{name: a, type: openai, models: [m], api-key: {key}}}")

    assert f"f.yaml:1:59: this key {UNSENT}" == complaint


def config_with_key_file(directory: Path, written: str) -> Path:
    path = directory / "c.yaml"
    path.write_text(f"providers:\n- {{name: a, type: openai, models: [m], api-key-file: '{written}'}}\n")
    return path


@pytest.mark.parametrize("written", ["key", "./key", "~/key", "${HOME}/key"])
def test_a_key_is_read_from_a_file(tmp_path: Path, written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("  sk-1\n\n")
    path = config_with_key_file(tmp_path, written)
    monkeypatch.chdir("/")

    assert "sk-1" == load(path, {"HOME": str(tmp_path)}).settings.providers[0].api_key


def test_a_key_file_beside_the_files_of_a_directory_is_found(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-1")
    config_with_key_file(tmp_path, "key")

    assert "sk-1" == load(tmp_path, {}).settings.providers[0].api_key


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "cannot read this file: No such file or directory (relative paths start at {})"),
        (b"", "the file is empty, or too long for a key; it must hold the key and nothing else"),
        (b" \n", "the file is empty, or too long for a key; it must hold the key and nothing else"),
        (b"k" * 65_536, "the file is empty, or too long for a key; it must hold the key and nothing else"),
        (b"sk-secret\nsk-other\n", f"the key in this file {UNSENT}"),
        (b"sk-secret\xff", f"the key in this file {UNSENT}"),
    ],
)
def test_a_key_file_holds_one_key(tmp_path: Path, content: bytes | None, what: str) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    path = config_with_key_file(tmp_path, "key")

    with pytest.raises(ConfigError) as caught:
        load(path, {})

    assert f"{path}:2:54: {what.format(tmp_path)}" == str(caught.value)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (".", "it is a directory; use an environment variable or a file"),
        ("sk-secret/x", "No such file or directory"),
        ("~/key", "No such file or directory"),
    ],
)
def test_a_key_file_that_cannot_be_read_is_not_shown_for_it_may_be_the_key(
    tmp_path: Path, written: str, reason: str
) -> None:
    path = config_with_key_file(tmp_path, written)

    with pytest.raises(ConfigError) as caught:
        load(path, {})

    assert f"{path}:2:54: cannot read this file: {reason} (relative paths start at {tmp_path})" == str(caught.value)


def test_a_key_file_s_name_has_no_control_characters() -> None:
    [complaint] = complaints('{name: a, type: openai, models: [m], api-key-file: "a\\0b"}')

    assert complaint.startswith("f.yaml:1:64: cannot read this file: not a path (relative paths start at /")


def test_a_key_is_given_once() -> None:
    what = "both api-key and api-key-file are given (the other is at f.yaml:1:59); keep one"

    assert [f"f.yaml:1:76: {what}"] == complaints("{name: a, type: openai, models: [m], api-key: k, api-key-file: k}")


def test_a_ca_file_is_found_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("# our CA\n-----BEGIN CERTIFICATE-----\n")
    path = tmp_path / "c.yaml"
    path.write_text("providers: [{name: a, type: ollama, models: [m], ca-file: ca.pem}]")

    assert str(tmp_path / "ca.pem") == load(path, {}).settings.providers[0].ca_file


def test_a_ca_file_holds_certificates(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(b"\x30\x82")
    path = tmp_path / "c.yaml"
    path.write_text("providers:\n- {name: a, type: ollama, models: [m], ca-file: ca.pem}\n- {name: b, type: ollama, "
                    "models: [m], ca-file: no.pem}\n")  # fmt: skip

    with pytest.raises(ConfigError) as caught:
        load(path, {})

    assert [
        f"{path}:2:49: no certificate is in this file; it must be PEM ('-----BEGIN CERTIFICATE-----')",
        f"{path}:3:49: cannot read this file: No such file or directory (relative paths start at {tmp_path})",
    ] == [str(complaint) for complaint in caught.value.complaints]
