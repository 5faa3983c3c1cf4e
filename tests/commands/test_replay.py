"""``ampmap replay``: what a recorded log would become by another configuration, and what it never guesses."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import kit
import pytest

from ampmap.commands.main import main
from ampmap.commands.recorded import Decider, Served, read
from ampmap.commands.replay import replayed
from ampmap.commands.stand_in import standing_in
from ampmap.config.file import parse
from ampmap.records.record import Record
from ampmap.routing.snapshot import Availability, compile_snapshot
from ampmap.server import running

PROVIDERS = "providers: [{name: own, base-url: 'http://127.0.0.1:9', protocols: [anthropic], models: [m, n]}]\n"
UNKNOWN = PROVIDERS.replace("[m, n]", "discover")
RULES = "amp-model-mappings: [{from: '*alias*', to: n}]\n"
LISTEN = "listen: 127.0.0.1:0\n"
OWN_M = {"route_type": "LOCAL_PROVIDER", "provider": "own", "resolved_model": "m", "cost": "own"}
AMP = {"route_type": "AMP_CREDITS", "cost": "amp_credits", "source": "ampcode.com"}
NOBODY = {"route_type": "NO_PROVIDER", "cost": "none"}


def line(model: str, path: str = "/api/provider/anthropic/v1/messages", **more: object) -> str:
    record = {"component": "amp-routing", "requested_model": model, "protocol": "anthropic", "path": path}
    return json.dumps({**record, "method": "POST", "attempts": 1, "status": 200, **more}) + "\n"


@pytest.fixture(autouse=True)
def no_config_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AMPMAP_CONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


class Replaying:
    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.config, self.log, self._capsys = directory / "new.yaml", directory / "ampmap.log", capsys

    def run(self, config: str, log: str, *options: str) -> tuple[int, str]:
        self.config.write_text(LISTEN + config)
        self.log.write_text(log)
        code = main(["replay", str(self.log), "--config", str(self.config), *options])
        return code, self._capsys.readouterr().out

    def told(self, config: str, log: str) -> dict[str, object]:
        code, out = self.run(config, log, "--json")
        found: dict[str, object] = json.loads(out)
        assert code == found["exit_code"]
        return found


@pytest.fixture
def replaying(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Replaying:
    return Replaying(tmp_path, capsys)


def test_what_moves_to_credits_is_told_and_decides_the_exit_code(replaying: Replaying) -> None:
    code, shown = replaying.run(PROVIDERS, line("gone", **{**OWN_M, "resolved_model": "gone"}) * 3 + line("m", **OWN_M))

    assert 1 == code
    assert "4 requests for models\n1 unchanged, 3 changed, 0 depending on the request\n" in shown
    assert "to Amp credits: 3; away from Amp credits: 0" in shown
    assert "  3 ×  gone  anthropic  own/gone → Amp credits  costs credits\n" in shown


def test_what_moves_away_from_credits_is_told(replaying: Replaying) -> None:
    code, shown = replaying.run(f"amp-model-mappings: [{{from: opus, to: n}}]\n{PROVIDERS}", line("opus", **AMP) * 2)

    assert 0 == code
    assert "to Amp credits: 0; away from Amp credits: 2" in shown
    assert "  2 ×  opus  anthropic  Amp credits → own/n  saves credits\n" in shown


@pytest.mark.parametrize(
    ("config", "recorded", "after"),
    [
        (PROVIDERS, line("m", **OWN_M), None),
        (PROVIDERS, line("unknown", **AMP), None),
        (PROVIDERS, line("", **AMP), None),
        (PROVIDERS, line("", "/api/provider/other/thing", **{**AMP, "protocol": ""}), None),
        (PROVIDERS, line("unknown", "/v1/messages", **NOBODY), None),
        (PROVIDERS, line("m", "/v1/messages", **NOBODY), "provider"),
        (f"amp-credits: refuse\n{PROVIDERS}", line("unknown", **AMP), "refused"),
        (f"amp-credits: refuse\n{PROVIDERS}", line("unknown", route_type="REJECTED", status=403), None),
        (PROVIDERS, line("unknown", route_type="REJECTED", status=403), "amp_credits"),
        (f"translate: false\n{PROVIDERS}", line("m", "/v1/embeddings", **OWN_M), "nobody"),
        (f"{RULES}{UNKNOWN}", line("alias", **OWN_M), "unavailable"),
    ],
)
def test_each_outcome_is_compared_with_the_one_recorded(
    replaying: Replaying, config: str, recorded: str, after: str | None
) -> None:
    told = replaying.told(config, recorded)

    changes = told["changes"]
    assert isinstance(changes, list)
    assert [after] * (after is not None) == [each["kind"] for change in changes for each in change["after"]]
    assert (after == "amp_credits") == told["exit_code"]


def test_a_provider_that_was_asked_after_the_first_had_failed_is_no_change(replaying: Replaying) -> None:
    two = PROVIDERS.replace(
        "]}]", "]}, {name: two, base-url: 'http://127.0.0.1:8', protocols: [anthropic], models: [m]}]"
    )
    by_two = {**OWN_M, "provider": "two"}

    assert 0 == replaying.told(two, line("m", **by_two, attempts=2))["changed"]
    assert 1 == replaying.told(two, line("m", **by_two))["changed"]


DOUBTS = ["{image: true}", "{tool: bash}", "{header: {x-a: b}}", "{tool-choice: t}", "{system-prefix: s}",
          "{body-over: 4}", "{image: false}", "{provider: anthropic, image: true}"]  # fmt: skip


@pytest.mark.parametrize("when", DOUBTS)
@pytest.mark.parametrize("before", [OWN_M, AMP])
def test_what_a_condition_on_the_request_decides_is_counted_apart(
    replaying: Replaying, when: str, before: dict[str, str]
) -> None:
    config = f"amp-model-mappings: [{{from: opus, to: n, when: {when}}}]\n{PROVIDERS}"
    told = replaying.told(config, line("opus", **before))

    assert (1, 0, 0, 0) == (told["depends_on_the_request"], told["changed"], told["unchanged"], told["exit_code"])
    [doubt] = told["doubts"]  # type: ignore[misc]
    assert ["amp_credits", "provider"] == [each["kind"] for each in doubt["after"]]  # type: ignore[has-type]
    assert "'opus' when …" in str(told["rules_that_look_at_the_request"])


def test_a_condition_that_changes_nothing_or_cannot_hold_is_no_doubt(replaying: Replaying) -> None:
    rules = "[{from: opus, to: n, when: {image: true}}, {from: opus, to: n}]"
    assert 1 == replaying.told(f"amp-model-mappings: {rules}\n{PROVIDERS}", line("opus", **AMP))["changed"]
    other = "[{from: opus, to: n, when: {image: true, provider: other}}]"
    assert 1 == replaying.told(f"amp-model-mappings: {other}\n{PROVIDERS}", line("opus", **AMP))["unchanged"]
    known = "[{from: opus, to: n, when: {provider: anthropic}}]"
    assert 1 == replaying.told(f"amp-model-mappings: {known}\n{PROVIDERS}", line("opus", **AMP))["from_amp_credits"]


def test_credits_that_a_rule_refuses_under_a_condition_are_no_certain_cost(replaying: Replaying) -> None:
    config = f"amp-model-mappings: [{{from: opus, to: x, credits: refuse, when: {{image: true}}}}]\n{PROVIDERS}"
    told = replaying.told(config, line("opus", **OWN_M))

    [doubt] = told["doubts"]  # type: ignore[misc]
    assert ["amp_credits", "refused"] == [each["kind"] for each in doubt["after"]]  # type: ignore[has-type]


def test_a_list_that_is_unknown_is_named(replaying: Replaying) -> None:
    code, shown = replaying.run(UNKNOWN, line("m", **OWN_M))

    assert 1 == code
    assert "\nnot known: the models of own (cannot connect to http://127.0.0.1:9: Connection refused)" in shown
    assert ["own"] == list(replaying.told(UNKNOWN, line("m", **OWN_M))["unknown_lists"])  # type: ignore[call-overload]


def test_other_lines_are_counted_and_passed_over(replaying: Replaying) -> None:
    others = [
        {"component": "ampmap.server", "message": "draining"},
        {"route_type": "MANAGEMENT", "path": "/api/user", "method": "POST"},
        {"route_type": "REJECTED", "path": "/v1/messages", "method": "POST", "requested_model": "", "status": 401},
        {**OWN_M, "provider": "", "path": "/v1/messages", "method": "POST", "status": 400},
        {"route_type": "AMP_CREDITS", "path": "/../x", "method": "POST", "requested_model": 4},
    ]
    text = "\n".join(
        [*map(json.dumps, others), "", "no JSON", "[1]", "[" * 100_000, '{"a": "' + "x" * 3_000_000 + '"}']
    )
    told = replaying.told(PROVIDERS, f"{text}\n{line('m', **OWN_M)}")

    assert (1, 5, 4) == (told["requests"], told["other_lines"], told["unreadable_lines"])


def test_standard_input_is_read(
    replaying: Replaying, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replaying.config.write_text(LISTEN + PROVIDERS)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line("m", **OWN_M).encode())))

    assert 0 == main(["replay", "-", "--config", str(replaying.config)])
    assert "1 request for models" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "status=200 route_type=AMP_CREDITS\n"])
def test_a_file_that_is_no_json_log_is_an_error_with_a_remedy(
    replaying: Replaying, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    replaying.config.write_text(LISTEN + PROVIDERS)
    replaying.log.write_text(text)

    assert 2 == main(["replay", str(replaying.log), "--config", str(replaying.config)])
    assert "log: {format: json}" in capsys.readouterr().err
    assert 2 == main(["replay", str(replaying.log.parent), "--config", str(replaying.config)])
    assert "cannot read this file: Is a directory" in capsys.readouterr().err


PROMPTS = {
    "messages": [{"role": "user", "content": "x"}],
    "input": "x",
    "contents": [{"role": "user", "parts": [{"text": "x"}]}],
}


async def test_what_a_proxy_has_recorded_replays_unchanged_through_its_own_configuration() -> None:
    async with standing_in("p", models=("m", "n")) as own:
        text = (
            LISTEN
            + RULES
            + f"amp-upstream-url: {own.url}\n"
            + (f"providers: [{{name: own, base-url: '{own.url}', protocols: [anthropic], models: [m, n, 'é']}}]")
        )
        settings = parse(text, "a.yaml", {}).settings
        paths = ("messages", "messages/count_tokens", "chat/completions", "embeddings", "responses")
        asked = [
            (f"{prefix}/v1/{path}", model)
            for path in paths
            for prefix in ("", "/api/provider/x")
            for model in ("m", "n", "an-alias(high)", "unknown", "é", "")
        ]
        asked += [(f"{prefix}/v1beta/models/{model}:generateContent", "") for prefix in ("", "/api/provider/google")
                  for model in ("m", "alias%20x", "u")]  # fmt: skip
        async with running(settings, env={}) as proxy:
            records: list[Record] = []
            proxy.service.journal.listeners.append(records.append)
            async with kit.connected(proxy) as client:
                for path, model in asked:
                    body = json.dumps({"model": model, "max_tokens": 9, **PROMPTS}).encode()
                    await client.send(kit.post(body, path=path.encode()))
                    await client.read_final()

    log = "".join(json.dumps(record.fields()) + "\n" for record in records)
    report = replayed(io.BytesIO(log.encode()), Decider(compile_snapshot(settings)[0], Availability()))
    assert len(asked) - 5 == report.requests
    assert not report.changes and not report.doubts and not report.unreadable


def test_a_record_is_read_as_it_is_written() -> None:
    record = Record(route_type="MODEL_MAPPING", requested_model="a\nb", provider="p", resolved_model="m", cost="own")
    record.path, record.method, record.translated = "/v1/messages", "POST", "anthropic -> openai-chat"
    found = read(json.dumps(record.fields()).encode())

    assert found is not None
    assert Served("provider", "p", "m", "anthropic -> openai-chat") == found.served
    assert ("anthropic", None, True) == (found.asked.protocol, found.asked.segment, found.asked.translates)
