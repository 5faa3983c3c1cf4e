"""What ``check`` warns of, and that it says all of it beside the errors, in the order of the file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ampmap.commands.main import main
from ampmap.config.file import parse
from ampmap.errors import ConfigError

PROVIDER = "{{name: p, base-url: '{url}', protocols: [anthropic], api-key: {key}, models: [m]}}"


def warnings(text: str) -> list[str]:
    return [str(warning) for warning in parse(text, "a.yaml", {"X": "'sk-1'"}).warnings]


def test_every_warning_stands_beside_every_error_in_the_order_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "amp-model-mappings:\n"
        "  - {from: '(', to: m, regex: true}\n"  # a warning of the compiler
        "  - {from: a, too: m}\n"  # an error
        "  - {from: b, to: nobody}\n"  # a warning of the linter
        "  - {from: c}\n"  # a warning of the reader
        "  - {from: d, to: m}\n"
        "  - {from: D, to: m}\n"  # a warning of the compiler
        "timeouts: {connect-s: 10000}\n"  # a warning of the reader
        "log: {format: xml}\n"  # an error
        "providers:\n  - " + PROVIDER.format(url="http://127.0.0.1:1", key="k") + "\n"
    )

    path.chmod(0o600)
    assert 2 == main(["check", "--config", str(path)])
    told = [re.sub(r".*a.yaml:(\d+):\d+: (warning)?.*", r"\1\2", line) for line in capsys.readouterr().err.splitlines()]
    assert ["2warning", "3", "4warning", "5warning", "7warning", "8warning", "9"] == told


def test_a_configuration_without_providers_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("providers: []\n")

    assert 1 == main(["check", "--strict", "--config", str(path)])
    assert capsys.readouterr().err.startswith("warning: no provider is configured")


@pytest.mark.parametrize(
    ("url", "end", "shorter"),
    [
        ("https://api.x.test/v1/chat/completions", "/chat/completions", "https://api.x.test/v1"),
        ("https://api.x.test/v1/messages/", "/messages", "https://api.x.test/v1"),
        ("http://127.0.0.1:1/v1/responses", "/responses", "http://127.0.0.1:1/v1"),
        ("http://127.0.0.1:1/v1/responses/input_tokens", "/responses/input_tokens", "http://127.0.0.1:1/v1"),
        ("http://127.0.0.1:1/v1/models", "/models", "http://127.0.0.1:1/v1"),
        (
            "http://127.0.0.1:1/v1beta/models/m:generateContent",
            "/models/m:generateContent",
            "http://127.0.0.1:1/v1beta",
        ),
        ("http://127.0.0.1:1/sk-secret/v1/messages", "/messages", None),
    ],
)
def test_a_base_url_that_is_a_whole_endpoint_is_warned_of_with_the_shorter_one(
    url: str, end: str, shorter: str | None
) -> None:
    (told,) = warnings(f"providers:\n  - {PROVIDER.format(url=url, key='k')}")

    assert told.endswith(f"take {end} off its end" + (f": {shorter}" if shorter else ""))
    assert "secret" not in told


@pytest.mark.parametrize("url", ["https://api.x.test/v1", "https://x.test/api", "https://x.test/v1/messages-proxy"])
def test_a_base_url_that_paths_can_be_added_to_is_not_warned_of(url: str) -> None:
    assert [] == warnings(f"providers:\n  - {PROVIDER.format(url=url, key='k')}")


def test_times_that_look_like_milliseconds_are_warned_of() -> None:
    told = warnings("timeouts: {connect-s: 10000, head-s: 30000, response-head-s: 600000, stream-idle-s: 7200}")

    assert [
        "a.yaml:1:23: times are in seconds, and 10000 looks like milliseconds; did you mean 10?",
        "a.yaml:1:38: times are in seconds, and 30000 looks like milliseconds; did you mean 30?",
        "a.yaml:1:62: times are in seconds, and 600000 looks like milliseconds; did you mean 600?",
    ] == told


@pytest.mark.parametrize(
    ("key", "doubt"),
    [
        ("$NAME", "looks like a variable as other tools write it; here it is ${NAME}"),
        ("os.environ/NAME", "looks like a variable as other tools write it; here it is ${NAME}"),
        ("'{env:NAME}'", "looks like a variable as other tools write it; here it is ${NAME}"),
        ("'\"sk-1\"'", "begins and ends with a quote, which would be sent along; take them off"),
        ("'${X}'", "begins and ends with a quote, which would be sent along; take them off"),
        ("sk-$NAME", ""),
        ("os.environs", ""),
    ],
)
def test_a_key_that_no_provider_can_have_given_is_warned_of_wherever_it_stands(key: str, doubt: str) -> None:
    provider = PROVIDER.format(url="http://127.0.0.1:1", key=key)
    at_amp = "amp-upstream-api-key: " + key

    for text in (f"providers:\n  - {provider}", at_amp, f"api-keys:\n  - {key}"):
        assert [doubt] * bool(doubt) == [told.partition("this key ")[2] for told in warnings(text)]
        assert "sk-1" not in "".join(warnings(text))


def test_a_byte_order_mark_before_the_key_of_a_key_file_is_taken_off(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xef\xbb\xbfsk-1\r\n")
    provider = PROVIDER.format(url="http://127.0.0.1:1", key="k").replace("api-key: k", "api-key-file: key")
    loaded = parse(f"providers: [{provider}]", str(tmp_path / "a.yaml"), {})

    assert "sk-1" == loaded.settings.providers[0].api_key


@pytest.mark.parametrize(
    "written",
    [
        "{a: b}",
        "{a: [b, c], d: e}",
        "{from: a, to: b}",
        "\n  a: b\n  'c d': 'e \"f\"'\n",
        "{'${X}': '模型'}",
    ],
)
@pytest.mark.parametrize("block", ["amp-model-mappings: {}", "ampcode:\n model-mappings: {}"])
def test_rules_written_as_a_mapping_get_advice_that_works_when_it_is_pasted(written: str, block: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(block.format(written), "a.yaml", {"X": "x"})

    (complaint,) = caught.value.complaints
    _, _, advice = complaint.what.partition("rules are a list, not a mapping; write ")
    rules = parse(block.format(advice), "a.yaml", {"X": "x"}).settings.amp.rules
    sources = {rule.source: rule.targets for rule in rules}
    assert sources in (
        {"a": ("b",)},
        {"a": ("b", "c"), "d": ("e",)},
        {"a": ("b",), "c d": ('e "f"',)},
        {"x": ("模型",)},
    )


TABS = [
    "listen:\t127.0.0.1:1",
    "listen: \t127.0.0.1:1\t",
    "listen: 127.0.0.1:1\t# why",
    "listen\t:\t'127.0.0.1:1'\t# why",
    "listen:\n-\t127.0.0.1:1",
    "listen:\n  - \t'127.0.0.1:1'\t",
    "listen:\t[\t127.0.0.1:1\t]\t",
    "listen:\t# why\n  - 127.0.0.1:1",
    "\t# why\nlisten: 127.0.0.1:1\n\t\n",
]


@pytest.mark.parametrize("text", TABS)
def test_a_tab_between_tokens_is_fine(text: str) -> None:
    listen = parse(text + "\n", "a.yaml", {}).settings.listen

    assert ["127.0.0.1:1"] == [str(at) for at in listen]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("log:\n\tlevel: info", "2:1"),
        ("log:\n \tlevel: info", "2:2"),
        ("log:\n  level: info\n\tformat: text", "3:1"),
        ("amp-model-mappings:\n  -\tfrom: a\n    to: b", "2:4"),
        ("amp-model-mappings:\n  - \tfrom: a\n    to: b", "2:5"),
        ("listen:\n  -\t- a", "2:4"),
        ("listen: a\n\tb", "2:1"),
    ],
)
def test_a_tab_as_indentation_is_the_error_that_it_was(text: str, place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text + "\n", "a.yaml", {})

    assert f"a.yaml:{place}: a tab cannot indent YAML; indent with spaces" == str(caught.value)
