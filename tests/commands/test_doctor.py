"""``ampmap doctor``: what is well, what is not, the way out of each fault, and nothing that costs or gives away."""

from __future__ import annotations

import json
import os
import re
import ssl
from collections.abc import Callable
from pathlib import Path

import kit
import pytest
import trustme
from kit import Message, Peer, closed_origin, scripted
from servertls import server_tls

from ampmap.commands import amp_checks, provider_checks
from ampmap.commands.doctor import examine
from ampmap.commands.findings import Finding, as_lines
from ampmap.commands.main import main
from ampmap.commands.stand_in import standing_in
from ampmap.config.file import parse
from ampmap.server import running
from ampmap.settings import Settings

NOWHERE = "amp-upstream-url: ''\nlisten: 127.0.0.1:0\n"
KEY = "sk-secret-of-the-provider"
LIST = json.dumps({"data": [{"id": "m"}, {"id": "gpt-oss-20b"}]}).encode()


def reply(status: int, body: bytes = b"{}") -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def listing(answer: Callable[[Message], bytes]) -> kit.Script:
    async def script(peer: Peer) -> None:
        while True:
            await peer.send(answer(await peer.read_message()))

    return script


def with_key(message: Message) -> bytes:
    """Answer as a vendor: the list is for those with the key, and its other path takes POST alone."""
    if message.one(b"authorization") != f"Bearer {KEY}".encode():
        return reply(401)
    return reply(200, LIST) if b" /v1/models " in message.start else reply(405)


def for_all(message: Message) -> bytes:
    return reply(200, LIST) if b" /v1/models " in message.start else reply(404)


def config(url: object, more: str = "", rules: str = "[]") -> Settings:
    provider = f"{{name: p, base-url: '{url}', protocols: [openai-chat]{more}}}"
    return parse(f"{NOWHERE}amp-model-mappings: {rules}\nproviders: [{provider}]", "f.yaml", {}).settings


async def found(
    settings: Settings, area: str, env: dict[str, str] | None = None, home: Path = Path("/nowhere")
) -> list[Finding]:
    everything = await examine(settings, env or {}, home)
    return [finding for finding in everything if finding.area == area]


