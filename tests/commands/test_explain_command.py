"""``ampmap explain``: what it tells people and machines, and as a shell runs it, with its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from policy import EVERYBODY, LOCAL, in_cooldown, provider, rule, snapshot

from ampmap.bodies.find_model import find_model
from ampmap.commands.explain import as_json, as_text, explain_for
from ampmap.commands.explain_request import sent
from ampmap.commands.main import main
from ampmap.formats.registry import FORMATS
from ampmap.routing.explain import exit_code, explain
from ampmap.settings import Amp, Provider, Rule

CONFIG = """\
listen: 127.0.0.1:0
amp-model-mappings:
  - {from: claude-opus-4.5, to: claude-sonnet-4}
  - {from: '^gpt-5', to: claude-sonnet-4, regex: true}
  - {from: costly, to: unserved, credits: refuse}
translate: false
providers:
  - {name: anthropic, type: anthropic, api-key: not-shown, models: [claude-sonnet-4]}
"""

CHAT = provider("chat", "gpt-oss", protocols=("openai-chat",), translate=False)
OPUS = rule("opus", "claude-sonnet-4", "both")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "ampmap.yaml"
    path.write_text(CONFIG)
    path.chmod(0o600)
    return path


@pytest.fixture(autouse=True)
def no_config_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AMPMAP_CONFIG", "XDG_CONFIG_HOME", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "code", "shown"),
    [
        (["claude-sonnet-4"], 0, "anthropic: LOCAL_PROVIDER  claude-sonnet-4  by anthropic"),
        (["claude-opus-4.5"], 0, "anthropic: MODEL_MAPPING  claude-opus-4.5 -> claude-sonnet-4  by anthropic"),
        (["gpt-5-codex", "--protocol", "anthropic"], 0, "* rule '^gpt-5' (regex) -> claude-sonnet-4"),
        (["unknown"], 3, "Amp's paths under /api/provider/: AMP_CREDITS  goes to the Amp upstream"),
        (["unknown", "--as", "amp"], 3, 'amp-model-mappings: [{from: "unknown"'),
        (["unknown", "--as", "claude"], 4, "anthropic: NO_PROVIDER"),
        (["claude-opus-4.5", "--as", "claude"], 0, "anthropic: MODEL_MAPPING  claude-opus-4.5 -> claude-sonnet-4"),
        (["claude-opus-4.5", "--as", "codex"], 4, "openai-responses: NO_PROVIDER"),
        (["claude-opus-4.5", "--as", "codex", "--protocol", "anthropic"], 0, "anthropic: MODEL_MAPPING"),
        (["costly"], 4, "Amp's paths under /api/provider/: REFUSED"),
        (["costly", "--as", "amp"], 4, "'credits: refuse' on rule 'costly' -> unserved"),
        (
            ["claude-opus-4.5", "--protocol", "gemini"],
            3,
            "gemini: NO_PROVIDER",
        ),
    ],
)
def test_explain_tells_the_decision_and_exits_by_it(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, shown: str
) -> None:
    assert code == main(["explain", "--config", str(config), *arguments])
    assert shown in capsys.readouterr().out


def test_explain_speaks_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["explain", "claude-opus-4.5", "--json", "--config", str(config)])
    told = json.loads(capsys.readouterr().out)
    assert 0 == told["exit_code"]
    by_protocol = {decision["protocol"]: decision for decision in told["decisions"]}
    assert [{"provider": "anthropic", "model": "claude-sonnet-4"}] == by_protocol["anthropic"]["candidates"]
    assert ("NO_PROVIDER", "none") == (by_protocol["gemini"]["route_type"], by_protocol["gemini"]["cost"])
    by_protocol = {decision["protocol"]: decision for decision in told["amp_decisions"]}
    assert ("AMP_CREDITS", "amp_credits") == (by_protocol["gemini"]["route_type"], by_protocol["gemini"]["cost"])


def test_explain_shows_the_bytes_that_would_change(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request = tmp_path / "request.json"
    request.write_text('{"max_tokens": 1, "model": "claude-opus-4.5"}')

    assert 0 == main(["explain", "--request", str(request), "--config", str(config)])
    assert 'bytes 27 to 44 of 45 change: "claude-opus-4.5" -> "claude-sonnet-4" (45 bytes are sent)' in (
        capsys.readouterr().out
    )


def test_a_header_and_a_provider_are_part_of_what_is_explained(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(
        "amp-model-mappings: [{from: a, to: claude-sonnet-4, when: {header: {x-a: b}, provider: p}}]\n"
        + CONFIG[CONFIG.index("providers") :]
    )
    arguments = ["explain", "a", "--protocol", "anthropic", "--config", str(config)]

    assert 3 == main(arguments)
    assert "its condition does not hold: provider 'p'" in capsys.readouterr().out
    assert 0 == main([*arguments, "--provider", "p", "--header", "X-A: B"])
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, "--header", "none"])


SPOKEN = {
    "claude": ["anthropic"],
    "codex": ["openai-responses"],
    "gemini": ["gemini"],
    "opencode": list(FORMATS),
    "qwen": ["openai-chat"],
    "pi": ["anthropic"],
    "aider": ["openai-chat"],
    "amp": list(FORMATS),
}


@pytest.mark.parametrize("agent", SPOKEN)
def test_an_agent_is_asked_for_in_its_formats_and_amp_alone_under_api_provider(agent: str) -> None:
    asked, amp = explain_for(agent, "unknown", None, snapshot(LOCAL), EVERYBODY)

    assert SPOKEN[agent] == [each.decision.ask.protocol for each in asked]
    assert [] == amp
    assert {"AMP_CREDITS" if agent == "amp" else "NO_PROVIDER"} == {each.decision.route_type for each in asked}


def test_without_an_agent_the_plain_paths_come_first_and_amp_gets_one_line() -> None:
    found = snapshot(LOCAL, CHAT)
    asked, amp = explain_for(None, "gpt-oss", None, found, EVERYBODY)
    shown = as_text(asked, found, EVERYBODY, amp=amp).split("\n")

    assert [None] * len(FORMATS) == [each.decision.ask.segment for each in asked]
    assert all(each.decision.ask.segment for each in amp)
    assert shown[-1] == (
        "Amp's paths under /api/provider/: anthropic, openai-responses, gemini: AMP_CREDITS  goes to the Amp"
        " upstream and costs credits; openai-chat: LOCAL_PROVIDER  gpt-oss  by chat  (free of Amp credits)"
    )


def test_covered_counts_for_more_than_what_other_formats_would_give() -> None:
    """The provider is down and speaks one format; what asks in another one would be paid for, or served by nobody."""
    found, down = snapshot(CHAT), in_cooldown("chat")
    asked, amp = explain_for(None, "gpt-oss", None, found, down)

    assert 5 == exit_code([*asked, *amp])


def text(model: str, *parts: Provider | Rule, amp: Amp | None = None, segment: str | None = "any") -> str:
    found = snapshot(*parts, amp=amp)
    return as_text(explain(model, "anthropic", segment, found, EVERYBODY), found, EVERYBODY)


@pytest.mark.parametrize(
    ("shown", "parts"),
    [
        (
            text("opus", LOCAL, rule("opus", "gone"), rule("^o", "claude-sonnet-4", "both", regex=True)),
            [
                "anthropic: MODEL_MAPPING  opus -> claude-sonnet-4  by local, then local as both  (free of Amp",
                "- providers for opus: none lists it",
                "- rule 'opus' -> gone: no target is served in anthropic",
                "* rule '^o' (regex) -> claude-sonnet-4, both: served by local as claude-sonnet-4",
            ],
        ),
        (text("both", LOCAL), ["LOCAL_PROVIDER  both  by local", "* provider local for both: serves it as both"]),
        (
            text("x"),
            ["AMP_CREDITS  goes to the Amp upstream", "map it to a model that you serve: amp-model-mappings: [{from"],
        ),
        (
            text(
                "x",
                LOCAL,
                rule("^x", "both", regex=True),
                rule("x", "both"),
                rule("y", "both"),
                rule("(", "m", regex=True),
            ),
            [
                "rule '^x' (regex) -> both: not evaluated: the request was decided before",
                "rule 'y' -> both: does not match",
                "rule '(' (regex) -> m: is not in force: `ampmap check` says why",
            ],
        ),
        (
            text("opus-20251101(high)", LOCAL, OPUS),
            ["rule 'opus' -> claude-sonnet-4, both: matches the name without its date"],
        ),
        (
            text("BOTH[1m]", LOCAL),
            ["* provider local for BOTH[1m]: serves it as both (the name without its context mark)"],
        ),
        (text("x", amp=Amp(credits="refuse")), ["REFUSED", "refused by amp-credits: refuse"]),
        (text("x", amp=Amp(origin=None)), ["NO_PROVIDER", "no provider is configured", "there is no Amp upstream"]),
        (text("x", segment=None), ["NO_PROVIDER", "only paths under /api/provider/ may go to Amp"]),
        (text(""), ["AMP_CREDITS", "names no model"]),
    ],
)
def test_people_are_told_step_by_step(shown: str, parts: list[str]) -> None:
    for part in parts:
        assert part in shown


def test_a_name_cannot_draw_on_the_terminal() -> None:
    shown = text("\x1b[2J\r\nfree \u202e", LOCAL, segment=None)

    assert all(line.isprintable() for line in shown.split("\n"))
    assert not any(line.startswith("free") for line in shown.split("\n"))


def test_machines_are_told_the_same() -> None:
    found = snapshot(LOCAL, OPUS, rule("costly", "gone"))

    free, paid, refused = (
        json.loads(as_json(explain(model, "anthropic", "any", where, EVERYBODY), where))["decisions"][0]
        for model, where in (("opus", found), ("costly", found), ("x", snapshot(amp=Amp(credits="refuse"))))
    )

    assert ("MODEL_MAPPING", "own", False, 0) == (
        free["route_type"], free["cost"], free["refused"], free["exit_code"]
    )  # fmt: skip
    assert [{"provider": "local", "model": "claude-sonnet-4"}, {"provider": "local", "model": "both"}] == (
        free["candidates"]
    )
    assert ("AMP_CREDITS", "amp_credits", False, 3) == (
        paid["route_type"], paid["cost"], paid["refused"], paid["exit_code"]
    )  # fmt: skip
    assert ("AMP_CREDITS", "none", True, 4) == (
        refused["route_type"], refused["cost"], refused["refused"], refused["exit_code"]
    )  # fmt: skip
    assert {"what", "taken", "why"} == set(free["steps"][0])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"model":"opus","a":1}', 'bytes 9 to 15 of 22 change: "opus" -> "claude-sonnet-4" (33 bytes are sent)'),
        (b'{"model":"both"}', "the body would be sent unchanged"),
        (b'{"model":"unknown"}', "the body would be sent unchanged"),
        (b'{"nothing":1}', "the body would be sent unchanged"),
    ],
)
def test_the_bytes_that_would_change_are_named(body: bytes, said: str) -> None:
    found, span = snapshot(LOCAL, OPUS), find_model(body)
    model = span.name if span else "opus"

    assert said == sent(body, span, explain(model, "anthropic", None, found, EVERYBODY), EVERYBODY)


def test_the_changes_of_a_rule_are_explained() -> None:
    changes = (("temperature", "0.2"), ("reasoning_effort", '"low"'))
    changing = Rule(source="opus", targets=("both",), set=changes, drop=("top_p",))
    found = snapshot(LOCAL, changing)
    body = b'{"model": "opus", "temperature": 1.0, "x": 1e5, "top_p": 0.9, "y": 1}'

    def said(body: bytes) -> list[str]:
        return sent(body, find_model(body), explain("opus", "anthropic", None, found, EVERYBODY), EVERYBODY).split("\n")

    assert [
        f'bytes 10 to 16 of {len(body)} change: "opus" -> "both"',
        f"bytes 33 to 36 of {len(body)} change: 1.0 -> 0.2",
        f'bytes 48 to 61 of {len(body)} are taken out: "top_p": 0.9,',
        f'at byte 68 of {len(body)} is added: ,"reasoning_effort":"low" ({len(body) + 12} bytes are sent)',
    ] == said(body)
    assert [
        "the body would be refused: the body is not valid JSON, so a rule's 'set' and 'drop' cannot change it"
    ] == said(b'{"model": "opus", }')


def test_the_exit_code_stands_in_json_too() -> None:
    found = snapshot(LOCAL)

    assert 3 == json.loads(as_json(explain("unknown", None, "any", found, EVERYBODY), found))["exit_code"]


def test_a_translated_request_is_shown_with_what_it_loses() -> None:
    found = snapshot(provider("chat", "m", protocols=("openai-chat",)))
    body = b'{"model": "m", "max_tokens": 9, "top_k": 3, "messages": [{"role": "user", "content": "hi"}]}'
    asked = explain("m", None, None, found, EVERYBODY)

    shown = sent(
        body, find_model(body), [each for each in asked if each.decision.ask.protocol == "anthropic"], EVERYBODY
    )

    head, text, lost = shown.split("\n")
    assert "translated for chat, anthropic -> openai-chat: POST /v1/chat/completions" == head
    assert {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]} == json.loads(text)
    assert "lost: top_k" == lost
    assert "the body would be sent unchanged" == sent(body, find_model(body), asked, EVERYBODY)


def test_a_request_that_cannot_be_translated_is_said_to_be_refused() -> None:
    found = snapshot(provider("chat", "m", protocols=("openai-chat",)))
    body = b'{"model": "m", "input": "hi", "previous_response_id": "r"}'

    shown = sent(body, find_model(body), explain("m", "openai-responses", None, found, EVERYBODY), EVERYBODY)

    assert shown.startswith("the request would be refused: ") and "previous_response_id" in shown
