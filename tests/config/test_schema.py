"""The JSON Schema of the configuration says what the readers say: the same keys, types, words and limits."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML
from samples import examples, sampled

from ampmap.commands.main import main
from ampmap.config import keys
from ampmap.config.file import parse
from ampmap.config.keys import schema
from ampmap.config.presets import PRESETS
from ampmap.errors import ConfigError
from ampmap.formats.conversation import EFFORTS
from ampmap.formats.registry import AUTHS, FORMATS
from ampmap.settings import CREDIT_POLICIES, Limits, Log, Timeouts

ROOT = Path(__file__).parent.parent.parent
VALIDATOR = Draft202012Validator(schema())


def schema_takes(config: Any) -> bool:
    return bool(VALIDATOR.is_valid(config))


def reader_takes(config: Any) -> bool:
    try:
        parse(json.dumps(config), "/f.yaml", {"SET": "warn"})
    except ConfigError:
        return False
    return True


PROVIDER = {"name": "p", "type": "ollama"}
RULE = {"from": "a", "to": "b"}
PLACES: dict[str, tuple[dict[str, Any], Any]] = {  # the keys of each mapping, and a configuration around one of them
    "top": (dict(keys.TOP), lambda at: at),
    "ampcode": ({key: keys.TOP[flat] for key, flat in keys.AMPCODE.items()}, lambda at: {"ampcode": at}),
    "provider": (dict(keys.PROVIDER), lambda at: {"providers": [{**PROVIDER, **at}]}),
    "profile": (dict(keys.PROFILE), lambda at: {"providers": [{**PROVIDER, "profile": at}]}),
    "model": (dict(keys.MODEL), lambda at: {"providers": [{**PROVIDER, "models": [{"id": "m", **at}]}]}),
    "rule": (dict(keys.RULE), lambda at: {"amp-model-mappings": [{**RULE, **at}]}),
    "when": (dict(keys.WHEN), lambda at: {"amp-model-mappings": [{**RULE, "when": at}]}),
    "amp key": (
        dict(keys.AMP_KEY),
        lambda at: {"amp-upstream-api-keys": [{"upstream-api-key": "k", "api-keys": ["a"], **at}]},
    ),
    "timeouts": (dict(keys.keys_of(Timeouts)), lambda at: {"timeouts": at}),
    "limits": (dict(keys.keys_of(Limits)), lambda at: {"limits": at}),
    "log": (dict(keys.keys_of(Log)), lambda at: {"log": at}),
    "admin": (dict(keys.ADMIN), lambda at: {"admin": at}),
}

WORDS = [
    *PRESETS,
    *AUTHS,
    *FORMATS,
    *EFFORTS,
    *CREDIT_POLICIES,
    *(word for words in keys.WORDS.values() for word in words),
]
VALUES: list[Any] = [
    None, True, False, -1, 0, 1, 5, 100_000, 100_001, keys.MAX_COUNT, keys.MAX_COUNT + 1, -0.5, 0.5,
    "", " ", "x", "a b", "discover", "400kB", "2 MB", "0", "0k", "5x", "json", "debug", "127.0.0.1:0", "x" * 257,
    "a\nb",
    "http://127.0.0.1:1", "https://a.example/b", "ftp://a.example", "https://", " warn ", "${SET}", "${UNSET:-warn}",
    [], ["x"], [""], [1], [None], [True], [["x"]], ["discover", "x"], ["http://a.example"], ["*"], ["127.0.0.1:0"],
    {}, {"a": "b"}, {"a": 1}, {"a": None}, {"": "b"}, {"a b": "c"}, {"model": "m"}, ["model"], ["stream", "x"], [{}],
    [{"a": "b"}], [{"from": "a", "to": "b"}], [{"id": "m"}], [{"upstream-api-key": "k"}], [{"upstream-api-key": ""}],
    [PROVIDER], [{"name": "p"}], [{"type": "ollama"}], {"enabled": True}, {"enabled": 1}, {"format": "json"},
    {"max-output": 0}, {"image": True}, {"header": {}}, {"model-mappings": []},
]  # fmt: skip

SAYS_LESS = {  # where the readers look at more than a schema can express
    "listen", "allowed-hosts", "allowed-origins", "base-url", "upstream-url", "amp-upstream-url", "api-key-file",
    "ca-file", "file", "type", "auth", "headers", "upstream-api-key", "api-keys", "amp-upstream-api-keys",
}  # fmt: skip


@pytest.mark.sample
@pytest.mark.parametrize("place", PLACES)
def test_the_schema_and_the_readers_take_and_refuse_the_same_values(place: str) -> None:
    known, around = PLACES[place]
    alarms, misses = [], []
    for key, shape in known.items():
        has_words = '"enum"' in json.dumps(shape)
        values = [*VALUES, *WORDS, *([word] for word in WORDS)] if has_words else VALUES
        for _, value in sampled([(key, value) for value in values], 0.25):
            config = around({key: value})
            by_schema, by_reader = schema_takes(config), reader_takes(config)
            if by_reader and not by_schema:
                alarms.append((key, value))
            elif by_schema and not by_reader and key not in SAYS_LESS and "${" not in str(value):
                misses.append((key, value))

    assert not alarms, f"the readers take these, and the shapes in config/keys.py do not: {alarms}"
    assert not misses, f"config/keys.py takes these, and the readers do not, or nothing reads the key: {misses}"


REQUIRED = {("provider", "name"), ("provider", "type"), ("model", "id"), ("amp key", "upstream-api-key")}


@pytest.mark.parametrize("place", PLACES)
def test_every_key_is_known_to_both_and_no_other(place: str) -> None:
    known, around = PLACES[place]

    for key in known:
        assert reader_takes(around({key: None})) == ((place, key) not in REQUIRED), key
        assert schema_takes(around({key: None})) or (place, key) in REQUIRED, key
    for unknown in ("nope", "API-KEY", *(key + "s" for key in known if key + "s" not in known)):
        assert not schema_takes(around({unknown: None})) and not reader_takes(around({unknown: None})), unknown


def test_the_tables_are_those_of_what_is_read() -> None:
    assert set(keys.AMPCODE.values()) <= keys.TOP.keys()


REFUSED = [
    {"ampcode": {"upstream-api-key": "a"}, "amp-upstream-api-key": "b"},
    {"providers": [{**PROVIDER, "api-key": "a", "api-key-file": "/etc/hostname"}]},
    {"providers": [{"name": "p", "base-url": "http://127.0.0.1:1"}]},
    {"providers": [{"name": "p", "protocols": ["gemini"]}]},
    {"providers": {"p": PROVIDER}},
    {"providers": [{**PROVIDER, "models": [{"upstream": "m"}]}]},
    {"amp-upstream-api-keys": [{"api-keys": ["a"]}]},
    {"amp-model-mappings": {"a": "b"}},
    [],
    "text",
    4,
]


@pytest.mark.parametrize("config", REFUSED)
def test_both_refuse_what_is_wrong_between_keys(config: Any) -> None:
    assert not reader_takes(config)
    assert not schema_takes(config)


KEYS = st.sampled_from(sorted({key for known, _ in PLACES.values() for key in known}))
SCALARS = st.sampled_from([each for each in VALUES if not isinstance(each, (list, dict))])
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


@settings(max_examples=examples(1000, 60), deadline=None)
@example({"ampcode": None, "amp-force-model-mappings": None})
@given(st.dictionaries(st.sampled_from(sorted(keys.TOP)), TREES, max_size=3))
def test_nothing_that_can_be_used_is_an_error_in_an_editor(config: dict[str, Any]) -> None:
    if reader_takes(config):
        assert list(VALIDATOR.iter_errors(config)) == []


def documents() -> list[Any]:
    texts = {path.name: path.read_text() for path in sorted((ROOT / "examples").glob("*.yaml"))}
    found = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found and texts
    texts |= {f"README-{number}": text for number, text in enumerate(found)}
    return [pytest.param(text, id=name) for name, text in texts.items()]


@pytest.mark.parametrize("text", documents())
def test_every_example_is_accepted(text: str) -> None:
    assert [] == [error.message for error in VALIDATOR.iter_errors(YAML(typ="safe", pure=True).load(io.StringIO(text)))]


def test_the_schema_is_one_and_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    Draft202012Validator.check_schema(schema())

    assert 0 == main(["schema"])
    assert schema() == json.loads(capsys.readouterr().out)


def test_init_writes_the_schema_that_its_first_line_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for preset in PRESETS.values():
        monkeypatch.delenv(preset.key_env, raising=False)
    config = tmp_path / "new" / "config.yaml"

    assert 0 == main(["init", "--config", str(config)])
    first, *rest = config.read_text().splitlines()
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\./\S+)", first)
    assert named and schema() == json.loads((config.parent / named[1]).read_text())
    assert schema_takes(YAML(typ="safe", pure=True).load("\n".join(rest)))
    assert 0 == main(["check", "--config", str(config.parent)])
    assert sorted(path.name for path in config.parent.iterdir()) == ["ampmap.schema.json", "config.yaml"]