async def test_a_provider_over_tls_that_takes_its_key_is_well_and_is_asked_for_nothing_paid(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = server_tls(authority.issue_cert("127.0.0.1"))
    async with scripted(listing(with_key), tls=tls) as server:
        more = f", api-key: {KEY}, ca-file: {tmp_path}/ca.pem"
        [one] = await found(config(server.origin, more), "providers")

    assert "well" == one.state
    assert one.what.endswith("2 models listed; TLS verified; key accepted; answers in openai-chat")
    assert {b"GET"} == {message.start.split()[0] for message in server.seen}


@pytest.mark.parametrize(
    ("answer", "more", "state", "what", "remedy"),
    [
        (with_key, ", api-key: sk-secret-x", "bad", "it answers 401 at /v1/models", "is refused: correct its api-key"),
        (with_key, "", "bad", "it answers 401 at /v1/models", "it asks for a key: add 'api-key:'"),
        (with_key, ", auth: client", "well", "it wants the agent's own login", ""),
        (for_all, f", api-key: {KEY}", "well", "its list asks for no key: not proven", ""),
        (for_all, "", "well", "its formats cannot be told without a paid request", ""),
        (for_all, ", models: [m, gtp-oss-20b]", "note", "does not list gtp-oss-20b", "did you mean gpt-oss-20b?"),
        (lambda _: reply(404), ", models: [m]", "note", "reached, but without a list", ""),
        (lambda _: reply(404), "", "bad", "it answers 404 at", "check 'base-url', or list them under 'models:'"),
        (lambda _: reply(500), "", "bad", "it answers 500", "check 'base-url'"),
        (lambda _: b"SSH-2.0-x\r\n\r\n", "", "bad", "HTTP", "start that server, or correct 'base-url'"),
    ],
)  # fmt: skip
async def test_what_a_provider_answers_is_told_with_a_way_out(
    answer: Callable[[Message], bytes], more: str, state: str, what: str, remedy: str
) -> None:
    async with scripted(listing(answer)) as server:
        findings = await found(config(server.origin, more), "providers")

    assert [state] == [each.state for each in findings if what in each.what and remedy in each.remedy], findings
    assert {b"GET"} == {message.start.split()[0] for message in server.seen}


async def test_a_provider_that_cannot_be_reached_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(peer: Peer) -> None:
        await peer.wait_gone()

    [refused] = await found(config(await closed_origin()), "providers")
    tls: ssl.SSLContext = server_tls(trustme.CA().issue_cert("127.0.0.1"))
    async with scripted(silent, tls=tls) as server:
        [untrusted] = await found(config(server.origin, f", api-key: {KEY}"), "providers")
    monkeypatch.setattr(provider_checks, "_LIST_S", 0.2)
    async with scripted(silent) as server:
        [late] = await found(config(server.origin), "providers")

    assert ("bad", "start that server, or correct 'base-url'") == (refused.state, refused.remedy)
    assert "Connection refused" in refused.what
    assert ("bad", "name a PEM file of its authority under 'ca-file:'") == (untrusted.state, untrusted.remedy)
    assert "bad" == late.state and "no answer within 0.2 s" in late.what


async def test_rules_that_nothing_serves_are_named_with_the_nearest_model() -> None:
    async with scripted(listing(for_all)) as server:
        rules = "[{from: a, to: gpt-oss-20}, {from: b, to: m}, {from: c, to: [x, m]}]"
        [useless] = await found(config(server.origin, rules=rules), "rules")
        [well] = await found(config(server.origin, rules="[{from: b, to: m}]"), "rules")
    [unknown] = await found(config(await closed_origin(), rules=rules), "rules")

    assert ("bad", "did you mean gpt-oss-20b?") == (useless.state, useless.remedy)
    assert "'a' -> gpt-oss-20 [f.yaml:3] never applies" in useless.what
    assert "well" == well.state
    assert ("note", "not looked at: the models of p are not known") == (unknown.state, unknown.what)


async def test_who_listens_at_the_port_is_told(tmp_path: Path) -> None:
    async with standing_in("other", port=0) as other:
        port = other.url.rpartition(":")[2]
        taken = parse(f"amp-upstream-url: ''\nlisten: 127.0.0.1:{port}", "f.yaml", {}).settings
        [stranger] = await found(taken, "listen")
    [nobody] = await found(taken, "listen")
    async with running(taken, env={}):
        [ours] = await found(taken, "listen")
        [changed] = await found(
            parse(f"amp-credits: refuse\nlisten: 127.0.0.1:{port}", "f.yaml", {}).settings, "listen"
        )

    assert ["bad", "note", "well", "bad"] == [each.state for each in (stranger, nobody, ours, changed)]
    assert "listens there" in stranger.what and "--port" in stranger.remedy
    assert "`ampmap serve`" in nobody.remedy and "another configuration" in changed.what


SWITCHED = json.dumps({"ok": True, "result": {"features": [{"name": "thread-actors-tui", "enabled": True}]}}).encode()


@pytest.mark.parametrize(
    ("answer", "env", "states", "words"),
    [
        (
            reply(200, b'{"ok": true, "result": {"features": []}}'),
            {"AMP_API_KEY": "sgamp_key"},
            ["well"],
            "is accepted",
        ),
        (reply(200, SWITCHED), {"AMP_API_KEY": "sgamp_key"}, ["well", "note"], "Neo"),
        (reply(401), {"AMP_API_KEY": "sgamp_key"}, ["bad"], "the token of AMP_API_KEY is refused (401)"),
        (reply(200, b"no JSON"), {"AMP_API_KEY": "sgamp_key"}, ["well"], "is accepted"),
        (reply(500), {"AMP_API_KEY": "sgamp_key"}, ["note"], "it answers 500"),
        (reply(200), {}, ["note"], "there is no token here"),
    ],
)
async def test_amps_upstream_is_asked_whose_token_it_is(
    answer: bytes, env: dict[str, str], states: list[str], words: str
) -> None:
    async with scripted(listing(lambda _: answer)) as server:
        settings = parse(f"listen: 127.0.0.1:0\namp-upstream-url: '{server.origin}'", "f.yaml", {}).settings
        findings = await found(settings, "Amp", env)

    assert states == [finding.state for finding in findings]
    assert words in findings[-1].what
    [asked] = server.seen
    assert asked.start.startswith(b"POST /api/internal?getUserInfo " if env else b"GET /news.rss ")
    assert asked.one(b"authorization") == (b"Bearer sgamp_key" if env else None)


async def test_an_upstream_of_amp_that_is_not_there_is_a_fault_for_those_who_have_a_token() -> None:
    settings = parse(f"listen: 127.0.0.1:0\namp-upstream-url: '{await closed_origin()}'", "f.yaml", {}).settings

    assert ["note"] == [each.state for each in await found(settings, "Amp")]
    assert ["bad"] == [each.state for each in await found(settings, "Amp", {"AMP_API_KEY": "sgamp_key"})]


@pytest.mark.parametrize(
    ("holds", "state"), [("x/api/provider/y/api/thread-actors", "well"), ("/api/thread-actors", "note")]
)
def test_the_kind_of_amps_client_is_read_from_its_program(tmp_path: Path, holds: str, state: str) -> None:
    program = tmp_path / "amp"
    program.write_text(f"#!/bin/sh\n# {holds}\n")
    program.chmod(0o755)

    assert [state] == [each.state for each in amp_checks.check_program({"PATH": str(tmp_path)})]
    program.write_text("")
    assert [] == list(amp_checks.check_program({"PATH": str(tmp_path)}))


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a configuration in a home without any agent."""
    for name in [name for name in os.environ if re.search("KEY|BASE|URL|PROXY|CONFIG|HOME|TOKEN", name, re.IGNORECASE)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config.yaml"
    path.write_text(f"{NOWHERE}providers: [{{name: p, type: ollama, base-url: 'http://127.0.0.1:9', models: [m]}}]\n")
    return path


def test_a_fault_is_exit_code_1_in_lines_that_fit(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["doctor"], ["check", "--online"]):
        assert 1 == main([*command, "--config", str(alone)])
        shown = capsys.readouterr().out
        assert "✗ providers      p (http://127.0.0.1:9): cannot connect" in shown
        assert "\n                 → start that server" in shown
        assert shown.endswith("\n1 fault, 1 note\n")
        assert all(len(line) <= 100 or str(alone) in line for line in shown.splitlines())
        assert "\x1b" not in shown


def test_all_is_well_without_providers_that_fail_and_json_says_so(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone.write_text(NOWHERE)

    assert 0 == main(["doctor", "--json", "--config", str(alone)])
    told = json.loads(capsys.readouterr().out)
    assert (True, 0) == (told["well"], told["exit_code"])
    assert {"area", "state", "what", "remedy"} == told["findings"][0].keys()


def test_a_word_that_is_longer_than_a_line_stays_whole() -> None:
    path = "/" + "x" * 120

    assert any(
        path in line for line in as_lines([Finding("a", "bad", f"{path}:3: no", "mend it")], "utf-8", colour=False)
    )


@pytest.mark.parametrize("text", ["nope: 1", "a: [", "listen: 8267"])
def test_a_broken_configuration_is_a_fault_with_its_line(
    alone: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    alone.write_text(f"amp-upstream-url: ''\n{text}\n")

    assert 1 == main(["doctor", "--config", str(alone)])
    assert re.search(r"✗ configuration  \S*config.yaml:[23]:", capsys.readouterr().out)


def test_a_terminal_has_colours_and_one_without_signs_has_plain_marks() -> None:
    findings = [Finding("a", "well", "x"), Finding("b", "bad", "word " * 40, "do it")]

    coloured = list(as_lines(findings, "utf-8", colour=True))
    plain = list(as_lines(findings, "ascii", colour=False))

    assert coloured[0].startswith("\x1b[32m✓\x1b[0m a  x")
    assert plain[0] == "+ a  x" and any(line.startswith("     -> do it") for line in plain)
    assert all(len(line) <= 100 and line.isascii() for line in plain)
